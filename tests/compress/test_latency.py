from dataclasses import replace

import numpy as np
import pytest
import torch
from fake_samples import samples
from torch import Tensor, nn

from compress.files import plain
from compress.runtimes import IO, Session, TensorSpec
from compress.timing.latency import latency_of, subject_of_session, summarise, synchronised


def test_percentiles_of_known_samples() -> None:
    ms = np.random.default_rng(0).permutation(np.arange(101.0)) + 1
    latency = summarise(samples(ms), batch=4)
    assert (latency.p50_ms, latency.p90_ms, latency.p95_ms, latency.p99_ms) == (51.0, 91.0, 96.0, 100.0)
    assert latency.images_per_s == pytest.approx(4 / 0.051)
    # discrete uniform 1..n: variance n (n + 1) / 12 with n - 1 below
    assert latency.cv == pytest.approx((101 * 102 / 12) ** 0.5 / 51)
    assert latency.samples_ms == tuple(ms)
    assert latency.ratio_to_dense is None


def test_the_ratio_is_paired_by_turn() -> None:
    dense = np.random.default_rng(1).uniform(5, 50, 200)
    latency = summarise(samples(dense / 4), samples(dense), batch=4)
    assert latency.ratio_to_dense is not None
    assert latency.ratio_to_dense.ratio == pytest.approx(0.25)
    assert latency.ratio_to_dense.interval == pytest.approx((0.25, 0.25))
    assert set(plain(latency)["ratio_to_dense"]) == {"ratio", "interval"}


def test_what_a_measurement_says_of_itself_is_kept() -> None:
    told = summarise(replace(samples(np.full(50, 2.0)), attempts=3, per_turn=10), batch=1)
    assert (told.attempts, told.per_turn, told.warmup_runs, told.stable) == (3, 10, 20, True)


@pytest.mark.parametrize(("swing", "noisy"), [(0.03, False), (0.04, True)])
def test_a_figure_is_noisy_above_five_percent(swing: float, noisy: bool) -> None:
    ms = 10 * (1 + swing * np.tile([1.0, -1.0], 500))  # 1.4826 times the swing
    assert summarise(samples(ms), batch=4).noisy is noisy


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
    assert (slim.batch, slim.runtime, slim.precision) == (3, "torch-eager", "fp32")
    assert slim.n == len(slim.samples_ms) >= 5 and slim.n % slim.per_turn == 0
    assert slim.threads == torch.get_num_threads()
    assert min(slim.samples_ms) > 0
    assert 1 <= slim.attempts <= 3
    assert slim.memory is not None
    assert slim.launch is None, "there is no GPU in it"


def test_a_session_is_fed_the_same_pixels_of_its_own_shapes_every_time() -> None:
    class Remembering(Session):
        def __init__(self) -> None:
            face = TensorSpec(name="face", dtype=torch.uint8, shape=(None, 3, 4, 4))
            super().__init__(IO(inputs=(face,), outputs=()), runtime="fake", precision="fp32")
            self.fed: list[Tensor] = []

        def _run(self, batch):
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

    class Keeping(Remembering):
        def __init__(self) -> None:
            super().__init__()
            self.own = torch.zeros(5, 3, 4, 4, dtype=torch.uint8)

        def resident(self, batch):
            self.own.copy_(batch["face"])
            return {"face": self.own}

    third = Keeping()
    subject_of_session(third, 5)()
    assert third.fed[0] is third.own and torch.equal(third.own, first.fed[0]), "its copy is not in the time"
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
    assert synchronised(work, lambda: False)(3) == 3
    assert events == ["work", "wait", "work"]
