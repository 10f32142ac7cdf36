"""Faces for pretraining: from anywhere, and never a test picture."""

import numpy as np
import pytest
from PIL import Image
from tiny_sets import class_folders, fer_npz, fer_rows, noise, save

from fermodels.data import open_dataset
from fermodels.data.decode import pixel_hash
from fermodels.data.unlabelled import open_pool, pool_of, stored_hashes


def faces(*seeds: int, channels: int = 3) -> np.ndarray:
    made = np.stack([noise(seed, 18, 3) for seed in seeds])
    return made if channels == 3 else made[..., :1]


def opened(tmp_path, *specs, **named):
    return open_pool(specs, size=18, cache=tmp_path / "cache", **named)


def test_grey_and_its_three_equal_channels_are_one_picture():
    grey = faces(0, 1, channels=1)
    same = stored_hashes(np.repeat(grey, 3, axis=3))
    assert (same == stored_hashes(grey)).all() and len(set(same.tolist())) == 2
    assert stored_hashes(grey)[0] == pixel_hash(grey[0].tobytes(), (18, 18))


def test_colours_are_weighted_as_pillow_weights_them():
    """Within a level: Pillow rounds its weights to 16 bits as well."""
    for seed in range(3):
        image = noise(seed, 18, 3)
        grey = np.asarray(Image.fromarray(image).convert("L"))
        assert stored_hashes(image[None])[0] == pixel_hash(grey.tobytes(), (18, 18))


def test_test_pictures_are_dropped_wherever_they_come_from():
    pool = pool_of({"a": faces(0, 1, 2), "b": faces(3, 4)}, {"t": faces(9, 4), "u": faces(1)})
    assert pool.kept.tolist() == [0, 2, 3] and pool.dropped == 2
    assert [(one.name, one.faces, one.tests) for one in pool.found] == [("a", 3, 1), ("b", 2, 1)]
    assert sum(one.tests for one in pool.compared) == 3
    assert "1 of them test pictures" in pool.notes[0] and "2 of t, 1 of u" in pool.notes[-1]


def test_grey_and_coloured_sources_lie_in_one_array():
    grey, coloured = faces(0, 1, channels=1), faces(2)
    pool = pool_of({"grey": grey, "coloured": coloured}, {})
    np.testing.assert_array_equal(pool.images, np.concatenate([np.repeat(grey, 3, axis=3), coloured]))
    alone = pool_of({"grey": grey}, {})
    assert np.shares_memory(alone.images, grey), "a source alone is not copied"


def test_the_fingerprint_is_of_the_pixels_trained_on():
    whole, without = pool_of({"a": faces(0, 1, 2)}, {}), pool_of({"a": faces(0, 1, 2)}, {"t": faces(2)})
    assert whole.fingerprint != without.fingerprint
    assert whole.fingerprint == pool_of({"another name": faces(0, 1, 2)}, {"t": faces(7)}).fingerprint


def test_nothing_left_is_a_sentence():
    with pytest.raises(ValueError, match="of 2 faces none is left"):
        pool_of({"a": faces(0, 1)}, {"t": faces(0, 1, 2)})


def test_of_a_data_set_the_train_split_is_used_and_its_own_test_split_kept_out(tmp_path):
    images, labels, usage = fer_rows()
    test = int(np.flatnonzero(usage == 2)[0])
    train = np.flatnonzero(usage == 0)
    images[train[3]] = images[test]
    spec = f"fer2013:{fer_npz(tmp_path, images, labels, usage)}"
    copied = images == images[test]
    pool = opened(tmp_path, spec)
    hidden = int(copied.all((1, 2))[train].sum()) + _leaks(images, usage) - 1
    assert len(pool.images) == len(train) and pool.dropped == hidden >= 1
    assert pool.found[0].name == "fer2013" and pool.labelled is not None and pool.labelled.name == "fer2013"


def _leaks(images: np.ndarray, usage: np.ndarray) -> int:
    """Training rows whose pixels are those of a test row, by comparing all pairs."""
    tests = images[usage == 2].reshape(-1, images[0].size)
    return sum(bool((tests == row.ravel()).all(1).any()) for row in images[usage == 0])


def test_a_folder_of_pictures_loses_what_another_data_set_tests_on(tmp_path):
    data = class_folders(tmp_path / "data")
    place = tmp_path / "pictures"
    for seed in (500, 501):
        save(place / "below" / f"{seed}.png", noise(seed, 20, 3))
    save(place / ".hidden" / "x.png", noise(7, 20, 3))
    taken = sorted((data / "test").rglob("*.png"))[4]
    save(place / "taken.png", np.asarray(Image.open(taken)))
    free = opened(tmp_path, str(place))
    assert len(free.images) == 3 and free.dropped == 0 and free.labelled is None
    assert any("Left out 1 files: 1 hidden folders; .hidden" in note for note in free.notes)
    kept = opened(tmp_path, str(place), keep_out=[f"folder:{data}"])
    assert kept.dropped == 1 and kept.kept.tolist() == [0, 1], "sorted by name: below/500, below/501, taken"
    assert str(tmp_path) not in " ".join(kept.notes), "no folder of the user's is told"


def test_what_a_folder_of_pictures_holds_besides_is_in_the_notes(tmp_path):
    for seed in range(2):
        save(tmp_path / "all" / f"{seed}.png", noise(seed, 20, 3))
    (tmp_path / "all/a.heic").write_bytes(b"x")
    (tmp_path / "all/b.png").write_bytes(b"")
    told = " ".join(opened(tmp_path, str(tmp_path / "all"), skip_broken=True).notes)
    assert "all: Left out 1 files: 1 HEIC" in told and "all: Skipped 1 broken images or rows: b.png" in told


def test_pictures_of_a_folder_to_keep_out_are_test_pictures(tmp_path):
    for seed in range(3):
        save(tmp_path / "all" / f"{seed}.png", noise(seed, 20, 3))
    save(tmp_path / "mine" / "again.png", noise(1, 20, 3))
    pool = opened(tmp_path, str(tmp_path / "all"), keep_out=[str(tmp_path / "mine")])
    assert pool.kept.tolist() == [0, 2]


@pytest.mark.parametrize(
    ("spec", "said"),
    [("fer2014:x.csv", "neither a data set nor a folder"), ("empty", "holds no picture"), ("data", "name it folder:")],
)
def test_what_cannot_be_pretrained_on_is_a_sentence(tmp_path, monkeypatch, spec, said):
    (tmp_path / "empty").mkdir()
    (tmp_path / "data" / "test").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=said):
        opened(tmp_path, spec)


def test_a_data_set_and_its_faces_are_the_same_thing(tmp_path):
    """What the pool holds of a data set is its train split, in order."""
    spec = "synthetic:train=4,validation=2,test=2"
    place = {"size": 32, "cache": tmp_path / "cache"}
    pool, data = open_pool([spec], **place), open_dataset(spec, **place)
    np.testing.assert_array_equal(pool.images, data.train.images)
