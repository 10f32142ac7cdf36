"""--skip-broken: whatever is wrong with one picture or row, the others are read and it is named."""

import io
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny_sets import affectnet_first, class_folders, lfw, noise, rafdb

from fermodels.data import Dataset, open_dataset
from fermodels.data.open_picture import open_picture

LONG = "x" * 300


def load(spec: str, cache: Path) -> Dataset:
    """With the broken ones skipped; without that, a sentence names the way."""
    with pytest.raises(ValueError, match="--skip-broken"):
        open_dataset(spec, size=16, cache=cache)
    return open_dataset(spec, size=16, cache=cache, skip_broken=True)


def rows(data: Dataset) -> int:
    return sum(map(len, data.splits.values()))


def damaged_avif() -> bytes:
    """An AVIF file with one wrong bit, for which Pillow raises RuntimeError."""
    stream = io.BytesIO()
    Image.fromarray(noise(0, 32, 3)).save(stream, "AVIF")
    for place in range(len(stream.getvalue()) - 1, 0, -1):
        damaged = bytearray(stream.getvalue())
        damaged[place] ^= 1
        try:
            Image.open(io.BytesIO(bytes(damaged))).load()
        except RuntimeError:
            return bytes(damaged)
        except (OSError, SyntaxError, ValueError):
            continue
    raise AssertionError("no wrong bit raises RuntimeError")


@pytest.mark.parametrize("suffix", ["avif", "jpg"])
def test_a_damaged_avif_file_is_skipped(suffix: str, tmp_path: Path):
    root = class_folders(tmp_path / "faces")
    (root / f"train/fear/bad.{suffix}").write_bytes(damaged_avif())
    data = load(f"folder:{root}", tmp_path / "cache")
    assert rows(data) == 91 and any("Skipped 1 " in note and f"bad.{suffix}" in note for note in data.notes)


def longer(path: Path, line: str) -> None:
    with path.open("a") as file:
        file.write(line + "\n")


def long_in_lfw(root: Path) -> str:
    longer(lfw(root) / "labels.csv", f"images/{LONG}.jpg,P99,anger,a,0")
    return f"lfw:{root}"


def long_in_rafdb(root: Path) -> str:
    longer(rafdb(root) / "EmoLabel/list_patition_label.txt", f"train_{LONG}.jpg 3")
    return f"rafdb:{root}"


def long_in_affectnet(root: Path) -> str:
    path = affectnet_first(root) / "training.csv"
    line = path.read_text().splitlines()[1]
    longer(path, f"{LONG}/{line}")
    return f"affectnet:{root}"


@pytest.mark.parametrize(("make", "whole"), [(long_in_lfw, 48), (long_in_rafdb, 84), (long_in_affectnet, 84)])
def test_a_name_longer_than_any_file_has_is_skipped(make: Callable[[Path], str], whole: int, tmp_path: Path):
    data = load(make(tmp_path / "set"), tmp_path / "cache")
    assert rows(data) == whole and any("Skipped 1 " in note for note in data.notes)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_a_file_without_permission_is_skipped(tmp_path: Path):
    root = class_folders(tmp_path / "faces")
    (root / "train/fear/000.png").chmod(0)
    data = load(f"folder:{root}", tmp_path / "cache")
    assert rows(data) == 90 and any("Permission denied" in note for note in data.notes)


def test_a_file_that_may_not_be_read_is_skipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """As above, for root as well: the operating system's answer is played."""
    root = class_folders(tmp_path / "faces")
    whole = Image.open

    def refuse(source: object, **options: object) -> Image.Image:
        if str(source).endswith("train/fear/000.png"):
            raise PermissionError(13, "Permission denied", str(source))
        return whole(source, **options)  # type: ignore[arg-type]

    monkeypatch.setattr("PIL.Image.open", refuse)
    data = load(f"folder:{root}", tmp_path / "cache")
    assert rows(data) == 90 and any("Permission denied" in note for note in data.notes)


def damaged_tiffs() -> list[bytes]:
    chance, found = np.random.default_rng(0), []
    for compression in ("tiff_lzw", "tiff_deflate", "group4", "jpeg", "raw"):
        stream = io.BytesIO()
        picture = Image.fromarray(noise(0, 24, 3))
        picture.convert("1" if compression == "group4" else "RGB").save(stream, "TIFF", compression=compression)
        for _ in range(40):
            damaged = bytearray(stream.getvalue())
            for place in chance.integers(8, len(damaged), 3):
                damaged[place] ^= 1 << chance.integers(8)
            found.append(bytes(damaged))
    return found


def test_damaged_tiff_files_write_no_lines_of_their_own(capfd: pytest.CaptureFixture[str], recwarn):
    """libtiff's lines go past Python; Pillow's warnings do not say of which picture they are."""
    told = 0
    for content in damaged_tiffs():
        try:
            open_picture(io.BytesIO(content))
        except ValueError:
            told += 1
    streams = capfd.readouterr()
    assert told > 40 and (streams.out, streams.err) == ("", "") and not recwarn.list
