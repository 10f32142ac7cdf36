"""Class names of every kind in pictures: readable letters, one line, no wider than their place."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw
from tiny_sets import save

from fermodels import EXPRESSIONS
from fermodels.data import open_dataset
from fermodels.data.audit import main
from fermodels.data.duplicates import audit
from fermodels.data.pair_sheet import draw_sheet
from fermodels.data.synthetic import render
from fermodels.lettering import lettering, picture_of

ODD = (
    "$\\frac$",
    "<b>x<b>",
    "=1+1",
    "a\nb",
    "\x1b[31mred",
    "[bold]",
    "злость",
    "ярость",
    "θυμός",
    "ärger",
    "怒り",
    "😀",
)


@pytest.mark.parametrize("name", [*ODD, "غضب", "כעס", "\udc80"])
def test_no_letter_is_an_empty_box(name: str):
    text, font = lettering(name, 16)
    assert text and all(picture_of(letter, font) != picture_of("\U0010ffff", font) for letter in text)
    assert text.isprintable() and text != "�"


def test_what_no_font_has_is_escaped_and_the_rest_stays():
    assert lettering("怒り", 16)[0] == "\\u6012\\u308a" and lettering("a\nb", 16)[0] == "a\\x0ab"
    assert lettering("злость", 16)[0] == "злость" and lettering("$\\frac$", 16)[0] == "$\\frac$"


def drawn(name: str, width: float = float("inf")) -> np.ndarray:
    sheet = Image.new("RGB", (400, 40))
    text, font = lettering(name, 12, width)
    ImageDraw.Draw(sheet).text((4, 20), text, (255, 255, 255), font, anchor="lm")
    return np.asarray(sheet)


@pytest.mark.parametrize("name", ["x" * 255, "злость" * 40, "怒" * 80])
def test_a_long_name_stays_in_its_place(name: str):
    shown = drawn(name, width=60)
    assert shown[:, :66].any() and not shown[:, 66:].any()


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_short_names_are_whole(name: str):
    np.testing.assert_array_equal(drawn(name, width=64), drawn(name))


def odd_set(root: Path) -> str:
    """Two classes' faces are alike, so that the sheet has pairs; every class has a name of another kind."""
    faces = render(range(len(ODD)), size=48, seed=5).images
    for label, name in enumerate(ODD):
        for split in ("train", "test"):
            for number in range(3):
                face = np.clip(faces[label // 2] + np.uint8(number + 3 * (split == "test") + label % 2), 0, 255)
                save(root / split / name / f"{number}.png", face.astype(np.uint8))
    return f"folder:{root}"


def test_the_audit_takes_classes_and_paths_of_every_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    spec, sheet = odd_set(tmp_path / "a[" / "b]"), tmp_path / "near.png"
    assert main([spec, "--near", "4", "--sheet", str(sheet), "--cache", str(tmp_path / "cache")]) == 0
    assert "a[/b]" in capsys.readouterr().err.replace("\n", "") and sheet.is_file()


def test_names_in_other_scripts_are_told_apart_on_the_pair_sheet(tmp_path: Path):
    pictures = []
    for name in ("злость", "ярость"):  # of equal length: drawn as boxes they would be one
        face = render(range(1), size=48, seed=5).images[0]
        for number, split in enumerate(("train", "train", "train", "test")):
            save(tmp_path / name / split / name / f"{number}.png", face // np.uint8(2) + np.uint8(number))
        data = open_dataset(f"folder:{tmp_path / name}", size=32, cache=tmp_path / "cache")
        pictures.append(np.asarray(draw_sheet(audit(data, 4))))
    assert pictures[0].shape == pictures[1].shape and not np.array_equal(*pictures)
