import gc
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from bench.environment import Load, busy
from bench.latency import latency_of, latency_sweep, subject_of, subject_of_session, summarise, synchronised
from bench.turns import Samples, WarmUp, calmest, measure_interleaved
from compress.runtimes import IO, TensorSpec
from fermodels.files import plain

QUIET = Load(at=0.0, load1=0.1, pressure_avg10=0.0, stalled_us=0)
AFTER = replace(QUIET, at=10.0)


class Workshop:
    """A clock that only work moves, and subjects whose durations are known."""

    def __init__(self) -> None:
        self.now_ns = 0
        self.calls: list[str] = []

    def clock(self) -> int:
        return self.now_ns

    def subject(self, name: str, *ms: float):
        """Takes ms[i] in its i-th run; the last duration stays."""
        left = list(ms)

        def work() -> None:
            self.calls.append(name)
            self.now_ns += round(1e6 * (left.pop(0) if len(left) > 1 else left[0]))

        return work


def samples(ms: np.ndarray) -> Samples:
    return Samples(ms=ms, warmup_runs=20, stable=True, before=QUIET, after=AFTER)


def test_subjects_take_turns_until_the_fastest_has_enough_runs_and_seconds() -> None:
    shop = Workshop()
    subjects = {"a": shop.subject("a", 1.0), "b": shop.subject("b", 10.0), "c": shop.subject("c", 2.0)}
    measured = measure_interleaved(subjects, min_runs=5, min_seconds=0.05, clock=shop.clock)
    assert shop.calls == list("abc") * (len(shop.calls) // 3)
    # a needs 50 runs of 1 ms for 0.05 s, and the others keep it company
    assert {name: len(one.ms) for name, one in measured.items()} == {"a": 50, "b": 50, "c": 50}
    assert {name: set(one.ms) for name, one in measured.items()} == {"a": {1.0}, "b": {10.0}, "c": {2.0}}
    warmup_runs = measured["a"].warmup_runs
    assert len(shop.calls) == 3 * (50 + warmup_runs)


def test_the_number_of_runs_rules_when_the_work_is_slow() -> None:
    shop = Workshop()
    measured = measure_interleaved({"a": shop.subject("a", 500.0)}, min_runs=7, min_seconds=1.0, clock=shop.clock)
    assert len(measured["a"].ms) == 7


def test_a_cold_start_is_not_kept() -> None:
    shop = Workshop()
    cold = [40.0 / (1 + i) for i in range(20)]
    work = {"a": shop.subject("a", *cold, 1.0), "b": shop.subject("b", 3.0)}
    measured = measure_interleaved(work, min_runs=10, min_seconds=0.0, clock=shop.clock)
    assert measured["a"].stable
    assert measured["a"].warmup_runs > 20
    assert measured["a"].ms.tolist() == [1.0] * 10


def test_a_subject_that_never_settles_stops_the_warm_up_at_its_cap() -> None:
    shop = Workshop()
    restless = shop.subject("a", *[1.1**i for i in range(60)])
    work = {"a": restless, "b": shop.subject("b", 1.0)}
    by_runs = measure_interleaved(
        work, min_runs=2, min_seconds=0.0, warmup=WarmUp(max_runs=30, max_seconds=1e9), clock=shop.clock
    )
    assert (by_runs["a"].warmup_runs, by_runs["a"].stable, by_runs["b"].stable) == (30, False, True)
    slow = Workshop()
    by_time = measure_interleaved(
        {"a": slow.subject("a", 100.0)}, min_runs=2, warmup=WarmUp(max_seconds=0.4), min_seconds=0.0, clock=slow.clock
    )
    assert (by_time["a"].warmup_runs, by_time["a"].stable) == (4, False)


def test_no_garbage_is_collected_while_timing_and_collection_comes_back() -> None:
    seen: list[bool] = []
    measure_interleaved({"a": lambda: seen.append(gc.isenabled())}, min_runs=3, min_seconds=0.0)
    assert len(seen) > 3
    assert not any(seen)
    assert gc.isenabled()

    def fail() -> None:
        raise RuntimeError("broken subject")

    with pytest.raises(RuntimeError, match="broken"):
        measure_interleaved({"a": fail})
    assert gc.isenabled()


def test_progress_rises_to_one_between_rounds() -> None:
    shop = Workshop()
    told: list[float] = []
    work = {"a": shop.subject("a", 1.0), "b": shop.subject("b", 2.0)}
    measure_interleaved(work, min_runs=4, min_seconds=0.01, clock=shop.clock, progress=told.append)
    assert told[-1] == 1.0
    assert all(earlier < later for earlier, later in pairwise(told))


def test_nothing_to_measure_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one subject"):
        measure_interleaved({})
    with pytest.raises(ValueError, match="two runs"):
        measure_interleaved({"a": lambda: None}, min_runs=1)


def test_percentiles_of_known_samples() -> None:
    ms = np.random.default_rng(0).permutation(np.arange(101.0)) + 1
    latency = summarise(samples(ms), batch=4)
    assert (latency.p50_ms, latency.p90_ms, latency.p95_ms, latency.p99_ms) == (51.0, 91.0, 96.0, 100.0)
    assert latency.images_per_s == pytest.approx(4 / 0.051)
    # discrete uniform 1..n: variance n (n + 1) / 12 with n - 1 below
    assert latency.cv == pytest.approx((101 * 102 / 12) ** 0.5 / 51)
    assert latency.samples_ms == tuple(ms)
    assert latency.ratio_to_dense is None


def test_the_ratio_is_paired_by_round() -> None:
    dense = np.random.default_rng(1).uniform(5, 50, 200)
    latency = summarise(samples(dense / 4), samples(dense), batch=4)
    assert latency.ratio_to_dense is not None
    assert latency.ratio_to_dense.ratio == pytest.approx(0.25)
    assert latency.ratio_to_dense.interval == pytest.approx((0.25, 0.25))
    assert set(plain(latency)["ratio_to_dense"]) == {"ratio", "interval"}


@pytest.mark.parametrize(("swing", "noisy"), [(0.02, False), (0.03, True)])
def test_a_figure_is_noisy_above_two_and_a_half_percent(swing: float, noisy: bool) -> None:
    ms = 10 * (1 + swing * np.tile([1.0, -1.0], 500))  # cv = swing
    assert summarise(samples(ms), batch=4).noisy is noisy


@pytest.mark.parametrize(
    ("stalled_us", "load1", "expected"),
    [(400_000, 99.0, False), (600_000, 0.0, True), (None, 1e6, True), (None, 0.5, False), (None, None, False)],
)
def test_pressure_decides_where_readable_and_load_elsewhere(
    stalled_us: int | None, load1: float | None, expected: bool
) -> None:
    before = replace(QUIET, stalled_us=None if stalled_us is None else 0, load1=load1)
    after = replace(before, at=10.0, stalled_us=stalled_us)  # 5 % of 10 s are 500,000 us
    assert busy(before, after) is expected
    steady = replace(samples(np.full(50, 2.0)), before=before, after=after)
    assert summarise(steady, batch=4).noisy is expected


def attempt(**cvs: float) -> dict[str, Samples]:
    """One measurement whose subjects have these coefficients of variation (n - 1) and a mean of 10 ms."""
    waves = {name: 10 * (1 + cv * np.tile([1.0, -1.0], 50) * (99 / 100) ** 0.5) for name, cv in cvs.items()}
    return {name: samples(wave) for name, wave in waves.items()}


@pytest.mark.parametrize(
    ("made", "attempts", "kept"),
    [
        ([{"a": 0.01, "b": 0.01}, {"a": 0.0, "b": 0.0}], 1, 0),  # calm at once: never repeated
        ([{"a": 0.01, "b": 0.3}, {"a": 0.02, "b": 0.02}], 2, 1),  # noisy, then calm
        ([{"a": 0.3, "b": 0.3}, {"a": 0.01, "b": 0.4}, {"a": 0.2, "b": 0.2}], 3, 1),  # the fewest noisy
        ([{"a": 0.3, "b": 0.3}, {"a": 0.1, "b": 0.2}, {"a": 0.1, "b": 0.25}], 3, 1),  # then the smallest spread
    ],
)
def test_a_noisy_measurement_is_repeated_and_the_calmest_kept(
    made: list[dict[str, float]], attempts: int, kept: int
) -> None:
    left = iter(made)
    found = calmest(lambda: attempt(**next(left)), 3)
    assert {name: one.cv for name, one in found.items()} == pytest.approx(made[kept])
    assert {one.attempts for one in found.values()} == {attempts}
    assert summarise(found["a"], batch=1).attempts == attempts


def test_an_attempt_is_chosen_for_calm_and_not_for_speed() -> None:
    fast = {"a": replace(attempt(a=0.2)["a"], ms=attempt(a=0.2)["a"].ms / 2)}
    left = iter([fast, attempt(a=0.1)])
    assert calmest(lambda: next(left), 2)["a"].ms.mean() == pytest.approx(10.0)
    with pytest.raises(ValueError, match="at least one"):
        calmest(lambda: attempt(a=0.0), 0)


def test_a_busy_machine_is_a_reason_to_repeat() -> None:
    waiting = replace(AFTER, stalled_us=10_000_000)
    left = iter([{"a": replace(attempt(a=0.0)["a"], after=waiting)}, attempt(a=0.02)])
    found = calmest(lambda: next(left), 3)["a"]
    assert (found.attempts, found.noisy) == (2, False)


class Tiny(nn.Module):
    """A convolution that remembers how it was run."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, width, 3)
        self.batches: list[int] = []
        self.good = True

    def forward(self, face: Tensor) -> Tensor:
        self.batches.append(len(face))
        layout = face.is_contiguous(memory_format=torch.channels_last)
        weight = self.conv.weight.is_contiguous(memory_format=torch.channels_last)
        self.good &= layout and weight and not self.training and torch.is_inference_mode_enabled()
        return self.conv(face)

    def example(self, batch: int = 1) -> tuple[Tensor, ...]:
        return (torch.randn(batch, 3, 8, 8),)


def test_networks_run_in_eval_inference_and_channels_last_and_come_back() -> None:
    nets = {"dense": Tiny(8), "slim": Tiny(4)}
    nets["slim"].eval()
    state = torch.random.get_rng_state()
    latencies = latency_of(nets, 3, "dense", min_runs=5, min_seconds=0.0)
    assert torch.equal(state, torch.random.get_rng_state())
    assert all(net.good and set(net.batches) == {3} for net in nets.values())
    assert (nets["dense"].training, nets["slim"].training) == (True, False)
    assert latencies["dense"].ratio_to_dense is None
    assert latencies["slim"].ratio_to_dense is not None
    slim = latencies["slim"]
    assert (slim.n, slim.batch, slim.runtime, slim.precision) == (5, 3, "torch-eager", "fp32")
    assert slim.threads == torch.get_num_threads()
    assert min(slim.samples_ms) > 0
    assert 1 <= slim.attempts <= 3
    assert slim.memory is not None
    assert slim.launch is None, "there is no GPU in it"


def test_a_sweep_measures_every_batch_and_keeps_to_its_settings() -> None:
    nets = {"dense": Tiny(8), "slim": Tiny(4)}
    found = latency_sweep(nets, "dense", batches=(1, 3), min_runs=5, min_seconds=0.0, attempts=1)
    assert {batch: {one.batch for one in each.values()} for batch, each in found.items()} == {1: {1}, 3: {3}}
    assert {(one.n, one.attempts) for each in found.values() for one in each.values()} == {(5, 1)}
    assert {tuple(each) for each in found.values()} == {("dense", "slim")}


def test_a_session_is_fed_the_same_pixels_of_its_own_shapes_every_time() -> None:
    class Remembering:
        runtime, precision = "fake", "fp32"
        io = IO(inputs=(TensorSpec(name="face", dtype=torch.uint8, shape=(None, 3, 4, 4)),), outputs=())

        def __init__(self) -> None:
            self.fed: list[Tensor] = []

        def run(self, batch):
            self.io.check(batch)
            self.fed.append(batch["face"])
            return {}

        def precision_by_layer(self) -> dict[str, str]:
            return {}

    first, second = Remembering(), Remembering()
    for session in (first, second):
        subject = subject_of_session(session, 5)
        subject()
        subject()
    assert all(torch.equal(pixels, first.fed[0]) for pixels in [*first.fed, *second.fed])
    assert (tuple(first.fed[0].shape), len(first.fed)) == ((5, 3, 4, 4), 2)
    assert first.fed[0].unique().numel() > 50


def test_what_cannot_be_compared_is_refused() -> None:
    with pytest.raises(ValueError, match="subjects are dense"):
        latency_of({"dense": Tiny(4)}, 1, "sparse")
    with pytest.raises(ValueError, match=r"fp32.*fp64"):
        latency_of({"dense": Tiny(4), "other": Tiny(4).double()}, 1, "dense")


def test_a_gpu_is_waited_for_after_the_work_and_a_cpu_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[str] = []
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: events.append("wait"))

    def work(answer: int) -> int:
        events.append("work")
        return answer

    assert synchronised(work, lambda: True)(answer=7) == 7
    assert events == ["work", "wait"]
    subject_of(Tiny(4), 1)()
    assert synchronised(work, lambda: False)(3) == 3
    assert events == ["work", "wait", "work"]
