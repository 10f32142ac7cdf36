"""Words in pictures: names of classes in any script on one line, none of them as empty boxes.

One thing to know: Pillow's own font knows ASCII only; other letters are drawn in DejaVu Sans, which comes with
matplotlib (Latin, Greek, Cyrillic, Arabic, Hebrew, symbols), and what that lacks, too, is written as \\u6012.
"""

from functools import cache
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from compress.escaping import printed

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
ELLIPSIS = "..."


def lettering(text: str, size: int, width: float = float("inf")) -> tuple[str, Font]:
    """`text` as it can be drawn, shortened where it is wider than `width`, and a font of `size` (pixels) for it."""
    drawn, font = printed(text), ImageFont.load_default(size)
    if not drawn.isascii():
        drawn, font = "".join(letter if _has(letter) else _escaped(letter) for letter in drawn), _dejavu(size)
    whole = drawn
    while whole and font.getlength(drawn) > width:
        whole = whole[:-1]
        drawn = whole + ELLIPSIS
    return drawn, font


def _escaped(letter: str) -> str:
    return letter.encode("ascii", "backslashreplace").decode()


@cache
def _dejavu(size: int) -> ImageFont.FreeTypeFont:
    import matplotlib  # only for letters beyond ASCII

    return ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts/ttf/DejaVuSans.ttf", size)


@cache
def _has(letter: str) -> bool:
    """Whether DejaVu Sans has it: what a font lacks looks like a code that is no character."""
    return picture_of(letter, _dejavu(16)) != picture_of("\U0010ffff", _dejavu(16))


def picture_of(letter: str, font: Font) -> bytes:
    """A letter's pixels, to be compared with another's."""
    paper = Image.new("L", (48, 48))
    ImageDraw.Draw(paper).text((12, 12), letter, 255, font)
    return paper.tobytes()
