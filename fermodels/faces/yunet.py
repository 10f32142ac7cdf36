"""YuNet (Wu, Peng and Yu 2023) through OpenCV: boxes, five points, probability from one small ONNX file.

Two things to know: the network was trained for faces of 10 to 300 pixels, so a large photograph is made smaller before
it is searched; results are given in the pixels of the photograph all the same. And OpenCV's detector is one mutable
object (the size of its input is a property), so every thread has one of its own.
"""

import os
import threading
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from fermodels.faces.tiles import Found

HELP = (
    "yunet needs its model: yunet:PATH, the file face_detection_yunet_2023mar.onnx (or a dynamic one) of OpenCV's "
    "model zoo, https://github.com/opencv/opencv_zoo"
)
LIBRARY = 'the detector "yunet" needs OpenCV: pip install "fermodels[faces]", or use mtcnn'
LONGEST = 640
"""Longest side in pixels that is searched."""
THRESHOLD, OVERLAP, CANDIDATES = 0.6, 0.3, 5000
"""Least probability; intersection over union above which the weaker box goes; boxes considered."""


class Yunet:
    """OpenCV's FaceDetectorYN.

    Args:
        path: the ONNX file.
        smallest: side in pixels of the smallest face that is kept.

    Raises:
        ValueError: no path, no such file, a file that is no YuNet, or OpenCV is not installed.
    """

    def __init__(self, path: str | None, smallest: float) -> None:
        if not path:
            raise ValueError(HELP)
        if not Path(os.path.expanduser(path)).is_file():
            raise ValueError(f"yunet:{path}: there is no such file; {HELP}")
        try:
            import cv2
        except ImportError as error:
            raise ValueError(f"{LIBRARY} ({error})") from None
        self.path, self.smallest, self.version = path, smallest, f"opencv {cv2.__version__}, {Path(path).name}"
        self._own = threading.local()
        self._net()  # a file that is no YuNet is refused now

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.path, self.smallest)

    def _net(self) -> Any:
        """This thread's detector."""
        if not hasattr(self._own, "net"):
            self._own.net = _opened(self.path)
        return self._own.net

    def find(self, photographs: UInt8[np.ndarray, "n h w 3"]) -> list[Found]:
        """The faces of each of `n` RGB photographs, in no particular order."""
        return [self._find_one(photograph) for photograph in photographs]

    def _find_one(self, photograph: UInt8[np.ndarray, "h w 3"]) -> Found:
        import cv2

        height, width = photograph.shape[:2]
        shrunk = min(1.0, LONGEST / max(height, width))
        size = max(1, round(width * shrunk)), max(1, round(height * shrunk))
        bgr = np.ascontiguousarray(photograph[..., ::-1])
        net = self._net()
        net.setInputSize(size)
        _, faces = net.detect(cv2.resize(bgr, size, interpolation=cv2.INTER_AREA) if shrunk < 1 else bgr)
        rows = np.empty((0, 15), np.float32) if faces is None else np.asarray(faces, np.float32)
        scale = np.array([width / size[0], height / size[1]], np.float32)
        corners = rows[:, :4].reshape(-1, 2, 2) * scale
        corners[:, 1] += corners[:, 0]  # from (corner, size) to (corner, corner)
        return corners.reshape(-1, 4), rows[:, 4:14].reshape(-1, 5, 2) * scale, rows[:, 14]


def _opened(path: str) -> Any:
    """OpenCV's detector for the model at `path`."""
    import cv2

    told = cv2.utils.logging.setLogLevel(2)  # errors only: it warns that a CPU offers no choice of targets
    try:
        return cv2.FaceDetectorYN.create(
            str(Path(os.path.expanduser(path))), "", (320, 320), THRESHOLD, OVERLAP, CANDIDATES
        )
    except cv2.error as error:
        raise ValueError(f"yunet:{path} cannot be opened as a YuNet model ({error.err}); {HELP}") from None
    finally:
        cv2.utils.logging.setLogLevel(told)
