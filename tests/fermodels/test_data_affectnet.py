"""AffectNet's two forms: numbers to names, what is dropped, and points that stay on the face through the crop."""

from pathlib import Path

import numpy as np
import pytest
from tiny_sets import AFFECT, CLASSES, affectnet_first, affectnet_newer, save

from fermodels.data import Dataset, affectnet, open_dataset


def load(spec: str, cache: Path, **options: bool) -> Dataset:
    return open_dataset(spec, size=16, cache=cache, **options)


@pytest.mark.parametrize("form", [affectnet_first, affectnet_newer])
@pytest.mark.parametrize(("name", "classes"), [("affectnet", CLASSES), ("affectnet8", (*CLASSES, "contempt"))])
def test_classes_counts_and_dropped_ones(form, name: str, classes: tuple[str, ...], tmp_path: Path):
    data = load(f"{name}:{form(tmp_path / 'a')}", tmp_path / "cache")
    assert data.classes == classes
    assert np.bincount(data.train.labels).tolist() == [9] * len(classes)
    assert np.bincount(data.validation.labels).tolist() == [1] * len(classes)
    assert np.bincount(data.test.labels).tolist() == [2] * len(classes)
    dropped = next(note for note in data.notes if note.startswith("Dropped from train"))
    assert ("10 contempt" in dropped) == (name == "affectnet")
    assert ("10 None, 10 Uncertain, 10 No-Face" in dropped) == (form is affectnet_first)
    assert any("official validation images are test" in note for note in data.notes)


def test_numbers_are_mapped_by_name(tmp_path: Path):
    root = affectnet_newer(tmp_path / "a")
    data = load(f"affectnet8:{root}", tmp_path / "cache")
    for split in data.splits.values():
        for name, label in zip(split.names, split.labels, strict=True):
            code = int(np.load(root / name.replace("images", "annotations").replace(".jpg", "_exp.npy")).item())
            assert AFFECT[code] == data.classes[label]


def test_a_second_opening_reads_no_annotation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    root = affectnet_newer(tmp_path / "a")
    first = load(f"affectnet:{root}", tmp_path / "cache")
    monkeypatch.setattr(affectnet, "_annotation", lambda *_: pytest.fail("read again"))
    again = load(f"affectnet:{root}", tmp_path / "cache")
    assert list(again.train.names) == list(first.train.names)
    np.testing.assert_array_equal(again.train.labels, first.train.labels)


def test_landmarks_follow_the_crop(tmp_path: Path):
    """One white pixel for each of 68 points: it must be white where the mapped point says, at the crop's own size."""
    root = affectnet_first(tmp_path / "a")
    columns, rows = 12 + np.arange(68) % 17, 8 + np.arange(68) // 17 * 5
    lines = (root / "validation.csv").read_text().splitlines()
    cells = lines[1].split(",")
    cells[5] = ";".join(f"{x + 0.5};{y + 0.5}" for x, y in zip(columns, rows, strict=True))
    lines[1] = ",".join(cells)
    (root / "validation.csv").write_text("\n".join(lines))
    pixels = np.zeros((50, 60, 3), np.uint8)
    pixels[rows, columns] = 255
    save(root / "Manually_Annotated_Images" / cells[0], pixels)
    test = open_dataset(f"affectnet:{root}", size=32, cache=tmp_path / "cache").test  # 32x30 box -> 32 pixels square
    assert test.landmarks is not None and test.confidence is not None
    x, y = np.floor(test.landmarks[0] * 32).astype(int).T
    assert (test.images[0][y, x] == 255).all()
    assert int((test.images[0] == 255).all(-1).sum()) == 68
    assert (test.confidence == 1).all() and test.landmarks.dtype == np.float32


def test_a_list_without_header_is_read_in_the_published_order(tmp_path: Path):
    root = affectnet_first(tmp_path / "a")
    before = load(f"affectnet:{root}", tmp_path / "cache").test.labels.tolist()
    path = root / "validation.csv"
    path.write_text("\n".join(path.read_text().splitlines()[1:]))
    assert load(f"affectnet:{root}", tmp_path / "cache").test.labels.tolist() == before


@pytest.mark.parametrize(
    ("column", "value", "sentence"),
    [
        (6, "12", "expression 12, allowed 0 to 10"),
        (6, "?", "line 2"),
        (3, "0", "face box 0 x 30"),
        (5, "1;2;3", "3 numbers in facial_landmarks, expected 136"),
    ],
)
def test_a_wrong_row_is_named_or_skipped(column: int, value: str, sentence: str, tmp_path: Path):
    root = affectnet_first(tmp_path / "a")
    lines = (root / "training.csv").read_text().splitlines()
    cells = lines[1].split(",")
    cells[column] = value
    lines[1] = ",".join(cells)
    (root / "training.csv").write_text("\n".join(lines))
    with pytest.raises(
        ValueError, match=rf"training\.csv, line 2: .*{sentence if column != 6 or value != '?' else ''}"
    ):
        load(f"affectnet:{root}", tmp_path / "cache")
    for _ in range(2):
        data = load(f"affectnet:{root}", tmp_path / "cache", skip_broken=True)
        assert len(data.train) + len(data.validation) == 69 and any("Skipped 1 " in note for note in data.notes)


@pytest.mark.parametrize("content", [b"", b"no array", None])
def test_a_broken_annotation_is_named(content: bytes | None, tmp_path: Path):
    root = affectnet_newer(tmp_path / "a")
    path = root / "train_set/annotations/5_exp.npy"
    path.unlink() if content is None else path.write_bytes(content)
    with pytest.raises(ValueError, match=r"5_exp\.npy cannot be read"):
        load(f"affectnet:{root}", tmp_path / "cache")


@pytest.mark.parametrize(
    ("form", "missing"),
    [
        (affectnet_newer, "val_set/annotations"),
        (affectnet_newer, "train_set"),
        (affectnet_first, "validation.csv"),
        (affectnet_first, "training.csv"),
        (affectnet_first, "Manually_Annotated_Images"),
    ],
)
def test_a_missing_part_is_said(form, missing: str, tmp_path: Path):
    root = form(tmp_path / "a")
    (root / missing).rename(tmp_path / "away")
    with pytest.raises(ValueError, match=missing):
        load(f"affectnet:{root}", tmp_path / "cache")


def test_a_picture_that_is_named_again_is_counted(tmp_path: Path):
    root = affectnet_first(tmp_path / "a")
    before = load(f"affectnet:{root}", tmp_path / "cache")
    assert not any("an earlier row" in note for note in before.notes)
    lines = (root / "training.csv").read_text().splitlines()
    (root / "training.csv").write_text("\n".join([*lines, lines[3], lines[5], lines[-1]]) + "\n")  # the last: No-Face
    data = load(f"affectnet:{root}", tmp_path / "cache")
    note = "2 rows of train name a picture that an earlier row names (kept), first: 0/3.png."
    assert note in data.notes
    assert len(data.train) + len(data.validation) == len(before.train) + len(before.validation) + 2
