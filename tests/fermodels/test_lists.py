"""Lists of data sets: columns by name, byte order marks, and nothing that leads outside the set."""

import csv
import io
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest
from tiny_sets import affectnet_first, class_folders, lfw, noise, rafdb, save

from fermodels.data import Dataset, open_dataset
from fermodels.data.rows import inside


def load(spec: str, cache: Path, **options: bool) -> Dataset:
    return open_dataset(spec, size=16, cache=cache, **options)


def rearranged(path: Path, order: list[int], *, encoding: str = "utf-8", names: dict[str, str] | None = None) -> None:
    """The csv with its columns in another order, and some of them renamed."""
    rows = list(csv.reader(io.StringIO(path.read_text())))
    rows[0] = [(names or {}).get(name, name) for name in rows[0]]
    path.write_text("\n".join(",".join(row[i] for i in order) for row in rows) + "\n", encoding=encoding)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_affectnets_columns_go_by_name_in_any_order(encoding: str, tmp_path: Path):
    plain = load(f"affectnet:{affectnet_first(tmp_path / 'a')}", tmp_path / "cache").train
    root = affectnet_first(tmp_path / "b")
    for name in ("training.csv", "validation.csv"):
        rearranged(root / name, [6, 5, 8, 7, 4, 3, 2, 1, 0], encoding=encoding, names={"expression": " Expression"})
    other = load(f"affectnet:{root}", tmp_path / "cache").train
    np.testing.assert_array_equal(other.images, plain.images)
    np.testing.assert_array_equal(other.landmarks, plain.landmarks)


def test_an_unknown_header_is_refused_and_none_is_read_as_published(tmp_path: Path):
    root = affectnet_first(tmp_path / "a")
    before = load(f"affectnet:{root}", tmp_path / "cache").test
    lines = (root / "validation.csv").read_text().splitlines()
    (root / "validation.csv").write_text("\n".join(lines[1:]) + "\n")  # as AffectNet publishes it
    assert len(load(f"affectnet:{root}", tmp_path / "cache").test) == len(before)
    rearranged(root / "training.csv", list(range(9)), names={"face_x": "left", "face_y": "top"})
    with pytest.raises(ValueError, match="has no column face_x, face_y; it begins"):
        load(f"affectnet:{root}", tmp_path / "cache")


@pytest.mark.parametrize("box", ["inf,5,32,30", "nan,5,32,30", "10,5,inf,30", "1e300,5,32,30", "10,5,-1,30"])
def test_a_box_that_is_nowhere_is_named(box: str, tmp_path: Path):
    root = affectnet_first(tmp_path / "a")
    text = (root / "training.csv").read_text()
    (root / "training.csv").write_text(text.replace("10,5,32,30", box, 1))
    with pytest.raises(ValueError, match=r"training\.csv, line 2: face box"):
        load(f"affectnet:{root}", tmp_path / "cache")


def test_byte_order_marks_and_capitals_in_the_other_lists(tmp_path: Path):
    root = lfw(tmp_path / "lfw")
    text = (root / "labels.csv").read_text()
    (root / "labels.csv").write_text(text.replace("file,person,emotion", "File, Person,EMOTION"), encoding="utf-8-sig")
    assert len(load(f"lfw:{root}", tmp_path / "cache").train)
    listed = rafdb(tmp_path / "raf") / "EmoLabel/list_patition_label.txt"
    listed.write_text(listed.read_text(), encoding="utf-8-sig")
    assert len(load(f"rafdb:{tmp_path / 'raf'}", tmp_path / "cache").train)


OUTSIDE = ["../secret.jpg", "images/../../secret.jpg", "/etc/passwd", "C:\\secret.jpg", "..\\secret.jpg", ""]


@pytest.mark.parametrize("name", OUTSIDE)
def test_names_that_leave_the_set(name: str):
    assert not inside(name)


@pytest.mark.parametrize("name", ["a.jpg", "images/a..b.jpg", "1/…/é.jpg"])
def test_names_that_stay(name: str):
    assert inside(name)


@pytest.mark.parametrize("packed", [False, True])
def test_lfws_list_does_not_lead_outside(packed: bool, tmp_path: Path):
    root = lfw(tmp_path / "lfw")
    save(tmp_path / "secret.jpg", noise(0, 40, 3))
    with (root / "labels.csv").open("a") as file:
        file.write(f"../secret.jpg,P99,anger,a,0\n{tmp_path}/secret.jpg,P98,anger,a,0\n")
    place = root
    if packed:
        place = tmp_path / "lfw.tar"
        with tarfile.open(place, "w") as tar:
            tar.add(root, "lfw")
            tar.add(tmp_path / "secret.jpg", "secret.jpg")
    with pytest.raises(ValueError, match=r'"\.\./secret\.jpg" leads outside the set'):
        load(f"lfw:{place}", tmp_path / "cache")
    notes = load(f"lfw:{place}", tmp_path / "cache", skip_broken=True).notes
    assert any("Skipped 2 broken" in note for note in notes)


def test_affectnets_and_rafdbs_lists_do_not_lead_outside(tmp_path: Path):
    root = affectnet_first(tmp_path / "a")
    lines = (root / "training.csv").read_text().splitlines()
    lines[1] = "../../secret.png" + lines[1][lines[1].index(",") :]
    (root / "training.csv").write_text("\n".join(lines) + "\n")
    with pytest.raises(ValueError, match=r"training\.csv, line 2.*leads outside the set"):
        load(f"affectnet:{root}", tmp_path / "cache")
    listed = rafdb(tmp_path / "raf") / "EmoLabel/list_patition_label.txt"
    listed.write_text(listed.read_text() + "train_/../../../../secret.jpg 1\n")
    with pytest.raises(ValueError, match=r"list_patition_label\.txt, line 85"):
        load(f"rafdb:{tmp_path / 'raf'}", tmp_path / "cache")


def test_a_picture_with_two_labels_and_a_column_with_two_places_are_refused(tmp_path: Path):
    labels = lfw(tmp_path / "lfw") / "labels.csv"
    text = labels.read_text()
    labels.write_text(text + "images/P03_1.jpg,P03,anger,a,0\n")
    with pytest.raises(ValueError, match=r'labels\.csv, line 51: "images/P03_1\.jpg" is listed twice'):
        load(f"lfw:{tmp_path / 'lfw'}", tmp_path / "cache")
    assert len(load(f"lfw:{tmp_path / 'lfw'}", tmp_path / "cache", skip_broken=True).notes) > 1
    labels.write_text(text.replace(",annotator,", ",emotion,", 1))
    with pytest.raises(ValueError, match="no column emotion, or has it twice"):
        load(f"lfw:{tmp_path / 'lfw'}", tmp_path / "cache")
    listed = rafdb(tmp_path / "raf") / "EmoLabel/list_patition_label.txt"
    listed.write_text(listed.read_text() + "train_00001.jpg 7\n")
    with pytest.raises(ValueError, match=r'line 85: "train_00001\.jpg" is listed twice'):
        load(f"rafdb:{tmp_path / 'raf'}", tmp_path / "cache")
    (tmp_path / "fer.csv").write_text("emotion,emotion,pixels,Usage\n0,1,2,Training\n")
    with pytest.raises(ValueError, match="not with one emotion"):
        load(f"fer2013:{tmp_path / 'fer.csv'}", tmp_path / "cache")


SPLIT_NAMES = [("Train", "Valid", "TEST"), ("training", "dev", "testing"), ("train", "Validation", "test")]


@pytest.mark.parametrize("names", SPLIT_NAMES)
def test_splits_are_known_by_their_usual_names(names: tuple[str, str, str], tmp_path: Path):
    root = class_folders(tmp_path / "set", each=12)
    (root / "val").mkdir(exist_ok=True)
    for one in (root / "train").iterdir():
        save(root / "val" / one.name / "a.png", noise(3, 24, 3))
    for old, new in zip(("train", "val", "test"), names, strict=True):
        (root / old).rename(root / f"{new}.") if old == new else (root / old).rename(root / new)
        if old == new:
            (root / f"{new}.").rename(root / new)
    assert len(load(f"folder:{root}", tmp_path / "cache").validation) == 7


def test_nested_pictures_are_used_and_what_is_left_out_is_named(tmp_path: Path):
    root = class_folders(tmp_path / "set", each=6)
    before = len(load(f"folder:{root}", tmp_path / "cache").test)
    one = next((root / "test").iterdir())
    for name in ("deeper/a.png", "deeper/still/b.JFIF.png"):
        save(one / name, noise(3, 24, 3))
    (one / "._a.jpg").write_bytes(b"AppleDouble")
    (one / "c.heic").write_bytes(b"x")
    (one / "notes.txt").write_text("x")
    (one / "nowhere").symlink_to(tmp_path / "none")
    (one / "round").symlink_to(root)
    data = load(f"folder:{root}", tmp_path / "cache")
    assert len(data.test) == before + 2
    (note,) = [note for note in data.notes if note.startswith("Left out")]
    for word in ("._a.jpg", "c.heic", "pillow-heif", "nowhere", "round"):
        assert word in note, note
    assert note.startswith("Left out 5 files") and "1 no pictures by their names" in note


@pytest.mark.parametrize("split", ["train", ""])
def test_loose_and_hidden_pictures_and_links_to_themselves_are_named(split: str, tmp_path: Path):
    root = class_folders(tmp_path / "set", each=6) / split
    if not split:
        root = root / "train"  # class folders alone
    data = load(f"folder:{root.parent if split else root}", tmp_path / "cache")
    before = sum(map(len, data.splits.values()))
    save(root / "loose.png", noise(3, 24, 3))
    shutil.copytree(root / "anger", root / "fear/.ipynb_checkpoints")
    shutil.copy(root / "anger/000.png", root / "anger/no_suffix")
    for place in (root, root / "anger"):
        (place / "me").symlink_to("me")
    data = load(data.spec, tmp_path / "cache")
    (note,) = [note for note in data.notes if note.startswith("Left out")]
    for word in ("loose.png", ".ipynb_checkpoints", "no_suffix", "anger/me"):
        assert word in note, note
    assert sum(map(len, data.splits.values())) == before


def test_a_home_that_nobody_has_is_a_sentence(tmp_path: Path):
    for name in ("folder", "fer2013", "rafdb", "affectnet", "lfw", "prepared"):
        with pytest.raises(ValueError, match="nobody-at-all"):
            load(f"{name}:~nobody-at-all/x", tmp_path / "cache")
