"""How good a source of landmarks is: on drawn faces, and on photographs against another source.

python -m fermodels.faces.check_landmarks own --photos FOLDER --against onnx:FILE --sheet out/landmarks.png

A drawn face has true points; for a photograph the other source stands in for the truth, so its own error is in the
figure. Photographs are cut to a central square, since nothing here detects a face.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from PIL import Image, ImageDraw

from compress.exit_status import exit_status
from compress.files import atomic_path, json_text, must_be_writable
from compress.program import program
from fermodels.data.eight_bits import as_mode
from fermodels.data.open_picture import open_picture
from fermodels.faces.landmark_base import Crops, FacePoints, Landmarker
from fermodels.faces.landmark_errors import point_errors
from fermodels.faces.landmarks import landmarker
from fermodels.faces.train_landmarks import measured, unseen_faces

PHOTO_SIDE = 128
"""Pixels to which the central square of a photograph is resized."""
CELL, COLUMNS = 160, 8
SEEN, HIDDEN, OTHER = (70, 235, 120), (255, 70, 60), (90, 160, 255)
"""Points with confidence of at least one half, below it, and the other source's."""


def photographs(folder: Path, count: int, share: float) -> tuple[Crops, list[str]]:
    """`count` photographs of a folder, evenly spaced over their sorted names, cut to the central square of `share` of
    their shorter side.

    Raises:
        ValueError: the folder holds no pictures.
    """
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg", ".png"))
    if not paths:
        raise ValueError(f"{folder} holds no .jpg or .png; name a folder of photographs of faces")
    chosen = [paths[i] for i in np.unique(np.linspace(0, len(paths) - 1, count).astype(int))]
    return np.stack([_central(path, share) for path in chosen]), [path.name for path in chosen]


def _central(path: Path, share: float) -> np.ndarray:
    try:
        rgb = as_mode(open_picture(path).image, 3)
    except ValueError as error:
        raise ValueError(f"{path} cannot be read: {error}") from None
    half = share * min(rgb.size) / 2
    x, y = rgb.width / 2, rgb.height / 2
    square = rgb.crop((round(x - half), round(y - half), round(x + half), round(y + half)))
    return np.asarray(square.resize((PHOTO_SIDE, PHOTO_SIDE), Image.Resampling.BICUBIC))


def marked(crop: np.ndarray, found: FacePoints, other: Float[np.ndarray, "68 2"] | None = None) -> Image.Image:
    """One crop, enlarged, with its points (`found` of one face) and, as small dots, those of the other source."""
    picture = Image.fromarray(crop).resize((CELL, CELL), Image.Resampling.BICUBIC)
    zoom = CELL / np.array([crop.shape[1], crop.shape[0]])
    pen = ImageDraw.Draw(picture)
    for x, y in () if other is None else other * zoom:
        pen.ellipse((x - 1, y - 1, x + 1, y + 1), fill=OTHER)
    for (x, y), sure in zip(found.points * zoom, found.confidence, strict=True):
        pen.ellipse((x - 1.6, y - 1.6, x + 1.6, y + 1.6), fill=SEEN if sure >= 0.5 else HIDDEN)
    return picture


def sheet(pictures: Sequence[Image.Image]) -> Image.Image:
    """The pictures in rows of `COLUMNS`."""
    rows = -(-len(pictures) // COLUMNS)
    whole = Image.new("RGB", (COLUMNS * CELL, rows * CELL), (250, 249, 246))
    for number, picture in enumerate(pictures):
        whole.paste(picture, (number % COLUMNS * CELL, number // COLUMNS * CELL))
    return whole


def _row(found: FacePoints, number: int) -> FacePoints:
    return FacePoints(found.points[number], found.confidence[number])


def compare(find: Landmarker, given: argparse.Namespace) -> tuple[dict[str, Any], list[Image.Image]]:
    """Distance of the two sources' points on photographs, and pictures of both."""
    crops, _ = photographs(given.photos, given.count, given.share)
    found, other = find(crops), landmarker(given.against)(crops)
    errors = point_errors(found.points, other.points)
    told = {
        "photos": len(crops),
        "nme": round(float(errors.mean()), 4),
        "nme_median_face": round(float(np.median(errors.mean(1))), 4),
        "nme_inner": round(float(errors[:, 17:].mean()), 4),
        "confidence": round(float(found.confidence.mean()), 4),
    }
    pictures = [marked(crops[i], _row(found, i), other.points[i]) for i in range(min(len(crops), 4 * COLUMNS))]
    return told, pictures


def run(given: argparse.Namespace) -> dict[str, Any]:
    """Measures, draws, and returns what the last line of standard output says."""
    if given.sheet:
        must_be_writable(given.sheet)
    find, faces = landmarker(given.landmarks), unseen_faces(given.drawn)
    told: dict[str, Any] = {"landmarks": given.landmarks, "drawn": {"faces": given.drawn} | measured(find, faces)}
    found = find(faces.images[: 2 * COLUMNS])
    pictures = [marked(faces.images[i], _row(found, i)) for i in range(len(found.points))]
    if given.photos is not None:
        against, more = compare(find, given)
        told["against"] = {"source": given.against} | against
        pictures += more
    if given.sheet is not None:
        with atomic_path(given.sheet) as temporary:
            sheet(pictures).save(temporary, "PNG", optimize=True)
    return told


def arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog=program("fermodels.faces.check_landmarks"),
        description="Measures a source of landmarks on drawn faces and on photographs.",
    )
    parser.add_argument("landmarks", help='what to measure: "own", "own:FILE", "onnx:FILE", "fan"')
    parser.add_argument("--drawn", type=int, default=1000, help="drawn faces (default: 1,000)")
    parser.add_argument("--photos", type=Path, metavar="DIR", help="folder of photographs, one face in the middle")
    parser.add_argument("--against", metavar="NAME:FILE", help="the source that stands in for the truth on photographs")
    parser.add_argument("--count", type=int, default=100, help="photographs (default: 100)")
    parser.add_argument(
        "--share", type=float, default=0.6, help="side of the central square, of the photograph's (default: 0.6)"
    )
    parser.add_argument("--sheet", type=Path, metavar="PNG", help="draw points on the first faces of each kind")
    given = parser.parse_args(argv)
    if (given.photos is None) != (given.against is None):
        parser.error("--photos and --against go together: whose points stand in for the truth on which photographs?")
    return given


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point: status 2 and a sentence for a mistake in the input."""
    given = arguments(argv)
    return exit_status("check_landmarks", lambda: print(json_text(run(given))))


if __name__ == "__main__":
    sys.exit(main())
