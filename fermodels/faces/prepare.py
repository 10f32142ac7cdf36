"""From a data set of photographs to one of aligned faces: detect, choose, align, store.

One thing to know: a photograph in which no face is found is left out and counted; where there are several, the one
that the photograph is about is taken (`chosen_face`) and the photograph is counted. Work is kept every 128
photographs, so a killed run goes on where it stopped.

`python -m fermodels.faces.prepare lfw:lfw_emotion.tar --out faces/lfw --size 128`, then train on `lfw:faces/lfw`
(`prepared:FOLDER` for any other set). `--landmarks onnx:FILE` keeps 68 points with confidence of every face.
"""

import argparse
import json
import sys
import time
import zipfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from shutil import rmtree
from typing import Any

import numpy as np
from PIL import Image

from fermodels.data import folder as folder_set
from fermodels.data import lfw
from fermodels.data.decode import as_mode, live_bar
from fermodels.data.prepared import COLUMNS, FORMAT, LANDMARK_COLUMNS, Prepared, write_meta, write_split
from fermodels.data.rows import UNREADABLE, Rows, Skips
from fermodels.data.splits import Source
from fermodels.faces.align import RAISED, align
from fermodels.faces.contact_sheet import write_sheet
from fermodels.faces.detect import DETECTORS, Detector, Face, open_detector
from fermodels.faces.landmark_base import Landmarker, as_shares
from fermodels.faces.landmarks import LANDMARKS, landmarker
from fermodels.files import atomic_path, digest

PHOTOGRAPHS: dict[str, Callable[..., Source]] = {"folder": folder_set.source, "lfw": lfw.source}
"""Data sets of photographs: name -> source(path, skips, whole=True), the listed rows with uncropped pictures."""
CHUNK = 128
"""Photographs between two savings."""
COMPARABLE = 0.5
"""A face of at least this share of the largest one's area may be what the photograph is about."""
POLICY = (
    "no face: left out; several: of those with at least half the area of the largest, the one whose centre is nearest "
    "to the photograph's"
)
TEMPLATE = f"five points of ArcFace (Deng et al. 2019), raised by {RAISED:.0%} of the side"
SMALLEST = 32.0
"""Side in pixels; photographs for a data set of faces show one that is larger."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """What is prepared, with what, into which size."""

    detector: Detector
    size: int = 128
    """Side of the aligned faces in pixels."""
    skip_broken: bool = False
    """Leave out and count a picture that cannot be read, instead of stopping with its name."""
    progress: bool = False
    """Show a live bar per split (only on a terminal)."""
    landmarks: Landmarker | None = None
    """Finds 68 points on every aligned face; None: none are kept."""
    landmarks_from: str = ""
    """What is said of their source: its name, file and digest."""

    def __post_init__(self) -> None:
        if not 8 <= self.size <= 1024:
            raise ValueError(f"size {self.size}: aligned faces have 8 to 1,024 pixels a side")

    @property
    def columns(self) -> tuple[str, ...]:
        """What is kept of every face beside its pixels."""
        return COLUMNS + (LANDMARK_COLUMNS if self.landmarks else ())

    @property
    def provenance(self) -> dict[str, Any]:
        found = {"landmarks": self.landmarks_from} if self.landmarks else {}
        return found | {
            "detector": self.detector.name,
            "version": self.detector.version,
            "smallest_px": self.detector.smallest,
            "template": TEMPLATE,
            "policy": POLICY,
        }


def chosen_face(faces: Sequence[Face], width: int, height: int) -> Face:
    """Of the faces with at least half the area of the largest, the one nearest to the middle of the photograph."""
    least = COMPARABLE * max(face.area for face in faces)
    centre = np.array([width / 2, height / 2])
    return min((f for f in faces if f.area >= least), key=lambda f: float(np.hypot(*(np.array(f.centre) - centre))))


def prepare(spec: str, out: Path, job: Job) -> dict[str, Any]:
    """Writes the aligned faces of `spec` ("lfw:PATH", "folder:PATH") to the folder `out`, to be read as
    `prepared:out`, with `sheet.png` to look at.

    Returns:
        Counts by split: photographs, kept, no face, several faces; and seconds and photographs a second of this run.

    Raises:
        ValueError: not a data set of photographs, a broken picture that may not be skipped, or a split without a face.
    """
    name, _, path = spec.partition(":")
    if name not in PHOTOGRAPHS:
        raise ValueError(f"{spec} is no data set of photographs: prepare {', '.join(f'{n}:PATH' for n in PHOTOGRAPHS)}")
    skips = Skips(allowed=job.skip_broken)
    source = PHOTOGRAPHS[name](path or None, skips, whole=True)
    listed = {"train": source.train, "validation": source.validation, "test": source.test}
    counts: dict[str, dict[str, int]] = {}
    samples: list[np.ndarray] = []
    began, fresh = time.monotonic(), 0
    for split, rows in listed.items():
        if rows is None:
            continue
        parts, columns, made = _split(rows, out, job, skips)
        kept, missed, several = (
            len(columns["labels"]),
            int(columns.pop("missed").sum()),
            int((columns["faces"] > 1).sum()),
        )
        if not kept:
            raise ValueError(f"{spec}: no face was found in any {split} photograph by {job.detector.name}")
        write_split(out / split, (_stored(part, ("images",))["images"] for part in parts), columns)
        counts[split] = {"photographs": len(rows), "kept": kept, "no_face": missed, "several": several}
        samples += _samples(out / split / "images.u8", kept, job.size)
        fresh += made
    write_sheet(out / "sheet.png", samples)
    write_meta(
        out,
        Prepared(
            format=FORMAT,
            spec=spec,
            classes=source.classes,
            size=job.size,
            provenance=job.provenance,
            carved=source.validation is None,
            notes=(*source.notes, *(_told(split, count) for split, count in counts.items()), *skips.notes),
            licence=source.licence,
        ),
    )
    rmtree(out / "parts", ignore_errors=True)
    seconds = time.monotonic() - began
    return {**counts, "seconds": round(seconds, 1), "photographs_per_s": round(fresh / max(seconds, 1e-9), 1)}


def _told(split: str, count: dict[str, int]) -> str:
    return (
        f"{split}: of {count['photographs']:,} photographs {count['kept']:,} gave a face, in {count['no_face']:,} none "
        f"was found (left out), {count['several']:,} held several (the one the photograph is about was taken)."
    )


def _samples(path: Path, count: int, size: int) -> list[np.ndarray]:
    """60 faces from all over a split, or all."""
    images = np.memmap(path, np.uint8, "r", shape=(count, size, size, 3))
    return list(images[:: max(1, count // 60)][:60])


def _split(rows: Rows, out: Path, job: Job, skips: Skips) -> tuple[list[Path], dict[str, np.ndarray], int]:
    """The files of the chunks, their columns joined, and how many photographs were searched in this run.

    Memory holds the pixels of one chunk at a time.
    """
    key = digest([FORMAT, rows.name, rows.fingerprint, job.size, job.provenance])[:16]
    paths, parts, made = [], [], 0
    with live_bar(f"aligning {rows.name}", len(rows), job.progress) as advance:
        for start in range(0, len(rows), CHUNK):
            chunk = range(start, min(start + CHUNK, len(rows)))
            path = out / "parts" / f"{key}-{start:08}.npz"
            if not _whole(path):
                made += len(chunk)
                with atomic_path(path) as temporary:
                    np.savez(temporary, **_chunk(rows, chunk, job))  # type: ignore[arg-type]
            part = _stored(path, ("missed", "broken", *job.columns))
            for sentence in part.pop("broken").tolist():
                skips.report(sentence)
            paths.append(path)
            parts.append(part)
            advance(len(chunk))
    return paths, {name: np.concatenate([part[name] for part in parts]) for name in ("missed", *job.columns)}, made


def _stored(path: Path, names: Sequence[str]) -> dict[str, np.ndarray]:
    """Some arrays of a chunk."""
    with path.open("rb") as raw, np.load(raw) as entry:
        return {name: entry[name] for name in names}


def _whole(path: Path) -> bool:
    """Whether an earlier run has left this chunk undamaged."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() is None
    except (OSError, zipfile.BadZipFile, EOFError, ValueError):
        return False


def _chunk(rows: Rows, chunk: range, job: Job) -> dict[str, np.ndarray]:
    """The faces of some photographs as columns; `missed` is their number without a face, `broken` holds sentences."""
    with ThreadPoolExecutor(2) as pool:
        opened = list(pool.map(lambda index: _open(rows, index), chunk))
    there = [(index, p) for index, p in zip(chunk, opened, strict=True) if not isinstance(p, str)]
    broken = [sentence for sentence in opened if isinstance(sentence, str)]
    if broken and not job.skip_broken:
        Skips(allowed=False).report(broken[0])
    found = job.detector.detect([photograph for _, photograph in there])
    kept = [(i, p, faces) for (i, p), faces in zip(there, found, strict=True) if faces]
    chosen = [chosen_face(faces, p.shape[1], p.shape[0]) for _, p, faces in kept]
    aligned = [align(p, face.points, job.size) for (_, p, _), face in zip(kept, chosen, strict=True)]
    n = len(kept)
    images = np.array([face.image for face in aligned], np.uint8).reshape(n, job.size, job.size, 3)
    return _landmarks(images, job) | {
        "images": images,
        "names": np.array([str(rows.names[i]) for i, _, _ in kept], np.str_),
        "labels": np.array([rows.labels[i] for i, _, _ in kept], np.int64),
        "matrices": np.array([face.matrix for face in aligned], np.float64).reshape(n, 2, 3),
        "boxes": np.array([face.box for face in chosen], np.float32).reshape(n, 4),
        "points": np.array([face.points for face in chosen], np.float32).reshape(n, 5, 2),
        "probabilities": np.array([face.probability for face in chosen], np.float32),
        "faces": np.array([len(faces) for _, _, faces in kept], np.int64),
        "missed": np.array([len(there) - n], np.int64),
        "broken": np.array(broken, np.str_),
    }


def _landmarks(images: np.ndarray, job: Job) -> dict[str, np.ndarray]:
    """`LANDMARK_COLUMNS` of aligned faces (n, size, size, 3), where they are asked for."""
    if job.landmarks is None:
        return {}
    found = job.landmarks(images)
    return {"landmarks": as_shares(found.points, images), "confidence": found.confidence.astype(np.float32)}


def _source_of(spec: str) -> str:
    """What is written down of a source of landmarks: its name, and of a file its name and digest, not its place."""
    name, _, path = spec.partition(":")
    return f"{name}:{Path(path).name}, sha256 {sha256(Path(path).read_bytes()).hexdigest()[:16]}" if path else name


def _open(rows: Rows, index: int) -> np.ndarray | str:
    """The photograph, RGB, or the sentence that says what is wrong with it."""
    try:
        return np.asarray(as_mode(rows.read(index), 3))
    except (*UNREADABLE, Image.DecompressionBombError) as error:
        return f"{rows.names[index]} cannot be read: {error}"


def arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m fermodels.faces.prepare", description="Cuts aligned faces out of a data set of photographs."
    )
    parser.add_argument("data", help=f"{' or '.join(f'{name}:PATH' for name in PHOTOGRAPHS)}")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="read it as prepared:FOLDER")
    parser.add_argument("--detector", default="mtcnn", help=f"{', '.join(DETECTORS)} (yunet:PATH; default mtcnn)")
    parser.add_argument("--size", type=int, default=128, help="side of the aligned faces in pixels (default 128)")
    parser.add_argument("--smallest", type=float, default=SMALLEST, help="smallest face looked for, pixels")
    parser.add_argument(
        "--landmarks",
        metavar="SOURCE",
        help=f"keep 68 landmarks and their confidence: {', '.join(n for n in LANDMARKS if n != 'given')} (onnx:FILE)",
    )
    parser.add_argument("--skip-broken", action="store_true", help="count pictures that cannot be read, and go on")
    return parser.parse_args(argv)


def _asked(landmarks: str | None) -> dict[str, Any]:
    """The fields of `Job` for `--landmarks`.

    Raises:
        ValueError: no such source, or one that needs what photographs do not bring.
    """
    if landmarks is None:
        return {}
    if landmarks.partition(":")[0] == "given":
        raise ValueError('--landmarks given: photographs bring none; name a source that finds them, like "onnx:FILE"')
    return {"landmarks": landmarker(landmarks), "landmarks_from": _source_of(landmarks)}


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point: status 2 and a sentence for a mistake in the input."""
    chosen = arguments(argv)
    try:
        detector = open_detector(chosen.detector, smallest=chosen.smallest)
        job = Job(
            detector=detector,
            size=chosen.size,
            skip_broken=chosen.skip_broken,
            progress=True,
            **_asked(chosen.landmarks),
        )
        result = prepare(chosen.data, chosen.out, job)
    except ValueError as error:
        print(f"prepare: {error}", file=sys.stderr)
        return 2
    print(json.dumps({"prepared": str(chosen.out), **result}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
