"""The one place where the bytes of a picture are opened: only known raster formats, only files, only sane sizes.

One thing to know: some formats that Pillow knows start other programs (EPS starts Ghostscript), whatever the file is
called; they are never tried. A large JPEG file is decoded at a half, a quarter or an eighth of its size; any picture
that would still be larger than `MOST_PIXELS` is refused before its pixels are decoded.
"""

import ctypes
import logging
import os
import re
import stat
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import IO, NamedTuple

from PIL import ExifTags, Image, ImageFile, ImageOps, UnidentifiedImageError

from fermodels.data.eight_bits import MEND, eight_bits

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "PPM", "JPEG2000", "AVIF")
"""Pillow's names. MPO, the several pictures of a camera in one file, is opened as JPEG; the first one is taken."""
UNMARKED = {".tga": "TGA"}
"""Suffix -> format whose bytes do not say what they are: tried on files of that name only."""
SUFFIXES = frozenset(
    {".apng", ".avif", ".bmp", ".gif", ".j2k", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpf", ".jpg", ".jpx", ".mpo"}
    | {".pbm", ".pfm", ".pgm", ".png", ".pnm", ".ppm", ".tga", ".tif", ".tiff", ".webp"}
)
"""Of pictures that are read when a folder is searched."""
OTHER_PICTURES = frozenset(
    {".arw", ".cr2", ".cr3", ".dng", ".eps", ".heic", ".heif", ".ico", ".jxl", ".nef", ".pdf", ".psd", ".raf", ".svg"}
)
"""Of pictures that are not read: what leaves them out says so."""
HEIC = "it is HEIC, which is not read here: convert it to JPEG or PNG (pip install pillow-heif has a converter)"
MOST_PIXELS = 100_000_000
"""A picture of more pixels is refused: 100 million are 0.3 GB in RGB."""
DEEP_COLOURS = re.compile("(RGBA?|RGBX|LA|CMYK);16")
"""In Pillow's raw modes: 16 bits a channel, of which it keeps 8."""
DARKEST_COLOURS = 64
"""Colours of 16 bits that all lie below this, seen as 8 bits, fill 14 bits or fewer."""
BITS, PHOTOMETRIC, SAMPLE_FORMAT, SIGNED = 258, 262, 339, 2
"""TIFF's tags: bits of a value, whether 0 is white (0) or black (1), what kind of numbers values are; and one kind."""
DRAFTS = (1, 2, 4, 8)
"""Parts of its size at which a JPEG file can be decoded."""

_opening = threading.Lock()
logging.getLogger("PIL").addHandler(logging.NullHandler())  # what it reports, it also raises


class Picture(NamedTuple):
    """A picture as it was opened."""

    image: Image.Image
    """Upright, its pixels read, 8 bits a channel."""
    drafted: int
    """Pixels of the file per pixel here: 1, or 2, 4, 8 of a JPEG file that was decoded at a part of its size."""


def open_picture(source: Path | str | IO[bytes]) -> Picture:
    """The picture at a path or in an open file, turned as the camera says (EXIF); of an animation the first frame.

    A JPEG file of more than `MOST_PIXELS` is decoded at a part of its size.

    Raises:
        ValueError: absent, unreadable, no regular file, no picture in a known format, damaged, too large, or of values
            whose black and white cannot be told. The sentence says which, and does not name the file.
    """
    try:
        if isinstance(source, (str, os.PathLike)):
            _regular(Path(source))
        with _opened(source) as opened:
            drafted = _draft(opened)
            _refuse_large(opened)
            return Picture(_eight_bits(opened), drafted)
    except FileNotFoundError:
        raise ValueError("there is no such file") from None
    except UnidentifiedImageError:
        raise ValueError(_unknown(source)) from None
    except OSError as error:
        raise ValueError(error.strerror or str(error) or "it cannot be read") from error
    except Exception as error:  # whatever a decoder raises is that picture's fault
        raise ValueError(f"{str(error) or type(error).__name__}") from error


def _regular(path: Path) -> None:
    """Refuses what would be waited for without end: pipes, sockets, devices."""
    kind = os.stat(path).st_mode
    if stat.S_ISDIR(kind):
        raise ValueError("it is a folder")
    if not stat.S_ISREG(kind):
        raise ValueError("it is no regular file (a pipe, a socket or a device): copy its bytes into a file")


def _opened(source: Path | str | IO[bytes]) -> ImageFile.ImageFile:
    """Its header is read, nothing else. Pillow's warning about large pictures is ours to give."""
    suffix = os.path.splitext(source)[1].lower() if isinstance(source, (str, os.PathLike)) else ""
    formats = (*FORMATS, *([UNMARKED[suffix]] if suffix in UNMARKED else []))
    with _silent():
        return Image.open(source, formats=formats)


@contextmanager
def _silent() -> Iterator[None]:
    """Without Pillow's warnings, which do not say of which picture they are. One thread at a time: filters belong to
    the process."""
    with _opening, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@cache
def _silence_libtiff() -> None:
    """Its errors are raised by Pillow as well; the lines that it writes past Python to the error stream are not kept.
    Where Pillow is linked otherwise (Windows), they stay."""
    set_handler = getattr(ctypes.CDLL(Image.core.__file__), "TIFFSetErrorHandler", None)
    if set_handler is not None:
        set_handler(None)


def _unknown(source: Path | str | IO[bytes]) -> str:
    if isinstance(source, (str, os.PathLike)) and os.path.splitext(source)[1].lower() in (".heic", ".heif"):
        return HEIC
    return "it is no picture in a known format"


def _draft(opened: ImageFile.ImageFile) -> int:
    """Asks the decoder for a smaller picture; how many times smaller it will be. A progressive JPEG file is held whole
    in memory however small it is asked for, so that its full size counts."""
    width, height = opened.size
    part = next((part for part in DRAFTS if width * height <= MOST_PIXELS * part**2), 1)
    if part > 1 and not opened.info.get("progressive"):
        opened.draft(None, (width // part or 1, height // part or 1))
    return round(width / opened.width)


def _refuse_large(opened: ImageFile.ImageFile) -> None:
    width, height = opened.size
    if width * height > MOST_PIXELS:
        raise ValueError(
            f"it has {width:,} x {height:,} pixels, allowed are {MOST_PIXELS // 10**6} million: make it smaller"
        )


def _eight_bits(opened: ImageFile.ImageFile) -> Image.Image:
    """The upright pixels. Pillow keeps the upper 8 of 16 bits in colour: where they hold next to nothing, the picture
    fills fewer bits than its type, and what was lost cannot be made again."""
    deep = any(DEEP_COLOURS.search(str(tile[3])) for tile in opened.tile)
    negative = _negative(opened)
    image = eight_bits(upright(opened))
    colours = image if image.mode == "CMYK" else image.convert("RGB")
    if deep and max(int(high) for _, high in colours.getextrema()) < DARKEST_COLOURS:  # type: ignore[misc]
        raise ValueError(f"its colours have 16 bits, of which the upper two are empty; {MEND}")
    return ImageOps.invert(image) if negative else image


def _negative(opened: ImageFile.ImageFile) -> bool:
    """Whether 0 is white in a TIFF file of more than 8 bits, which Pillow reads as if it were black.

    Raises:
        ValueError: its 8 or 16 bits are signed, which Pillow reads as if they were not.
    """
    tags = getattr(opened, "tag_v2", {}) if opened.format == "TIFF" else {}
    if SIGNED in tags.get(SAMPLE_FORMAT, ()) and max(tags.get(BITS, (1,))) <= 16:
        raise ValueError(f"its values are signed, so black and white cannot be told; {MEND}")
    return opened.mode.startswith(("I", "F")) and tags.get(PHOTOMETRIC) == 0


def upright(opened: Image.Image) -> Image.Image:
    """An image, its pixels read, turned as the camera's notes (EXIF) say; the image itself where they say nothing."""
    if opened.format == "TIFF":  # its notes are read with its pixels
        _silence_libtiff()
        with _silent():
            opened.load()
    else:
        opened.load()
    try:
        with _silent():
            turned = opened.getexif().get(ExifTags.Base.Orientation, 1) != 1
            return ImageOps.exif_transpose(opened) if turned else opened
    except Exception:  # the pixels are whole, only the camera's notes are not
        return opened
