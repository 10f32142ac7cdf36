"""What holds for every registered data set. A new one adds a maker of a small copy to `tiny_sets.MAKERS`."""

import sys
from pathlib import Path

import numpy as np
import pytest

from fermodels.data import DATASETS, Dataset, open_dataset

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "fermodels"))
from tiny_sets import MAKERS  # pyright: ignore[reportMissingImports]

SIZE = 32


@pytest.fixture(scope="module", params=sorted(DATASETS))
def opened(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path, Dataset]:
    place = tmp_path_factory.mktemp(request.param)
    spec = MAKERS[request.param](place / "set")
    return spec, place / "cache", open_dataset(spec, size=SIZE, cache=place / "cache")


def test_every_data_set_has_a_small_copy():
    assert set(MAKERS) == set(DATASETS)


def test_shapes_types_and_names(opened: tuple[str, Path, Dataset]):
    spec, _, data = opened
    assert data.spec == spec and spec.startswith(data.name) and data.licence and data.notes
    for split in data.splits.values():
        assert split.images.shape[1:3] == (SIZE, SIZE) and split.images.shape[3] in (1, 3)
        assert split.images.dtype == np.uint8 and split.labels.dtype == np.int64
        assert not split.images.flags.writeable


def test_labels_are_classes_and_no_split_is_empty(opened: tuple[str, Path, Dataset]):
    data = opened[2]
    for split in data.splits.values():
        assert len(split) > 0
        assert split.labels.min() >= 0 and split.labels.max() < len(data.classes)
    assert set(data.validation.labels.tolist()) <= set(data.train.labels.tolist())


def test_splits_are_disjoint(opened: tuple[str, Path, Dataset]):
    names = [name for split in opened[2].splits.values() for name in split.names]
    assert len(set(names)) == len(names)


def test_opening_again_gives_the_same_rows_in_the_same_order(opened: tuple[str, Path, Dataset]):
    spec, cache, data = opened
    again = open_dataset(spec, size=SIZE, cache=cache)
    for before, after in zip(data.splits.values(), again.splits.values(), strict=True):
        assert list(before.names) == list(after.names)
        np.testing.assert_array_equal(before.labels, after.labels)
        np.testing.assert_array_equal(before.images, after.images)
    assert again.notes == data.notes


def test_points_are_shares_of_the_image(opened: tuple[str, Path, Dataset]):
    for split in opened[2].splits.values():
        if split.landmarks is None:
            assert split.confidence is None
            continue
        assert split.confidence is not None
        assert split.landmarks.shape == (len(split), 68, 2) and split.confidence.shape == (len(split), 68)
        assert np.isfinite(split.landmarks).all() and np.median(split.landmarks) == pytest.approx(0.5, abs=0.25)
        assert split.confidence.min() >= 0 and split.confidence.max() <= 1


@pytest.mark.parametrize("name", sorted(set(DATASETS) - {"synthetic"}))
def test_what_is_absent_is_a_sentence_that_helps(name: str, tmp_path: Path):
    for spec in (name, f"{name}:", f"{name}:{tmp_path / 'nowhere'}"):
        with pytest.raises(ValueError, match=f"{name.rstrip('8')}.*PATH"):
            open_dataset(spec, size=SIZE, cache=tmp_path / "cache")


def test_an_unknown_name_is_answered_with_the_known_ones(tmp_path: Path):
    with pytest.raises(ValueError, match=r'"ferris".*synthetic.*fer2013.*rafdb'):
        open_dataset("ferris:x", size=SIZE, cache=tmp_path)


def test_a_size_of_nothing_is_refused(tmp_path: Path):
    with pytest.raises(ValueError, match="size 0"):
        open_dataset("folder:x", size=0, cache=tmp_path)
