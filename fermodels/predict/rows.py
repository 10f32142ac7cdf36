"""One row per face and frame, and the forms in which rows are written: text, JSON lines, CSV."""

import csv
import json
from collections.abc import Iterator, Sequence
from typing import Any, Protocol, TextIO

from compress.escaping import csv_cell, printed
from fermodels.predict.pictures import Frame
from fermodels.predict.predictor import FaceExpression

OK, NO_FACE, UNREADABLE = "ok", "no face", "unreadable"
"""What `status` begins with."""
Row = dict[str, Any]


def columns(top: int) -> list[str]:
    """The keys of every row: place, face, and the `top` most probable expressions."""
    ranks = [f"{name}_{rank}" for rank in range(2, top + 1) for name in ("expression", "probability")]
    return [*("file", "frame", "time_s", "face_id", "status", "box", "detection", "expression", "probability"), *ranks]


def rows(frame: Frame, faces: Sequence[FaceExpression], top: int = 1) -> Iterator[Row]:
    """The rows of one frame: one for each face, `face_id` 0 the largest, or one that says why there is none.

    Boxes are in pixels of the upright photograph to a tenth, probabilities rounded to 4 digits; what does not apply is
    None.
    """
    blank = dict.fromkeys(columns(top)) | {"file": frame.file, "frame": frame.frame, "time_s": frame.time_s}
    if isinstance(frame.picture, str):
        yield blank | {"status": f"{UNREADABLE}: {frame.picture}"}
    elif not faces:
        yield blank | {"status": NO_FACE}
    for number, face in enumerate(faces):
        row = blank | {"face_id": number, "status": OK, "box": [round(value, 1) for value in face.box]}
        row["detection"] = None if face.detection is None else round(face.detection, 4)
        for rank, (name, probability) in enumerate(face.ranked(top), 1):
            end = "" if rank == 1 else f"_{rank}"
            row |= {f"expression{end}": name, f"probability{end}": round(probability, 4)}
        yield row


class Writer(Protocol):
    """A form of the rows on standard output."""

    def __call__(self, row: Row) -> None: ...


def _json_writer(stream: TextIO, top: int) -> Writer:
    return lambda row: print(json.dumps(row, allow_nan=False), file=stream, flush=True)


def _csv_writer(stream: TextIO, top: int) -> Writer:
    table = csv.DictWriter(stream, columns(top), lineterminator="\n")
    table.writeheader()

    def write(row: Row) -> None:
        box = None if row["box"] is None else " ".join(map(str, row["box"]))
        table.writerow({name: csv_cell(value) for name, value in row.items()} | {"box": box})
        stream.flush()

    return write


def _text_writer(stream: TextIO, top: int) -> Writer:
    def write(row: Row) -> None:
        where = row["file"] if row["frame"] is None else f"{row['file']} frame {row['frame']}"
        if row["status"] != OK:
            print(printed(f"{where}: {row['status']}"), file=stream, flush=True)
            return
        ends = ["", *(f"_{rank}" for rank in range(2, top + 1))]
        told = ", ".join(f"{row[f'expression{end}']} {row[f'probability{end}']:.1%}" for end in ends)
        box = " ".join(f"{value:.0f}" for value in row["box"])
        print(printed(f"{where}: face {row['face_id']} [{box}] {told}"), file=stream, flush=True)

    return write


WRITERS = {"text": _text_writer, "json": _json_writer, "csv": _csv_writer}
