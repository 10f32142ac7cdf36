"""Time of every layer at every width it may take, measured once on a machine and runtime, then read from a file.

    table = LatencyTable(RuntimeStopwatch(runtime="onnxruntime", batch=1), Path("reports/runs/latency"))
    table.measure(layers, options)
    table.layer_ms(layer, options_in, options_out)

A layer's time depends on both its widths, and not smoothly: kernels step at blocks of 8 or 16 channels. It is measured
on a coarse grid of the allowed widths and taken as bilinear between. The sum over layers is not the network's time
(caches, layout, what lies between); `compress.slimming.latency_target` corrects it by measuring whole networks.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

import fermodels
from compress.files import digest, plain, write_atomic
from compress.slimming.layers import Geometry, Layer
from compress.timing.stopwatch import Stopwatch
from fermodels.data.decode import live_bar

SCHEMA = 1
SMALLEST_MS = 1e-5
"""A layer never takes less: the difference of two measured times may be below 0."""

Options = Mapping[str, Sequence[int]]
"""Group name -> the widths it may take, ascending."""


class LatencyTable:
    """Times on one machine and runtime. What the file in `folder` lacks is measured and added to it.

    A file that is damaged, or of another machine, library version or setting, is measured anew.
    """

    def __init__(self, stopwatch: Stopwatch, folder: Path) -> None:
        self.stopwatch = stopwatch
        self.provenance = stopwatch.provenance
        name = "{runtime}-{precision}-batch{batch}-threads{threads}.json".format(**self.provenance)
        self.path = Path(folder) / name
        found = _read(self.path, self.provenance)
        self._probes: dict[str, float] = found["probes"]
        self._networks: dict[str, float] = found["networks"]

    def measure(self, layers: Sequence[Layer], options: Options) -> None:
        """Measures what `layer_ms` will need for `layers` with these options and the table lacks."""
        wanted = {key: probe for layer in layers for key, probe in _probes(layer, options).items()}
        missing = {key: probe for key, probe in wanted.items() if key not in self._probes}
        if not missing:
            return
        try:
            with live_bar(f"timing layers on {self.provenance['runtime']}", len(missing), True) as advance:
                for key, (geometry, fan_in, fan_out) in missing.items():
                    self._probes[key] = self.stopwatch.probe_ms(geometry, fan_in, fan_out)
                    advance(1)
        finally:
            self._save()

    def layer_ms(self, layer: Layer, fans_in: Sequence[int], fans_out: Sequence[int]) -> Float[np.ndarray, "ins outs"]:
        """Milliseconds of `layer` at each pair of widths, between the widths that were measured."""
        rows, columns = nodes(fans_in), nodes(fans_out)
        measured = np.array([[self._layer_ms(layer.geometry, row, column) for column in columns] for row in rows])
        by_column = np.array([np.interp(fans_out, columns, row) for row in measured])
        return np.array([np.interp(fans_in, rows, column) for column in by_column.T]).T

    def network_ms(self, net: Any, *, beside: Any = None) -> float:
        """Milliseconds of a whole network as it is deployed; an architecture is measured once.

        Args:
            beside: a network with which `net` takes turns: its time is then their ratio times that one's own, so that
                all networks measured beside the same one can be compared, whenever they were.
        """
        key = f"{fermodels.name_of(net)} {digest(net.config)[:16]}"
        if key not in self._networks:
            alone = beside is None
            found = self.stopwatch.network_ms(net) if alone else self.stopwatch.network_ratio(net, beside)
            self._networks[key] = found if alone else found * self.network_ms(beside)
            self._save()
        return self._networks[key]

    def _layer_ms(self, geometry: Geometry, fan_in: int, fan_out: int) -> float:
        whole, rest = (self._probes[_key(geometry, fan_in, width)] for width in (fan_out, None))
        return max(whole - rest, SMALLEST_MS)

    def _save(self) -> None:
        content = {"schema": SCHEMA, "provenance": self.provenance, "probes": self._probes, "networks": self._networks}
        write_atomic(self.path, json.dumps(plain(content), indent=1) + "\n")


def nodes(widths: Sequence[int]) -> list[int]:
    """The widths that are measured: the ends, and the powers of two and their one and a half times between them."""
    powers = {part << shift for shift in range(16) for part in (2, 3)}
    return sorted({width for width in widths if width in powers} | {min(widths), max(widths)})


def fans(layer: Layer, options: Options) -> tuple[Sequence[int], Sequence[int]]:
    """The widths that the layer's input and output may take."""
    return (
        [layer.fan_in] if layer.reads is None else options[layer.reads],
        [layer.fan_out] if layer.writes is None else options[layer.writes],
    )


def _probes(layer: Layer, options: Options) -> dict[str, tuple[Geometry, int, int | None]]:
    fans_in, fans_out = fans(layer, options)
    return {
        _key(layer.geometry, fan_in, fan_out): (layer.geometry, fan_in, fan_out)
        for fan_in in nodes(fans_in)
        for fan_out in (None, *nodes(fans_out))
    }


def _key(geometry: Geometry, fan_in: int, fan_out: int | None) -> str:
    if fan_out is None:  # without the layer, nothing of it matters but the map that it would be given
        return f"{geometry.side}px x{geometry.images} {fan_in}"
    return f"{geometry} {fan_in}->{fan_out}"


def _read(path: Path, provenance: Mapping[str, Any]) -> dict[str, Any]:
    empty: dict[str, Any] = {"probes": {}, "networks": {}}
    try:
        found = json.loads(path.read_text())
        fits = found["schema"] == SCHEMA and found["provenance"] == provenance
        return {name: dict(found[name]) for name in empty} if fits else empty
    except (OSError, ValueError, KeyError, TypeError):
        return empty
