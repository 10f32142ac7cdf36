"""What a terminal shows while a report runs, and that it hears of trainings in other processes."""

import io
import multiprocessing
import time

import pytest
from rich.console import Console

from bench.live import View
from bench.make import jobs, stages, watching
from bench.records import Cell
from compress.training.progress import EpochBar, Reached

WIDTH = 100
CELLS = [
    Cell(table="table5", data="synthetic", scale="quick", model="vggnet", variant=variant, ratio=ratio, seed=0)
    for variant, ratio in (("dense", 0.0), ("sparse", 0.0), ("slim", 0.4), ("slim", 0.6))
]


@pytest.fixture
def heard():
    """Every event of this process."""
    events: list[watching.Event] = []
    watching.watch(events.append)
    yield events
    watching.watch(None)


def terminal() -> Console:
    return Console(file=io.StringIO(), force_terminal=True, width=WIDTH, color_system=None)


def drawn(view: View) -> list[str]:
    console = terminal()
    console.print(view)
    return console.file.getvalue().splitlines()  # type: ignore[attr-defined]


def reached(title: str, epoch: int, validation: float | None, **others) -> Reached:
    usual = {"epochs": 24, "images_per_s": 1234.0, "left_s": 65.0, "finished": False}
    return Reached(title=title, epoch=epoch, validation=validation, **usual | others)


def test_the_view_counts_cells_and_shows_every_training(tmp_path):
    view = View("table5 on synthetic", CELLS, tmp_path, terminal())
    record = tmp_path / CELLS[0].path
    record.parent.mkdir(parents=True)
    record.write_text("{}")
    view.hear(watching.Making(CELLS[1].id, done=False))
    view.hear(watching.Making(CELLS[1].id, done=True))
    view.hear(watching.Making(CELLS[2].id, done=False))
    view.hear(reached("vggnet sparse", 24, 0.6543, finished=True))
    view.hear(reached("vggnet slim 40 %", 3, 0.5, images_per_s=2345.6))
    lines = drawn(view)
    told = "\n".join(lines)
    assert "1 done, 1 trained, 1 running, 1 to do, about 0:00 left" in told
    assert all(part in told for part in ("vggnet slim 40 %", "epoch 3/24", "2,346 images/s", "1:05 left", "50.00%"))
    assert "last: vggnet sparse, validation 65.43%" in told
    assert max(map(len, lines)) <= WIDTH


def test_a_finished_training_leaves_the_view():
    view = View("a table", [], CELLS[0].path, terminal())
    view.hear(reached("mrf dense", 1, None))
    assert "mrf dense" in "\n".join(drawn(view))
    view.hear(reached("mrf dense", 24, 0.7, finished=True))
    assert "epoch 24/24" not in "\n".join(drawn(view))


def test_lines_are_printed_as_they_are(tmp_path):
    console = terminal()
    View("a table", [], tmp_path, console).hear("folder [red]x[/red]: read")
    assert console.file.getvalue().strip() == "folder [red]x[/red]: read"  # type: ignore[attr-defined]


def test_a_bar_that_is_watched_writes_nothing_and_tells_everything(heard):
    stream = io.StringIO()
    bar = EpochBar("mrf dense", stream, tell=heard.append)
    bar.start(0, 2, 4)
    bar.advance(4, 512, 0.1)
    bar.done({"losses": {}, "validation": 0.25, "seconds": 1.0})
    bar.start(1, 2, 4)
    bar.advance(4, 512, 0.1)
    bar.done({"losses": {}, "validation": 0.5, "seconds": 1.0})
    assert stream.getvalue() == ""
    assert [(one.epoch, one.validation, one.finished) for one in heard] == [
        (1, None, False),
        (1, 0.25, False),
        (2, 0.25, False),
        (2, 0.5, True),
    ]
    assert heard[0].images_per_s > 0 and heard[-1].left_s == 0


def test_trainings_in_other_processes_are_heard_of(tmp_path, heard, capfd):
    source = jobs.Source(data="synthetic:train=64,validation=16,test=24", scale="quick", runs=tmp_path)
    jobs.train_side_by_side(source, CELLS[:1], workers=2)
    assert [one for one in heard if isinstance(one, watching.Making)] == [
        watching.Making(CELLS[0].id, done=False),
        watching.Making(CELLS[0].id, done=True),
    ]
    (last,) = [one for one in heard if isinstance(one, Reached) and one.finished]
    assert last.title == "vggnet dense" and last.epoch == last.epochs and last.validation is not None
    assert "epoch" not in capfd.readouterr().err
    assert stages.Stage(folder=next(tmp_path.glob("vggnet-dense-*")), key="").done


def test_what_a_child_says_comes_line_by_line():
    queue = multiprocessing.get_context("spawn").Queue()
    said = watching.Posted(queue)
    print("one\ntw", end="", file=said)
    print("o", file=said)
    assert [queue.get(timeout=5) for _ in range(2)] == ["one", "two"]
    time.sleep(0.05)
    assert queue.empty()
