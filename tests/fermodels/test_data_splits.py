"""Carving, counts and leaks."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_sets import class_folders, noise, save

from fermodels.data import open_dataset
from fermodels.data.splits import against_published, carve


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 6), min_size=1, max_size=150), st.integers(0, 5))
def test_a_tenth_of_each_class_and_at_least_one_of_two(labels: list[int], seed: int):
    chosen = carve(np.array(labels), [f"{i}.png" for i in range(len(labels))], seed=seed)
    for label in set(labels):
        total, taken = labels.count(label), int(chosen[np.array(labels) == label].sum())
        assert abs(taken - total / 10) <= 1
        assert taken < total and (taken >= 1 or total == 1)


@settings(max_examples=40, deadline=None)
@given(st.permutations(range(60)))
def test_the_order_of_the_files_does_not_matter(order: list[int]):
    labels, names = np.arange(60) % 3, np.array([f"{i}.png" for i in range(60)])
    plain = set(names[carve(labels, names.tolist())])
    assert set(names[order][carve(labels[order], names[order].tolist())]) == plain


def test_another_seed_carves_others():
    labels, names = np.zeros(200, np.int64), [f"{i}.png" for i in range(200)]
    assert (carve(labels, names, seed=0) != carve(labels, names, seed=1)).any()


def test_published_counts_are_confirmed_or_told_apart():
    labels = np.array([0, 0, 1, 2])
    assert against_published("train", labels, ("a", "b", "c"), (2, 1, 1)).startswith("train: 4 rows")
    sentence = against_published("train", labels, ("a", "b", "c"), (2, 5, 1))
    assert sentence.startswith("Warning") and "b 1 (published 5)" in sentence and "a 2" not in sentence


def test_repeated_pixels_are_flagged_in_validation_and_test(tmp_path: Path):
    class_folders(tmp_path / "faces", splits=("train", "val", "test"))
    repeated = noise(1000, 20, 3)
    for place in ("train/anger/900.png", "val/fear/900.png", "test/sadness/900.png", "test/sadness/901.png"):
        save(tmp_path / "faces" / place, repeated)
    data = open_dataset(f"folder:{tmp_path / 'faces'}", size=8, cache=tmp_path / "cache")
    for split, expected in (
        (data.validation, ["val/fear/900.png"]),
        (data.test, ["test/sadness/900.png", "test/sadness/901.png"]),
    ):
        assert split.leaked is not None
        assert [split.names[i] for i in np.flatnonzero(split.leaked).tolist()] == expected
    assert any("1 validation, 2 test" in note for note in data.notes)


def test_a_copy_in_the_carved_validation_counts_for_the_test(tmp_path: Path):
    root = class_folders(tmp_path / "faces")
    carved = open_dataset(f"folder:{root}", size=8, cache=tmp_path / "cache").validation
    (root / "test/fear/copy.png").write_bytes((root / carved.names[0]).read_bytes())
    test = open_dataset(f"folder:{root}", size=8, cache=tmp_path / "cache").test
    assert test.leaked is not None
    assert [test.names[i] for i in np.flatnonzero(test.leaked).tolist()] == ["test/fear/copy.png"]


def test_nothing_left_in_a_split_is_said(tmp_path: Path):
    root = class_folders(tmp_path / "faces", names=("anger",))
    for path in (root / "test/anger").iterdir():
        path.write_bytes(b"not an image")
    with pytest.raises(ValueError, match="no usable test images"):
        open_dataset(f"folder:{root}", size=8, cache=tmp_path / "cache", skip_broken=True)
