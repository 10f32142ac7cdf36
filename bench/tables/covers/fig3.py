"""Fig 3 of paper 2: handcrafted baselines and networks behind growing covers and masks, seen and unseen ones apart.

A method is a key of `fermodels.handcrafted.FEATURES` or of `bench.make.networks.NETWORKS`; to add one, name it in
`METHODS`.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bench import records
from bench.make import baselines
from bench.make.pipeline import record_of, stage_behind
from bench.make.recipes import say
from bench.make.stages import Job, Stage
from bench.records import Cell
from bench.tables.covers import occlusion
from fermodels.data.base import Split
from fermodels.handcrafted import FEATURES

TABLE = "fig3"
METHODS = {
    **{"sift": "SIFT", "lbp": "LBP", "hog": "HOG", "vggnet": "VGGNet", "mrf": "MRF"},
    **{"resnet18": "ResNet-18", "densenet121": "DenseNet-121", "ocl-fgw-lgds": "OCL + Res18 + FGW + LGDS"},
    "resnet18-erasing": "ResNet-18, random erasing",
    "ocl-fgw-lgds-erasing": "OCL + Res18 + FGW + LGDS, random erasing",
}
"""Methods of the figure, and their names in print."""
REFERENCE, OURS = "resnet18", "ocl-fgw-lgds"
"""Drops are compared with the first one's; the second is what paper 2 proposes."""
ERASING = "-erasing"
"""Ends the name of a method that saw rectangles in its supervised training, too: the simple way to the same end."""
FAMILIES = ("noise", "black", "patch", "mask", "picture")
"""Two rectangles that occlusion-aware training may show, one that it may not, and both kinds of masks."""
PUBLISHED_DROPS = {"Proposed method": 13.79, "Res18": 17.65, "DenseNet": 18.57}
"""Xi 2022, section 4: points lost at the most (occlusion of 0 to 30 %); data and model are RAF-DB's and the paper's."""
PUBLISHED_SOURCE = "Xi, Computer Systems & Applications 2022, 31(11): 175-183, Fig 3 and its text"


def cells(data: str, scale: str, seeds: int) -> list[Cell]:
    """Every network with every seed, and the baselines once: nothing in them is drawn by chance."""
    return [
        Cell(table=TABLE, data=data, scale=scale, model=method, variant=_variant(method), ratio=0.0, seed=seed)
        for seed in range(seeds)
        for method in METHODS
        if seed == 0 or method not in FEATURES
    ]


def _variant(method: str) -> str:
    return baselines.VARIANT if method in FEATURES else "dense"


def measure(job: Job, wanted: Sequence[Cell], root: Path) -> None:
    """Makes the records of `wanted` (one method, one seed), unless `root` has them from the same stages."""
    for cell in wanted:
        stage = stage_behind(job, cell)
        if not occlusion.measured(root / cell.path, stage, job, FAMILIES):
            say(f"{cell.id}: test split behind {', '.join(FAMILIES)}")
            answers, about = _method(job, stage, cell)
            result = occlusion.looked(job, stage, FAMILIES, answers) | about
            records.save(record_of(job, cell, stage, result), root)


def _method(job: Job, stage: Stage, cell: Cell) -> tuple[Callable[[Split], np.ndarray], dict[str, Any]]:
    """How the method answers, and what else its record says."""
    if cell.variant != baselines.VARIANT:
        return occlusion.network_answers(job, stage), {"cost": occlusion.cost(stage)}
    fitted, size = baselines.opened(stage), job.preprocessing.size
    about = {"cost": {"params": fitted.weights.size}, "fitted": stage.outcome["history"]}
    return lambda split: fitted.answers(baselines.centre(split, size)), about
