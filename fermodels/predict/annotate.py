"""A photograph with its answers drawn in: a numbered box for each face, and beside the picture a card for each with the
face as the network saw it, the attention map over it, and a bar for every expression.

One thing to know: the size of the result depends on the size of the photograph alone, so the frames of a video fit
together.
"""

from collections.abc import Sequence

import matplotlib
import numpy as np
from jaxtyping import Float32, UInt8
from PIL import Image, ImageDraw, ImageFont

from fermodels.faces.align import warped
from fermodels.lettering import lettering
from fermodels.predict.pictures import Photograph
from fermodels.predict.predictor import FaceExpression

SHORTEST, LONGEST = 640, 1280
"""Pixels: the longest side of the photograph as it is drawn."""
SIDEBAR, MARGIN, INSET = 384, 14, 132
"""Width of the cards' column, space around things, side of a face on its card; pixels."""
TITLE, LINE, LARGE_LINE = 30, 16, 22
"""Height of a card's title, of one bar, and of one bar where there is room; pixels."""
PAPER, CARD, INK, FAINT, TRACK = (22, 24, 29), (34, 37, 44), (238, 240, 243), (160, 166, 176), (54, 58, 67)
COLOURS = {
    "anger": (235, 96, 84),
    "contempt": (226, 132, 190),
    "disgust": (128, 186, 96),
    "fear": (172, 134, 226),
    "happiness": (250, 204, 84),
    "sadness": (98, 158, 232),
    "surprise": (246, 158, 82),
}
OTHER = (186, 192, 200)
"""Of neutral, and of expressions with another name."""
HEAT, BLEND = "inferno", 0.5
"""The colours of attention (matplotlib), and the share of them where attention is 1; where it is 0, the face alone."""


def annotated(photograph: Photograph, faces: Sequence[FaceExpression]) -> Image.Image:
    """The picture: photograph with boxes on the left, cards on the right. Both sides even, as videos need them."""
    height, width = photograph.pixels.shape[:2]
    zoom = max(SHORTEST / max(height, width), min(1.0, LONGEST / max(height, width)))
    drawn = (max(1, round(width * zoom)), max(1, round(height * zoom)))
    least = _card_height(7) + 2 * MARGIN + LINE
    whole = Image.new("RGB", (_even(drawn[0] + SIDEBAR), _even(max(drawn[1], least))), PAPER)
    picture = Image.fromarray(photograph.pixels).resize(drawn, Image.Resampling.LANCZOS)
    for number, face in reversed(list(enumerate(faces, 1))):  # the largest is drawn last, on top
        _draw_box(picture, face, number, zoom / photograph.scale)
    whole.paste(picture, (0, (whole.height - drawn[1]) // 2))
    _draw_cards(whole, photograph, faces, drawn[0] + MARGIN)
    return whole


def inset(photograph: Photograph, face: FaceExpression, side: int) -> Image.Image:
    """The face as the network saw it, as fine as the photograph has it, with the attention map over it."""
    matrix = face.matrix * side
    matrix[:, :2] *= photograph.scale
    pixels = warped(photograph.pixels, matrix, side)
    return Image.fromarray(pixels if face.attention is None else heated(pixels, face.attention))


def heated(
    pixels: UInt8[np.ndarray, "side side 3"], attention: Float32[np.ndarray, "h w"]
) -> UInt8[np.ndarray, "side side 3"]:
    """RGB pixels under the attention map, whose own range is stretched to [0, 1] so that it shows."""
    side, span = pixels.shape[0], float(np.ptp(attention))
    shown = (attention - attention.min()) / span if span > 0 else np.zeros_like(attention)
    smooth = Image.fromarray(shown.astype(np.float32)).resize((side, side), Image.Resampling.BICUBIC)
    share = np.asarray(smooth).clip(0, 1)
    colours = 255 * matplotlib.colormaps[HEAT](share)[..., :3]
    weight = BLEND * share[..., None]
    return np.rint((1 - weight) * pixels + weight * colours).astype(np.uint8)


def _draw_box(picture: Image.Image, face: FaceExpression, number: int, zoom: float) -> None:
    pen, colour = ImageDraw.Draw(picture), colour_of(face.expression)
    x0, y0, x1, y1 = (zoom * value for value in face.box)
    pen.rounded_rectangle((x0, y0, max(x0, x1), max(y0, y1)), radius=6, outline=colour, width=3)
    text, font = lettering(f"{number}  {face.expression}  {face.probability:.0%}", 16)
    width = pen.textlength(text, font) + 16
    left = min(max(0.0, x0), max(0.0, picture.width - width))
    top = y0 - 26 if y0 >= 26 else min(max(0.0, y0), picture.height - 24.0)
    pen.rounded_rectangle((left, top, left + width, top + 24), radius=6, fill=colour)
    pen.text((left + 8, top + 12), text, PAPER, font, anchor="lm")


def _draw_cards(whole: Image.Image, photograph: Photograph, faces: Sequence[FaceExpression], left: int) -> None:
    """As many cards as there is room for, and how many faces have none."""
    pen, small = ImageDraw.Draw(whole), ImageFont.load_default(13)
    if not faces:
        pen.text((left + (SIDEBAR - 2 * MARGIN) / 2, whole.height / 2), "no face", FAINT, small, anchor="mm")
        return
    if len(faces) == 1 and _large_height(len(faces[0].probabilities)) <= whole.height - 2 * MARGIN:
        _draw_large_card(whole, photograph, faces[0], left)
        return
    step = _card_height(len(faces[0].probabilities)) + MARGIN
    room = max(1, (whole.height - MARGIN - LINE) // step)
    for number, face in enumerate(faces[:room], 1):
        _draw_card(whole, photograph, face, number, (left, MARGIN + (number - 1) * step))
    if len(faces) > room:
        words = f"and {len(faces) - room:,} more"
        pen.text((left, min(MARGIN + room * step, whole.height - LINE)), words, FAINT, small)


def _draw_card(
    whole: Image.Image, photograph: Photograph, face: FaceExpression, number: int, corner: tuple[int, int]
) -> None:
    pen, (x, y) = ImageDraw.Draw(whole), corner
    bottom, right = y + _card_height(len(face.probabilities)), x + SIDEBAR - 2 * MARGIN
    pen.rounded_rectangle((x, y, right, bottom), radius=10, fill=CARD)
    top = y + (bottom - y - INSET) // 2
    whole.paste(inset(photograph, face, INSET), (x + 10, top), _rounded(INSET))
    _draw_words(pen, face, number, (x + INSET + 22, y + 4, right - 12), LINE)


def _draw_large_card(whole: Image.Image, photograph: Photograph, face: FaceExpression, x: int) -> None:
    """The card of a face that is alone: the inset over the whole width, the bars below it."""
    pen, width = ImageDraw.Draw(whole), SIDEBAR - 2 * MARGIN
    height, side = _large_height(len(face.probabilities)), width - 20
    pen.rounded_rectangle((x, MARGIN, x + width, MARGIN + height), radius=10, fill=CARD)
    whole.paste(inset(photograph, face, side), (x + 10, MARGIN + 10), _rounded(side))
    _draw_words(pen, face, 1, (x + 14, MARGIN + side + 14, x + width - 14), LARGE_LINE)


def _draw_words(
    pen: ImageDraw.ImageDraw, face: FaceExpression, number: int, place: tuple[int, int, int], line: int
) -> None:
    """Title and bars of a card; `place` is left, top, right, and a bar has `line` pixels of height."""
    (left, top, right), title, colour = place, ImageFont.load_default(18), colour_of(face.expression)
    words, font = lettering(f"{number}  {face.expression}", 18, right - left - 48)
    pen.text((left, top + 14), words, colour, font, anchor="lm")
    pen.text((right, top + 14), f"{face.probability:.0%}", colour, title, anchor="rm")
    for row, (name, share) in enumerate(face.probabilities.items()):
        _draw_bar(pen, (left, top + TITLE + 2 + row * line + line // 2, right), name, share)


def _draw_bar(pen: ImageDraw.ImageDraw, place: tuple[int, int, int], name: str, share: float) -> None:
    """A line of a card: name, bar, percentage; `place` is left, middle, right."""
    left, middle, right = place
    small, start, end = ImageFont.load_default(12), left + 68, right - 36
    words, font = lettering(name, 12, start - left - 4)
    pen.text((left, middle), words, FAINT, font, anchor="lm")
    pen.rounded_rectangle((start, middle - 3, end, middle + 3), radius=3, fill=TRACK)
    if (filled := share * (end - start)) >= 1:
        pen.rounded_rectangle((start, middle - 3, start + filled, middle + 3), radius=3, fill=colour_of(name))
    pen.text((right, middle), f"{share:.0%}", INK, small, anchor="rm")


def colour_of(expression: str) -> tuple[int, int, int]:
    """The colour in which an expression is drawn everywhere."""
    return COLOURS.get(expression, OTHER)


def _card_height(classes: int) -> int:
    return max(INSET + 20, TITLE + 16 + classes * LINE)


def _large_height(classes: int) -> int:
    return SIDEBAR - 2 * MARGIN + TITLE + classes * LARGE_LINE + 8


def _rounded(side: int) -> Image.Image:
    mask = Image.new("L", (side, side))
    ImageDraw.Draw(mask).rounded_rectangle((0, 0, side - 1, side - 1), radius=8, fill=255)
    return mask


def _even(pixels: int) -> int:
    return pixels + pixels % 2
