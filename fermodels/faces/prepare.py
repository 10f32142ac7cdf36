"""From a data set of photographs to one of aligned faces: detect, choose, align, store.

One thing to know: a photograph in which no face is found is left out and counted; where there are several, the one
that the photograph is about is taken (`chosen_face`) and the photograph is counted. Work is kept every 128
photographs, so a killed run goes on where it stopped.

`python -m fermodels.faces.prepare lfw:lfw_emotion.tar --out faces/lfw --size 128`, then train on `lfw:faces/lfw`
(`prepared:FOLDER` for any other set). `--landmarks onnx:FILE` keeps 68 points with confidence of every face.
"""

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from compress.exit_status import exit_status
from compress.files import json_text
from compress.program import program
from fermodels.data import folder as folder_set
from fermodels.data import lfw
from fermodels.data.prepared import FORMAT, Prepared, write_meta, write_split
from fermodels.data.rows import Skips
from fermodels.data.splits import Source
from fermodels.faces.contact_sheet import write_sheet
from fermodels.faces.detect import DETECTORS, open_detector
from fermodels.faces.landmarks import LANDMARKS, landmarker
from fermodels.faces.own_folder import SHEET, claim, refuse_full_disk, remove_parts, unfinish
from fermodels.faces.prepare_chunks import Job, aligned_split, stored

PHOTOGRAPHS: dict[str, Callable[..., Source]] = {"folder": folder_set.source, "lfw": lfw.source}
"""Data sets of photographs: name -> source(path, skips, whole=True), the listed rows with uncropped pictures."""
KEPT = "every 128 photographs were kept, the same command goes on from there"
SMALLEST = 32.0
"""Side in pixels; photographs for a data set of faces show one that is larger."""


def prepare(spec: str, out: Path, job: Job) -> dict[str, Any]:
    """Writes the aligned faces of `spec` ("lfw:PATH", "folder:PATH") to the folder `out`, to be read as
    `prepared:out`, with `sheet.png` to look at.

    Returns:
        Counts by split: photographs, kept, no face, several faces; and seconds and photographs a second of this run.

    Raises:
        ValueError: not a data set of photographs, a folder that is not this tool's (`claim`), a broken picture that may
            not be skipped, or a split without a face.
    """
    name, _, path = spec.partition(":")
    if name not in PHOTOGRAPHS:
        raise ValueError(f"{spec} is no data set of photographs: prepare {', '.join(f'{n}:PATH' for n in PHOTOGRAPHS)}")
    skips = Skips(allowed=job.skip_broken)
    source = PHOTOGRAPHS[name](path or None, skips, whole=True)
    claim(out, spec)
    listed = {"train": source.train, "validation": source.validation, "test": source.test}
    refuse_full_disk(out, sum(len(rows) for rows in listed.values() if rows is not None), job.size)
    counts: dict[str, dict[str, int]] = {}
    checks: dict[str, int] = {}
    samples: list[np.ndarray] = []
    began, fresh = time.monotonic(), 0
    for split, rows in listed.items():
        if rows is None:
            continue
        parts, columns, made = aligned_split(rows, out, job, skips)
        kept, missed, several = (
            len(columns["labels"]),
            int(columns.pop("missed").sum()),
            int((columns["faces"] > 1).sum()),
        )
        if not kept:
            raise ValueError(f"{spec}: no face was found in any {split} photograph by {job.detector.name}")
        unfinish(out)
        checks[split] = write_split(out / split, (stored(part, ("images",))["images"] for part in parts), columns)
        counts[split] = {"photographs": len(rows), "kept": kept, "no_face": missed, "several": several}
        samples += _samples(out / split / "images.u8", kept, job.size)
        fresh += made
    write_sheet(out / SHEET, samples)
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
            checks=checks,
        ),
    )
    remove_parts(out)
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


def arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog=program("fermodels.faces.prepare"), description="Cuts aligned faces out of a data set of photographs."
    )
    parser.add_argument("data", help=f"{' or '.join(f'{name}:PATH' for name in PHOTOGRAPHS)}")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="read it later as prepared:FOLDER")
    parser.add_argument("--detector", default="mtcnn", help=f"{', '.join(DETECTORS)} (default mtcnn); as yunet:FILE")
    parser.add_argument("--size", type=int, default=128, help="side of the aligned faces in pixels (default 128)")
    parser.add_argument("--smallest", type=float, default=SMALLEST, help="ignore smaller faces (side in pixels)")
    parser.add_argument(
        "--landmarks",
        metavar="SOURCE",
        help=f"also find 68 landmarks, with {', '.join(n for n in LANDMARKS if n != 'given')} (as onnx:FILE)",
    )
    parser.add_argument("--skip-broken", action="store_true", help="leave out broken images and count them")
    return parser.parse_args(argv)


def _source_of(spec: str) -> str:
    """What is written down of a source of landmarks: its name, and of a file its name and digest, not its place."""
    name, _, path = spec.partition(":")
    return f"{name}:{Path(path).name}, sha256 {sha256(Path(path).read_bytes()).hexdigest()[:16]}" if path else name


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

    def run() -> None:
        detector = open_detector(chosen.detector, smallest=chosen.smallest)
        settings = {"size": chosen.size, "skip_broken": chosen.skip_broken, "progress": True}
        job = Job(detector=detector, **settings, **_asked(chosen.landmarks))
        print(json_text({"prepared": str(chosen.out), **prepare(chosen.data, chosen.out, job)}))

    return exit_status("prepare", run, kept=KEPT)


if __name__ == "__main__":
    sys.exit(main())
