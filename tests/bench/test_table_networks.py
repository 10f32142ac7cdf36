"""Every network of the tables is built at every scale, and trains as its entry says."""

from dataclasses import replace

import pytest

import fermodels
from bench.make.networks import NETWORKS
from bench.make.scale import SETTABLE, changed
from bench.make.scales import CPU, QUICK, SCALES


@pytest.mark.parametrize("name", NETWORKS)
def test_architectures_are_settings_of_their_model(name: str):
    for scale in SCALES.values():
        _, config = fermodels.MODELS[NETWORKS[name].model]
        assert config(**NETWORKS[name].architecture(scale, 5)).classes == 5


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_answer_at_the_quick_scale(name: str):
    net = NETWORKS[name].build(QUICK, classes=3).eval()
    assert fermodels.probabilities(net(*net.example(2))).shape == (2, 3)


@pytest.mark.parametrize("name", NETWORKS)
def test_changes_are_fields_of_a_scale(name: str):
    network = NETWORKS[name]
    assert set(network.changes) <= set(SETTABLE)
    assert network.changes.items() <= network.scale(CPU).described().items()


def test_paper_2s_networks_may_slim_by_shorter_schedules_than_the_others():
    scale = changed(CPU, start_epochs={"sparse": 4, "tune": 3, "control": 1})
    shorter = NETWORKS["ocl-fgw-lgds"].scale(scale).schedules
    assert [getattr(shorter, name).epochs for name in ("sparse", "tune", "control")] == [4, 3, 1]
    assert replace(shorter.tune, epochs=CPU.schedules.tune.epochs) == CPU.schedules.tune
