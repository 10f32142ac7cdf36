"""Photographs into aligned faces: the policy, resuming, what is stored; and LFW's split by person."""

import json
import os
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny_sets import LFW, OneFace, class_folders, lfw, noise, save

from fermodels.data import open_dataset
from fermodels.data.lfw import source
from fermodels.data.rows import Skips
from fermodels.data.splits import split_by_person
from fermodels.faces import prepare_chunks
from fermodels.faces.align import template, warped
from fermodels.faces.detect import Detector, Face
from fermodels.faces.landmark_base import FacePoints
from fermodels.faces.prepare import main, prepare
from fermodels.faces.prepare_chunks import Job, chosen_face

REAL = Path(os.environ.get("FER_DATA", Path(__file__).resolve().parents[2] / "../shared/data")) / "lfw_emotion.tar"


def job(backend: OneFace, **changes) -> Job:
    return Job(detector=Detector(name="one", smallest=12, backend=backend), **{"size": 32, **changes})


def face_at(x: float, y: float, side: float) -> Face:
    box = (x - side / 2, y - side / 2, x + side / 2, y + side / 2)
    return Face(box=box, points=np.zeros((5, 2)), probability=1.0)


class Picky(OneFace):
    """Sees no face in pictures that begin dark, and two in those that begin bright."""

    def find(self, photographs: np.ndarray):
        found = super().find(photographs)
        counts = [0 if p[0, 0].mean() < 85 else 2 if p[0, 0].mean() > 170 else 1 for p in photographs]
        return [tuple(np.repeat(part, n, 0) for part in each) for each, n in zip(found, counts, strict=True)]


def test_the_face_that_the_photograph_is_about():
    subject, passer_by, giant = face_at(50, 50, 30), face_at(90, 90, 35), face_at(10, 10, 80)
    assert chosen_face([passer_by, subject], 100, 100) is subject  # nearly as large, and in the middle
    assert chosen_face([giant, passer_by, subject], 100, 100) is giant  # the others are far behind it
    assert chosen_face([subject], 100, 100) is subject


def test_faces_are_aligned_stored_and_read_back(tmp_path: Path):
    root = lfw(tmp_path / "lfw")
    counts = prepare(f"lfw:{root}", tmp_path / "out", job(OneFace()))
    data = open_dataset(f"prepared:{tmp_path / 'out'}", size=32, cache=tmp_path / "cache")
    assert sum(counts[split]["kept"] for split in data.splits) == 48 == sum(map(len, data.splits.values()))
    matrix = np.column_stack((np.eye(2), [-4, -4]))  # the face lies 4 pixels inside a photograph of 40, and is 32 wide
    for split in data.splits.values():
        for image, name in zip(split.images, split.names, strict=True):
            photograph = np.asarray(Image.open(root / name))
            difference = image.astype(int) - warped(photograph, matrix, 32)
            assert np.abs(difference).max() <= 1
    assert data.classes == LFW and (tmp_path / "out/sheet.png").is_file()
    meta = json.loads((tmp_path / "out/prepared.json").read_text())
    assert (
        meta["provenance"]["detector"] == "one" and "ArcFace" in meta["provenance"]["template"] and meta["size"] == 32
    )
    rows = np.load(tmp_path / "out/train/rows.npz")
    np.testing.assert_allclose(rows["points"][0], template(32) + 4, atol=1e-4)


def corners(crops: np.ndarray, given: FacePoints | None = None) -> FacePoints:
    """68 points along the diagonal of every crop, surer the brighter its first pixel."""
    points = np.tile(np.linspace(0, crops.shape[1], 68, dtype=np.float32)[:, None], (len(crops), 1, 2))
    return FacePoints(points, np.repeat(crops[:, :1, 0, 0] / 255, 68, 1))


def test_landmarks_are_kept_with_their_confidence_and_their_source(tmp_path: Path):
    with_points = job(OneFace(), landmarks=corners, landmarks_from="corners")
    prepare(f"lfw:{lfw(tmp_path / 'lfw')}", tmp_path / "out", with_points)
    data = open_dataset(f"lfw:{tmp_path / 'out'}", size=16, cache=tmp_path / "cache")
    whole = open_dataset(f"prepared:{tmp_path / 'out'}", size=32, cache=tmp_path / "cache")
    assert data.name == "lfw" and any("Landmarks: corners" in note for note in data.notes)
    assert not any(
        str(tmp_path) in note or "no landmarks" in note.lower() for note in data.notes
    )  # notes are published
    for name, split in data.splits.items():
        np.testing.assert_allclose(split.landmarks[:, -1], 1)
        np.testing.assert_allclose(split.confidence[:, 5], whole.splits[name].images[:, 0, 0, 0] / 255, atol=1e-6)


@pytest.mark.parametrize(
    ("source", "sentence"), [("given", "photographs bring none"), ("magic", 'no landmarks "magic"')]
)
def test_a_source_of_landmarks_that_cannot_be_is_a_sentence(source: str, sentence: str, tmp_path: Path, capsys):
    assert main([f"lfw:{tmp_path}", "--out", str(tmp_path / "out"), "--landmarks", source]) == 2
    assert sentence in capsys.readouterr().err


def test_missed_and_several_are_counted_and_told(tmp_path: Path):
    root = class_folders(tmp_path / "set", each=12)
    for number, path in enumerate(sorted((root / "train").rglob("*.png"))):
        picture = noise(number, 60, 3)
        picture[0, 0] = (30, 128, 220)[number % 3]
        save(path, np.concatenate((picture, picture[:10])))  # not square: photographs are not cropped
    for number, path in enumerate(sorted((root / "test").rglob("*.png"))):
        save(path, np.full((60, 60, 3), 100 + number, np.uint8))
    counts = prepare(f"folder:{root}", tmp_path / "out", job(Picky()))
    assert counts["train"] == {"photographs": 84, "kept": 56, "no_face": 28, "several": 28}
    assert counts["test"] == {"photographs": 21, "kept": 21, "no_face": 0, "several": 0}
    data = open_dataset(f"prepared:{tmp_path / 'out'}", size=32, cache=tmp_path / "cache")
    assert any("in 28 none was found (left out), 28 held several" in note for note in data.notes)
    assert len(data.train) + len(data.validation) == 56 and len(data.validation) > 0


def test_a_killed_run_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(prepare_chunks, "CHUNK", 8)
    spec = f"lfw:{lfw(tmp_path / 'lfw')}"
    whole, first, second = OneFace(), OneFace(), OneFace()
    prepare(spec, tmp_path / "whole", job(whole))
    find = first.find

    def until_killed(photographs: np.ndarray):
        if first.searched >= 16:
            raise KeyboardInterrupt
        return find(photographs)

    first.find = until_killed
    with pytest.raises(KeyboardInterrupt):
        prepare(spec, tmp_path / "out", job(first))
    with pytest.raises(ValueError, match=r"no readable prepared\.json"):
        open_dataset(f"prepared:{tmp_path / 'out'}", size=32, cache=tmp_path / "cache")
    torn = sorted((tmp_path / "out/parts").glob("*.npz"))[0]
    torn.write_bytes(torn.read_bytes()[:1000])
    prepare(spec, tmp_path / "out", job(second))
    assert second.searched == whole.searched - first.searched + 8 == 48 - 16 + 8  # the damaged chunk again
    for name in ("train/images.u8", "test/images.u8"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert not (tmp_path / "out/parts").exists()


def test_a_broken_photograph_is_named_or_counted(tmp_path: Path):
    root = lfw(tmp_path / "lfw")
    (root / "images/P03_1.jpg").write_bytes(b"no picture")
    with pytest.raises(ValueError, match=r"P03_1\.jpg cannot be read"):
        prepare(f"lfw:{root}", tmp_path / "out", job(OneFace()))
    prepare(f"lfw:{root}", tmp_path / "out", job(OneFace(), skip_broken=True))
    data = open_dataset(f"prepared:{tmp_path / 'out'}", size=32, cache=tmp_path / "cache")
    assert sum(map(len, data.splits.values())) == 47 and any("Skipped 1 broken" in note for note in data.notes)


def test_what_cannot_be_prepared_is_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(ValueError, match="folder:PATH, lfw:PATH"):
        prepare("fer2013:x", tmp_path, job(OneFace()))
    with pytest.raises(ValueError, match="8 to 1,024"):
        job(OneFace(), size=4)
    assert main(["lfw:x", "--out", str(tmp_path), "--detector", "yunet"]) == 2
    assert "yunet needs its model" in capsys.readouterr().err


def test_a_tar_and_its_folder_are_the_same_set(tmp_path: Path):
    root = lfw(tmp_path / "lfw_emotion")
    with tarfile.open(tmp_path / "set.tar", "w") as tar:
        tar.add(root, "lfw_emotion")
    packed, loose = (
        open_dataset(f"lfw:{path}", size=24, cache=tmp_path / "cache") for path in (tmp_path / "set.tar", root)
    )
    for one, other in zip(packed.splits.values(), loose.splits.values(), strict=True):
        assert list(one.names) == list(other.names)
        np.testing.assert_array_equal(one.images, other.images)
    with tarfile.open(tmp_path / "set.tar.gz", "w:gz") as tar:
        tar.add(root, "lfw_emotion")
    with pytest.raises(ValueError, match="uncompressed tar"):
        open_dataset(f"lfw:{tmp_path / 'set.tar.gz'}", size=24, cache=tmp_path / "cache")


@pytest.mark.parametrize(
    ("line", "sentence"),
    [("images/P00_0.jpg,P00,bored,a,0", 'emotion "bored"'), ("images/none.jpg,P01,anger,a,0", r"has no images/none")],
)
def test_a_wrong_label_of_lfw_is_named(line: str, sentence: str, tmp_path: Path):
    root = lfw(tmp_path / "lfw")
    with (root / "labels.csv").open("a") as file:
        file.write(line + "\n")
    with pytest.raises(ValueError, match=sentence):
        open_dataset(f"lfw:{root}", size=24, cache=tmp_path / "cache")


def test_nobody_is_in_two_splits_and_classes_have_their_share():
    chance = np.random.default_rng(0)
    persons = [f"p{n}" for n in chance.geometric(0.01, 3000)]
    labels = chance.choice(5, 3000, p=[0.05, 0.45, 0.03, 0.07, 0.4])
    of = split_by_person(persons, labels)
    by_person: dict[str, set[str]] = {}
    for person, split in zip(persons, of.tolist(), strict=True):
        by_person.setdefault(person, set()).add(split)
    assert all(len(splits) == 1 for splits in by_person.values())
    for label in range(5):
        shares = [float((of[labels == label] == split).mean()) for split in ("test", "validation")]
        assert shares == pytest.approx([0.2, 0.1], abs=0.12) and min(shares) > 0
    order = chance.permutation(3000)
    again = split_by_person([persons[i] for i in order], labels[order])
    np.testing.assert_array_equal(again, of[order])


@pytest.mark.skipif(not REAL.is_file(), reason=f"no LFW photographs at {REAL}")
def test_the_real_set_has_its_counts():
    listed = source(str(REAL), Skips(allowed=False))
    assert listed.validation is not None
    splits = (listed.train, listed.validation, listed.test)
    assert np.bincount(np.concatenate([rows.labels for rows in splits])).tolist() == [177, 1979, 96, 280, 1995]
    persons = [{Path(name).stem.rpartition("_")[0] for name in rows.names} for rows in splits]
    assert not (persons[0] & persons[1] or persons[0] & persons[2] or persons[1] & persons[2])
