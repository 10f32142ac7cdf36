"""Pictures of every make become one upright RGB stream, or a sentence."""

import builtins
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny_sets import noise, save

from fermodels.predict import pictures
from fermodels.predict.pictures import LONGEST, NO_OPENCV, Frame, frames, photograph_of, read_photograph

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
    assert "holds no picture or video (.apng, .avi, .avif, .bmp," in sentence(tmp_path)


@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_a_hundred_megapixels_become_small_ones(tmp_path: Path, suffix: str):
    Image.new("L", (10000, 10000), 200).save(tmp_path / f"a.{suffix}")
    found = read_photograph(tmp_path / f"a.{suffix}")
    side = found.pixels.shape[0]
    assert found.pixels.shape == (side, side, 3) and LONGEST / 2 <= side <= LONGEST
    assert 0 <= found.scale * side - 10000 < found.scale and (np.abs(found.pixels.astype(int) - 200) <= 1).all()


def test_what_pillow_refuses_is_a_sentence(tmp_path: Path):
    Image.new("1", (14000, 14000)).save(tmp_path / "a.png")
    assert "exceeds limit" in sentence(tmp_path / "a.png")


def test_a_large_photograph_is_averaged_over_blocks():
    """By a double loop over the blocks: 3,300 pixels become 1,100, three at a time."""
    pixels = np.repeat(np.repeat(noise(3, 30, 3), 110, 0)[:9], 110, 1)
    found = photograph_of(Image.fromarray(pixels))
    assert found.pixels.shape == (3, 1100, 3) and found.scale == 3
    for row in range(3):
        for column in range(0, 1100, 97):
            block = pixels[3 * row : 3 * row + 3, 3 * column : 3 * column + 3]
            np.testing.assert_allclose(found.pixels[row, column], block.mean((0, 1)), atol=0.51)


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
    real = pictures.photograph_of
    monkeypatch.setattr(pictures, "photograph_of", lambda image: seen.append(1) or real(image))
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


def test_where_the_blocks_do_not_divide_the_picture_the_scale_is_still_theirs(tmp_path: Path):
    """1,601 pixels are 800 pairs and one over; a JPEG of 12,801 is decoded at an eighth, in 1,601 blocks, then so."""
    assert photograph_of(Image.new("L", (1601, 5))).scale == 2
    Image.new("L", (12801, 16)).save(tmp_path / "a.jpg")
    found = read_photograph(tmp_path / "a.jpg")
    assert (found.scale, found.pixels.shape) == (16, (1, 801, 3))
