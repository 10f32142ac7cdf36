"""Near-duplicates side by side, one row of pairs for each distance, for a person to say which still are one picture.

`python -m fermodels.data.audit fer2013:fer2013.csv --near 4 --sheet near.png`
"""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from compress.files import atomic_path
from fermodels.data.duplicates import Audit
from fermodels.lettering import lettering

CELL, GAP, CAPTION, MARGIN = 96, 14, 30, 58
"""Side of a picture, space between pairs, height of the two lines below, width of the left margin: pixels."""
PAIRS, ROWS = 8, 3
"""Pairs in a row, and rows for each distance."""
LETTERS = 12
"""Their height in pixels."""
INK, FAINT, ALARM, PAPER = (28, 30, 34), (118, 120, 126), (190, 40, 30), (250, 249, 246)


def drawn_pairs(found: Audit) -> list[tuple[int, list[tuple[int, int]]]]:
    """Rows of the sheet: a distance in bits, and the first rows of up to `PAIRS` pairs of pictures at that distance."""
    lines: list[tuple[int, list[tuple[int, int]]]] = []
    for bits in np.unique(found.apart).tolist():
        pairs = list(map(tuple, found.first[found.near[found.apart == bits][: PAIRS * ROWS]].tolist()))
        lines += [(bits, pairs[start : start + PAIRS]) for start in range(0, len(pairs), PAIRS)]
    return lines


def draw_sheet(found: Audit) -> Image.Image:
    """The first near-duplicates of each distance, each with its split and label; red where the labels differ."""
    lines, wide, high = drawn_pairs(found), 2 * CELL + GAP, CELL + CAPTION + GAP
    sheet = Image.new("RGB", (MARGIN + PAIRS * wide, GAP + max(1, len(lines)) * high), PAPER)
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(LETTERS)
    if not lines:
        pen.text((GAP, GAP), f"no near-duplicates within {found.bits} bits", FAINT, font)
    for line, (bits, pairs) in enumerate(lines):
        top = GAP + line * high
        pen.text((MARGIN - 10, top + CELL / 2), f"{bits} bits", FAINT, font, anchor="rm")
        for column, pair in enumerate(pairs):
            ink = ALARM if found.labels[pair[0]] != found.labels[pair[1]] else INK
            for side, row in enumerate(pair):
                left, place = MARGIN + column * wide + side * CELL, found.place(row)
                face = Image.fromarray(found.pixels(row)).resize((CELL, CELL), Image.Resampling.BICUBIC)
                sheet.paste(face, (left, top))
                middle, below = left + CELL / 2, top + CELL
                label, letters = lettering(place["label"], LETTERS, CELL - 4)
                pen.text((middle, below + 8), place["split"], FAINT, font, anchor="mm")
                pen.text((middle, below + 22), label, ink, letters, anchor="mm")
    return sheet


def write_sheet(path: Path, found: Audit) -> None:
    """`draw_sheet` as a PNG file."""
    with atomic_path(path) as temporary:
        draw_sheet(found).save(temporary, "PNG", optimize=True)
