"""Where the attention map of paper 1 lies (eq 3): its mass on the landmarks' cells, and its mean over the test faces.

Mean maps are nobody's face: they may be published for every data set, which pictures of its faces may not.
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional

from bench.make.stages import EVALUATION_BATCH, Job
from fermodels.faces.regions import into_crop
from fermodels.nets.saliency import covered_share
from fermodels.nets.vgg import probabilities

Grid = list[list[float]]
DIGITS = 4


class _Seen(NamedTuple):
    """The maps of all test faces at the centre crop, and what they are told by."""

    maps: Float[Tensor, "n 1 h w"]
    masks: Float[Tensor, "n 1 h w"]
    """Cells that hold a reliable landmark (eq 5)."""
    right: Bool[Tensor, " n"]


def has_map(net: nn.Module) -> bool:
    """Whether the network is one with the map of eq 3."""
    return getattr(net, "gate", None) is not None


@torch.no_grad()
def _seen(job: Job, net: nn.Module) -> _Seen:
    maps, masks, right = [], [], []
    for batch in job.views("test").evaluation(EVALUATION_BATCH):
        output = net(*batch.views)
        maps.append(output.attention.float())
        masks.append(batch.mask)
        right.append(probabilities(output).argmax(1) == batch.labels)
    return _Seen(torch.cat(maps), torch.cat(masks), torch.cat(right))


def on_mask(job: Job, net: nn.Module) -> dict[str, float] | None:
    """Of the attention map's mass over test faces, the percent that lies on the cells of the landmarks' mask (eq 4).

    all, right, wrong: over all faces, those named rightly, and the others (left out where there are none); mask: the
    percent of the face that these cells take, which is what a map alike everywhere has. None: the network has no map.
    """
    if not has_map(net):
        return None
    seen = _seen(job, net)
    side = job.preprocessing.size
    found = []
    for maps, masks in zip(seen.maps.split(EVALUATION_BATCH), seen.masks.split(EVALUATION_BATCH), strict=True):
        laid = functional.interpolate(maps, (side, side), mode="bilinear", align_corners=False)[:, 0]
        found.append(covered_share(laid, functional.interpolate(masks, (side, side))[:, 0] > 0.5))
    share = 100 * torch.cat(found)
    groups = {"all": share, "right": share[seen.right], "wrong": share[~seen.right]}
    groups["mask"] = 100 * seen.masks.mean((1, 2, 3))
    return {name: float(values.mean()) for name, values in groups.items() if len(values)}


def mean_maps(job: Job, net: nn.Module) -> dict[str, Grid] | None:
    """Mean attention map over the test faces: right and wrong (answers), and "before", that of the untrained network.

    points: the mean main landmarks (x, y) in the frame of the face view. None: the network has no map.
    """
    if not has_map(net):
        return None
    seen, fresh = _seen(job, net), _seen(job, job.fresh().to(job.device).eval())
    groups = {"before": fresh.maps, "right": seen.maps[seen.right], "wrong": seen.maps[~seen.right]}
    return {name: _rounded(maps.mean((0, 1))) for name, maps in groups.items() if len(maps)} | {"points": _points(job)}


def _points(job: Job) -> Grid:
    views = job.views("test")
    stored, size = views.stored, views.config.size
    corner = torch.full((1, 2), round((stored - size) / 2) / stored, device=views.points.device)
    return _rounded(into_crop(views.points.mean(0, keepdim=True), corner, size / stored)[0])


def _rounded(values: Float[Tensor, "h w"]) -> Grid:
    return [[round(value, DIGITS) for value in row] for row in values.tolist()]
