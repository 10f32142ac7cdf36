from mmap import PAGESIZE, mmap
from pathlib import Path

import pytest
import torch

from compress.files import size_bytes
from compress.runtimes import Session, Target
from compress.runtimes.session import ANY
from compress.timing.footprint import CLEAR_REFS, built, peak_memory

MIB = 2**20


@pytest.mark.skipif(not CLEAR_REFS.exists(), reason="only Linux tells the peak of a process")
def test_the_peak_is_that_of_the_run_and_of_nothing_before_it() -> None:
    def taking(mib: int) -> None:
        with mmap(-1, mib * MIB) as area:  # of the system's own: no allocator keeps any of it
            for page in range(0, mib * MIB, PAGESIZE):
                area[page] = 1

    least = peak_memory(lambda: None).process_bytes
    taking(400)  # forgotten: the next peak is lower
    small, large = (peak_memory(lambda mib=mib: taking(mib)).process_bytes for mib in (50, 200))
    assert least is not None
    assert small is not None
    assert large is not None
    assert small - least == pytest.approx(50 * MIB, abs=15 * MIB)
    assert large - small == pytest.approx(150 * MIB, abs=15 * MIB)


def test_the_subject_runs_once_and_what_the_system_does_not_tell_is_none(tmp_path: Path) -> None:
    runs: list[int] = []
    nowhere = tmp_path / "none" / "clear_refs"
    memory = peak_memory(lambda: runs.append(1), clear=nowhere)
    assert (len(runs), memory.process_bytes, memory.device_bytes) == (1, None, None)
    status = tmp_path / "status"
    status.write_text("Name:\tpython\nVmPeak:\t  900 kB\nVmHWM:\t  123 kB\n")
    assert peak_memory(lambda: None, status=status, clear=tmp_path / "clear").process_bytes == 123 * 1024
    assert (tmp_path / "clear").read_text() == "5"
    status.write_text("Name:\tpython\n")
    assert peak_memory(lambda: None, status=status, clear=tmp_path / "clear").process_bytes is None
    assert peak_memory(lambda: None, status=tmp_path / "gone", clear=tmp_path / "clear").process_bytes is None


def test_the_gpu_s_peak_is_reset_before_and_read_after(monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[str] = []
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda: events.append("reset"))
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda: events.append("read") or 77)
    assert peak_memory(lambda: events.append("run")).device_bytes == 77
    assert events == ["reset", "run", "read"]


class Writing:
    """A runtime whose artefact is a folder with 30 bytes in it."""

    name, precisions = "writing", ("fp32",)

    def require(self) -> None: ...

    def build(self, onnx: Path, *, precision: str, target: Target = ANY) -> Path:
        folder = onnx.parent / precision
        (folder / "deep").mkdir(parents=True)
        (folder / "a").write_bytes(bytes(10))
        (folder / "deep" / "b").write_bytes(bytes(20))
        return folder

    def open(self, artefact: Path, *, precision: str) -> Session:
        raise AssertionError("only built in this test, never opened")


def test_an_artefact_s_size_and_the_seconds_of_its_making(tmp_path: Path) -> None:
    ticks = iter([5.0, 7.5])
    made = built(Writing(), tmp_path / "net.onnx", precision="fp32", clock=lambda: next(ticks))
    assert (made.artefact, made.artefact_bytes, made.build_s) == (tmp_path / "fp32", 30, 2.5)
    assert size_bytes(tmp_path / "fp32" / "deep" / "b") == 20
