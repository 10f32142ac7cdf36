"""From photographs to expressions: detect, align, classify; one pipeline for the API, the command and the pictures.

>>> predictor = Predictor("reports/runs/FOLDER/chosen", "mtcnn")
>>> predictor.predict(Image.open("photo.jpg"))      # largest face first; [] where there is none

One thing to know: whatever is predicted together with a photograph does not change its answer; frames are the pixels of
the upright photograph, origin at its upper left corner.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count, islice
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32, Float64, UInt8
from PIL import Image

from fermodels.faces.align import align
from fermodels.faces.detect import Detector, Face, open_detector
from fermodels.predict.classifier import Answers, Classifier
from fermodels.predict.given import photographs_of
from fermodels.predict.models import open_model
from fermodels.predict.pictures import Frame, Photograph
from fermodels.predict.shipped import DEFAULT
from fermodels.predict.turns import found_turned

FRAMES_AT_ONCE = 16
"""Frames in memory at a time; their faces go through the model together."""
PIXELS = 2**24
"""Frames in memory at a time have together about so many pixels at most."""
SMALLEST = 32.0
"""Side in pixels of the smallest face looked for: a smaller one says too little, and the search takes twice as long."""
SMALLEST_CROP = 8
"""Pixels; a cropped face with a shorter side says nothing."""
Region = tuple[int, int, int, int]
"""x, y, width, height in pixels of the photograph."""


@dataclass(frozen=True, kw_only=True, eq=False)
class FaceExpression:
    """One face and what the model says of it."""

    box: tuple[float, float, float, float]
    """x0, y0, x1, y1 in pixels of the photograph; may leave it."""
    detection: float | None
    """Probability that it is a face, as the detector says; None where nothing was detected, but given as a face."""
    expression: str
    """The most probable one."""
    probabilities: dict[str, float]
    """Expression -> probability, in the model's order; their sum is 1."""
    attention: Float32[np.ndarray, "h w"] | None
    """In [0, 1], over what the network saw; None of a network without attention."""
    matrix: Float64[np.ndarray, "2 3"]
    """Pixels of the photograph -> shares of the side of what the network saw."""

    @property
    def probability(self) -> float:
        """Of `expression`."""
        return self.probabilities[self.expression]

    def ranked(self, most: int | None = None) -> list[tuple[str, float]]:
        """The `most` most probable expressions (by default all), the most probable first."""
        return list(islice(sorted(self.probabilities.items(), key=lambda item: -item[1]), most))


@dataclass(frozen=True, kw_only=True, eq=False)
class _Place:
    """A face on its way from a photograph into the model."""

    box: tuple[float, float, float, float]
    """Pixels of `Photograph.pixels`, as `matrix`."""
    detection: float | None
    image: UInt8[np.ndarray, "side side 3"]
    matrix: Float64[np.ndarray, "2 3"]
    """To pixels of `image`."""


class Predictor:
    """A model and a detector, ready.

    Args:
        model: as `fermodels.predict.models.open_model` takes it, or what it gave.
        detector: as `fermodels.faces.detect.open_detector` takes it, or what it gave; None: every picture is an
            aligned face already, of which the central square is taken.
        roi: the only part of every photograph that is looked at; None: all of it.
        smallest: side in pixels of the smallest face looked for; a `Detector` that is given has its own.
        turns: where no face is found, the photograph is turned by 90, 180 and 270 degrees.

    It may be shared by threads, and pickled.

    Raises:
        ValueError: no such model or detector; the sentence says what to do.
        Unavailable: the library that the model needs is missing.
    """

    def __init__(
        self,
        model: Classifier | Path | str = DEFAULT,
        detector: Detector | str | None = "mtcnn",
        *,
        roi: Region | None = None,
        smallest: float = SMALLEST,
        turns: bool = False,
    ) -> None:
        if roi is not None and (min(roi) < 0 or min(roi[2:]) < 1):
            raise ValueError(f"roi={roi}: x, y, width, height in pixels, x and y at least 0, the others at least 1")
        self.roi, self.turns = roi, turns
        self.model = open_model(model) if isinstance(model, (str, Path)) else model
        self.detector = open_detector(detector, smallest=smallest) if isinstance(detector, str) else detector

    def predict(self, images: Any, color: str = "rgb") -> Any:
        """The faces of one image, the largest first; or of each of several.

        Args:
            images: one or several, as `fermodels.predict.given.photographs_of` takes them.
            color: of arrays: "rgb", or "bgr" as OpenCV reads them.

        Returns:
            A list of `FaceExpression` for one image, a list of such lists for several.

        Raises:
            ValueError: what is no picture or cannot be read, an unknown colour order, a cropped face that is too small,
                a model that answers with what are no probabilities.
        """
        photographs, single = photographs_of(images, color)
        told = self.faces(photographs)
        return told[0] if single else told

    def faces(self, photographs: Sequence[Photograph]) -> list[list[FaceExpression]]:
        """The pipeline itself: the faces of each photograph, the largest first.

        Raises:
            ValueError: a photograph has a `fault`.
        """
        if faults := [fault for fault in map(self.fault, photographs) if fault is not None]:
            raise ValueError(faults[0])
        places = self._places(photographs)
        images = [place.image for several in places for place in several]
        if not images:
            return [[] for _ in photographs]
        answers = self.model(np.stack(images))
        number, told = count(), []
        for photograph, several in zip(photographs, places, strict=True):
            told.append([self._told(photograph.scale, place, answers, next(number)) for place in several])
        return told

    def fault(self, photograph: Photograph) -> str | None:
        """What keeps a picture from being looked at, as a sentence; None where nothing does."""
        if not photograph.pixels.size:
            return "it has no pixels"
        x0, y0, x1, y1 = self._window(photograph)
        width, height = x1 - x0, y1 - y0
        if min(height, width) < 1:
            sides = " x ".join(f"{photograph.scale * side:.0f}" for side in photograph.pixels.shape[1::-1])
            return f"the region {self.roi} (x, y, width, height) lies beside this picture of {sides} pixels"
        if self.detector is None and min(height, width) < SMALLEST_CROP:
            return f"{width}x{height} pixels are too few for a face: at least {SMALLEST_CROP} a side are needed"
        return None

    def _places(self, photographs: Sequence[Photograph]) -> list[list[_Place]]:
        pictures = [photograph.pixels for photograph in photographs]
        windows = [self._window(photograph) for photograph in photographs]
        if self.detector is None:
            return [[_central(p, self.model.side, window)] for p, window in zip(pictures, windows, strict=True)]
        parts = [p[y0:y1, x0:x1] for p, (x0, y0, x1, y1) in zip(pictures, windows, strict=True)]
        found = self.detector.detect(parts)
        if self.turns:
            found = [
                faces or found_turned(self.detector.detect, part) for faces, part in zip(found, parts, strict=True)
            ]
        return [
            [self._aligned(pixels, _shifted(face, window[:2])) for face in faces if np.ptp(face.points) > 0]
            for pixels, window, faces in zip(pictures, windows, found, strict=True)
        ]

    def _window(self, photograph: Photograph) -> tuple[int, int, int, int]:
        """x0, y0, x1, y1 of what is looked at, pixels of `photograph.pixels`; empty where the region lies beside it."""
        height, width = photograph.pixels.shape[:2]
        if self.roi is None:
            return 0, 0, width, height
        x, y, across, down = (side / photograph.scale for side in self.roi)
        return min(round(x), width), min(round(y), height), min(round(x + across), width), min(round(y + down), height)

    def _aligned(self, pixels: UInt8[np.ndarray, "h w 3"], face: Face) -> _Place:
        aligned = align(pixels, face.points, self.model.side)
        return _Place(box=face.box, detection=face.probability, image=aligned.image, matrix=aligned.matrix)

    def _told(self, scale: float, place: _Place, answers: Answers, number: int) -> FaceExpression:
        probabilities = dict(zip(self.model.classes, answers.probabilities[number].tolist(), strict=True))
        x0, y0, x1, y1 = (scale * value for value in place.box)
        matrix = place.matrix / self.model.side
        matrix[:, :2] /= scale
        matrix[:, 2] -= (1 - self.model.crop) / 2
        return FaceExpression(
            box=(x0, y0, x1, y1),
            detection=place.detection,
            expression=max(probabilities, key=probabilities.__getitem__),
            probabilities=probabilities,
            attention=None if answers.attention is None else answers.attention[number],
            matrix=matrix / self.model.crop,
        )


def _shifted(face: Face, by: tuple[int, int]) -> Face:
    """A face found in a part of a photograph, in pixels of the whole."""
    x, y = by
    x0, y0, x1, y1 = face.box
    return replace(face, box=(x0 + x, y0 + y, x1 + x, y1 + y), points=face.points + by)


def _central(pixels: UInt8[np.ndarray, "h w 3"], side: int, window: tuple[int, int, int, int]) -> _Place:
    """The central square of a window that is a face, resized as the data sets are."""
    x0, y0, x1, y1 = window
    square = min(y1 - y0, x1 - x0)
    x, y = x0 + (x1 - x0 - square) // 2, y0 + (y1 - y0 - square) // 2
    crop = Image.fromarray(pixels[y : y + square, x : x + square])
    image = np.asarray(crop.resize((side, side), Image.Resampling.BILINEAR))
    matrix = np.array([[1, 0, -x], [0, 1, -y]]) * (side / square)
    return _Place(box=(x, y, x + square, y + square), detection=None, image=image, matrix=matrix)


def predictions(
    predictor: Predictor, stream: Iterable[Frame], batch: int = FRAMES_AT_ONCE
) -> Iterator[tuple[Frame, list[FaceExpression]]]:
    """Each frame with its faces, in order, at most `batch` frames at a time; one that cannot be looked at says why."""
    for chunk in _chunks((_checked(predictor, frame) for frame in stream), batch):
        answers = iter(predictor.faces([f.picture for f in chunk if not isinstance(f.picture, str)]))
        for frame in chunk:
            yield frame, [] if isinstance(frame.picture, str) else next(answers)


def _checked(predictor: Predictor, frame: Frame) -> Frame:
    fault = None if isinstance(frame.picture, str) else predictor.fault(frame.picture)
    return frame if fault is None else replace(frame, picture=fault)


def _chunks(stream: Iterable[Frame], batch: int) -> Iterator[list[Frame]]:
    """So many frames at a time, fewer where they are large."""
    chunk, pixels = [], 0
    for frame in stream:
        chunk.append(frame)
        pixels += 0 if isinstance(frame.picture, str) else frame.picture.pixels[..., 0].size
        if len(chunk) == batch or pixels >= PIXELS:
            yield chunk
            chunk, pixels = [], 0
    if chunk:
        yield chunk
