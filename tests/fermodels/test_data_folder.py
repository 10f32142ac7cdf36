"""Folders and RAF-DB: names to classes, and sentences for what is missing."""

from pathlib import Path

import numpy as np
import pytest
from tiny_sets import CLASSES, RAF, class_folders, noise, rafdb, save

from fermodels.data import Dataset, open_dataset


def load(spec: str, cache: Path, **options: bool) -> Dataset:
    return open_dataset(spec, size=16, cache=cache, **options)


def test_known_spellings_become_the_expressions_even_when_some_are_missing(tmp_path: Path):
    root = class_folders(tmp_path / "faces", ("Happy", "angry", "neutral"))
    data = load(f"folder:{root}", tmp_path / "cache")
    assert data.classes == CLASSES
    expected = {"Happy": 3, "angry": 0, "neutral": 6}
    for split in data.splits.values():
        assert [expected[name.split("/")[1]] for name in split.names] == split.labels.tolist()


def test_contempt_is_the_eighth_where_it_has_a_folder(tmp_path: Path):
    data = load(f"folder:{class_folders(tmp_path / 'faces', (*CLASSES, 'contempt'))}", tmp_path / "cache")
    assert data.classes == (*CLASSES, "contempt") and data.train.labels.max() == 7


def test_other_names_are_sorted(tmp_path: Path):
    data = load(f"folder:{class_folders(tmp_path / 'faces', ('tired', 'angry', 'bored'))}", tmp_path / "cache")
    assert data.classes == ("angry", "bored", "tired")


@pytest.mark.parametrize("name", ["val", "validation"])
def test_a_validation_folder_is_used(name: str, tmp_path: Path):
    data = load(f"folder:{class_folders(tmp_path / 'faces', splits=('train', name, 'test'))}", tmp_path / "cache")
    assert len(data.train) == 70 and len(data.validation) == 21
    assert all(found.startswith(f"{name}/") for found in data.validation.names)


def test_without_one_a_tenth_of_each_class_is_carved(tmp_path: Path):
    data = load(f"folder:{class_folders(tmp_path / 'faces', each=20)}", tmp_path / "cache")
    assert np.bincount(data.validation.labels).tolist() == [2] * 7
    assert np.bincount(data.train.labels).tolist() == [18] * 7
    assert any("carved" in note for note in data.notes)


@pytest.mark.parametrize(("there", "missing"), [("train", "test"), ("test", "train")])
def test_a_missing_split_is_said_with_what_is_there(there: str, missing: str, tmp_path: Path):
    root = class_folders(tmp_path / "faces", splits=(there, "extra"))
    with pytest.raises(
        ValueError, match=f"no {missing} folder; there is: extra, {there}|no {missing} folder; there is: {there}"
    ):
        load(f"folder:{root}", tmp_path / "cache")


def test_an_empty_class_folder_is_named_or_skipped(tmp_path: Path):
    root = class_folders(tmp_path / "faces")
    for path in (root / "train/fear").iterdir():
        path.rename(path.with_suffix(".txt"))
    with pytest.raises(ValueError, match="train/fear holds no image"):
        load(f"folder:{root}", tmp_path / "cache")
    data = load(f"folder:{root}", tmp_path / "cache", skip_broken=True)
    assert 2 not in data.train.labels and any("train/fear holds no image" in note for note in data.notes)


def test_a_class_that_train_lacks_is_named(tmp_path: Path):
    root = class_folders(tmp_path / "faces", ("cat", "dog"))
    save(root / "test/cow/1.png", noise(0, 20, 3))
    with pytest.raises(ValueError, match="test/cow is not a class of train: cat, dog"):
        load(f"folder:{root}", tmp_path / "cache")


def test_other_files_and_hidden_ones_are_left_alone(tmp_path: Path):
    root = class_folders(tmp_path / "faces")
    (root / "train/fear/Thumbs.db").write_bytes(b"x")
    (root / "train/fear/._000.png").write_bytes(b"x")
    (root / "train/.cache").mkdir()
    data = load(f"folder:{root}", tmp_path / "cache")
    assert len(data.train) + len(data.validation) == 70


def test_rafdb_labels_are_mapped_by_name(tmp_path: Path):
    root = rafdb(tmp_path / "basic")
    data = load(f"rafdb:{tmp_path}", tmp_path / "cache")  # the folder above RAF-DB's "basic" is understood
    assert data.classes == CLASSES and (len(data.train), len(data.validation), len(data.test)) == (63, 7, 14)
    numbers = dict(line.split() for line in (root / "EmoLabel/list_patition_label.txt").read_text().splitlines())
    for split in data.splits.values():
        for name, label in zip(split.names, split.labels, strict=True):
            number = int(numbers[Path(name).name.replace("_aligned", "")])
            assert CLASSES[label] == RAF[number - 1]


def test_rafdb_does_not_depend_on_the_order_of_its_list(tmp_path: Path):
    root = rafdb(tmp_path / "basic")
    before = load(f"rafdb:{root}", tmp_path / "cache")
    path = root / "EmoLabel/list_patition_label.txt"
    path.write_text("\n".join(reversed(path.read_text().splitlines())))
    after = load(f"rafdb:{root}", tmp_path / "cache")
    assert [list(split.names) for split in before.splits.values()] == [list(s.names) for s in after.splits.values()]


@pytest.mark.parametrize("line", ["train_00099.jpg 8", "train_00099.jpg", "other_00099.jpg 3"])
def test_a_wrong_line_of_rafdb_is_named_or_skipped(line: str, tmp_path: Path):
    root = rafdb(tmp_path / "basic")
    with (root / "EmoLabel/list_patition_label.txt").open("a") as file:
        file.write(line + "\n")
    with pytest.raises(ValueError, match=r"list_patition_label\.txt, line 85: "):
        load(f"rafdb:{root}", tmp_path / "cache")
    data = load(f"rafdb:{root}", tmp_path / "cache", skip_broken=True)
    assert len(data.test) == 14 and any("Skipped 1 " in note for note in data.notes)


def test_a_missing_image_of_rafdb_is_named(tmp_path: Path):
    root = rafdb(tmp_path / "basic")
    (root / "Image/aligned/test_00071_aligned.jpg").unlink()
    with pytest.raises(ValueError, match=r"test_00071_aligned\.jpg cannot be read"):
        load(f"rafdb:{root}", tmp_path / "cache")


def test_rafdb_without_aligned_images_says_what_to_unpack(tmp_path: Path):
    root = rafdb(tmp_path / "basic")
    (root / "Image/aligned").rename(root / "Image/other")
    with pytest.raises(ValueError, match=r"aligned\.zip"):
        load(f"rafdb:{root}", tmp_path / "cache")


@pytest.mark.parametrize("above", ["", "basic", "DATASET"])
def test_rafdb_is_read_from_numbered_folders(above: str, tmp_path: Path):
    numbers = tuple("1234567")
    class_folders(tmp_path / "raf" / above, numbers)
    data = load(f"rafdb:{tmp_path / 'raf'}", tmp_path / "cache")
    assert data.classes == CLASSES and len(data.test) == 21 and len(data.train) + len(data.validation) == 70
    for split in data.splits.values():
        assert [RAF[int(Path(name).parent.name) - 1] for name in split.names] == [CLASSES[n] for n in split.labels]


def test_rafdb_refuses_other_numbers(tmp_path: Path):
    root = class_folders(tmp_path / "raf", tuple("01234567"))
    with pytest.raises(ValueError, match="RAF-DB's are 1 to 7"):
        load(f"rafdb:{root}", tmp_path / "cache")


def test_class_folders_without_splits_are_dealt_out(tmp_path: Path):
    names = ("anger", "contempt", "happy")
    root = class_folders(tmp_path, names, ("train",), each=40) / "train"
    data = load(f"folder:{root}", tmp_path / "cache")
    assert data.classes == (*CLASSES, "contempt")
    for split, count in ((data.test, 8), (data.validation, 4), (data.train, 28)):
        assert np.bincount(split.labels, minlength=8).tolist() == [count, 0, 0, count, 0, 0, 0, count]
    told = [note for note in data.notes if "No train and test folders" in note]
    assert len(told) == 1 and "Warning" in told[0] and "hash" in told[0]
    again = load(f"folder:{root}", tmp_path / "other")
    assert [list(s.names) for s in again.splits.values()] == [list(s.names) for s in data.splits.values()]


def test_nobody_of_an_unsplit_ck_plus_is_in_two_splits(tmp_path: Path):
    for person in range(30):
        for frame in range(3):
            expression = ("anger", "fear", "happy")[person % 3]
            save(tmp_path / "ck" / expression / f"S{person:03}_002_{frame:08}.png", noise(3 * person + frame, 20))
    data = load(f"folder:{tmp_path / 'ck'}", tmp_path / "cache")
    persons = [{Path(name).name[:4] for name in split.names} for split in data.splits.values()]
    assert sum(map(len, persons)) == len(set.union(*persons)) == 30 and [len(one) for one in persons] == [21, 3, 6]
    assert any("Nobody is in two splits" in note for note in data.notes)


def test_folders_of_other_names_are_no_classes_without_splits(tmp_path: Path):
    root = class_folders(tmp_path, ("anger", "images"), ("train",)) / "train"
    with pytest.raises(
        ValueError, match=r"no train and no test folder; there is: anger, images.*class folders without"
    ):
        load(f"folder:{root}", tmp_path / "cache")
