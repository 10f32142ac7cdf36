"""Decoding: pixels come out as they lie in the file, once, and a broken one is named."""

import os
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny_sets import noise, save

from fermodels.data import decode as decoding
from fermodels.data.base import LoadOptions, Split
from fermodels.data.decode import decode, pixel_hash
from fermodels.data.eight_bits import as_mode
from fermodels.data.rows import Rows, Skips, file_rows


def listed(root: Path) -> Rows:
    names = sorted(path.name for path in root.glob("*.*"))
    return file_rows("tiny", root, names, np.arange(len(names)))


def opened(root: Path, cache: Path, size: int = 20, channels: int = 3, skips: Skips | None = None) -> Split:
    return decode(listed(root), channels, LoadOptions(size=size, cache=cache), skips or Skips(allowed=False))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for seed in range(6):
        save(tmp_path / "faces" / f"{seed}.png", noise(seed, 20, 3))
    return tmp_path / "faces"


def test_pixels_are_the_files_own_at_their_own_size(root: Path, tmp_path: Path):
    split = opened(root, tmp_path / "cache")
    for seed in range(6):
        np.testing.assert_array_equal(split.images[seed], noise(seed, 20, 3))


def test_images_are_memory_mapped_and_read_only(root: Path, tmp_path: Path):
    images = opened(root, tmp_path / "cache", size=8).images
    assert isinstance(images, np.memmap) and images.shape == (6, 8, 8, 3)
    with pytest.raises(ValueError, match="read-only"):
        images[0] = 0


def test_resizing_keeps_a_flat_image_flat_and_commutes_with_the_mirror(tmp_path: Path):
    save(tmp_path / "faces/a.png", np.full((31, 31, 3), 77, np.uint8))
    save(tmp_path / "faces/b.png", noise(1, 31, 3))
    save(tmp_path / "faces/c.png", noise(1, 31, 3)[:, ::-1])
    images = opened(tmp_path / "faces", tmp_path / "cache", size=13).images
    assert (images[0] == 77).all()
    np.testing.assert_array_equal(images[2], images[1][:, ::-1])


def test_a_second_opening_decodes_nothing(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    first = opened(root, tmp_path / "cache")
    monkeypatch.setattr(decoding, "_decode_one", lambda *_: pytest.fail("decoded again"))
    again = opened(root, tmp_path / "cache")
    np.testing.assert_array_equal(again.images, first.images)
    np.testing.assert_array_equal(again.hashes, first.hashes)


@pytest.mark.parametrize("change", ["content", "added", "removed"])
def test_a_changed_source_is_noticed(root: Path, tmp_path: Path, change: str):
    opened(root, tmp_path / "cache")
    if change == "content":
        save(root / "3.png", noise(99, 20, 3))
        os.utime(root / "3.png", ns=(1, 1))
    elif change == "added":
        save(root / "7.png", noise(7, 20, 3))
    else:
        (root / "3.png").unlink()
    images = opened(root, tmp_path / "cache").images
    expected = {"content": (6, 99), "added": (7, 3), "removed": (5, 4)}[change]
    assert len(images) == expected[0]
    np.testing.assert_array_equal(images[3], noise(expected[1], 20, 3))


def test_size_and_channels_have_entries_of_their_own(root: Path, tmp_path: Path):
    shapes = [opened(root, tmp_path / "cache", size, channels).images.shape for size in (8, 9) for channels in (1, 3)]
    assert shapes == [(6, 8, 8, 1), (6, 8, 8, 3), (6, 9, 9, 1), (6, 9, 9, 3)]


def test_a_run_stopped_in_the_middle_leaves_nothing_behind(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def stop(rows: Rows, index: int, *_: int) -> tuple[bytes, int]:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(decoding, "_decode_one", stop)
        opened(root, tmp_path / "cache")
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]
    assert len(opened(root, tmp_path / "cache")) == 6


def test_a_damaged_entry_is_made_again(root: Path, tmp_path: Path):
    opened(root, tmp_path / "cache")
    (pixels,) = (tmp_path / "cache").rglob("images.u8")
    pixels.write_bytes(b"short")
    np.testing.assert_array_equal(opened(root, tmp_path / "cache").images[5], noise(5, 20, 3))


def test_a_flipped_bit_in_the_cache_is_found_told_and_mended(root: Path, tmp_path: Path, capsys):
    """Else the same data set would be another one, and everything would be trained anew under another key."""
    before = np.array(opened(root, tmp_path / "cache").images)
    (pixels,) = (tmp_path / "cache").rglob("images.u8")
    damaged = bytearray(pixels.read_bytes())
    damaged[1000] ^= 4
    pixels.write_bytes(damaged)
    np.testing.assert_array_equal(opened(root, tmp_path / "cache").images, before)
    assert "have changed since they were written): its pictures are decoded again" in capsys.readouterr().err
    opened(root, tmp_path / "cache")
    assert not capsys.readouterr().err


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 broken", b"text"])
def test_a_damaged_account_of_the_rows_is_made_again(root: Path, tmp_path: Path, content: bytes):
    opened(root, tmp_path / "cache")
    (account,) = (tmp_path / "cache").rglob("rows.npz")
    account.write_bytes(content)
    assert len(opened(root, tmp_path / "cache")) == 6


@pytest.mark.parametrize("damage", ["truncated", "text", "empty"])
def test_a_broken_image_is_named(root: Path, tmp_path: Path, damage: str):
    whole = (root / "2.png").read_bytes()
    (root / "2.png").write_bytes({"truncated": whole[:200], "text": b"not an image", "empty": b""}[damage])
    with pytest.raises(ValueError, match=r"2\.png cannot be read.*--skip-broken"):
        opened(root, tmp_path / "cache")


def test_skipping_keeps_the_others_in_order_and_counts(root: Path, tmp_path: Path):
    for name in ("1.png", "4.png"):
        (root / name).write_bytes(b"not an image")
    for _ in range(2):  # decoded, then from the cache
        skips = Skips(allowed=True)
        split = opened(root, tmp_path / "cache", skips=skips)
        assert list(split.names) == ["0.png", "2.png", "3.png", "5.png"]
        assert split.labels.tolist() == [0, 2, 3, 5]
        np.testing.assert_array_equal(split.images[3], noise(5, 20, 3))
        assert skips.count == 2 and "Skipped 2" in skips.notes[0] and "1.png" in skips.notes[0]
    with pytest.raises(ValueError, match=r"1\.png"):
        opened(root, tmp_path / "cache")


def test_five_are_named_and_the_rest_counted():
    skips = Skips(allowed=True)
    for number in range(1200):
        skips.report(f"image {number}")
    (note,) = skips.notes
    assert "image 4" in note and "image 5" not in note and "and 1,195 more" in note


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P", "CMYK", "1", "LA"])
@pytest.mark.parametrize(("channels", "expected"), [(1, "L"), (3, "RGB")])
def test_every_mode_becomes_grey_or_rgb(mode: str, channels: int, expected: str):
    assert as_mode(Image.fromarray(noise(0, 8, 3)).convert(mode), channels).mode == expected


def test_sixteen_bits_are_scaled_not_clipped():
    grey = as_mode(Image.fromarray(np.array([[0, 256, 32768, 65535]], np.uint16)), 1)
    assert np.asarray(grey).tolist() == [[0, 1, 128, 255]]


def test_exif_rotation_is_applied(tmp_path: Path):
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown turned a quarter clockwise
    (tmp_path / "faces").mkdir()
    Image.fromarray(noise(0, 20, 3)).save(tmp_path / "faces/turned.png", exif=exif)
    images = opened(tmp_path / "faces", tmp_path / "cache").images
    np.testing.assert_array_equal(images[0], np.rot90(noise(0, 20, 3), -1))


def test_an_oblong_image_is_cropped_to_its_centre(tmp_path: Path):
    wide = np.concatenate([np.zeros((20, 10, 3), np.uint8), noise(0, 20, 3), np.zeros((20, 10, 3), np.uint8)], axis=1)
    save(tmp_path / "faces/wide.png", wide)
    np.testing.assert_array_equal(opened(tmp_path / "faces", tmp_path / "cache").images[0], noise(0, 20, 3))


def test_boxes_crop_pad_and_are_refused_outside(root: Path, tmp_path: Path):
    boxes = np.array([[4, 2, 14, 12], [-5, 0, 5, 10], [30, 30, 40, 40]])
    rows = file_rows("boxed", root, ["0.png", "1.png", "2.png"], np.zeros(3, np.int64), boxes)
    skips = Skips(allowed=True)
    images = decode(rows, 3, LoadOptions(size=10, cache=tmp_path / "cache"), skips).images
    np.testing.assert_array_equal(images[0], noise(0, 20, 3)[2:12, 4:14])
    np.testing.assert_array_equal(images[1][:, 5:], noise(1, 20, 3)[:10, :5])
    assert (images[1][:, :5] == 0).all()
    assert skips.count == 1 and "2.png" in skips.named[0] and "outside the 20x20" in skips.named[0]


def test_equal_pixels_hash_equal_and_shape_counts():
    pixels = noise(0, 8).tobytes()
    assert pixel_hash(pixels, (8, 8)) == pixel_hash(bytes(pixels), (8, 8))
    assert (
        len({pixel_hash(pixels, (8, 8)), pixel_hash(pixels, (4, 16)), pixel_hash(noise(1, 8).tobytes(), (8, 8))}) == 3
    )


def test_memory_holds_one_batch_not_the_set(tmp_path: Path):
    flat = Image.fromarray(np.full((8, 8), 7, np.uint8))
    rows = Rows(
        name="many",
        names=[str(i) for i in range(1500)],
        labels=np.zeros(1500, np.int64),
        fingerprint="x",
        read=lambda _: flat,
    )  # 1,500 images of 128x128x3 are 74 MB, one batch is 13 MB
    tracemalloc.start()
    images = decode(rows, 3, LoadOptions(size=128, cache=tmp_path), Skips(allowed=False)).images
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (images[-1] == 7).all() and images.nbytes > 70e6
    assert peak < 30e6


def test_the_bar_is_silent_off_a_terminal(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    decode(listed(root), 3, LoadOptions(size=8, cache=tmp_path / "cache", progress=True), Skips(allowed=False))
    assert capsys.readouterr() == ("", "")
