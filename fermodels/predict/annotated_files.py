"""Annotated pictures on disk: a PNG for every photograph, one MP4 for every video, written frame by frame."""

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
from fermodels.predict.annotate import annotated
from fermodels.predict.pictures import Frame
from fermodels.predict.predictor import FaceExpression

MARK = "-faces"
"""In every name, so that no original is overwritten: photo.jpg becomes photo-faces.png."""
FPS = 25.0
"""Of a video that does not say its own."""


class AnnotatedFiles:
    """A place for annotated pictures, to be used as a context: the last video is whole when it ends.

    Args:
        out: a folder; or, for one photograph, a file with the suffix of a picture.
    """

    def __init__(self, out: Path) -> None:
        self.single = out if out.suffix.lower() in SUFFIXES else None
        self.folder = out.parent if self.single else out
        self.names: set[str] = set()
        self.writer: Any = None
        self.open = ExitStack()

    def __enter__(self) -> "AnnotatedFiles":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
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
        import cv2

        if frame.frame == 0 or self.writer is None:
            self._close()
            path = self.open.enter_context(atomic_path(self._named(frame.file, ".mp4")))
            code = cv2.VideoWriter.fourcc(*"mp4v")
            self.writer = cv2.VideoWriter(str(path), code, frame.fps or FPS, picture.size)
            self.open.callback(self.writer.release)  # before the file gets its name
        self.writer.write(np.ascontiguousarray(np.asarray(picture)[..., ::-1]))

    def _named(self, file: str, suffix: str) -> Path:
        """A name in the folder that this run has not used."""
        stem, number = Path(file).stem + MARK, 1
        name = f"{stem}{suffix}"
        while name in self.names:
            number += 1
            name = f"{stem}-{number}{suffix}"
        self.names.add(name)
        return self.folder / name

    def _close(self) -> None:
        self.writer = None
        self.open.close()
