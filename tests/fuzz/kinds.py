"""What is fuzzed. A new kind is one entry of `KINDS`: how a right input is made, and what reads it."""

import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
from fake_records import fake_record
from PIL import Image

from bench import records
from bench.records import Cell
from compress.slimming.plan import Plan
from fermodels.data import open_dataset
from fermodels.data.affectnet import _csv_listing
from fermodels.data.arrays import Wanted, read_array, read_arrays
from fermodels.data.eight_bits import as_mode
from fermodels.data.open_picture import open_picture
from fermodels.data.prepared import read_meta
from fermodels.data.rows import Skips
from fermodels.faces.occlude import read_manifest
from fermodels.predict.shipped import SHIPPED
from fuzz.driver import Kind
from fuzz.predicted import PREDICTED, picture


def _saved(format: str) -> Callable[[], bytes]:
    def make() -> bytes:
        stream = io.BytesIO()
        Image.fromarray(np.random.default_rng(0).integers(0, 256, (24, 20, 3), dtype=np.uint8)).save(stream, format)
        return stream.getvalue()

    return make


def _npz() -> bytes:
    stream = io.BytesIO()
    np.savez(stream, labels=np.arange(6), names=np.array(["a", "b"]))
    return stream.getvalue()


def _npy() -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.array(3))
    return stream.getvalue()


def _fer_csv() -> bytes:
    pixels = " ".join(["7"] * 48 * 48)
    usages = ("Training", "Training", "PublicTest", "PrivateTest")
    return (
        "emotion,pixels,Usage\n" + "".join(f"{n % 7},{pixels},{usage}\n" for n, usage in enumerate(usages))
    ).encode()


def _affectnet_csv() -> bytes:
    points = ";".join(["12.5;14.5"] * 68)
    header = "subDirectory_filePath,face_x,face_y,face_width,face_height,facial_landmarks,expression\n"
    return (header + f"1/a.jpg,10,5,32,30,{points},3\n" * 3).encode()


def _prepared_json() -> bytes:
    found = {"detector": "mtcnn", "version": "1", "template": "t"}
    return json.dumps(
        {"format": 1, "spec": "lfw:x", "classes": ["a", "b"], "size": 64, "provenance": found, "carved": True}
        | {"notes": ["n"], "licence": "l", "checks": {"train": 5}}
    ).encode()


def _manifest() -> bytes:
    entry = {"index": 0, "occluder": "noise", "seed": 1, "share": 0.2, "points": [[1.0, 2.0]] * 5, "parameters": {}}
    return json.dumps([entry | {"pixels": 4, "sha256": "00"}]).encode()


def _open_fer(path: Path) -> object:
    return open_dataset(f"fer2013:{path}", size=8, cache=path.parent / "cache", skip_broken=True)


def _record() -> bytes:
    cell = Cell(table="table5", data="d", scale="quick", model="vggnet", variant="dense", ratio=0.0, seed=0)
    return records.dumps(fake_record(cell)).encode()


def _plan() -> bytes:
    return (SHIPPED["small"] / "plan.json").read_bytes()


def _opened(path: Path) -> object:
    return as_mode(open_picture(path).image, 3)


PICTURES = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "JPEG2000", "AVIF")
KINDS: dict[str, Kind] = {
    **{name: Kind(_saved(name), _opened) for name in PICTURES},
    "npz": Kind(_npz, lambda path: read_arrays(path, {"labels": Wanted(kinds="i"), "names": Wanted(kinds="U")})),
    "npy": Kind(_npy, lambda path: read_array(path, Wanted(kinds="if"))),
    "fer2013.csv": Kind(_fer_csv, _open_fer, "fer2013.csv"),
    "affectnet.csv": Kind(_affectnet_csv, lambda path: _csv_listing(path, Skips(allowed=True))),
    "prepared.json": Kind(_prepared_json, lambda path: read_meta(path.parent), "prepared.json"),
    "manifest.json": Kind(_manifest, read_manifest),
    "record": Kind(_record, records.load),
    "plan": Kind(_plan, Plan.load, signed=True),
    **{f"predict {name}": picture(_saved(name), f".{name.lower()}") for name in ("PNG", "WEBP", "AVIF", "TIFF")},
    **PREDICTED,
}
"""name -> how it is made and read."""
