"""FER+'s votes beside fer2013.csv: taken row by row, or refused with a sentence; as `ferplus` they are the labels."""

import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from tiny_sets import CLASSES, fer_csv, fer_npz, fer_rows, fer_votes

from fermodels.data import Dataset, open_dataset

REAL = Path(os.environ.get("FER_DATA", Path(__file__).resolve().parents[2] / "../shared/data")) / "fer2013.npz"
COLUMNS = ("neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt", "unknown", "nf")


def load(path: Path, cache: Path, **options: bool) -> Dataset:
    return open_dataset(f"fer2013:{path}", size=48, cache=cache, **options)


def with_votes(folder: Path) -> tuple[Path, np.ndarray, np.ndarray]:
    """fer2013.csv with fer2013new.csv beside it; usages, and the rows whose votes say "not a face"."""
    images, labels, usage = fer_rows()
    path = fer_csv(folder, images, labels, usage)
    votes = np.random.default_rng(0).multinomial(10, [0.05] * 9 + [0.55], len(labels))
    fer_votes(folder, usage, votes)
    return path, usage, votes[:, 9] > votes[:, :9].max(axis=1)


def test_votes_say_what_is_no_face_and_change_no_label(tmp_path: Path):
    path, usage, no_faces = with_votes(tmp_path / "fer")
    data = load(path, tmp_path / "cache")
    assert 0 < no_faces.sum() < len(no_faces)
    for position, split in enumerate(data.splits.values()):
        assert split.not_face is not None and split.not_face.tolist() == no_faces[usage == position].tolist()
    assert any(f"of {no_faces.sum()} rows most votes say no face" in note for note in data.notes)
    (path.parent / "fer2013new.csv").unlink()
    plain = load(path, tmp_path / "cache")
    assert plain.train.not_face is None and plain.train.labels.tolist() == data.train.labels.tolist()
    assert len(list((tmp_path / "cache").iterdir())) == 3  # the votes decode nothing again


def test_votes_stay_with_their_rows_when_others_are_skipped(tmp_path: Path):
    path, usage, no_faces = with_votes(tmp_path / "fer")
    lines = path.read_text().splitlines()
    lines[1] = "9" + lines[1][1:]
    path.write_text("\n".join(lines) + "\n")
    data = load(path, tmp_path / "cache", skip_broken=True)
    kept = np.arange(1, len(usage))
    found = np.concatenate([split.not_face for split in data.splits.values()])  # type: ignore[arg-type]
    assert found.tolist() == np.concatenate([no_faces[kept[usage[kept] == part]] for part in range(3)]).tolist()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda text: text.replace(",NF", ",other"), "it has no column nf"),
        (lambda text: text[: text.rindex("\n", 0, -1) + 1], "it has 104 rows, fer2013.csv 105"),
        (lambda text: text.replace("PublicTest", "PrivateTest"), 'Usage there is "PrivateTest", fer2013.csv has "Pub'),
        (lambda text: text.replace(".png,", ".png,x"), "is no number of votes"),
        (lambda text: text.replace(".png,", ".png"), '"" is no number of votes'),
        (lambda text: text.replace(".png,", ".png,-"), '"-[0-9]" is no number of votes'),
        (lambda text: text.replace(".png,", ".png," + 20 * "9"), '9+" is no number of votes'),
        (lambda text: text.replace("NF\n", "NF,fear\n"), "no column fear, or has it twice"),
        (lambda text: text.replace("0000104.png", "0000001.png"), "fer0000001.png stands behind fer0000103.png"),
    ],
)
def test_votes_that_do_not_fit_are_refused(change, sentence: str, tmp_path: Path):
    path, *_ = with_votes(tmp_path / "fer")
    votes = path.parent / "fer2013new.csv"
    votes.write_text(change(votes.read_text()))
    with pytest.raises(ValueError, match=rf"fer2013new\.csv, line \d+: .*{sentence}.*FERPlus"):
        load(path, tmp_path / "cache")


@pytest.mark.parametrize(("form", "suffix"), [(fer_csv, ".CSV"), (fer_csv, ".Csv"), (fer_npz, ".NPZ")])
def test_capital_suffixes_are_known(form, suffix: str, tmp_path: Path):
    path = form(tmp_path / "fer", *fer_rows())
    assert len(load(path.rename(path.with_suffix(suffix)), tmp_path / "cache").test) == 21


def voted(row: np.ndarray) -> str:
    """The answer with most votes, or "ties"."""
    best = sorted(zip(row.tolist(), COLUMNS, strict=True))[-2:]
    return "ties" if best[0][0] == best[1][0] else best[1][1]


@pytest.mark.parametrize("form", ["csv", "npz"])
def test_ferplus_has_the_label_with_most_votes_and_counts_what_it_leaves_out(form: str, tmp_path: Path):
    images, labels, usage = fer_rows((40, 20, 20))
    votes = np.random.default_rng(1).multinomial(10, [0.1] * 10, len(labels))
    path = fer_csv(tmp_path, images, labels, usage)
    fer_votes(tmp_path, usage, votes)
    if form == "npz":
        path = tmp_path / "fer2013.npz"
        np.savez(path, images=images, labels=labels, usage=usage, ferplus_votes=votes)
    data = open_dataset(f"ferplus:{path}", size=48, cache=tmp_path / "cache")
    answers = [voted(row) for row in votes]
    counts = Counter(answers)
    assert min(counts[reason] for reason in ("contempt", "unknown", "nf", "ties")) > 0
    for position, split in enumerate(data.splits.values()):
        kept = [row for row, answer in enumerate(answers) if answer in CLASSES and usage[row] == position]
        assert list(split.names) == [f"row {row}" for row in kept]
        assert [data.classes[label] for label in split.labels] == [answers[row] for row in kept]
        np.testing.assert_array_equal(split.images[..., 0], images[kept])
    told = ", ".join(f"{reason} {counts[reason]:,}" for reason in ("contempt", "unknown", "nf", "ties"))
    assert any("not FER2013's" in note and told in note for note in data.notes)
    assert (
        data.name == "ferplus" and load(path, tmp_path / "cache").train.labels.tolist() == labels[usage == 0].tolist()
    )


def test_ferplus_without_votes_is_a_sentence(tmp_path: Path):
    for form in (fer_csv, fer_npz):
        with pytest.raises(ValueError, match=r"has no votes\. ferplus needs ferplus:PATH.*fer2013new\.csv"):
            open_dataset(f"ferplus:{form(tmp_path / 'fer', *fer_rows())}", size=48, cache=tmp_path / "cache")
    with pytest.raises(ValueError, match=r"has no votes"):
        open_dataset(f"ferplus:{tmp_path / 'fer'}", size=48, cache=tmp_path / "cache")


@pytest.mark.skipif(not REAL.is_file(), reason="fer2013.npz is not here; FER_DATA names the folder that holds it")
def test_the_real_votes_give_every_row_a_label_or_a_reason(tmp_path: Path):
    data = open_dataset(f"ferplus:{REAL}", size=8, cache=tmp_path)
    with np.load(REAL) as file:
        votes, usage = file["ferplus_votes"], file["usage"]
    answers = np.array([voted(row) for row in votes])
    for position, split in enumerate(data.splits.values()):
        mine = answers[(usage == position) & np.isin(answers, CLASSES)]
        assert [data.classes[label] for label in split.labels] == mine.tolist()
    told = ", ".join(f"{reason} {(answers == reason).sum():,}" for reason in ("contempt", "unknown", "nf", "ties"))
    assert any(told in note for note in data.notes)
