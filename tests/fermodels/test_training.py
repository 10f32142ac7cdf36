"""The loop: resuming gives the same weights, terms are logged and summed, schedules and choices are what they say."""

import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from compress.training.loop import autocast, fit, has_bf16
from compress.training.schedule import TrainConfig, learning_rate, optimizer_for
from fermodels.nets.vgg import Output
from fermodels.training.views import Batch

CONFIG = TrainConfig(epochs=3, batch=8, lr=0.1, bf16=False, seed=1)


class Toy(nn.Module):
    """Something small with batch norm and dropout, so that state and randomness matter."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 3))

    def forward(self, x: torch.Tensor) -> Output:
        return Output(self.body(x)[None])


class Data:
    """40 points of three classes, in another order every epoch."""

    def __init__(self, batch: int = 8) -> None:
        random = torch.Generator().manual_seed(0)
        self.x, self.batch = torch.randn(40, 6, generator=random), batch
        self.y = self.x[:, :3].argmax(1)

    def __len__(self) -> int:
        return math.ceil(40 / self.batch)

    def epoch(self, epoch: int):
        order = torch.randperm(40, generator=torch.Generator().manual_seed(epoch))
        return [Batch((self.x[i],), self.y[i], torch.zeros(len(i), 1, 7, 7)) for i in order.split(self.batch)]


def objective(output: Output, batch: Batch) -> dict[str, torch.Tensor]:
    return {
        "ce": nn.functional.cross_entropy(output.logits[0], batch.labels),
        "half": output.logits.square().mean() / 2,
    }


def toy() -> Toy:
    torch.manual_seed(0)
    return Toy()


class Interrupted(Exception):
    pass


class KilledIn(Data):
    """Dies in the middle of an epoch, once."""

    def __init__(self, epoch: int) -> None:
        super().__init__()
        self.deadly = epoch

    def epoch(self, epoch: int):
        batches = super().epoch(epoch)
        if epoch != self.deadly:
            yield from batches
            return
        yield from batches[:2]
        raise Interrupted


@pytest.mark.parametrize("changes", [{}, {"optimizer": "adam", "lr": 0.01}, {"ema": 0.9}, {"accumulate": 2}])
def test_a_killed_run_goes_on_and_ends_with_the_same_weights(tmp_path, changes):
    config = replace(CONFIG, **changes)
    whole, _, history = fit(toy(), Data(), objective, config)
    state = tmp_path / "state.pt"
    with pytest.raises(Interrupted):
        fit(toy(), KilledIn(1), objective, config, state=state)
    assert state.exists()
    again, _, resumed = fit(toy(), Data(), objective, config, state=state)
    assert all(torch.equal(a, b) for a, b in zip(whole.state_dict().values(), again.state_dict().values(), strict=True))
    losses = [entry["losses"] for entry in history.epochs]
    assert [entry["losses"] for entry in resumed.epochs] == losses and len(losses) == 3


def test_a_state_of_another_configuration_is_refused(tmp_path):
    state = tmp_path / "state.pt"
    fit(toy(), Data(), objective, CONFIG, state=state)
    with pytest.raises(ValueError, match="belongs to another configuration"):
        fit(toy(), Data(), objective, replace(CONFIG, lr=0.2), state=state)
    state.write_bytes(state.read_bytes()[:100])
    with pytest.raises(ValueError, match="cannot be read"):
        fit(toy(), Data(), objective, CONFIG, state=state)


def test_it_learns_and_logs_every_term():
    _, _, history = fit(toy(), Data(), objective, replace(CONFIG, epochs=8))
    first, last = history.epochs[0]["losses"], history.epochs[-1]["losses"]
    assert set(first) == {"ce", "half"} and last["ce"] < first["ce"]
    assert [entry["images"] for entry in history.epochs] == [40] * 8


def test_the_best_epoch_on_validation_is_chosen_and_ties_go_to_the_later():
    scores = iter([0.2, 0.9, 0.9, 0.4])
    kept: list[dict] = []

    def monitor(net: nn.Module) -> dict[str, float]:
        kept.append({k: v.clone() for k, v in net.state_dict().items()})
        return {"validation": next(scores)}

    chosen, last, history = fit(toy(), Data(), objective, replace(CONFIG, epochs=4), monitor=monitor)
    assert history.chosen_epoch == 2
    assert all(torch.equal(v, kept[2][k]) for k, v in chosen.state_dict().items())
    assert all(torch.equal(v, kept[3][k]) for k, v in last.state_dict().items())


def test_accumulating_two_halves_equals_one_whole_batch():
    class Plain(Toy):
        def __init__(self) -> None:
            nn.Module.__init__(self)
            self.body = nn.Linear(6, 3)

    def trained(batch: int, accumulate: int) -> nn.Module:
        torch.manual_seed(0)
        config = replace(CONFIG, batch=batch, accumulate=accumulate)
        return fit(Plain(), Data(batch), objective, config)[0]

    one, two = trained(8, 1), trained(4, 2)
    for a, b in zip(one.state_dict().values(), two.state_dict().values(), strict=True):
        assert torch.allclose(a, b, atol=1e-6)


def test_one_step_of_sgd_by_hand():
    net = nn.Module()
    net.weight, net.bias = nn.Parameter(torch.full((1, 1), 2.0)), nn.Parameter(torch.full((1,), 2.0))
    optimizer = optimizer_for(net, replace(CONFIG, weight_decay=0.5))
    net.weight.grad, net.bias.grad = torch.ones(1, 1), torch.ones(1)
    optimizer.step()
    assert net.weight.item() == pytest.approx(2 - 0.1 * (1 + 0.5 * 2))
    assert net.bias.item() == pytest.approx(2 - 0.1)  # one-dimensional parameters have no weight decay


def test_schedules():
    cosine = TrainConfig(epochs=10, lr=1.0, warmup_epochs=1)
    assert [learning_rate(cosine, step, 100) for step in (0, 4, 9)] == pytest.approx([0.1, 0.5, 1.0])
    assert learning_rate(cosine, 10, 100) == 1.0
    assert learning_rate(cosine, 55, 100) == pytest.approx(0.5)
    assert learning_rate(cosine, 99, 100) < 1e-3
    steps = TrainConfig(epochs=60, lr=0.01, schedule="step", step_epochs=20, step_factor=0.1)
    assert [learning_rate(steps, step, 600) for step in (0, 199, 200, 400)] == pytest.approx([0.01, 0.01, 1e-3, 1e-4])


def test_the_moving_average_follows_its_formula():
    class One(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.w = nn.Parameter(torch.ones(1, 1))

        def forward(self, x: torch.Tensor) -> Output:
            return Output((x[:, :1] * 0 + self.w).expand(-1, 3)[None])

    seen: list[float] = []

    class Watch:
        def before_step(self, lr: float, progress: float) -> None: ...

        def after_step(self, lr: float, progress: float) -> None:
            seen.append(net.w.item())

    net = One()
    config = replace(CONFIG, epochs=1, ema=0.75, weight_decay=0.0)
    chosen, _, _ = fit(net, Data(20), lambda output, batch: {"l": output.logits.sum() / 60}, config, penalty=Watch())
    mean = 1.0
    for value in seen:
        mean = 0.75 * mean + 0.25 * value
    assert len(seen) == 2 and chosen.w.item() == pytest.approx(mean)


def test_the_penalty_is_called_around_every_step_with_rising_progress():
    calls: list[tuple[str, float]] = []

    class Spy:
        def before_step(self, lr: float, progress: float) -> None:
            calls.append(("before", progress))

        def after_step(self, lr: float, progress: float) -> None:
            calls.append(("after", progress))

    fit(toy(), Data(), objective, CONFIG, penalty=Spy())
    assert [name for name, _ in calls] == ["before", "after"] * 15
    assert [progress for name, progress in calls if name == "after"] == pytest.approx([i / 15 for i in range(15)])


def test_a_loss_that_is_not_finite_stops_with_its_name():
    with pytest.raises(FloatingPointError, match="bad"):
        fit(toy(), Data(), lambda output, batch: {"bad": output.logits.sum() * float("nan")}, CONFIG)


@pytest.mark.parametrize(
    ("field", "value"), [("optimizer", "lion"), ("schedule", "linear"), ("epochs", 0), ("ema", 1.0), ("batch", 0)]
)
def test_a_wrong_setting_is_refused_by_name(field, value):
    with pytest.raises(ValueError, match=f"{field}="):
        replace(CONFIG, **{field: value})


def test_bf16_is_left_out_on_a_processor_that_only_imitates_it(monkeypatch):
    left, right = torch.ones(2, 2), torch.ones(2, 2)
    for has, dtype in ((True, torch.bfloat16), (False, torch.float32)):
        monkeypatch.setattr("compress.training.loop.has_bf16", lambda device, has=has: has)
        with autocast("cpu", True):
            assert (left @ right).dtype == dtype
    with autocast("cpu", False):
        assert (left @ right).dtype == torch.float32


def test_a_processor_has_bf16_from_avx512_on():
    expected = {"AVX2": False, "AVX512": True, "AMX": True}
    capability = torch.backends.cpu.get_cpu_capability()
    if capability not in expected:
        pytest.skip(f"of {capability} processors some compute in bf16")
    assert has_bf16("cpu") is expected[capability]
    assert has_bf16("cuda")
