"""Many aligned faces in one picture, for a person to look at: what is wrong with a data set shows here first."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from compress.files import atomic_path

CELL, GAP, COLUMNS = 96, 2, 15
"""Side of a face and space between faces in pixels; faces in a row."""
PAPER = (250, 249, 246)


def draw_sheet(faces: Sequence[UInt8[np.ndarray, "size size 3"]]) -> Image.Image:
    """The faces in rows, in their order."""
    rows = max(1, -(-len(faces) // COLUMNS))
    step = CELL + GAP
    sheet = Image.new("RGB", (COLUMNS * step + GAP, rows * step + GAP), PAPER)
    for number, face in enumerate(faces):
        row, column = divmod(number, COLUMNS)
        cell = Image.fromarray(face).resize((CELL, CELL), Image.Resampling.BICUBIC)
        sheet.paste(cell, (GAP + column * step, GAP + row * step))
    return sheet


def write_sheet(path: Path, faces: Sequence[UInt8[np.ndarray, "size size 3"]]) -> None:
    """`draw_sheet` as a PNG file."""
    with atomic_path(path) as temporary:
        draw_sheet(faces).save(temporary, "PNG", optimize=True)
