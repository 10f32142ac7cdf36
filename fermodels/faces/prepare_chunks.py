"""The work of `fermodels.faces.prepare` on one split: 128 photographs at a time, each chunk a file until all are done.

One thing to know: a chunk that an earlier run has left undamaged is not made again, and only the pixels of one are in
memory.
"""

import zipfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from compress.files import digest
from fermodels.data.arrays import write_arrays
from fermodels.data.decode import live_bar
from fermodels.data.eight_bits import as_mode
from fermodels.data.prepared import COLUMNS, FORMAT, LANDMARK_COLUMNS
from fermodels.data.rows import Rows, Skips
from fermodels.faces.align import RAISED, align
from fermodels.faces.detect import Detector, Face
from fermodels.faces.landmark_base import Landmarker, as_shares
from fermodels.faces.own_folder import PARTS

CHUNK = 128
"""Photographs between two savings."""
COMPARABLE = 0.5
"""A face of at least this share of the largest one's area may be what the photograph is about."""
POLICY = (
    "no face: left out; several: of those with at least half the area of the largest, the one whose centre is nearest "
    "to the photograph's"
)
TEMPLATE = f"five points of ArcFace (Deng et al. 2019), raised by {RAISED:.0%} of the side"


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


def aligned_split(rows: Rows, out: Path, job: Job, skips: Skips) -> tuple[list[Path], dict[str, np.ndarray], int]:
    """The files of the chunks, their columns joined, and how many photographs were searched in this run.

    Memory holds the pixels of one chunk at a time.
    """
    key = digest([FORMAT, rows.name, rows.fingerprint, job.size, job.provenance])[:16]
    paths, parts, made = [], [], 0
    with live_bar(f"aligning {rows.name}", len(rows), job.progress) as advance:
        for start in range(0, len(rows), CHUNK):
            chunk = range(start, min(start + CHUNK, len(rows)))
            path = out / PARTS / f"{key}-{start:08}.npz"
            if not _whole(path):
                made += len(chunk)
                write_arrays(path, _chunk(rows, chunk, job))
            part = stored(path, ("missed", "broken", *job.columns))
            for sentence in part.pop("broken").tolist():
                skips.report(sentence)
            paths.append(path)
            parts.append(part)
            advance(len(chunk))
    return paths, {name: np.concatenate([part[name] for part in parts]) for name in ("missed", *job.columns)}, made


def stored(path: Path, names: Sequence[str]) -> dict[str, np.ndarray]:
    """Some arrays of a chunk's file."""
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


def _open(rows: Rows, index: int) -> np.ndarray | str:
    """The photograph, RGB, or the sentence that says what is wrong with it."""
    try:
        return np.asarray(as_mode(rows.read(index), 3))
    except Exception as error:  # whatever a decoder raises is that picture's fault
        return f"{rows.names[index]} cannot be read: {error}"
