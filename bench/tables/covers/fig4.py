"""Fig 4 of paper 2 with a number: where the networks look while a face is covered, and how much of it is the cover.

Every network gives Grad-CAM, some a map of their own. Covers lie on the middle of the face more often than on its rim,
and so do maps; so the mass on a cover is compared with that of the bare face's own map on the very same pixels.
"""

import base64
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from PIL import Image
from torch import Tensor, nn

from bench import records
from bench.make.pipeline import record_of, stage_behind
from bench.make.recipes import say
from bench.make.stages import EVALUATION_BATCH, Job
from bench.measure.stats import mean_over_images
from bench.records import Cell
from bench.tables.covers import occlusion
from bench.tables.covers.covered import CoveredSplit, covered_sets, lacking
from compress.files import plain
from fermodels.data.base import Split
from fermodels.nets.saliency import Looked, covered_share, looked
from fermodels.predict.annotate import heated
from fermodels.training.views import Views

TABLE = "fig4"
MODELS = {"vggnet": "VGGNet", "mrf": "MRF", "resnet18": "ResNet-18", "ocl-fgw-lgds": "OCL + Res18 + FGW + LGDS"}
"""Networks of the rows, and their names in print."""
MAPS = {"attention": "own map", "cam": "Grad-CAM"}
"""Field of `Looked` -> what it is called."""
FAMILIES = occlusion.FAMILIES
DRAWN = "synthetic"
"""The data set whose faces are nobody's: only they are kept as pictures."""
EXAMPLES = 3
"""So many faces are kept, the first of the test split."""
SHOWN = (("bare", "0"), ("noise", "10"), ("noise", "20"), ("noise", "30"), ("patch", "30"), ("mask", "placed"))
"""The covers on those pictures."""


def cells(data: str, scale: str, seeds: int) -> list[Cell]:
    """Every network, unpruned, with seed 0 however many `seeds` there are: maps are looked at, not averaged."""
    return [
        Cell(table=TABLE, data=data, scale=scale, model=model, variant="dense", ratio=0.0, seed=0) for model in MODELS
    ]


def measure(job: Job, wanted: Sequence[Cell], root: Path) -> None:
    """Makes the records of `wanted` (one network, one seed), unless `root` has them from the same stages."""
    for cell in wanted:
        stage = stage_behind(job, cell)
        if not occlusion.measured(root / cell.path, stage, job, FAMILIES):
            say(f"{cell.id}: where it looks, behind {', '.join(FAMILIES)}")
            records.save(record_of(job, cell, stage, _result(job, stage.net().to(job.device).eval())), root)


@dataclass(frozen=True, kw_only=True, eq=False)
class Seen:
    """What a network made of one set of faces; maps in the frame of the centre crop."""

    right: Bool[np.ndarray, " n"]
    maps: dict[str, Float[np.ndarray, "n s s"]]
    """By name, the largest value of each 1, half precision."""


def _result(job: Job, net: nn.Module) -> dict[str, Any]:
    """What a record keeps.

    occluded: family -> level -> map -> {"all", "right", "wrong"} (answers behind the cover) -> how many faces, and in
    percent with intervals: "on", the mean share of the map's mass on the cover; "before", that of the bare face's map
    on the same pixels; "change", the difference, face by face. covered: the mean covered shares. examples: PNG strips
    by map, base64.
    """
    bare = _seen(job, net, job.data.test)
    occluded: dict[str, dict[str, Any]] = {}
    covered: dict[str, dict[str, float]] = {}
    for family, level, made in covered_sets(job, FAMILIES):
        occluded.setdefault(family, {})[level] = _told(_seen(job, net, made.split), bare, made)
        covered.setdefault(family, {})[level] = made.share
    return {
        "occluded": occluded,
        "covered": covered,
        "lacking": dict(lacking(job, FAMILIES)),
        "covers": occlusion.about_covers(job),
        "examples": _examples(job, net),
        "data": occlusion.tested(job),
    }


def _batches(job: Job, net: nn.Module, split: Split) -> Iterator[tuple[Looked, Tensor]]:
    """Every face of `split` in order: what was looked at, and the labels."""
    views = Views(split, job.preprocessing, net.inputs, job.device)  # type: ignore[arg-type]
    for batch in views.evaluation(EVALUATION_BATCH):
        yield looked(net, batch.views), batch.labels


def _seen(job: Job, net: nn.Module, split: Split) -> Seen:
    right, maps = [], {name: [] for name in MAPS}
    for found, labels in _batches(job, net, split):
        right.append((found.answers == labels).cpu().numpy())
        for name in MAPS:
            if (made := getattr(found, name)) is not None:
                peak = made.amax((1, 2), keepdim=True).clamp_min(1e-30)  # a share of mass knows no scale; halves do
                maps[name].append((made / peak).half().cpu().numpy())
    return Seen(
        right=np.concatenate(right), maps={name: np.concatenate(parts) for name, parts in maps.items() if parts}
    )


def _told(seen: Seen, bare: Seen, made: CoveredSplit) -> dict[str, Any]:
    groups = {"all": np.ones_like(seen.right), "right": seen.right, "wrong": ~seen.right}
    told: dict[str, Any] = {}
    for name, maps in seen.maps.items():
        on, before = (_on_cover(each, made) for each in (maps, bare.maps[name]))
        known = np.isfinite(on) & np.isfinite(before)  # a map that is 0 everywhere lies nowhere
        told[name] = {group: _means(on, before, known & chosen) for group, chosen in groups.items()}
    return told


def _on_cover(maps: Float[np.ndarray, "n s s"], made: CoveredSplit) -> Float[np.ndarray, " n"]:
    return covered_share(torch.from_numpy(maps).float(), torch.from_numpy(made.masks)).numpy()


def _means(on: np.ndarray, before: np.ndarray, chosen: Bool[np.ndarray, " n"]) -> dict[str, Any]:
    n = int(chosen.sum())
    if n < 2:
        return {"n": n}
    shares = {"on": on[chosen], "before": before[chosen], "change": on[chosen] - before[chosen]}
    return {"n": n} | {name: plain(mean_over_images(values)) for name, values in shares.items()}


def _examples(job: Job, net: nn.Module) -> dict[str, str]:
    """Map -> PNG of faces (down) under covers (across) with the map over them; empty for other people's pictures."""
    if job.data.name != DRAWN:
        return {}
    made = {(family, level): one.split for family, level, one in covered_sets(job, FAMILIES)}
    made["bare", "0"] = job.data.test
    columns: dict[str, list[np.ndarray]] = {}
    for key in (key for key in SHOWN if key in made):
        split, size = made[key], job.preprocessing.size
        corner = round((split.images.shape[1] - size) / 2)
        found, _ = next(_batches(job, net, split))
        for name in (name for name in MAPS if getattr(found, name) is not None):
            maps = getattr(found, name)[:EXAMPLES].float().cpu().numpy()
            faces = np.asarray(split.images[:EXAMPLES, corner : corner + size, corner : corner + size])
            coloured = np.broadcast_to(faces, (*faces.shape[:3], 3))
            strip = [heated(face, one) for face, one in zip(coloured, maps, strict=True)]
            columns.setdefault(name, []).append(np.concatenate(strip))
    return {name: _png(np.concatenate(strips, axis=1)) for name, strips in columns.items()}


def _png(pixels: np.ndarray) -> str:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "png", optimize=True)
    return base64.b64encode(stream.getvalue()).decode()
