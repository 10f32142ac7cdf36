"""FER2013 in its three forms, and against the real file where it lies."""

import os
from pathlib import Path

import numpy as np
import pytest
from tiny_sets import CLASSES, class_folders, fer_csv, fer_npz, fer_rows, noise, save

from fermodels.data import Dataset, fer2013, open_dataset

REPOSITORY = Path(__file__).resolve().parents[2]
REAL = Path(os.environ.get("FER_DATA", REPOSITORY / "../shared/data")) / "fer2013.npz"


def load(path: Path, cache: Path, **options: bool) -> Dataset:
    return open_dataset(f"fer2013:{path}", size=48, cache=cache, **options)


@pytest.mark.parametrize("form", [fer_npz, fer_csv])
def test_rows_come_in_their_order_and_official_splits(form, tmp_path: Path):
    images, labels, usage = fer_rows()
    data = load(form(tmp_path / "fer", images, labels, usage), tmp_path / "cache")
    assert data.classes == CLASSES and data.name == "fer2013"
    for position, split in enumerate((data.train, data.validation, data.test)):
        mine = usage == position
        np.testing.assert_array_equal(split.images[..., 0], images[mine])
        assert split.labels.tolist() == labels[mine].tolist()
        assert list(split.names) == [f"row {i}" for i in np.flatnonzero(mine)]
    assert sum(note.startswith("Warning") for note in data.notes) == 3  # a small copy is not the published set


@pytest.mark.parametrize("form", [fer_npz, fer_csv])
def test_repeated_rows_are_flagged(form, tmp_path: Path):
    images, labels, usage = fer_rows()
    source, public, private = (np.flatnonzero(usage == position)[1] for position in range(3))
    images[[public, private]] = images[source]
    data = load(form(tmp_path / "fer", images, labels, usage), tmp_path / "cache")
    assert data.validation.leaked is not None and data.test.leaked is not None
    assert np.flatnonzero(data.validation.leaked).tolist() == [1]
    assert np.flatnonzero(data.test.leaked).tolist() == [1]


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("7,1 2 3,Training", r'row 105 \(line 107\): emotion "7".*0 to 6'),
        ("x,1 2 3,Training", r'row 105 \(line 107\): emotion "x"'),
        ("3,1 2 3,Holdout", r'row 105 \(line 107\).*"Holdout".*PrivateTest'),
        ("3", r"row 105 \(line 107\)"),
        ("3,1 2 3,Training", r"row 105 cannot be read: 3 pixels in .*fer2013\.csv, expected 2,304"),
        (f"3,{'300 ' * 2304},Training", r"row 105 cannot be read: a pixel in .* 0 to 255"),
        (f"3,{'a ' * 2304},Training", r"row 105 cannot be read: a pixel in .* 0 to 255"),
    ],
)
def test_a_wrong_row_of_the_csv_is_named_or_skipped(line: str, sentence: str, tmp_path: Path):
    path = fer_csv(tmp_path / "fer", *fer_rows())
    with path.open("a") as file:
        file.write(line + "\n")
    with pytest.raises(ValueError, match=sentence):
        load(path, tmp_path / "cache")
    data = load(path, tmp_path / "cache", skip_broken=True)
    assert len(data.train) == 70 and any("Skipped 1 " in note for note in data.notes)


def test_a_wrong_label_of_the_npz_is_named_or_skipped(tmp_path: Path):
    images, labels, usage = fer_rows()
    labels[17] = 9
    path = fer_npz(tmp_path / "fer", images, labels, usage)
    with pytest.raises(ValueError, match=r"fer2013\.npz, row 17: emotion 9"):
        load(path, tmp_path / "cache")
    data = load(path, tmp_path / "cache", skip_broken=True)
    splits = (data.train, data.validation, data.test)
    assert sum(map(len, splits)) == 104 and not any("row 17" in split.names for split in splits)


def test_a_csv_with_other_column_order_quotes_and_blank_lines(tmp_path: Path):
    images, labels, usage = fer_rows()
    lines = fer_csv(tmp_path / "fer", images, labels, usage).read_text().splitlines()
    mixed = ["Usage, emotion , pixels"] + [f'{u},{e},"{p}"' for e, p, u in (line.split(",") for line in lines[1:])]
    (tmp_path / "mixed.csv").write_bytes("\r\n".join([*mixed, "", ""]).encode())
    data = load(tmp_path / "mixed.csv", tmp_path / "cache")
    np.testing.assert_array_equal(data.train.images[..., 0], images[usage == 0])


@pytest.mark.parametrize("missing", [0, 1, 2])
def test_a_missing_split_is_said(missing: int, tmp_path: Path):
    each = [3, 3, 3]
    each[missing] = 0
    path = fer_npz(tmp_path / "fer", *fer_rows((each[0], each[1], each[2])))
    with pytest.raises(ValueError, match=f"no {('Training', 'PublicTest', 'PrivateTest')[missing]} rows"):
        load(path, tmp_path / "cache")


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("faces.csv", b"a,b\n1,2\n", "columns .*emotion, pixels, Usage"),
        ("faces.csv", b"", "emotion, pixels, Usage"),
        ("faces.npz", b"PK\x03\x04 broken", "cannot be read as FER2013"),
        ("faces.zip", b"", "neither a .csv nor a .npz"),
    ],
)
def test_another_file_is_refused_with_help(name: str, content: bytes, sentence: str, tmp_path: Path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=f"(?s){name}.*{sentence}.*kaggle"):
        load(tmp_path / name, tmp_path / "cache")


def test_an_npz_of_something_else_is_refused(tmp_path: Path):
    np.savez(tmp_path / "other.npz", images=np.zeros(3), faces=np.zeros(3))
    with pytest.raises(ValueError, match="has no labels, usage, only faces, images"):
        load(tmp_path / "other.npz", tmp_path / "cache")


@pytest.mark.parametrize("skip_broken", [False, True])
def test_a_damaged_npz_is_named_at_once_and_read_once(skip_broken: bool, tmp_path: Path, monkeypatch):
    """Each row used to decompress all pixels again, for hours."""
    images, labels, usage = fer_rows()
    np.savez(tmp_path / "fer.npz", images=images, labels=labels, usage=usage)
    whole = bytearray((tmp_path / "fer.npz").read_bytes())
    whole[len(whole) // 2] ^= 1
    (tmp_path / "fer.npz").write_bytes(whole)
    reads: list[int] = []
    real = fer2013.read_arrays
    monkeypatch.setattr(fer2013, "read_arrays", lambda *given: reads.append(1) or real(*given))
    with pytest.raises(ValueError, match=r"fer\.npz cannot be read as FER2013: Bad CRC"):
        load(tmp_path / "fer.npz", tmp_path / "cache", skip_broken=skip_broken)
    assert len(reads) == 2  # the labels, the pixels


@pytest.mark.parametrize("names", [("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"), CLASSES])
def test_class_folders_in_either_spelling(names: tuple[str, ...], tmp_path: Path):
    data = load(class_folders(tmp_path / "fer", names), tmp_path / "cache")
    assert data.classes == CLASSES and data.train.images.shape[-1] == 1
    for name, label in zip(data.test.names, data.test.labels, strict=True):
        assert names[label] == name.split("/")[1]
    assert np.bincount(data.validation.labels).tolist() == [1] * 7
    assert any("carved" in note for note in data.notes)


def test_folders_whose_files_name_their_usage_give_the_official_splits(tmp_path: Path):
    root = class_folders(tmp_path / "fer", splits=("train",))
    for label, name in enumerate(CLASSES):
        for usage in ("PublicTest", "PrivateTest"):
            save(root / "test" / name / f"{usage}_{label}.png", noise(500 + label))
    data = load(root, tmp_path / "cache")
    assert len(data.train) == 70 and len(data.validation) == len(data.test) == 7
    assert all("PublicTest" in name for name in data.validation.names)
    assert all("PrivateTest" in name for name in data.test.names)


def test_folders_of_other_classes_are_refused(tmp_path: Path):
    with pytest.raises(ValueError, match=r"\['cat', 'dog'\].*anger"):
        load(class_folders(tmp_path / "fer", ("cat", "dog")), tmp_path / "cache")


@pytest.mark.skipif(not REAL.is_file(), reason="fer2013.npz is not here; FER_DATA names the folder that holds it")
def test_the_real_set_has_its_published_counts_and_leaks(tmp_path: Path):
    data = load(REAL, tmp_path)
    assert (len(data.train), len(data.validation), len(data.test)) == (28709, 3589, 3589)
    assert np.bincount(data.train.labels).tolist() == [3995, 436, 4097, 7215, 4830, 3171, 4965]
    assert data.validation.leaked is not None and data.test.leaked is not None
    assert (int(data.validation.leaked.sum()), int(data.test.leaked.sum())) == (280, 288)
    assert not any(note.startswith("Warning") for note in data.notes)
    with np.load(REAL) as file:  # the file's own account of repeated rows
        first, usage = file["first"].astype(int), file["usage"]
    training = set(first[usage == 0].tolist())
    assert data.test.leaked.tolist() == [row in training for row in first[usage == 2].tolist()]
