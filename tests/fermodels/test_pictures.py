"""Pictures of every make become one upright RGB stream, or a sentence."""

import builtins
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny_sets import noise, save

from fermodels.predict import videos
from fermodels.predict.pictures import Frame, read_photograph
from fermodels.predict.sources import LeftOut, frames
from fermodels.predict.videos import MISSES, NO_OPENCV

RED, BLUE = (220, 30, 20), (10, 40, 230)


def halves(width: int = 40, height: int = 24) -> Image.Image:
    """Red on the left, blue on the right."""
    picture = Image.new("RGB", (width, height), BLUE)
    picture.paste(RED, (0, 0, width // 2, height))
    return picture


def video(path: Path, count: int = 12, fps: float = 10.0) -> Path:
    cv2 = pytest.importorskip("cv2")
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), fps, (64, 48))
    for number in range(count):
        writer.write(np.full((48, 64, 3), (10 * number, 128, 255 - 10 * number), np.uint8))  # BGR
    writer.release()
    return path


def sentence(path: Path) -> str:
    (frame,) = frames([path])
    assert isinstance(frame.picture, str) and frame.file == str(path)
    return frame.picture


def test_pixels_of_a_whole_file_are_its_own(tmp_path: Path):
    path = save(tmp_path / "a.png", noise(1, 40, 3))
    found = read_photograph(path)
    np.testing.assert_array_equal(found.pixels, noise(1, 40, 3))
    assert found.scale == 1


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_photograph_stands_upright(tmp_path: Path, orientation: int):
    """Each of the eight EXIF orientations, undone by hand: what the camera stored is the upright picture moved."""
    upright = np.asarray(halves())
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright, 1),
        7: upright[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(upright, 3),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(np.ascontiguousarray(stored)).save(tmp_path / "a.png", exif=exif)
    np.testing.assert_array_equal(read_photograph(tmp_path / "a.png").pixels, upright)


def test_sixteen_bits_keep_their_brightness(tmp_path: Path):
    grey = np.linspace(0, 65535, 30 * 20).reshape(20, 30).astype(np.uint16)
    Image.fromarray(grey).save(tmp_path / "a.png")
    expected = np.repeat((grey // 256).astype(np.uint8)[..., None], 3, 2)
    np.testing.assert_array_equal(read_photograph(tmp_path / "a.png").pixels, expected)


def test_cmyk_keeps_its_colours(tmp_path: Path):
    halves().convert("CMYK").save(tmp_path / "a.jpg", quality=98)
    pixels = read_photograph(tmp_path / "a.jpg").pixels.astype(int)
    assert np.abs(pixels[12, 5] - RED).max() < 12 and np.abs(pixels[12, 35] - BLUE).max() < 12


def test_an_animation_is_its_first_frame(tmp_path: Path):
    first, second = (Image.new("RGB", (9, 7), colour) for colour in (RED, BLUE))
    first.save(tmp_path / "a.gif", save_all=True, append_images=[second], duration=100)
    assert np.abs(read_photograph(tmp_path / "a.gif").pixels.astype(int) - RED).max() < 12


def test_one_pixel_is_a_picture(tmp_path: Path):
    assert read_photograph(save(tmp_path / "a.png", noise(1, 1, 3))).pixels.shape == (1, 1, 3)


def test_a_truncated_jpeg_is_a_sentence(tmp_path: Path):
    path = save(tmp_path / "a.jpg", noise(1, 64, 3))
    path.write_bytes(path.read_bytes()[:-600])
    assert "truncated" in sentence(path)


@pytest.mark.parametrize("content", [b"", b"no picture at all", b"\x89PNG\r\n\x1a\n" + b"\0" * 40])
def test_what_is_no_picture_is_a_sentence(tmp_path: Path, content: bytes):
    (tmp_path / "a.png").write_bytes(content)
    assert sentence(tmp_path / "a.png")


def test_what_is_not_there_is_a_sentence(tmp_path: Path):
    assert sentence(tmp_path / "a.jpg") == sentence(tmp_path / "a.mp4") == "there is no such file"


def test_an_empty_folder_is_a_sentence(tmp_path: Path):
    (tmp_path / "notes.txt").write_text("nothing to see")
    assert "holds no picture or video (.3g2, .3gp, .apng, .avi, .avif, .bmp," in sentence(tmp_path)


def test_large_photographs_keep_their_pixels_until_they_are_too_many(tmp_path: Path):
    """A JPEG file is then decoded at a part of its size, which `scale` tells; what cannot be is refused."""
    Image.new("L", (4000, 3000), 200).save(tmp_path / "a.png")
    assert read_photograph(tmp_path / "a.png").pixels.shape == (3000, 4000, 3)
    Image.new("L", (10400, 10000), 200).save(tmp_path / "a.jpg")
    found = read_photograph(tmp_path / "a.jpg")
    assert (found.scale, found.pixels.shape) == (2, (5000, 5200, 3))
    Image.new("1", (13370, 13370)).save(tmp_path / "b.png")
    assert "13,370 x 13,370 pixels, allowed are 100 million" in sentence(tmp_path / "b.png")


def test_folders_are_sorted_and_searched_below(tmp_path: Path):
    for name in ("b.png", "a/z.jpg", "a/y.PNG", "c.txt"):
        save(tmp_path / name, noise(1, 8, 3)) if name[-3:] != "txt" else (tmp_path / name).write_text("")
    found = [Path(frame.file).relative_to(tmp_path).as_posix() for frame in frames([tmp_path])]
    assert found == ["a/y.PNG", "a/z.jpg", "b.png"]


def test_the_order_of_the_paths_is_kept_and_a_broken_one_stops_nothing(tmp_path: Path):
    good = save(tmp_path / "good.png", noise(1, 8, 3))
    (tmp_path / "bad.png").write_bytes(b"x")
    found = [isinstance(frame.picture, str) for frame in frames([good, tmp_path / "bad.png", good])]
    assert found == [False, True, False]


def test_a_video_has_frames_with_times_and_colours(tmp_path: Path):
    found = list(frames([video(tmp_path / "a.avi")]))
    assert [frame.frame for frame in found] == list(range(12))
    assert [frame.time_s for frame in found] == pytest.approx([number / 10 for number in range(12)], abs=2e-3)
    for number, frame in enumerate(found):
        assert frame.fps == 10 and not isinstance(frame.picture, str)
        expected = (255 - 10 * number, 128, 10 * number)
        assert np.abs(frame.picture.pixels[24, 32].astype(int) - expected).max() < 8


def test_a_video_is_read_frame_by_frame(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    seen: list[int] = []
    real = videos.photograph_of
    monkeypatch.setattr(videos, "photograph_of", lambda image: seen.append(1) or real(image))
    stream = frames([video(tmp_path / "a.avi")])
    next(stream), next(stream)
    assert len(seen) == 2


def test_a_video_that_ends_too_early_says_so(tmp_path: Path):
    path = video(tmp_path / "a.avi", count=30)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    *whole, last = frames([path])
    assert 0 < len(whole) < 30 and last.frame == len(whole)
    assert last.picture == f"the video ends after {len(whole)} of the 30 frames that it announces"


def test_what_is_no_video_is_a_sentence(tmp_path: Path):
    pytest.importorskip("cv2")
    (tmp_path / "a.mp4").write_bytes(b"no video")
    assert sentence(tmp_path / "a.mp4") == "it is no video that OpenCV can read"


def test_without_opencv_a_video_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "a.mp4").write_bytes(b"")
    real = builtins.__import__

    def without(module: str, *rest, **named):
        if module == "cv2":
            raise ImportError
        return real(module, *rest, **named)

    monkeypatch.setattr(builtins, "__import__", without)
    assert sentence(tmp_path / "a.mp4") == NO_OPENCV


def test_a_name_that_is_no_utf8_can_be_printed(tmp_path: Path):
    path = tmp_path / "a\udcff.png"
    Image.fromarray(noise(1, 8, 3)).save(path)
    (frame,) = frames([tmp_path])
    assert isinstance(frame, Frame) and not isinstance(frame.picture, str)
    assert frame.file.encode().endswith(b"a\\udcff.png")


@pytest.mark.parametrize("name", ["a.jfif", "a.jpe", "a.avif", "a.jp2", "a.tga"])
def test_folders_give_pictures_of_every_suffix(tmp_path: Path, name: str):
    plain = save(tmp_path / "plain.png", noise(1, 16, 3))
    kind = {"jfif": "JPEG", "jpe": "JPEG"}.get(name[2:])
    Image.fromarray(noise(1, 16, 3)).save(tmp_path / name, kind)
    found = list(frames([tmp_path]))
    assert [Path(frame.file).name for frame in found] == [name, plain.name]
    assert not any(isinstance(frame.picture, str) for frame in found)


@pytest.mark.parametrize("suffix", ["ts", "mts", "flv", "3gp"])
def test_folders_give_videos_of_every_suffix(tmp_path: Path, suffix: str):
    video(tmp_path / "a.avi", count=3).rename(tmp_path / f"a.{suffix}")
    assert [frame.frame for frame in frames([tmp_path])] == [0, 1, 2]


def test_what_a_folder_holds_besides_is_counted_and_named(tmp_path: Path):
    save(tmp_path / "a.png", noise(1, 8, 3))
    (tmp_path / "._a.png").write_bytes(b"notes of macOS")
    (tmp_path / "b.heic").write_bytes(b"\0\0\0\x18ftypheic")
    for number in range(9):
        (tmp_path / f"{number}.txt").write_text("")
    left_out = LeftOut()
    good, heic = frames([tmp_path], left_out=left_out)
    assert not isinstance(good.picture, str) and "HEIC" in str(heic.picture)
    assert left_out.count == 10 and str(left_out).endswith("3.txt and 5 more") and "._a.png" in str(left_out)


def test_linked_folders_are_searched_once(tmp_path: Path):
    save(tmp_path / "elsewhere/b.png", noise(1, 8, 3))
    save(tmp_path / "photos/a.png", noise(1, 8, 3))
    (tmp_path / "photos/linked").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    (tmp_path / "elsewhere/back").symlink_to(tmp_path / "photos", target_is_directory=True)
    assert [Path(frame.file).name for frame in frames([tmp_path / "photos"])] == ["a.png", "b.png"]


def test_a_folder_that_may_not_be_read_is_a_sentence_and_the_rest_is_read(tmp_path: Path, monkeypatch):
    good = save(tmp_path / "z.png", noise(1, 8, 3))
    (tmp_path / "closed").mkdir()
    real = os.listdir

    def listdir(path):
        if Path(path).name == "closed":
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr(os, "listdir", listdir)  # root may read everything
    closed, whole = frames([tmp_path])
    assert closed.picture == "the folder cannot be read: Permission denied"
    assert whole.file == str(good) and not isinstance(whole.picture, str)


@pytest.mark.timeout(10)
@pytest.mark.parametrize("name", ["pipe.jpg", "pipe.mp4"])
def test_a_named_pipe_is_refused(tmp_path: Path, name: str):
    pytest.importorskip("cv2")
    os.mkfifo(tmp_path / name)
    assert "no regular file" in sentence(tmp_path / name)


@pytest.mark.parametrize("name", ["a" * 300 + ".jpg", "a" * 300 + ".mp4", "a\0.png"])
def test_a_name_that_no_file_can_have_is_a_sentence(name: str):
    assert sentence(Path(name))


def test_a_video_goes_on_behind_a_broken_packet(tmp_path: Path):
    """The first frame of an MPEG-4 video has its header wiped: 25 of 26 can be read, and its place is told."""
    cv2 = pytest.importorskip("cv2")
    path = tmp_path / "a.mp4"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 10.0, (64, 48))
    for number in range(26):
        writer.write(np.full((48, 64, 3), 8 * number, np.uint8))
    writer.release()
    data = bytearray(path.read_bytes())
    start = data.find(b"mdat") + 4
    data[start : start + 56] = bytes(56)
    path.write_bytes(data)
    found = list(frames([path]))
    assert [frame.frame for frame in found] == list(range(26))
    assert found[0].picture == "this frame cannot be decoded"
    assert [frame.time_s for frame in found[1:]] == pytest.approx([number / 10 for number in range(1, 26)], abs=2e-3)


class Capture:
    """A video of OpenCV, told by a list: each entry a position in milliseconds, or None for what cannot be read."""

    def __init__(self, positions: list[float | None], announced: int, fps: float) -> None:
        self.positions, self.at, self.told = positions, -1, {7: announced, 5: fps}

    def grab(self) -> bool:
        self.at += 1
        return self.at < len(self.positions) and self.positions[self.at] is not None

    def retrieve(self):
        return True, np.zeros((8, 8, 3), np.uint8)

    def get(self, what: int) -> float:
        return self.positions[self.at] if what == 0 else self.told[what]  # type: ignore[return-value]

    def release(self) -> None:
        pass


def watched(monkeypatch: pytest.MonkeyPatch, capture: Capture, tmp_path: Path, every: int = 1) -> list[Frame]:
    cv2 = pytest.importorskip("cv2")
    monkeypatch.setattr(cv2, "VideoCapture", lambda path: capture)
    (tmp_path / "a.mkv").write_bytes(b"a video")
    return list(frames([tmp_path / "a.mkv"], every=every))


def test_positions_that_a_container_does_not_know_are_counted_on(monkeypatch, tmp_path: Path):
    found = watched(monkeypatch, Capture([0, 100, 200, 0, 0], 5, 10.0), tmp_path)
    assert [frame.time_s for frame in found] == pytest.approx([0, 0.1, 0.2, 0.3, 0.4])


def test_a_variable_frame_rate_is_no_early_end(monkeypatch, tmp_path: Path):
    """25 frames over 10.08 s in a container that says 30 a second, so that 316 are announced."""
    found = watched(monkeypatch, Capture([420.0 * number for number in range(25)], 316, 30.0), tmp_path)
    assert len(found) == 25 and not any(isinstance(frame.picture, str) for frame in found)
    assert found[-1].time_s == pytest.approx(10.08)


def test_broken_frames_have_rows_and_the_end_is_found(monkeypatch, tmp_path: Path):
    capture = Capture([0, None, None, 300, *[None] * 9, 1300], 14, 10.0)
    found = watched(monkeypatch, capture, tmp_path)
    assert [frame.frame for frame in found] == list(range(14)) and capture.at == 14 + MISSES
    assert [number for number, frame in enumerate(found) if not isinstance(frame.picture, str)] == [0, 3, 13]


@pytest.mark.parametrize("every", [2, 5])
def test_of_a_video_every_so_manieth_frame_may_be_taken(monkeypatch, tmp_path: Path, every: int):
    found = watched(monkeypatch, Capture([100.0 * number for number in range(12)], 12, 10.0), tmp_path, every)
    assert [frame.frame for frame in found] == list(range(0, 12, every))
    assert [frame.time_s for frame in found] == pytest.approx([number / 10 for number in range(0, 12, every)])


def test_an_address_is_a_stream(monkeypatch):
    cv2 = pytest.importorskip("cv2")
    asked = []
    monkeypatch.setattr(cv2, "VideoCapture", lambda name: asked.append(name) or Capture([0, 40], 0, 25.0))
    *seen, last = frames(["rtsp://camera.local/live"])
    assert asked == ["rtsp://camera.local/live"] and [frame.frame for frame in seen] == [0, 1]
    assert last.picture == "it has stopped" and last.file == "rtsp://camera.local/live"
