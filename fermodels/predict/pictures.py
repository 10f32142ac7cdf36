"""Photographs, folders, videos, cameras: one stream of upright RGB frames; what is broken is a sentence, no exception.

One thing to know: what is larger than `LONGEST` is made smaller by whole blocks of pixels before anything looks at it,
so memory and time have a bound; `Photograph.scale` leads back to the pixels of the file.
"""

import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from fermodels.data.eight_bits import as_mode
from fermodels.data.open_picture import SUFFIXES, open_picture

VIDEO_SUFFIXES = frozenset({".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".webm", ".wmv"})
LONGEST = 1600
"""Pixels; a photograph with a longer side is averaged over blocks until it is not longer."""
FRAMES_ASTRAY = 2
"""A video file may announce so many frames more than it holds: its header is an estimate."""
NO_OPENCV = 'videos need OpenCV: pip install "fermodels[faces]"'


@dataclass(frozen=True, kw_only=True, eq=False)
class Photograph:
    """An upright RGB picture, small enough to be searched."""

    pixels: UInt8[np.ndarray, "h w 3"]
    scale: float = 1.0
    """Pixels of the photograph as it was given per pixel here: 1, or more where it was made smaller."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Frame:
    """One picture of the stream, or why there is none."""

    file: str
    frame: int | None = None
    """Number in its video from 0; None for a picture that is no video's."""
    time_s: float | None = None
    """Seconds from the beginning of its video."""
    fps: float | None = None
    """Frames per second of its video, as the file says."""
    picture: Photograph | str
    """The picture, or the sentence that says why it cannot be read."""


def frames(paths: Iterable[Path | str]) -> Iterator[Frame]:
    """Every picture of the files and folders, in the order of `paths`, folders sorted; one at a time in memory.

    A folder is searched with its subfolders for the suffixes of pictures and videos; a file that is named is opened
    whatever its suffix is.
    """
    for path in map(Path, paths):
        if path.is_dir():
            yield from _folder(path)
        else:
            yield from _file(path)


def webcam(number: int = 0) -> Iterator[Frame]:
    """What camera `number` of this machine sees, frame after frame, until the reader stops; `time_s` is by the clock.

    A camera that is not there, or that stops, is one frame that says so.
    """
    file = f"webcam {number}"
    try:
        import cv2
    except ImportError:
        yield Frame(file=file, picture=NO_OPENCV)
        return
    capture, start, count = cv2.VideoCapture(number), time.monotonic(), 0
    try:
        for _, pixels in _read(capture, cv2.CAP_PROP_POS_MSEC):
            passed = round(time.monotonic() - start, 3)
            picture = photograph_of(Image.fromarray(pixels))
            yield Frame(
                file=file, frame=count, time_s=passed, fps=capture.get(cv2.CAP_PROP_FPS) or None, picture=picture
            )
            count += 1
    finally:
        capture.release()
    sentence = "the camera has stopped" if count else "there is no such camera, or another program has it"
    yield Frame(file=file, frame=count or None, picture=sentence)


def photograph_of(image: Image.Image, drafted: int = 1) -> Photograph:
    """An image in any of Pillow's modes as a photograph.

    Args:
        drafted: pixels of the file per pixel of `image`.
    """
    block = -(-max(image.size) // LONGEST)
    if block > 1:  # before a grey picture takes thrice the memory
        image = (image if image.mode in ("L", "RGB") else as_mode(image, 3)).reduce(block)
    return Photograph(pixels=np.asarray(as_mode(image, 3)), scale=float(drafted * block))


def read_photograph(path: Path | str) -> Photograph:
    """The picture in a file, turned as the camera says; of an animation the first frame. JPEG files that are far too
    large are decoded at a half, a quarter or an eighth of their size.

    Raises:
        ValueError: the file is absent, damaged, no picture, or of a size that Pillow refuses; says which.
    """
    picture = open_picture(path, longest=LONGEST)
    return photograph_of(picture.image, picture.drafted)


def _folder(folder: Path) -> Iterator[Frame]:
    known = SUFFIXES | VIDEO_SUFFIXES
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in known and path.is_file())
    for path in paths:
        yield from _file(path)
    if not paths:
        yield Frame(file=_told(folder), picture=f"the folder holds no picture or video ({', '.join(sorted(known))})")


def _file(path: Path) -> Iterator[Frame]:
    if path.suffix.lower() in VIDEO_SUFFIXES:
        yield from _video(path)
        return
    try:
        picture: Photograph | str = read_photograph(path)
    except ValueError as error:
        picture = str(error)
    yield Frame(file=_told(path), picture=picture)


def _video(path: Path) -> Iterator[Frame]:
    """The frames of a video; a last one says so when it ends before its announced end."""
    file = _told(path)
    if not path.is_file():
        yield Frame(file=file, picture="there is no such file")
        return
    try:
        import cv2
    except ImportError:
        yield Frame(file=file, picture=NO_OPENCV)
        return
    capture = cv2.VideoCapture(str(path))
    try:
        announced, fps = int(capture.get(cv2.CAP_PROP_FRAME_COUNT)), float(capture.get(cv2.CAP_PROP_FPS))
        number = 0
        for time_s, pixels in _read(capture, cv2.CAP_PROP_POS_MSEC):
            picture = photograph_of(Image.fromarray(pixels))
            yield Frame(file=file, frame=number, time_s=time_s, fps=fps or None, picture=picture)
            number += 1
    finally:
        capture.release()
    if not number:
        yield Frame(file=file, picture="it is no video that OpenCV can read")
    elif announced > number + FRAMES_ASTRAY:
        sentence = f"the video ends after {number:,} of the {announced:,} frames that it announces"
        yield Frame(file=file, frame=number, fps=fps or None, picture=sentence)


def _read(capture: Any, clock: int) -> Iterator[tuple[float, UInt8[np.ndarray, "h w 3"]]]:
    """Time in seconds and RGB pixels of each frame."""
    while True:
        there, bgr = capture.read()
        if not there:
            return
        yield round(capture.get(clock) / 1000, 3), np.ascontiguousarray(bgr[..., ::-1])


def _told(path: Path) -> str:
    """A path that can be printed, also where its name is no UTF-8."""
    return os.fspath(path).encode("utf-8", "backslashreplace").decode()
