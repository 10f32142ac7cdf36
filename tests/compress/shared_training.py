"""What several processes train in tests: `shared_training.py OUT NAME` makes `TRAININGS[NAME]`, started as by torchrun.

The first process writes the weights and the history to OUT/NAME.pt; `several` starts the processes.
"""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

import torch
from torch import nn
from torch.utils.data import DataLoader, DistributedSampler, TensorDataset

import compress
from compress.exit_status import exit_status
from compress.training import processes

EPOCHS, BATCH, ROWS = 3, 16, 48
MORE = 51
"""So many rows that the last batch has three: fewer than two for each of two processes."""


def plain() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(48, 16), nn.ReLU(), nn.Linear(16, 3))


def normed() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(32, 3))


def data(rows: int = ROWS) -> tuple[torch.Tensor, torch.Tensor]:
    x = torch.randn(rows, 3, 4, 4, generator=torch.Generator().manual_seed(1))
    return x, x.flatten(1)[:, :3].argmax(1)


def batches(size: int = BATCH, rows: int = ROWS) -> list[tuple[torch.Tensor, torch.Tensor]]:
    x, y = data(rows)
    return list(zip(x.split(size), y.split(size), strict=True))


def right(net: nn.Module) -> dict[str, float]:
    x, y = data()
    return {"validation": float((net(x).argmax(1) == y).double().mean())}


def trained(net: nn.Module, given: Iterable, **settings) -> tuple[dict, dict]:
    torch.manual_seed(1234)
    asked = {"epochs": EPOCHS, "lr": 0.1, "progress": False, "monitor": right} | settings
    history = compress.fit(net, given, **asked)  # type: ignore[arg-type]
    return net.state_dict(), {"epochs": history.epochs, "processes": processes.world()}


def averaged(**settings) -> tuple[dict, dict]:
    return trained(plain(), batches(rows=MORE), ema=0.5, accumulate=2, **settings)


def unlike() -> tuple[dict, dict]:
    """Every process has weights of its own at first; those of the first one count."""
    net = plain()
    for parameter in net.parameters():
        parameter.data += processes.rank()
    return trained(net, batches(rows=MORE))


def shuffled() -> tuple[dict, dict]:
    return trained(plain(), DataLoader(TensorDataset(*data()), batch_size=BATCH, shuffle=True))


def sampled() -> tuple[dict, dict]:
    """Each process has a loader of its own rows."""
    set_ = TensorDataset(*data())
    sampler = DistributedSampler(set_, processes.world(), processes.rank(), shuffle=False)
    return trained(plain(), DataLoader(set_, batch_size=BATCH // processes.world(), sampler=sampler))


class Noise(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.drawn = torch.rand(4)
        return x


def noisy() -> tuple[dict, dict]:
    net = nn.Sequential(plain(), noise := Noise())
    history = trained(net, batches(), epochs=1, monitor=None)[1]
    return {"drawn": processes.gathered(noise.drawn), "after": processes.gathered(torch.rand(4))}, history


def unreached() -> tuple[dict, dict]:
    net = plain()
    net.register_parameter("spare", nn.Parameter(torch.zeros(1)))
    return trained(net, batches())


def uneven() -> tuple[dict, dict]:
    return trained(plain(), batches()[processes.rank() :])


class Slow(list):
    """Batches that take their time."""

    def __iter__(self):
        for batch in super().__iter__():
            time.sleep(0.02)
            yield batch


LONG = {"epochs": 30, "schedule": "constant"}


def long(out: Path) -> tuple[dict, dict]:
    return trained(plain(), Slow(batches()), state=out / "state.pt", **LONG)


TRAININGS = {
    "plain": lambda out: trained(plain(), batches()),
    "averaged": lambda out: averaged(),
    "normed": lambda out: trained(normed(), batches()),
    "synchronised": lambda out: trained(normed(), batches(), batch_norm="synchronised"),
    "unlike": lambda out: unlike(),
    "shuffled": lambda out: shuffled(),
    "sampled": lambda out: sampled(),
    "noisy": lambda out: noisy(),
    "unreached": lambda out: unreached(),
    "uneven": lambda out: uneven(),
    "long": long,
}


def several(count: int, out: Path, *names: str, script: str = "") -> list[subprocess.Popen]:
    """`count` processes that make the trainings `names`, or run `script`, started as torchrun starts them."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(count), "OMP_NUM_THREADS": "1"}
    shared |= {"LOCAL_WORLD_SIZE": str(count), "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, *(["-c", script] if script else [__file__]), str(out), *names]
    return [
        subprocess.Popen(
            command,
            env=os.environ | shared | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(count)
    ]


def main(out: Path, names: list[str]) -> None:
    processes.join()
    for name in names:
        try:
            made = TRAININGS[name](out)
        except ValueError as error:
            made = str(error)
        if processes.rank() == 0:
            torch.save(made, out / f"{name}.pt")


if __name__ == "__main__":
    sys.exit(exit_status("job", lambda: main(Path(sys.argv[1]), sys.argv[2:]), kept="finished epochs are kept"))
