"""The contact sheet: one column per expression, rows of faces, one row with landmarks, one with occluders.

`python -m fermodels.data.synthetic --sheet docs/synthetic.png`
"""

import argparse
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from compress.exit_status import exit_status
from compress.files import json_text, must_be_writable, write_atomic
from compress.program import program
from fermodels.data.synthetic.actions import CANONICAL, RECIPES, Actions, actions_of
from fermodels.data.synthetic.chance import Chance
from fermodels.data.synthetic.drawing import VERSION, Faces, paint_scene, render
from fermodels.data.synthetic.looks import scene_of

_CELL, _GAP, _MARGIN, _HEADER = 116, 4, 96, 34
_INK, _PAPER, _FAINT = (28, 30, 34), (250, 249, 246), (118, 120, 126)
_SEEN, _HIDDEN = (70, 235, 120), (255, 70, 60)


def _by_class(faces: Faces, rows: int) -> list[list[int]]:
    """The first `rows` faces of every class: rows of positions, one column a class."""
    columns = [np.flatnonzero(faces.labels == label)[:rows] for label in range(len(CANONICAL))]
    assert all(len(column) == rows for column in columns), [len(column) for column in columns]
    return np.stack(columns, axis=1).tolist()


def _with_points(faces: Faces, which: int) -> Image.Image:
    """Visible landmarks green, hidden ones red; drawn large and reduced, for round dots."""
    face, points, visible = Image.fromarray(faces.images[which]), faces.landmarks[which], faces.visibility[which]
    zoom = 4
    large = face.resize((face.width * zoom, face.height * zoom), Image.Resampling.BICUBIC)
    pen = ImageDraw.Draw(large)
    for (x, y), seen in zip(points * large.width, visible, strict=True):
        pen.ellipse((x - 5.5, y - 5.5, x + 5.5, y + 5.5), fill=_SEEN if seen > 0.5 else _HIDDEN)
    return large.resize(face.size, Image.Resampling.LANCZOS)


def _posed() -> np.ndarray:
    """(7, side, side, 3): the average face making every unit of each recipe that shows more often than not."""
    labels = np.arange(len(CANONICAL))
    usual = [{u: strength for u, (share, strength) in RECIPES[name].items() if share >= 0.5} for name in CANONICAL]
    each = [actions_of(1, **units) for units in usual]
    actions = Actions(np.concatenate([a.left for a in each]), np.concatenate([a.right for a in each]))
    return paint_scene(scene_of(Chance(0, labels, quiet=True), labels, actions), _CELL)


def _rows(seed: int) -> list[tuple[str, list[Image.Image]]]:
    posed = [Image.fromarray(picture) for picture in _posed()]
    plain = render(range(160), size=_CELL, seed=seed)
    covered = render(range(200, 360), size=_CELL, seed=seed, occluders=1.0)
    picked = _by_class(plain, 6)
    rows = [("" if row else "faces", [Image.fromarray(plain.images[i]) for i in picked[row]]) for row in range(5)]
    marked = [_with_points(plain, i) for i in picked[5]]
    hidden = [_with_points(covered, i) for i in _by_class(covered, 1)[0]]
    return [("recipe", posed), *rows, ("landmarks", marked), ("occluders", hidden)]


def draw_sheet(seed: int = 0) -> Image.Image:
    """The sheet as a picture: 7 columns in the canonical class order."""
    rows = _rows(seed)
    step = _CELL + _GAP
    sheet = Image.new("RGB", (_MARGIN + 7 * step + _GAP, _HEADER + len(rows) * step + _GAP), _PAPER)
    pen = ImageDraw.Draw(sheet)
    title, small = ImageFont.load_default(size=16), ImageFont.load_default(size=13)
    for column, name in enumerate(CANONICAL):
        pen.text((_MARGIN + column * step + _CELL / 2, _HEADER / 2), name, _INK, title, anchor="mm")
    for row, (name, faces) in enumerate(rows):
        top = _HEADER + row * step
        pen.text((_MARGIN - 12, top + _CELL / 2), name, _FAINT, small, anchor="rm")
        for column, face in enumerate(faces):
            sheet.paste(face, (_MARGIN + column * step, top))
    return sheet


def _few_colours(sheet: Image.Image) -> Image.Image:
    """240 colours without dithering (noise would not compress otherwise), the rare colours of the dots among them."""
    sample = Image.new("RGB", (sheet.width, sheet.height + 16), _SEEN)
    sample.paste(sheet)
    sample.paste(_HIDDEN, (0, sheet.height + 8, sheet.width, sheet.height + 16))
    return sheet.quantize(palette=sample.quantize(240), dither=Image.Dither.NONE)


def arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=program("fermodels.data.synthetic"), description="Draws the contact sheet.")
    parser.add_argument("--sheet", type=Path, required=True, metavar="PNG", help="where to write the contact sheet")
    parser.add_argument("--seed", type=int, default=0, help="which faces (default 0: those of the data set)")
    return parser.parse_args(argv)


def run(given: argparse.Namespace) -> None:
    """Draws, writes, and prints what the sheet is."""
    must_be_writable(given.sheet)
    stream = BytesIO()
    _few_colours(draw_sheet(given.seed)).save(stream, "PNG", optimize=True)
    write_atomic(given.sheet, stream.getvalue())
    print(json_text({"sheet": str(given.sheet), "bytes": len(stream.getvalue()), "renderer": VERSION}))


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point: status 2 and a sentence for a mistake in the input."""
    given = arguments(argv)
    return exit_status("synthetic", lambda: run(given))
