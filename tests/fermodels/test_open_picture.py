"""What is opened as a picture: known raster formats in regular files of a sane size, at every depth."""

import io
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fermodels.data.eight_bits import as_mode, eight_bits
from fermodels.data.open_picture import MOST_PIXELS, SUFFIXES, open_picture

ROOT = Path(__file__).resolve().parents[2]
POSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n{} loop\n%%EOF\n"
FOREIGN = {
    "eps": POSTSCRIPT,
    "eps in dos": struct.pack("<IIIIIIIH", 0xC6D3D0C5, 30, len(POSTSCRIPT), 0, 0, 0, 0, 0xFFFF) + POSTSCRIPT,
    "pdf": b"%PDF-1.4\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF",
    "wmf": b"\xd7\xcd\xc6\x9a\0\0" + struct.pack("<hhhhHIH", 0, 0, 9, 9, 72, 0, 0) + b"\x01\0\t\0\0\x03" + bytes(40),
    "emf": struct.pack("<II4i4i", 1, 88, 0, 0, 9, 9, 0, 0, 9, 9) + b" EMF" + bytes(60),
    "svg": b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>',
    "fli": struct.pack("<IHHHHHHH", 200, 0xAF11, 1, 9, 9, 8, 3, 5) + bytes(200),
    "html": b"<html><body>not found</body></html>",
    "nothing": b"",
}


def noise(side: int, channels: int = 3) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (side, side, channels), dtype=np.uint8)


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "webp", "tga", "eps"])
@pytest.mark.parametrize("kind", FOREIGN)
def test_bytes_of_other_formats_are_refused_under_every_name(kind: str, suffix: str, tmp_path: Path, monkeypatch):
    monkeypatch.setattr("subprocess.Popen", lambda *_, **__: pytest.exit("a picture has started a program"))
    file = tmp_path / f"a.{suffix}"
    file.write_bytes(FOREIGN[kind])
    with pytest.raises(ValueError, match="no picture in a known format"):
        open_picture(file)


def test_no_other_line_opens_pictures():
    sources = [path for room in ("compress", "fermodels", "bench") for path in (ROOT / room).rglob("*.py")]
    opening = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in sources
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        if any(word in line for word in ("Image.open(", "imread(", "imdecode(", "ImageFile.Parser"))
        and "return Image.open(source, formats=formats)" not in line
        and ">>>" not in line
    ]
    assert not opening


@pytest.mark.parametrize("suffix", sorted(SUFFIXES - {".mpo", ".pfm", ".pbm"}))
def test_a_picture_of_every_suffix_is_read(suffix: str, tmp_path: Path):
    formats = {".jfif": "JPEG", ".jpe": "JPEG", ".jpf": "JPEG2000", ".pgm": "PPM", ".j2k": "JPEG2000"}
    Image.fromarray(noise(32)).save(tmp_path / f"a{suffix}", formats.get(suffix))
    assert open_picture(tmp_path / f"a{suffix}").image.size == (32, 32)


def test_of_several_pictures_in_a_file_the_first_is_taken(tmp_path: Path):
    for name in ("a.mpo", "a.gif", "a.webp", "a.png", "a.tif"):
        one, other = Image.new("RGB", (16, 16), (250, 0, 0)), Image.new("RGB", (16, 16), (0, 0, 250))
        one.save(tmp_path / name, save_all=True, append_images=[other])
        red, green, blue = np.asarray(as_mode(open_picture(tmp_path / name).image, 3))[8, 8].tolist()
        assert red > 240 and green < 10 and blue < 10
    (tmp_path / "a.mpo").rename(tmp_path / "a.jpg")
    assert open_picture(tmp_path / "a.jpg").image.size == (16, 16)


def test_turned_cameras_are_undone_and_damaged_notes_are_not_the_pictures_fault(tmp_path: Path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(noise(32)[:16]).save(tmp_path / "a.png", exif=exif)
    assert open_picture(tmp_path / "a.png").image.size == (16, 32)
    Image.fromarray(noise(32)[:16]).save(tmp_path / "b.jpg", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    assert open_picture(tmp_path / "b.jpg").image.size == (32, 16)


def test_what_is_no_file_is_refused_at_once(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe.jpg")
    for name, sentence in (
        ("pipe.jpg", "no regular file"),
        ("/dev/zero", "no regular file"),
        ("", "it is a folder"),
        ("none.jpg", "there is no such file"),
        ("n" * 300 + ".jpg", "File name too long"),
        ("a\0b.jpg", "null byte"),
    ):
        with pytest.raises(ValueError, match=sentence):
            open_picture(tmp_path / name)


def test_heic_is_told_apart(tmp_path: Path):
    (tmp_path / "a.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(64))
    with pytest.raises(ValueError, match="HEIC, which is not read here: convert it"):
        open_picture(tmp_path / "a.heic")


def png_of(width: int, height: int) -> bytes:
    """A grey PNG file of zeros, which are next to no bytes however many there are."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    packer = zlib.compressobj(9)
    row = bytes(width + 1)
    packed = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


def test_a_bomb_is_refused_before_its_pixels_are_decoded(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(Image.core, "zip_decoder", lambda *_: pytest.exit("its pixels are decoded"))
    with pytest.raises(ValueError, match=r"13,370 x 13,370 pixels, allowed are 100 million"):
        open_picture(io.BytesIO(png_of(13370, 13370)))
    with pytest.raises(ValueError, match="exceeds limit"):  # Pillow's own
        open_picture(io.BytesIO(png_of(60000, 5000)))


def jpeg(width: int, height: int, **settings: object) -> io.BytesIO:
    stream = io.BytesIO()
    Image.new("L", (width, height), 99).save(stream, "JPEG", **settings)
    return stream


def test_large_jpeg_files_are_decoded_at_a_part_of_their_size():
    whole = open_picture(jpeg(3300, 200))
    assert (whole.image.size, whole.drafted) == ((3300, 200), 1)
    large = open_picture(jpeg(12000, 9000))
    assert MOST_PIXELS < 12000 * 9000 and (large.image.size, large.drafted) == ((6000, 4500), 2)


def test_a_large_progressive_jpeg_file_is_refused_because_it_is_held_whole():
    with pytest.raises(ValueError, match="allowed are 100 million"):
        open_picture(jpeg(12000, 9000, progressive=True))


RAMP = np.linspace(0, 1, 64).reshape(8, 8)
EIGHT = np.rint(RAMP * 255).astype(np.uint8)
DEEP = {
    "reals from 0 to 1": RAMP.astype(np.float32),
    "reals from 0 to 255": (RAMP * 255).astype(np.float32),
    "8 bits in reals": EIGHT.astype(np.float32),
    "8 bits in 16": EIGHT.astype(np.uint16),
    "8 bits in 32": EIGHT.astype(np.int32),
    "10 bits in 16": np.rint(RAMP * 1023).astype(np.uint16),
    "12 bits in 16": np.rint(RAMP * 4095).astype(np.uint16),
    "12 bits in 32": np.rint(RAMP * 4095).astype(np.int32),
    "14 bits in 16": np.rint(RAMP * 16383).astype(np.uint16),
    "16 bits": np.rint(RAMP * 65535).astype(np.uint16),
    "16 bits in 32": np.rint(RAMP * 65535).astype(np.int32),
    "16 bits in reals": np.rint(RAMP * 65535).astype(np.float32),
}


@pytest.mark.parametrize("kind", DEEP)
def test_a_picture_of_any_depth_has_black_and_white_where_they_are(kind: str, tmp_path: Path):
    Image.fromarray(DEEP[kind]).save(tmp_path / "a.tif")
    found = np.asarray(as_mode(open_picture(tmp_path / "a.tif").image, 1)).astype(int)
    assert np.abs(found - EIGHT).max() <= 1
    np.testing.assert_array_equal(as_mode(Image.fromarray(DEEP[kind]), 3), np.repeat(found[..., None], 3, 2))


def test_sixteen_bits_in_png_and_pgm(tmp_path: Path):
    for name in ("a.png", "a.pgm"):
        Image.fromarray(DEEP["16 bits"]).save(tmp_path / name)
        assert np.abs(np.asarray(open_picture(tmp_path / name).image).astype(int) - EIGHT).max() <= 1


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        (RAMP * 2 - 1, "lie from -1 to 1"),
        (RAMP * 3, "lie from 0 to 3"),
        (RAMP * 1e6, "lie from 0 to 1e"),
        (np.where(RAMP > 0.5, np.nan, RAMP), "not all finite"),
        (np.where(RAMP > 0.5, np.inf, RAMP), "not all finite"),
        ((RAMP * 2**30).astype(np.int32), "lie from 0 to 1.07"),
        ((RAMP * 100 - 50).astype(np.int32), "lie from -50 to 50"),
    ],
)
def test_values_whose_black_and_white_cannot_be_told_are_refused(values: np.ndarray, sentence: str, tmp_path: Path):
    kept = values if values.dtype == np.int32 else values.astype(np.float32)
    with pytest.raises(ValueError, match=sentence):
        eight_bits(Image.fromarray(kept))
    Image.fromarray(kept).save(tmp_path / "a.tif")
    with pytest.raises(ValueError, match="save it with 8 bits a channel"):
        open_picture(tmp_path / "a.tif")


def deep_colours(values: np.ndarray) -> bytes:
    """A PNG file of 16 bits a colour."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    header = struct.pack(">IIBBBBB", values.shape[1], values.shape[0], 16, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def retagged(values: np.ndarray, **tags: tuple[int, int]) -> io.BytesIO:
    """A TIFF file in which the short numbers of some tags are others: t262=(before, after)."""
    stream = io.BytesIO()
    Image.fromarray(values).save(stream, "TIFF")
    data = stream.getvalue()
    for tag, (before, after) in tags.items():
        old, new = (struct.pack("<HHIHH", int(tag[1:]), 3, 1, number, 0) for number in (before, after))
        assert data.count(old) == 1
        data = data.replace(old, new)
    return io.BytesIO(data)


@pytest.mark.parametrize("kind", ["16 bits", "12 bits in 16", "reals from 0 to 1"])
def test_where_white_is_0_a_deep_picture_is_no_negative(kind: str):
    negative = (DEEP[kind].max() - DEEP[kind]).astype(DEEP[kind].dtype)
    found = np.asarray(open_picture(retagged(negative, t262=(1, 0))).image).astype(int)
    assert np.abs(found - EIGHT).max() <= 1


def test_signed_values_are_refused_not_half_as_bright():
    with pytest.raises(ValueError, match="signed, so black and white cannot be told"):
        open_picture(retagged(DEEP["8 bits in 32"], t258=(32, 16)))


@pytest.mark.parametrize("bits", [8, 12, 14])
def test_colours_of_few_bits_in_sixteen_are_refused_not_black(bits: int):
    values = np.repeat(np.rint(RAMP * (2**bits - 1))[..., None], 3, 2)
    with pytest.raises(ValueError, match="16 bits, of which the upper two are empty"):
        open_picture(io.BytesIO(deep_colours(values)))
    full = open_picture(io.BytesIO(deep_colours(np.repeat(np.rint(RAMP * 65535)[..., None], 3, 2)))).image
    assert np.abs(np.asarray(full)[..., 0].astype(int) - EIGHT).max() <= 1


def test_damaged_files_are_sentences(tmp_path: Path):
    """Pillow's AVIF decoder raises RuntimeError, others struct.error, SyntaxError and more."""
    chance, told = np.random.default_rng(0), 0
    for format in ("AVIF", "PNG", "WEBP", "GIF", "JPEG2000", "TIFF"):
        stream = io.BytesIO()
        Image.fromarray(noise(24)).save(stream, format)
        for _ in range(30):
            damaged = bytearray(stream.getvalue())
            damaged[chance.integers(len(damaged))] ^= 1 << chance.integers(8)
            try:
                open_picture(io.BytesIO(bytes(damaged)))
            except ValueError as error:
                told += bool(str(error))
    assert told > 20


def test_an_error_without_a_word_is_told_by_its_name(monkeypatch: pytest.MonkeyPatch):
    def ended(*_: object, **__: object) -> None:
        raise EOFError

    monkeypatch.setattr(Image, "open", ended)
    with pytest.raises(ValueError, match="EOFError"):
        open_picture(io.BytesIO(b"x"))
