"""Annotated pictures: what is drawn where, how large it is, and the files it becomes."""

import os
from dataclasses import replace
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from PIL import Image
from test_pictures import video
from tiny_sets import noise, save

import fermodels
from fermodels.predict.annotate import BLEND, HEAT, INSET, annotated, colour_of, heated, inset
from fermodels.predict.annotated_files import AnnotatedFiles
from fermodels.predict.pictures import Frame, Photograph, photograph_of
from fermodels.predict.predictor import FaceExpression
from fermodels.predict.sources import frames


def face(box: tuple[float, float, float, float] = (30, 20, 90, 100), sadness: float = 0.2) -> FaceExpression:
    """Sad by so much, for the rest angry; the network saw just the box's upper left square."""
    rest = dict.fromkeys(fermodels.EXPRESSIONS, 0.0) | {"anger": 1 - sadness, "sadness": sadness}
    side = box[2] - box[0]
    return FaceExpression(
        box=box,
        detection=0.99,
        expression="anger",
        probabilities=rest,
        attention=np.linspace(0, 1, 49, dtype=np.float32).reshape(7, 7),
        matrix=np.array([[1, 0, -box[0]], [0, 1, -box[1]]]) / side,
    )


def photograph(width: int = 160, height: int = 120) -> Photograph:
    return photograph_of(Image.new("RGB", (width, height), (90, 120, 90)))


def count_of(picture: Image.Image, expression: str) -> int:
    return int((np.asarray(picture) == colour_of(expression)).all(2).sum())


@pytest.mark.parametrize(("width", "height"), [(160, 120), (1, 1), (3000, 20), (11, 900), (1601, 1203)])
def test_the_size_depends_on_the_photograph_alone(width: int, height: int):
    given = photograph(width, height)
    sizes = {annotated(given, [face()] * faces).size for faces in (0, 1, 2, 40)}
    assert len(sizes) == 1
    ((w, h),) = sizes
    assert w % 2 == h % 2 == 0 and w >= 640 * (width >= height) and max(w, h) < 1280 + 400


def test_an_answer_is_drawn_in_its_colour_and_no_face_in_none():
    empty, drawn = annotated(photograph(), []), annotated(photograph(), [face()])
    assert count_of(empty, "anger") == 0 and count_of(drawn, "anger") > 1000


def test_a_box_is_where_the_face_is():
    """160 px are drawn as 640: the sides of the box are at 4 x 30 and 4 x 90; inside, the photograph stays."""
    pixels = np.asarray(annotated(photograph(), [face()]))
    coloured = (pixels[300] == colour_of("anger")).all(1)
    assert sorted({round(x / 4) for x in np.flatnonzero(coloured[:600])}) == [30, 90]
    assert (pixels[300, 140:340] == (90, 120, 90)).all()


def test_boxes_follow_a_photograph_that_was_made_smaller():
    small = photograph(1600, 1200)
    given = Photograph(pixels=small.pixels, scale=2.0)
    large = annotated(given, [face((600, 400, 1800, 2000))])
    expected = annotated(small, [face((300, 200, 900, 1000))])
    np.testing.assert_array_equal(np.asarray(large), np.asarray(expected))


@pytest.mark.parametrize("faces", [1, 2])
def test_a_bar_grows_with_its_probability(faces: int):
    none, little, much = (
        count_of(annotated(photograph(), [face(sadness=share)] * faces), "sadness") for share in (0, 0.15, 0.45)
    )
    assert none == 0 and 2.5 < much / little < 3.6


def test_the_inset_is_what_the_network_saw():
    pixels = noise(2, 40, 3).repeat(4, 0).repeat(4, 1)  # blocks of 4 px
    given = Photograph(pixels=pixels, scale=2.0)
    plain = FaceExpression(**(vars(face((40, 80, 120, 160))) | {"attention": None}))
    found = np.asarray(inset(given, plain, 40))
    np.testing.assert_array_equal(found, pixels[40:80, 20:60])  # half of (40, 80), at the size it has there


def test_attention_colours_the_face_where_it_is_high():
    """Closed form at the ends: the lowest value leaves the face, the highest takes the share `BLEND` of its colour."""
    pixels = noise(1, 64, 3)
    flat = np.full((7, 7), 0.3, np.float32)
    np.testing.assert_array_equal(heated(pixels, flat), pixels)
    attention = np.zeros((7, 7), np.float32)
    attention[:, 4:] = 0.5
    found = heated(pixels, attention)
    hottest = 255 * np.array(matplotlib.colormaps[HEAT](1.0)[:3])
    np.testing.assert_array_equal(found[:, :8], pixels[:, :8])
    np.testing.assert_allclose(found[:, -8:], (1 - BLEND) * pixels[:, -8:] + BLEND * hottest, atol=1.01)


def test_more_faces_than_cards_are_told():
    """480 px hold two cards: with the third face a line of words comes, the fourth changes the words alone."""
    two, three, four = (np.asarray(annotated(photograph(), [face()] * count))[:, 650:] for count in (2, 3, 4))
    words = min(np.flatnonzero((two != three).any((1, 2))))
    assert words > 2 * INSET
    np.testing.assert_array_equal(three[:words], four[:words])
    assert (three[words:] != four[words:]).any()


def test_photographs_become_pictures_with_names_of_their_own(tmp_path: Path):
    paths = [save(tmp_path / name, noise(1, 30, 3)) for name in ("a/x.png", "b/x.jpg", "b/y.png")]
    (tmp_path / "b/z.png").write_bytes(b"no picture")
    with AnnotatedFiles(tmp_path / "out") as files:
        for frame in frames([*paths, tmp_path / "b/z.png"]):
            files.add(frame, [face()])
    assert sorted(os.listdir(tmp_path / "out")) == ["x-faces-2.png", "x-faces.png", "y-faces.png"]
    expected = annotated(photograph_of(Image.fromarray(noise(1, 30, 3))), [face()])
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "out/x-faces.png")), np.asarray(expected))


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp"])
def test_one_photograph_may_have_a_file_named(tmp_path: Path, suffix: str):
    (frame,) = frames([save(tmp_path / "x.png", noise(1, 30, 3))])
    with AnnotatedFiles(tmp_path / f"answer.{suffix}") as files:
        files.add(frame, [])
    with Image.open(tmp_path / f"answer.{suffix}") as written:
        assert written.width > 640 and written.format == {"jpg": "JPEG"}.get(suffix, suffix.upper())


def test_a_video_becomes_a_video(tmp_path: Path):
    cv2 = pytest.importorskip("cv2")
    paths = [video(tmp_path / f"{name}.avi", count=count) for name, count in (("a", 5), ("b", 3))]
    with AnnotatedFiles(tmp_path / "out") as files:
        for frame in frames(paths):
            files.add(frame, [face()])
    assert sorted(os.listdir(tmp_path / "out")) == ["a-faces.mp4", "b-faces.mp4"]
    capture = cv2.VideoCapture(str(tmp_path / "out/a-faces.mp4"))
    assert (capture.get(cv2.CAP_PROP_FRAME_COUNT), capture.get(cv2.CAP_PROP_FPS)) == (5, 10)
    capture.release()


def test_a_video_that_is_broken_off_leaves_no_file(tmp_path: Path):
    pytest.importorskip("cv2")
    with pytest.raises(KeyboardInterrupt), AnnotatedFiles(tmp_path / "out") as files:
        for frame in frames([video(tmp_path / "a.avi")]):
            files.add(frame, [])
            if frame.frame == 3:
                raise KeyboardInterrupt
    assert os.listdir(tmp_path / "out") == []


def test_what_was_there_before_is_kept_unless_asked(tmp_path: Path):
    photo = save(tmp_path / "x.png", noise(1, 30, 3))
    for out in (photo, tmp_path / "out/../x.png"):
        with pytest.raises(ValueError, match=r"x\.png is the photograph itself, which is never overwritten"):
            AnnotatedFiles(out, inputs=[photo], overwrite=True)
    (tmp_path / "out").mkdir(exist_ok=True)
    (tmp_path / "out/x-faces.png").write_bytes(b"somebody's")
    (tmp_path / "y.png").write_bytes(b"somebody's")
    for out in (tmp_path / "out", tmp_path / "y.png"):
        with pytest.raises(ValueError, match=r"exist already: give --overwrite"):
            AnnotatedFiles(out, inputs=[photo])
    assert (tmp_path / "out/x-faces.png").read_bytes() == (tmp_path / "y.png").read_bytes() == b"somebody's"
    with AnnotatedFiles(tmp_path / "out", inputs=[photo], overwrite=True) as files:
        for frame in frames([photo]):
            files.add(frame, [])
    with Image.open(tmp_path / "out/x-faces.png") as written:
        assert written.width > 640


def test_an_input_that_is_called_like_a_result_is_not_overwritten(tmp_path: Path):
    paths = [save(tmp_path / name, noise(1, 30, 3)) for name in ("x.png", "x-faces.png")]
    before = paths[1].read_bytes()
    with AnnotatedFiles(tmp_path, inputs=paths) as files:
        for frame in frames(paths):
            files.add(frame, [])
    assert paths[1].read_bytes() == before
    assert sorted(os.listdir(tmp_path)) == ["x-faces-2.png", "x-faces-faces.png", "x-faces.png", "x.png"]


def test_a_place_that_cannot_be_written_is_a_sentence_before_the_work(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match=r"file/out cannot be written: Not a directory; name a folder"):
        AnnotatedFiles(tmp_path / "file/out")


def test_a_name_that_is_nearly_too_long_is_shortened(tmp_path: Path):
    path = save(tmp_path / f"{'a' * 251}.png", noise(1, 30, 3))
    with AnnotatedFiles(tmp_path / "out", inputs=[path]) as files:
        for frame in frames([path]):
            files.add(frame, [])
    assert os.listdir(tmp_path / "out") == [f"{'a' * 200}-faces.png"]


@pytest.mark.parametrize(("rate", "step", "count"), [(30.0, 0.42, 25), (1000.0, 0.1, 8), (10.0, 0.5, 5)])
def test_an_annotated_video_lasts_as_long_as_its_source(tmp_path: Path, rate: float, step: float, count: int):
    """A variable frame rate, a rate that is the clock's, and every fifth frame of ten a second."""
    cv2 = pytest.importorskip("cv2")
    with AnnotatedFiles(tmp_path) as files:
        for number in range(count):
            frame = Frame(file="a.mkv", frame=number, time_s=number * step, fps=rate, picture=photograph())
            files.add(frame, [])
    capture = cv2.VideoCapture(str(tmp_path / "a-faces.mp4"))
    lasts = capture.get(cv2.CAP_PROP_FRAME_COUNT) / capture.get(cv2.CAP_PROP_FPS)
    capture.release()
    assert lasts == pytest.approx((count - 1) * step, abs=1.5 / min(rate, 60))


def test_a_class_of_any_name_is_drawn():
    """A line feed would be a second line, for which there is no room."""
    odd = replace(face(), expression="an\nger", probabilities={"an\nger": 0.8, "\N{SNOWMAN}\x1b": 0.2})
    for faces in (1, 2):
        assert annotated(photograph(), [odd] * faces).size == annotated(photograph(), [face()] * faces).size


def test_classes_in_other_scripts_are_told_apart():
    """Letters that a font lacks are all drawn as the same box."""
    faces = [
        replace(face(), expression=name, probabilities={name: 0.8}) for name in ("злость", "ярость", "怒り", "喜び")
    ]
    pictures = [np.asarray(annotated(photograph(), [one])) for one in faces]
    assert not np.array_equal(pictures[0], pictures[1]) and not np.array_equal(pictures[2], pictures[3])
