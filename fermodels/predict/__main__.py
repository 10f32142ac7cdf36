"""Give it a picture, get an answer: expressions of the faces in photographs, folders and videos, and before a camera.

python -m fermodels.predict photo.jpg holiday/ clip.mp4 --model reports/runs/FOLDER/chosen --annotate out/pictures
python -m fermodels.predict --webcam --csv > mood.csv     # until Ctrl-C

One row per face and frame; a frame without a face, and a file that cannot be read, have a row too, and nothing that a
file holds ends the run. In Python: `Predictor(model, detector).predict(image)`.
"""

import argparse
import csv
import json
import os
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext, suppress
from itertools import islice
from pathlib import Path
from typing import Any, Protocol, TextIO

from compress.libraries import Unavailable
from fermodels.data.open_picture import SUFFIXES
from fermodels.faces.detect import DETECTORS
from fermodels.predict.models import open_model
from fermodels.predict.pictures import Frame, frames, webcam
from fermodels.predict.predictor import FaceExpression, Predictor, Region
from fermodels.predict.session_classifier import DEFAULT_RUNTIME
from fermodels.predict.shipped import DEFAULT, SHIPPED, introduced

BATCH = 16
"""Frames in memory at a time; their faces go through the model together."""
OK, NO_FACE, UNREADABLE = "ok", "no face", "unreadable"
"""What `status` begins with."""
Row = dict[str, Any]


def predictions(
    predictor: Predictor, stream: Iterable[Frame], batch: int = BATCH
) -> Iterator[tuple[Frame, list[FaceExpression]]]:
    """Each frame with its faces, in order, `batch` frames at a time; one that cannot be looked at says why."""
    rest = iter(stream)
    while chunk := [_checked(predictor, frame) for frame in islice(rest, batch)]:
        answers = iter(predictor.faces([f.picture for f in chunk if not isinstance(f.picture, str)]))
        for frame in chunk:
            yield frame, [] if isinstance(frame.picture, str) else next(answers)


def _checked(predictor: Predictor, frame: Frame) -> Frame:
    fault = None if isinstance(frame.picture, str) else predictor.fault(frame.picture)
    return frame if fault is None else Frame(file=frame.file, frame=frame.frame, time_s=frame.time_s, picture=fault)


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
    return lambda row: print(json.dumps(row), file=stream, flush=True)


def _csv_writer(stream: TextIO, top: int) -> Writer:
    table = csv.DictWriter(stream, columns(top), lineterminator="\n")
    table.writeheader()

    def write(row: Row) -> None:
        table.writerow(row | {"box": None if row["box"] is None else " ".join(map(str, row["box"]))})
        stream.flush()

    return write


def _text_writer(stream: TextIO, top: int) -> Writer:
    def write(row: Row) -> None:
        where = row["file"] if row["frame"] is None else f"{row['file']} frame {row['frame']}"
        if row["status"] != OK:
            print(f"{where}: {row['status']}", file=stream, flush=True)
            return
        ends = ["", *(f"_{rank}" for rank in range(2, top + 1))]
        told = ", ".join(f"{row[f'expression{end}']} {row[f'probability{end}']:.1%}" for end in ends)
        box = " ".join(f"{value:.0f}" for value in row["box"])
        print(f"{where}: face {row['face_id']} [{box}] {told}", file=stream, flush=True)

    return write


WRITERS = {"text": _text_writer, "json": _json_writer, "csv": _csv_writer}


def run(given: argparse.Namespace) -> int:
    """Writes rows and pictures; exit status 1 when nothing could be read.

    Raises:
        ValueError: the model, the detector, --top or --annotate cannot be what was given.
        Unavailable: a library or device that was asked for is missing.
    """
    model = open_model(given.model, runtime=given.runtime, precision=given.precision, device=given.device)
    predictor = Predictor(model, None if given.cropped else given.detector, roi=given.roi)
    print(f"predict: {introduced(given.model, model.about)}", file=sys.stderr)
    known = len(predictor.model.classes)
    if not 1 <= given.top <= known:
        raise ValueError(f"--top {given.top}: the model knows {known} expressions, so 1 to {known} can be told")
    write, counts = WRITERS[given.form](sys.stdout, given.top), Counter[str]()
    live = given.webcam is not None
    stream = webcam(given.webcam) if live else frames(given.paths)
    with _annotations(given) as pictures, suppress(KeyboardInterrupt) if live else nullcontext():
        for frame, faces in predictions(predictor, stream, 1 if live else BATCH):
            for row in rows(frame, faces, given.top):
                write(row)
                counts[row["status"].partition(":")[0]] += 1
            if pictures is not None:
                pictures.add(frame, faces)
    summary = json.dumps({"faces": counts[OK], "no_face": counts[NO_FACE], "unreadable": counts[UNREADABLE]})
    print(summary, file=sys.stdout if given.form == "text" else sys.stderr)
    return 1 if set(counts) == {UNREADABLE} else 0


def _annotations(given: argparse.Namespace) -> Any:
    """The place for annotated pictures as a context, which gives None when none are wanted."""
    if given.annotate is None:
        return nullcontext()
    one = len(given.paths) == 1 and not given.paths[0].is_dir() and given.paths[0].suffix.lower() in SUFFIXES
    if given.annotate.suffix.lower() in SUFFIXES and not one:
        raise ValueError(f"--annotate {given.annotate} is one picture, the input is not one photograph: name a folder")
    from fermodels.predict.annotated_files import AnnotatedFiles  # matplotlib takes half a second

    return AnnotatedFiles(given.annotate)


def arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """What is asked on the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m fermodels.predict",
        description="Expressions of the faces in photographs, folders and videos, or before a camera.",
    )
    parser.add_argument("paths", type=Path, nargs="*", metavar="PHOTO|FOLDER|VIDEO")
    parser.add_argument("--webcam", type=int, nargs="?", const=0, metavar="N", help="camera N (default 0) until Ctrl-C")
    parser.add_argument(
        "--model",
        default=DEFAULT,
        metavar="NAME|CHECKPOINT|ONNX|ENGINE|FOLDER",
        help=f"{', '.join(SHIPPED)} (they come with the package), or what fermodels.save or compress.export wrote "
        f"(default {DEFAULT})",
    )
    parser.add_argument("--runtime", metavar="NAME", help=f"of an ONNX file: openvino, ... (default {DEFAULT_RUNTIME})")
    parser.add_argument("--precision", help="of an ONNX file: fp32 or int8 of a folder; bf16, which no file has")
    parser.add_argument("--device", help="of a checkpoint, as PyTorch names it: cuda")
    parser.add_argument("--detector", default="mtcnn", help=f"{', '.join(DETECTORS)} (yunet:PATH; default mtcnn)")
    parser.add_argument("--cropped", action="store_true", help="the pictures are aligned faces: detect nothing")
    parser.add_argument(
        "--roi", type=_region, metavar="X,Y,W,H", help="look at this part of every picture only, pixels"
    )
    parser.add_argument("--top", type=int, default=1, metavar="K", help="expressions told of each face (default 1)")
    parser.add_argument("--annotate", type=Path, metavar="OUT", help="folder for pictures with boxes, bars, attention")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", dest="form", action="store_const", const="json", help="one JSON object per row")
    form.add_argument("--csv", dest="form", action="store_const", const="csv", help="a table with a header")
    parser.set_defaults(form="text")
    given = parser.parse_args(argv)
    if bool(given.paths) == (given.webcam is not None):
        parser.error("name photographs, folders or videos, or give --webcam")
    return given


def _region(text: str) -> Region:
    """ "x,y,w,h" as numbers."""
    try:
        x, y, across, down = map(int, text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f'"{text}" is not X,Y,W,H in whole pixels, such as 120,40,300,300') from None
    return x, y, across, down


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point: status 2 and a sentence for a mistake in what was asked."""
    try:
        return run(arguments(argv))
    except (ValueError, Unavailable) as error:
        print(f"predict: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # whoever read the rows (head, less) has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


if __name__ == "__main__":
    sys.exit(main())
