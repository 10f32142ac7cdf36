"""The plot of our networks among others: every mark has a name, and what was not measured is not drawn."""

from types import SimpleNamespace
from typing import Any

import pytest
from svg_boxes import outside, overlapping

from bench.pages.peers import PUBLISHED, peers_plot

MEASURED = {"accuracy": {"overall": 0.67}, "name": "small", "plan": {"params_after": 224_255}}
RIVAL = {"accuracy": {"overall": 0.64}, "name": "fer", "version": "25.10.0", "params": 56_951}


def a_page(*models: str) -> Any:
    found = [("dense", 15e6, 69.9), ("slim", 5e6, 71.2), ("slim", 0.5e6, 67.6), ("random", 1e6, 10.0)]
    keys = ("variant", "params", "accuracy_percent")
    rows = [{"model": model} | dict(zip(keys, one, strict=True)) for model in models for one in found]
    return SimpleNamespace(figures=SimpleNamespace(rows=[*rows, {"model": "mrf", "variant": "slim"}]))


@pytest.mark.parametrize("models", [(), ("vggnet",), ("vggnet", "mrf")])
def test_every_network_is_named_once_and_nothing_overlaps(models: tuple[str, ...]) -> None:
    svg = peers_plot(a_page(*models), [MEASURED], [RIVAL]).svg
    assert overlapping(svg) == outside(svg) == []
    for name in ("small", "fer", *(f"{peer.name} ({peer.how})" for peer in PUBLISHED)):
        assert svg.count(f">{name}</text>") == 1
    assert svg.count(">VGGNet, full width") == ("vggnet" in models) and svg.count(">MRF, full width") == (
        "mrf" in models
    )


def test_nothing_of_ours_is_measured_yet() -> None:
    assert "ships" not in peers_plot(a_page(), [], []).svg
