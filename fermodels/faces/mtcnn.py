"""MTCNN (Zhang et al. 2016) through facenet-pytorch, whose wheel holds the weights: boxes, five points, probability.

One thing to know: of torchvision, facenet-pytorch needs one function here, non-maximum suppression. It is written here
(numpy), so the result does not depend on which build is installed, and torchvision is not imported: one built for
CUDA does not load beside a torch built for CPUs, and loading it takes longer than everything else together.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.metadata import version
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, Int64, UInt8

from compress.forked import computing
from fermodels.faces.tiles import Found

if TYPE_CHECKING:
    from torch import Tensor

HELP = 'the detector "mtcnn" needs facenet-pytorch: pip install "fermodels[faces]", or use yunet:PATH'


def suppressed(
    boxes: Float[np.ndarray, "n 4"], scores: Float[np.ndarray, " n"], threshold: float
) -> Int64[np.ndarray, " k"]:
    """Greedy non-maximum suppression: indices of the boxes that stay, best score first.

    A box goes when its intersection over union with a better one that stays exceeds `threshold`.
    """
    order = np.argsort(-scores, kind="stable")
    x0, y0, x1, y1 = boxes[order].T
    area = (x1 - x0) * (y1 - y0)
    width = np.minimum(x1[:, None], x1) - np.maximum(x0[:, None], x0)
    height = np.minimum(y1[:, None], y1) - np.maximum(y0[:, None], y0)
    shared = width.clip(0) * height.clip(0)
    covers = shared > threshold * (area[:, None] + area - shared)
    stays = np.ones(len(order), bool)
    for i in range(len(order)):
        if stays[i]:
            stays[i + 1 :] &= ~covers[i, i + 1 :]
    return order[stays]


def _batched_nms(boxes: "Tensor", scores: "Tensor", photograph: "Tensor", threshold: float) -> "Tensor":
    """`suppressed` within each photograph; what facenet-pytorch takes from torchvision."""
    import torch

    b, s, owner = (t.detach().cpu().numpy() for t in (boxes, scores, photograph))
    groups = [np.flatnonzero(owner == number) for number in np.unique(owner)]
    kept = [group[suppressed(b[group], s[group], threshold)] for group in groups]
    return torch.from_numpy(np.concatenate(kept) if kept else np.empty(0, np.int64)).to(boxes.device)


@contextmanager
def _without_torchvision() -> Iterator[None]:
    """Inside, torchvision is a stand-in that has our `batched_nms`; nothing is done where it is loaded already.

    What else facenet-pytorch may take from it later (`extract_face`, which is not used here) comes from the real one.
    """
    if "torchvision" in sys.modules:
        yield
        return
    names = ("torchvision", "torchvision.transforms", "torchvision.ops", "torchvision.ops.boxes")
    made = {name: ModuleType(name) for name in names}
    functional = ModuleType("torchvision.transforms.functional")
    functional.__getattr__ = lambda name: getattr(import_module(functional.__name__), name)  # type: ignore[method-assign]
    vars(made["torchvision.transforms"])["functional"] = functional
    vars(made["torchvision.ops.boxes"])["batched_nms"] = _batched_nms
    sys.modules.update(made)
    try:
        yield
    finally:
        for name in made:
            del sys.modules[name]


class Mtcnn:
    """The three networks of MTCNN with facenet-pytorch's thresholds (0.6, 0.7, 0.7) and pyramid (factor 0.709).

    Args:
        path: none; the weights come with the library.
        smallest: side in pixels of the smallest face looked for; the time of the first network goes with its
            inverse square.

    Raises:
        ValueError: facenet-pytorch is not installed, or a path was given.
    """

    def __init__(self, path: str | None, smallest: float) -> None:
        if path:
            raise ValueError(f'mtcnn:{path}: the weights of mtcnn come with its library; write "mtcnn" alone')
        import torch

        try:
            with _without_torchvision():
                from facenet_pytorch import MTCNN
                from facenet_pytorch.models.utils import detect_face
        except ImportError as error:
            raise ValueError(f"{HELP} ({error})") from None
        detect_face.batched_nms = _batched_nms
        self.net = MTCNN(keep_all=True, min_face_size=smallest).eval()  # type: ignore[arg-type]
        for part in (self.net.pnet, self.net.rnet, self.net.onet):
            part.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # the pooling layers are five times as fast
        self.smallest, self.version = smallest, f"facenet-pytorch {version('facenet-pytorch')}"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (None, self.smallest)

    def find(self, photographs: UInt8[np.ndarray, "n h w 3"]) -> list[Found]:
        """The faces of each of `n` RGB photographs, in no particular order."""
        import torch

        nothing = np.empty((0, 4), np.float32), np.empty((0, 5, 2), np.float32), np.empty(0, np.float32)
        if min(photographs.shape[1:3]) < self.smallest:  # its pyramid would have no level
            return [nothing] * len(photographs)
        computing()
        with torch.inference_mode():
            boxes, probabilities, points = self.net.detect(photographs, landmarks=True)  # type: ignore[misc]
        found = zip(boxes, points, probabilities, strict=True)
        return [
            nothing if b is None else (b.astype(np.float32), p.astype(np.float32), s.astype(np.float32))
            for b, p, s in found
        ]
