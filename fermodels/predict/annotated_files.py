"""Annotated pictures on disk: a PNG for every photograph, one MP4 for every video, written frame by frame.

One thing to know: nothing that was there before is lost. Inputs are never overwritten, results of an earlier run only
when that is asked for.
"""

import errno
import os
from collections.abc import Sequence
from contextlib import ExitStack
from io import BytesIO
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from PIL import Image

from compress.files import atomic_path, write_atomic
from fermodels.data.open_picture import SUFFIXES
from fermodels.predict import videos
from fermodels.predict.annotate import annotated
from fermodels.predict.pictures import Frame
from fermodels.predict.predictor import FaceExpression

MARK = "-faces"
"""In every name: photo.jpg becomes photo-faces.png."""
MOST_FPS = 60.0
"""Of what is written: containers without a rate of their own say 1000."""
LONGEST_STILL_S = 60.0
"""A frame is shown for so long at most, whatever the container says of the next one's time."""
LONGEST_STEM = 200
"""Bytes; file systems take names of 255."""


class AnnotatedFiles:
    """A place for annotated pictures, to be used as a context: the last video is whole when it ends.

    Args:
        out: a folder; or, for one photograph, a file with the suffix of a picture.
        inputs: the files that are annotated.
        overwrite: whether results of an earlier run may be replaced.

    Raises:
        ValueError: `out` is one of the inputs, cannot be a folder, or holds results already.
    """

    def __init__(self, out: Path, *, inputs: Sequence[Path] = (), overwrite: bool = False) -> None:
        self.single = out if out.suffix.lower() in SUFFIXES else None
        self.folder = out.parent if self.single else out
        self.inputs = {path.resolve() for path in inputs}
        if out.resolve() in self.inputs:
            raise ValueError(
                f"--annotate {out} is the photograph itself, which is never overwritten: name another file"
            )
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if not os.access(self.folder, os.W_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        except OSError as error:
            raise ValueError(f"--annotate {out} cannot be written: {error.strerror}; name a folder that can") from error
        self.names: set[str] = set()
        planned = [self.single or self._named(path.name, _suffix(path)) for path in inputs]
        there = [path.name for path in planned if path.exists()]
        if there and not overwrite:
            more = f" and {len(there) - 1:,} more" if len(there) > 1 else ""
            raise ValueError(f"{self.folder / there[0]}{more} exist already: give --overwrite, or name another place")
        self.names = set()
        self.open, self.video = ExitStack(), None

    def __enter__(self) -> "AnnotatedFiles":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.video is not None and error is None:
            self.video.finish()
        self.open.__exit__(kind, error, trace)

    def add(self, frame: Frame, faces: Sequence[FaceExpression]) -> None:
        """Draws and writes one frame; a frame that could not be read is left out."""
        if isinstance(frame.picture, str):
            return
        picture = annotated(frame.picture, faces)
        if frame.frame is None:
            self._write(frame, picture)
        else:
            self._append(frame, picture)

    def _write(self, frame: Frame, picture: Image.Image) -> None:
        path = self.single or self._named(frame.file, ".png")
        stream = BytesIO()
        picture.save(
            stream, "PNG" if path.suffix.lower() == ".png" else Image.registered_extensions()[path.suffix.lower()]
        )
        write_atomic(path, stream.getvalue())

    def _append(self, frame: Frame, picture: Image.Image) -> None:
        if self.video is None or frame.file != self.video.file or frame.frame == 0:
            if self.video is not None:
                self.video.finish()
            self.open.close()
            path = self.open.enter_context(atomic_path(self._named(frame.file, ".mp4"), suffix=".mp4"))
            self.video = _Video(path, frame, picture.size)
            self.open.callback(self.video.writer.release)  # before the file gets its name
        self.video.add(frame.time_s or 0.0, picture)

    def _named(self, file: str, suffix: str) -> Path:
        """A name in the folder that neither this run has used nor an input has."""
        stem, number = Path(file).stem.encode("utf-8", "backslashreplace")[:LONGEST_STEM].decode("utf-8", "ignore"), 1
        name = f"{stem}{MARK}{suffix}"
        while name in self.names or (self.folder / name).resolve() in self.inputs:
            number += 1
            name = f"{stem}{MARK}-{number}{suffix}"
        self.names.add(name)
        return self.folder / name


class _Video:
    """A video being written: each frame is shown until the time of the next, so that it lasts as long as its source."""

    def __init__(self, path: Path, first: Frame, size: tuple[int, int]) -> None:
        import cv2

        self.file, self.start, self.written = first.file, first.time_s or 0.0, 0
        self.fps = min(first.fps or videos.FPS, MOST_FPS)
        self.writer: Any = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), self.fps, size)
        if not self.writer.isOpened():
            raise ValueError(f"OpenCV cannot write MP4 files here, so {first.file} cannot be annotated: leave it out")
        self.shown: np.ndarray | None = None

    def add(self, time_s: float, picture: Image.Image) -> None:
        due = round((time_s - self.start) * self.fps)
        self._write(min(due - self.written, round(LONGEST_STILL_S * self.fps)))
        self.written = due
        self.shown = np.ascontiguousarray(np.asarray(picture)[..., ::-1])

    def finish(self) -> None:
        """The last frame is shown once."""
        self._write(1)

    def _write(self, times: int) -> None:
        for _ in range(times if self.shown is not None else 0):
            self.writer.write(self.shown)


def _suffix(path: Path) -> str:
    return ".mp4" if path.suffix.lower() in videos.SUFFIXES else ".png"
