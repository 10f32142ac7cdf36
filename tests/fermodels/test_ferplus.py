"""FER+'s votes beside fer2013.csv: taken row by row, or refused with a sentence."""

from pathlib import Path

import numpy as np
import pytest
from tiny_sets import USAGES, fer_csv, fer_npz, fer_rows

from fermodels.data import Dataset, open_dataset

HEADER = "Usage,Image name,neutral,happiness,surprise,sadness,anger,disgust,fear,contempt,unknown,NF"


def load(path: Path, cache: Path, **options: bool) -> Dataset:
    return open_dataset(f"fer2013:{path}", size=48, cache=cache, **options)


def with_votes(folder: Path) -> tuple[Path, np.ndarray, np.ndarray]:
    """fer2013.csv with fer2013new.csv beside it; usages, and the rows whose votes say "not a face"."""
    images, labels, usage = fer_rows()
    path = fer_csv(folder, images, labels, usage)
    votes = np.random.default_rng(0).multinomial(10, [0.05] * 9 + [0.55], len(labels))
    lines = [f"{USAGES[usage[row]]},fer{row:07}.png,{','.join(map(str, votes[row]))}" for row in range(len(usage))]
    (folder / "fer2013new.csv").write_text("\ufeff" + "\n".join([HEADER, *lines]) + "\n")
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
        (lambda text: text.replace(".png,", ".png,x"), "invalid literal"),
        (lambda text: text.replace(".png,", ".png"), "invalid literal"),
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
