"""Give it a picture, get an answer: expressions of the faces in photographs, folders and videos, and before a camera.

python -m fermodels.predict photo.jpg holiday/ clip.mp4 --model reports/runs/FOLDER/chosen --annotate out/pictures
python -m fermodels.predict --webcam --csv > mood.csv     # until Ctrl-C

One row per face and frame; a frame without a face, and a file that cannot be read, have a row too, and nothing that a
file holds ends the run. In Python: `Predictor(model, detector).predict(image)`.
"""

import argparse
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from io import TextIOWrapper
from pathlib import Path
from typing import Any

from compress.escaping import printed
from compress.exit_status import exit_status
from compress.program import program
from fermodels.data.open_picture import SUFFIXES
from fermodels.faces.detect import DETECTORS
from fermodels.predict.pictures import Frame
from fermodels.predict.predictor import SMALLEST, Predictor, Region, predictions
from fermodels.predict.rows import NO_FACE, OK, UNREADABLE, WRITERS, Row, Writer, rows
from fermodels.predict.session_classifier import DEFAULT_RUNTIME
from fermodels.predict.shipped import DEFAULT, SHIPPED, introduced
from fermodels.predict.sources import LeftOut, files_of, frames, is_address
from fermodels.predict.spread import File, Settings, continued, opened, spread
from fermodels.predict.videos import live


def run(given: argparse.Namespace) -> int:
    """Writes rows and pictures; exit status 1 when nothing could be read.

    Raises:
        ValueError: the model, the detector, --top or --annotate cannot be what was given.
        Unavailable: a library or device that was asked for is missing.
    """
    with _annotations(given) as pictures:
        names = ("model", "runtime", "precision", "device", "roi", "smallest", "turns", "every", "top")
        detector = None if given.cropped else given.detector
        settings = Settings(**{name: getattr(given, name) for name in names}, detector=detector)
        predictor = settings.predictor()
        model = predictor.model
        print(printed(f"predict: {introduced(given.model, model.about)}"), file=sys.stderr)
        if not 1 <= given.top <= len(model.classes):
            known = len(model.classes)
            raise ValueError(f"--top {given.top}: the model knows {known} expressions, so 1 to {known} can be told")
        counts, left_out = _written(given, settings, predictor, pictures)
    if left_out.count:
        print(printed(f"predict: left out, neither picture nor video: {left_out}"), file=sys.stderr)
    summary = json.dumps({"faces": counts[OK], "no_face": counts[NO_FACE], "unreadable": counts[UNREADABLE]})
    print(summary, file=sys.stdout if given.form == "text" else sys.stderr)
    return 1 if set(counts) == {UNREADABLE} else 0


def _place(
    given: argparse.Namespace, settings: Settings, predictor: Predictor
) -> AbstractContextManager[tuple[Writer, Callable[[File], bool]]]:
    """Where rows go, as a context, and whether a file has its rows there already."""
    if given.out:
        return continued(given.out, given.top, settings.told(predictor))
    return nullcontext((WRITERS[given.form](sys.stdout, given.top), lambda file: False))


def _written(
    given: argparse.Namespace, settings: Settings, predictor: Predictor, pictures: Any
) -> tuple[Counter[str], LeftOut]:
    """How many rows of each status were written, and what was left out."""
    counts, left_out = Counter[str](), LeftOut()
    with _place(given, settings, predictor) as (write, done):
        endless = given.webcam is not None or any(map(is_address, given.paths))
        files = (file for file in files_of(given.paths, left_out) if not done(file))
        if given.executor == "ray":
            found = spread(files, settings, address=given.ray_address, ordered=not given.any_order)
        elif endless:
            stream = (
                live(given.webcam, given.every) if given.webcam is not None else frames(given.paths, every=given.every)
            )
            found = _told(given, predictor, stream, pictures)
        else:
            found = _told(given, predictor, opened(files, given.every), pictures)
        with suppress(KeyboardInterrupt) if endless else nullcontext():
            for row in found:
                write(row)
                counts[row["status"].partition(":")[0]] += 1
    return counts, left_out


def _told(given: argparse.Namespace, predictor: Predictor, stream: Iterator[Frame], pictures: Any) -> Iterator[Row]:
    """The rows of a stream; its pictures are annotated on the way."""
    endless = given.webcam is not None or any(map(is_address, given.paths))
    for frame, faces in predictions(predictor, stream, **({"batch": 1} if endless else {})):
        yield from rows(frame, faces, given.top)
        if pictures is not None:
            pictures.add(frame, faces)


def _annotations(given: argparse.Namespace) -> Any:
    """The place for annotated pictures as a context, which gives None when none are wanted."""
    if given.annotate is None:
        return nullcontext()
    place, folders = given.annotate.resolve(), [Path(p).resolve() for p in given.paths if Path(p).is_dir()]
    if around := [folder for folder in folders if folder in (place, *place.parents)]:
        raise ValueError(
            f"--annotate {given.annotate} lies in {around[0]}, whose pictures are read: name another place"
        )
    inputs = [path for path in files_of(p for p in given.paths if not is_address(p)) if isinstance(path, Path)]
    one = len(given.paths) == 1 and inputs == [Path(given.paths[0])] and inputs[0].suffix.lower() in SUFFIXES
    if given.annotate.suffix.lower() in SUFFIXES and not one:
        raise ValueError(f"--annotate {given.annotate} is one picture, the input is not one photograph: name a folder")
    from fermodels.predict.annotated_files import AnnotatedFiles  # matplotlib takes half a second

    return AnnotatedFiles(given.annotate, inputs=inputs, overwrite=given.overwrite)


def arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """What is asked on the command line."""
    parser = argparse.ArgumentParser(
        prog=program("fermodels.predict"),
        description="Expressions of the faces in photographs, folders and videos, or before a camera.",
    )
    parser.add_argument("paths", nargs="*", metavar="PHOTO|FOLDER|VIDEO|rtsp://...")
    parser.add_argument("--webcam", type=int, nargs="?", const=0, metavar="N", help="camera N (default 0) until Ctrl-C")
    parser.add_argument(
        "--model",
        default=DEFAULT,
        metavar="NAME|CHECKPOINT|ONNX|ENGINE|FOLDER",
        help=f"a network of this package ({', '.join(SHIPPED)}), or a folder or file that fermodels.save or "
        f"compress.export wrote (default {DEFAULT})",
    )
    parser.add_argument("--runtime", metavar="NAME", help=f"what runs an ONNX file (default {DEFAULT_RUNTIME})")
    parser.add_argument("--precision", help="of an ONNX file or a folder of them: fp32, int8, bf16")
    parser.add_argument("--device", help="device of a checkpoint, like cuda (default cpu)")
    _add_search(parser)
    parser.add_argument("--top", type=int, default=1, metavar="K", help="expressions listed per face (default 1)")
    parser.add_argument("--annotate", type=Path, metavar="OUT", help="folder for pictures with boxes, bars, attention")
    parser.add_argument("--overwrite", action="store_true", help="replace annotated pictures that exist")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", dest="form", action="store_const", const="json", help="one JSON object per row")
    form.add_argument("--csv", dest="form", action="store_const", const="csv", help="a table with a header")
    form.add_argument(
        "--out", type=Path, metavar="FILE", help="write rows to FILE.csv or FILE.jsonl; a second call continues it"
    )
    parser.set_defaults(form="text")
    _add_executor(parser)
    given = parser.parse_args(argv)
    if bool(given.paths) == (given.webcam is not None):
        parser.error("name photographs, folders or videos, or give --webcam")
    if (given.out or given.executor == "ray") and (given.webcam is not None or any(map(is_address, given.paths))):
        parser.error("--out and --executor ray are for files: a camera or a stream has no end")
    if given.executor == "ray" and given.annotate:
        parser.error("--annotate draws on this machine: leave --executor ray out")
    if given.executor != "ray" and (given.ray_address or given.any_order):
        parser.error("--ray-address and --any-order: give --executor ray, too")
    return given


def _add_executor(parser: argparse.ArgumentParser) -> None:
    """Where it is computed."""
    parser.add_argument("--executor", default="local", choices=("local", "ray"), help="run here (default) or on Ray")
    parser.add_argument(
        "--ray-address", metavar="ADDRESS", help="address of a Ray cluster, like auto (default: start a local Ray)"
    )
    parser.add_argument("--any-order", action="store_true", help="with Ray: write rows as they finish, not in order")


def _add_search(parser: argparse.ArgumentParser) -> None:
    """How faces are looked for."""
    parser.add_argument("--detector", default="mtcnn", help=f"{', '.join(DETECTORS)} (default mtcnn); as yunet:FILE")
    parser.add_argument("--cropped", action="store_true", help="the pictures are aligned faces already: no detection")
    parser.add_argument(
        "--smallest",
        type=float,
        default=SMALLEST,
        metavar="PX",
        help=f"ignore faces with a smaller side (default {SMALLEST:.0f}); larger is faster on large photographs",
    )
    parser.add_argument(
        "--turns", action="store_true", help="if no face is found, try the picture turned by 90, 180, 270 degrees"
    )
    parser.add_argument("--every", type=_count, default=1, metavar="N", help="take every N-th frame of a video only")
    parser.add_argument(
        "--roi", type=_region, metavar="X,Y,W,H", help="look at this part of every picture only (pixels)"
    )


def _count(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f'"{text}" is no whole number from 1 on')
    return int(text)


def _region(text: str) -> Region:
    """ "x,y,w,h" as numbers."""
    try:
        x, y, across, down = map(int, text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f'"{text}" is not X,Y,W,H in whole pixels, such as 120,40,300,300') from None
    return x, y, across, down


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point: status 2 and a sentence for a mistake in what was asked; 130 when it was stopped."""
    if isinstance(sys.stdout, TextIOWrapper):  # a name that the terminal cannot write shall not end the run
        sys.stdout.reconfigure(errors="backslashreplace")
    given = arguments(argv)
    return exit_status("predict", lambda: run(given), kept="the rows above and the pictures written are whole")


if __name__ == "__main__":
    sys.exit(main())
