"""The audit finds what was planted, in every data set, and the known faults of the real FER2013."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny_sets import MAKERS, class_folders, fer_rows, save

from fermodels.data import Dataset, open_dataset
from fermodels.data.audit import details, main, summary
from fermodels.data.duplicates import Audit, audit
from fermodels.data.pair_sheet import CAPTION, CELL, GAP, MARGIN, draw_sheet, drawn_pairs
from fermodels.data.synthetic import render

REAL = Path(os.environ.get("FER_DATA", Path(__file__).resolve().parents[2] / "../shared/data")) / "fer2013.npz"
SPLITS = ("train", "validation", "test")


def faces() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The rows of a small FER2013 whose pictures are 105 different drawn faces."""
    _, labels, usage = fer_rows()
    grey = render(range(len(labels)), size=48, seed=5).images @ np.array([0.299, 0.587, 0.114])
    return np.round(grey).astype(np.uint8), labels, usage


def opened(place: Path, images: np.ndarray, labels: np.ndarray, usage: np.ndarray, **more: np.ndarray) -> Dataset:
    place.mkdir(exist_ok=True)
    np.savez(place / "fer.npz", images=images, labels=labels, usage=usage, **more)  # type: ignore[arg-type]
    return open_dataset(f"fer2013:{place / 'fer.npz'}", size=48, cache=place / "cache")


def named_pairs(found: Audit) -> set[tuple[str, str]]:
    return {(near["pair"][0]["name"], near["pair"][1]["name"]) for near in details(found)["near"]}


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Dataset, dict[str, np.ndarray]]:
    """A copy in train with another label, copies in all splits, a brighter and a shifted picture, a flat one."""
    images, labels, usage = faces()
    train, validation, test = (np.flatnonzero(usage == position) for position in range(3))
    images[train[1]], labels[train[:2]] = images[train[0]], (0, 1)
    images[[validation[0], test[0], test[1]]] = images[train[2]]
    labels[[train[2], validation[0], test[0], test[1]]] = 3
    images[test[2]] = np.minimum(images[train[3]] + 15.0, 255)
    images[test[3]] = np.concatenate((images[train[4]][:, :1], images[train[4]][:, :-1]), axis=1)
    images[validation[1]], images[train[5]] = 7, 8
    images[validation[1], 0, 0] = 12
    votes = np.zeros((len(labels), 10), np.uint8)
    votes[:, 0], votes[train[6:9], 9], votes[test[4], 9] = 5, 6, 5  # five against five is no majority
    rows = {"train": train, "validation": validation, "test": test}
    return opened(tmp_path_factory.mktemp("planted"), images, labels, usage, ferplus_votes=votes), rows


def test_planted_copies_and_conflicts_are_counted(planted: tuple[Dataset, dict[str, np.ndarray]]):
    counts = summary(audit(planted[0]))
    assert (counts["rows"], counts["repeats"], counts["groups"]) == (105, 4, 2)
    assert (counts["conflicting_groups"], counts["conflicting_rows"]) == (1, 2)
    exact = {name: tuple(own["exact_in"].values()) for name, own in counts["splits"].items()}
    assert exact == {"train": (2, 1, 1), "validation": (1, 0, 1), "test": (2, 2, 2)}
    assert [own["conflicting"] for own in counts["splits"].values()] == [2, 0, 0]


def test_planted_near_duplicates_are_found_and_exact_ones_are_not_among_them(
    planted: tuple[Dataset, dict[str, np.ndarray]],
):
    data, rows = planted
    found = audit(data, 4)
    wanted = {(f"row {rows['train'][k + 1]}", f"row {rows['test'][k]}") for k in (2, 3)}
    assert named_pairs(found) == wanted
    counts = summary(found)["splits"]
    assert [own["near_in"]["test"] for own in counts.values()] == [2, 0, 0]
    assert [own["near_in"]["train"] for own in counts.values()] == [0, 0, 2]


def test_flat_pictures_and_the_sets_own_word_on_faces(planted: tuple[Dataset, dict[str, np.ndarray]]):
    data, rows = planted
    found = audit(data)
    told = details(found)
    assert [row["name"] for row in told["flat"]] == [f"row {rows['train'][5]}", f"row {rows['validation'][1]}"]
    assert [row["name"] for row in told["not_faces"]] == [f"row {i}" for i in rows["train"][6:9]]
    counts = summary(found)["splits"]
    assert [(own["flat"], own["not_faces"]) for own in counts.values()] == [(1, 3), (1, 0), (0, 0)]


def test_details_name_split_and_label(planted: tuple[Dataset, dict[str, np.ndarray]]):
    data, rows = planted
    told = details(audit(data))
    copies = [
        ("train", rows["train"][2]),
        ("validation", rows["validation"][0]),
        *(("test", i) for i in rows["test"][:2]),
    ]
    assert {"split": "train", "name": f"row {rows['train'][1]}", "label": "disgust"} in told["exact"][0]
    assert told["exact"][1] == [{"split": s, "name": f"row {i}", "label": "happiness"} for s, i in copies]


@pytest.mark.parametrize("name", sorted(MAKERS))
def test_every_set_is_audited_and_agrees_with_its_leaked_rows(name: str, tmp_path: Path):
    data = open_dataset(MAKERS[name](tmp_path / "set"), size=32, cache=tmp_path / "cache")
    found = audit(data)
    assert [own["rows"] for own in summary(found)["splits"].values()] == [len(split) for split in data.splits.values()]
    for position, split in enumerate(data.splits.values()):
        if split.leaked is not None:
            assert found.exact_in[found.part == position][:, 0].tolist() == split.leaked.tolist()
    says = name == "ferplus"  # votes for "no face": the only set that knows
    assert all((own["not_faces"] is not None) == says for own in summary(found)["splits"].values())


def test_pixels_are_compared_before_resizing(tmp_path: Path):
    root = class_folders(tmp_path / "faces", splits=("train", "val", "test"))
    fine = render([0], size=64, seed=5).images[0]
    other = fine.copy()
    other[5, 5] ^= 1  # lost when the picture is reduced to 8 pixels
    for place, pixels in (("train/anger/a", fine), ("test/fear/b", fine), ("test/anger/c", other)):
        save(root / f"{place}.png", pixels)
    found = audit(open_dataset(f"folder:{root}", size=8, cache=tmp_path / "cache"), 0)
    assert [[row["name"] for row in group] for group in details(found)["exact"]] == [
        ["train/anger/a.png", "test/fear/b.png"]
    ]
    assert ("train/anger/a.png", "test/anger/c.png") in named_pairs(found)


def test_the_sheet_has_a_line_for_each_distance(planted: tuple[Dataset, dict[str, np.ndarray]]):
    found = audit(planted[0], 8)
    lines = drawn_pairs(found)
    assert [bits for bits, _ in lines] == sorted(set(found.apart.tolist()))
    assert [pair for _, pairs in lines for pair in pairs] == [tuple(pair) for pair in found.first[found.near].tolist()]
    sheet = np.asarray(draw_sheet(found))
    for number, (_, pairs) in enumerate(lines):
        both = [Image.fromarray(found.pixels(row)).resize((CELL, CELL), Image.Resampling.BICUBIC) for row in pairs[0]]
        top = GAP + number * (CELL + CAPTION + GAP)
        shown = sheet[top : top + CELL, MARGIN : MARGIN + 2 * CELL]
        np.testing.assert_array_equal(shown, np.concatenate([np.asarray(picture) for picture in both], axis=1))


def test_a_set_without_near_duplicates_says_so_on_its_sheet(tmp_path: Path):
    sheet = np.asarray(draw_sheet(audit(opened(tmp_path, *faces()), 0)))
    assert (sheet != sheet[0, 0]).any()


def test_the_command_ends_with_one_json_line(
    planted: tuple[Dataset, dict[str, np.ndarray]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    files = {"--json": tmp_path / "audit.json", "--sheet": tmp_path / "near.png", "--cache": tmp_path / "cache"}
    main([planted[0].spec, "--near", "8", *(str(part) for pair in files.items() for part in pair)])
    streams = capsys.readouterr()
    counts = json.loads(streams.out.splitlines()[-1])
    assert counts["near_bits"] == 8 and "4 rows repeat" in streams.err and "same pixels in train" in streams.err
    whole = json.loads((tmp_path / "audit.json").read_text())
    assert counts == {key: whole[key] for key in counts} and len(whole["exact"]) == counts["groups"]
    with Image.open(tmp_path / "near.png") as sheet:
        assert sheet.width > 8 * 2 * CELL


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [(["nowhere"], 'no data set "nowhere"'), (["synthetic:train=7,test=7,validation=7", "--near", "9"], "9 bits")],
)
def test_a_mistake_is_one_sentence(
    arguments: list[str], sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert main([*arguments, "--cache", str(tmp_path)]) == 2
    assert sentence in capsys.readouterr().err


def test_votes_of_another_shape_are_refused(tmp_path: Path):
    images, labels, usage = fer_rows()
    with pytest.raises(ValueError, match=r"ferplus_votes has the shape \(105, 8\), expected \(n, 10\)"):
        opened(tmp_path, images, labels, usage, ferplus_votes=np.zeros((105, 8), np.uint8))


@pytest.mark.skipif(not REAL.is_file(), reason="fer2013.npz is not here; FER_DATA names the folder that holds it")
def test_the_known_faults_of_fer2013(tmp_path: Path):
    data = open_dataset(f"fer2013:{REAL}", size=48, cache=tmp_path)
    found = audit(data, 2)
    counts = summary(found)
    assert (counts["repeats"], counts["conflicting_groups"]) == (1853, 57)
    assert [counts["splits"][name]["exact_in"]["train"] for name in SPLITS[1:]] == [280, 288]
    assert sum(own["not_faces"] for own in counts["splits"].values()) == 177
    with np.load(REAL) as file:  # its own account of repeats; row order differs, names are the file's rows
        first, labels, images = file["first"].astype(int), file["labels"], file["images"]
    groups = {tuple(sorted(int(row["name"][4:]) for row in group)) for group in details(found)["exact"]}
    expected = [np.flatnonzero(first == row) for row in np.flatnonzero(np.bincount(first) > 1)]
    assert groups == {tuple(rows.tolist()) for rows in expected}
    assert counts["conflicting_rows"] == sum(len(rows) for rows in expected if len(set(labels[rows].tolist())) > 1)
    assert counts["near_pairs"] > 300 and not any(
        (images[int(a[4:])] == images[int(b[4:])]).all() for a, b in named_pairs(found)
    )
