"""Frames of videos, cameras and streams, one at a time in memory, through OpenCV.

One thing to know: a video is read as long as frames come. One that cannot be decoded is a frame that says so, with its
number, and positions that a container does not know are counted on from the frame before.
"""

import os
import time
from collections.abc import Iterator
from itertools import count
from typing import Any

import numpy as np
from PIL import Image

from fermodels.predict.pictures import Frame, photograph_of

SUFFIXES = frozenset(
    {".3g2", ".3gp", ".avi", ".flv", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".ogv", ".ts"}
    | {".webm", ".wmv"}
)
"""Of videos that are read when a folder is searched."""
ADDRESSES = ("rtsp://", "rtsps://", "rtmp://", "udp://", "http://", "https://")
"""What the address of a stream begins with."""
FRAMES_ASTRAY = 2
"""A video file may announce so many frames more than it holds: its header is an estimate."""
MISSES = 250
"""So many frames in a row may be broken before a video counts as ended."""
FPS = 25.0
"""Of a video that does not say its own."""
NO_OPENCV = 'videos need OpenCV: pip install "fermodels[faces]"'


def video(path: str, file: str, every: int = 1) -> Iterator[Frame]:
    """Every `every`-th frame of the video at `path`, told as `file`'s; a last one says so when it ends too early."""
    if not os.path.isfile(path):
        there = os.path.exists(path)
        yield Frame(file=file, picture="it is no regular file" if there else "there is no such file")
        return
    try:
        import cv2
    except ImportError:
        yield Frame(file=file, picture=NO_OPENCV)
        return
    capture = cv2.VideoCapture(path)
    try:
        yield from _frames(capture, cv2, file, every)
    finally:
        capture.release()


def live(source: int | str, every: int = 1) -> Iterator[Frame]:
    """What camera number `source`, or the stream at an address, sees until the reader stops; `time_s` is by the clock.

    A camera that is not there, or that stops, is one frame that says so.
    """
    file = f"webcam {source}" if isinstance(source, int) else source
    try:
        import cv2
    except ImportError:
        yield Frame(file=file, picture=NO_OPENCV)
        return
    capture, start, number = cv2.VideoCapture(source), time.monotonic(), 0
    try:
        fps = float(capture.get(cv2.CAP_PROP_FPS)) or None
        while capture.grab():
            passed = round(time.monotonic() - start, 3)
            if number % every == 0:
                yield Frame(file=file, frame=number, time_s=passed, fps=fps, picture=_picture(capture, cv2))
            number += 1
    finally:
        capture.release()
    absent = "there is no such camera or stream, or another program has it"
    yield Frame(file=file, frame=number or None, picture="it has stopped" if number else absent)


def _frames(capture: Any, cv2: Any, file: str, every: int) -> Iterator[Frame]:
    announced, fps = int(capture.get(cv2.CAP_PROP_FRAME_COUNT)), float(capture.get(cv2.CAP_PROP_FPS))
    step, time_s, gap, missed, whole = 1 / (fps or FPS), 0.0, 0.0, 0, 0
    for number in count():
        if not _grabbed(capture, cv2):
            if (missed := missed + 1) > MISSES:
                break
            continue
        for lost in range(number - missed, number):
            if lost % every == 0:
                yield Frame(file=file, frame=lost, fps=fps or None, picture="this frame cannot be decoded")
        before, time_s = time_s, float(capture.get(cv2.CAP_PROP_POS_MSEC)) / 1000
        if number and not time_s > before:  # the container does not know
            time_s = before + step * (1 + missed)
        gap, missed, whole = max(gap, time_s - before), 0, number + 1
        if number % every == 0:
            said = {"file": file, "frame": number, "time_s": round(time_s, 3), "fps": fps or None}
            yield Frame(**said, picture=_picture(capture, cv2))
    if not whole:
        yield Frame(file=file, picture="it is no video that OpenCV can read")
    elif announced > whole + FRAMES_ASTRAY and announced * step > time_s + gap + FRAMES_ASTRAY * step:
        sentence = f"the video ends after {whole:,} of the {announced:,} frames that it announces"
        yield Frame(file=file, frame=whole, fps=fps or None, picture=sentence)


def _grabbed(capture: Any, cv2: Any) -> bool:
    """Whether there is a next frame."""
    try:
        return bool(capture.grab())
    except cv2.error:
        return False


def _picture(capture: Any, cv2: Any) -> Any:
    """The frame that was grabbed last as a photograph, or the sentence that says why it is none."""
    try:
        there, bgr = capture.retrieve()
        if not there or bgr is None:
            return "this frame cannot be decoded"
        return photograph_of(Image.fromarray(np.ascontiguousarray(bgr[..., ::-1])))
    except (cv2.error, ValueError, TypeError) as error:
        return f"this frame cannot be decoded: {error}"
