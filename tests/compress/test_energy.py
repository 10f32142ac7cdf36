"""Joules from counters: of a folder like Linux's, and of a GPU whose driver is played."""

import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from compress.timing.energy import Energy, energy_of, why_no_energy

RANGE_UJ = 1_000_000


def zone(root: Path, name: str, kind: str, energy_uj: int = 0) -> Path:
    folder = root / name
    folder.mkdir(parents=True)
    (folder / "name").write_text(f"{kind}\n")
    (folder / "energy_uj").write_text(f"{energy_uj}\n")
    (folder / "max_energy_range_uj").write_text(f"{RANGE_UJ}\n")
    return folder


def burning(zones: dict[Path, int]) -> Callable[[], None]:
    """A subject whose every run adds so many microjoules to each zone."""

    def run() -> None:
        for folder, uj in zones.items():
            told = int((folder / "energy_uj").read_text())
            (folder / "energy_uj").write_text(f"{(told + uj) % RANGE_UJ}\n")

    return run


def ticking(step: float) -> Callable[[], float]:
    """A clock that goes on by `step` seconds each time it is asked."""
    now = [0.0]

    def clock() -> float:
        now[0] += step
        return now[0]

    return clock


def test_two_packages_are_summed_and_their_parts_are_not(tmp_path) -> None:
    first, second = zone(tmp_path, "intel-rapl:0", "package-0", 10), zone(tmp_path, "intel-rapl:1", "package-1", 20)
    core, board = zone(tmp_path, "intel-rapl:0:0", "core"), zone(tmp_path, "intel-rapl:2", "psys")
    zone(tmp_path, "intel-rapl-mmio:0", "package-0")
    run = burning({first: 3000, second: 5000, core: 2000, board: 9000})
    found = energy_of(run, 4, seconds=1.0, root=tmp_path, clock=ticking(0.25))
    assert found == Energy(joules_per_image=pytest.approx(8000e-6 / 4), counter="rapl", runs=4, seconds=1.0)
    assert why_no_energy(root=tmp_path) == ""


def test_a_counter_that_starts_anew_in_between_loses_nothing(tmp_path) -> None:
    package = zone(tmp_path, "intel-rapl:0", "package-0", RANGE_UJ - 100)
    found = energy_of(burning({package: 300}), 1, seconds=0.0, root=tmp_path)
    assert found is not None and (found.runs, found.joules_per_image) == (1, pytest.approx(300e-6))


def test_it_runs_for_the_time_asked_for(tmp_path) -> None:
    package = zone(tmp_path, "intel-rapl:0", "package-0")
    found = energy_of(burning({package: 1}), 1, seconds=0.05, root=tmp_path)
    assert found is not None and found.seconds >= 0.05 and found.runs > 1


def test_nothing_runs_where_no_counter_is_there(tmp_path) -> None:
    def never() -> None:
        raise AssertionError("it was run for nothing")

    assert energy_of(never, 1, root=tmp_path / "none") is None
    zone(tmp_path, "intel-rapl:0", "psys")
    assert energy_of(never, 1, root=tmp_path) is None
    assert "has no package" in why_no_energy(root=tmp_path)


def test_a_counter_that_may_not_be_read_is_a_sentence_with_the_mend(tmp_path, monkeypatch) -> None:
    zone(tmp_path, "intel-rapl:0", "package-0")
    closed = zone(tmp_path, "intel-rapl:1", "package-1") / "energy_uj"
    read = Path.read_text

    def refusing(path: Path, *given, **named) -> str:
        if path == closed:
            raise PermissionError(13, "Permission denied")
        return read(path, *given, **named)

    monkeypatch.setattr(Path, "read_text", refusing)
    assert energy_of(lambda: None, 1, root=tmp_path) is None, "one of two packages would be half of the truth"
    assert f"sudo chmod a+r {closed}" in why_no_energy(root=tmp_path)


def test_a_broken_or_standing_counter_tells_nothing(tmp_path) -> None:
    package = zone(tmp_path, "intel-rapl:0", "package-0")
    assert energy_of(lambda: None, 1, seconds=0.0, root=tmp_path) is None
    (package / "energy_uj").write_text("many\n")
    assert energy_of(lambda: None, 1, root=tmp_path) is None and "holds no number" in why_no_energy(root=tmp_path)
    (package / "energy_uj").unlink()
    (package / "energy_uj").mkdir()
    assert energy_of(lambda: None, 1, root=tmp_path) is None and "cannot be read" in why_no_energy(root=tmp_path)


class Refused(Exception):
    pass


def driver(monkeypatch, millijoules: Callable[[str], int]) -> None:
    """A GPU in use whose driver answers with `millijoules`."""
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda index: SimpleNamespace(uuid="abc"))
    played = SimpleNamespace(NVMLError=Refused, nvmlInit=lambda: None, nvmlDeviceGetHandleByUUID=lambda uuid: uuid)
    played.nvmlDeviceGetTotalEnergyConsumption = millijoules
    monkeypatch.setitem(sys.modules, "pynvml", played)


def test_the_gpu_s_own_counter_and_no_other(monkeypatch, tmp_path) -> None:
    spent = [7]

    def run() -> None:
        spent[0] += 20

    driver(monkeypatch, lambda handle: spent[0] if handle == "GPU-abc" else -1)
    found = energy_of(run, 5, seconds=1.0, device="cuda:0", root=tmp_path, clock=ticking(0.5))
    assert found == Energy(joules_per_image=pytest.approx(20e-3 / 5), counter="nvml", runs=2, seconds=1.0)
    assert why_no_energy("cuda:0", tmp_path) == ""


def test_a_gpu_that_does_not_tell_is_a_sentence(monkeypatch) -> None:
    def refuse(handle: str) -> int:
        raise Refused("Not Supported")

    driver(monkeypatch, refuse)
    assert energy_of(lambda: None, 1, device="cuda") is None and "(Not Supported)" in why_no_energy("cuda")
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert "pip install nvidia-ml-py" in why_no_energy("cuda")
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: False)
    assert energy_of(lambda: None, 1, device="cuda") is None and "none is in use" in why_no_energy("cuda")
