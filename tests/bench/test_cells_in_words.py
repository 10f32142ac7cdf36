"""What a page lacks is told by network and method, not by the names of files."""

import pytest

from bench.pages.cells import unmeasured
from bench.records import Cell

MODELS = {"mrf": "MRF", "vggnet": "VGGNet"}
VARIANTS = {"dense": "unpruned", "taylor": "Taylor scores", "random": "Control: random channels"}


def cell(model, variant, ratio, seed=0, **more):
    return Cell(
        table="slimming", data="tiny", scale="quick", model=model, variant=variant, ratio=ratio, seed=seed, **more
    )


WANTED = [
    cell(model, variant, ratio)
    for model in MODELS
    for variant, ratio in (("dense", 0.0), ("taylor", 0.4), ("taylor", 0.6), ("random", 0.6))
]


@pytest.mark.parametrize(
    ("measured", "told"),
    [
        ([], ["MRF, all of it", "VGGNet, all of it"]),
        (WANTED[4:6], ["MRF, all of it", "VGGNet, Taylor scores: 60 %", "VGGNet, Control: random channels: 60 %"]),
        (WANTED[5:], ["MRF, all of it", "VGGNet, unpruned"]),
        (WANTED[:1] + WANTED[4:], ["MRF, Taylor scores: 40 %, 60 %", "MRF, Control: random channels: 60 %"]),
        (WANTED, []),
    ],
)
def test_each_method_is_one_line(measured, told):
    assert unmeasured(WANTED, measured, MODELS, VARIANTS) == told


def test_seeds_and_runtimes_are_told_apart():
    seeds = [cell("mrf", "taylor", 0.6, seed, runtime="onnxruntime", precision="fp32") for seed in (0, 1, 2)]
    told = unmeasured(seeds, seeds[:1], MODELS, VARIANTS)
    assert told == [f"MRF, Taylor scores, onnxruntime fp32, seed {seed}: 60 %" for seed in (1, 2)]
