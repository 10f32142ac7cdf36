"""`python -m compress.speed` as typed: a table, a line of JSON, a file with every sample, sentences for mistakes."""

import contextlib
import io
import json
import runpy
import shlex
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console
from tiny_nets import tiny_deployed

from compress.commands import export as export_command
from compress.commands import speed as command
from compress.exporting.export import export
from compress.runtimes import RUNTIMES
from compress.timing import deployed, view
from compress.timing.deployed import ON_REQUEST, kinds_in
from compress.timing.energy import Energy

pytest.importorskip("onnx", reason="needs onnx: pip install -e '.[onnx]'")
BRIEFLY = ("--runs", "3", "--seconds", "0")
NARROW = ("--runtime", "onnxruntime", "--batch", "2")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """What compress.export leaves in float32, and an int8 file that is none."""
    made = tiny_deployed("vggnet", tmp_path_factory.mktemp("net") / "deployed")
    shutil.copy(made / "fp32.onnx", made / "int8.onnx")
    return made


def called(folder, *words: object) -> int:
    return command.main([str(folder), *map(str, words), *BRIEFLY])


def told(capsys) -> tuple[str, dict]:
    lines = capsys.readouterr().out.strip().splitlines()
    return "\n".join(lines[:-1]), json.loads(lines[-1])


def of(rows: list[dict], runtime: str, batch: int, precision: str = "fp32") -> dict:
    (row,) = [row for row in rows if (row["runtime"], row["batch"], row["precision"]) == (runtime, batch, precision)]
    return row


def drawn(lines: list[str]) -> list[list[str]]:
    """The cells of every row of the printed table: batch, runtime, precision, percentiles and what follows."""
    return [[cell.strip() for cell in line.split("\u2502")[1:-1]] for line in lines if "\u2502" in line]


@pytest.fixture(scope="module")
def whole(folder, tmp_path_factory):
    """One call without any choice of runtimes: status, table, last line and file."""
    out, printed = tmp_path_factory.mktemp("out") / "new" / "times.json", io.StringIO()
    with contextlib.redirect_stdout(printed):
        status = called(folder, "--batch", "3,1", "--out", out)
    lines = printed.getvalue().strip().splitlines()
    return status, lines[:-1], json.loads(lines[-1]), json.loads(out.read_text())


def test_all_that_lies_in_the_folder_is_timed_beside_eager(whole) -> None:
    status, lines, said, _ = whole
    assert status == 0
    kinds = {(row["runtime"], row["precision"]) for row in said["rows"]}
    assert {("torch", "fp32"), ("torch", "bf16"), ("onnxruntime", "fp32")} <= kinds
    assert not {runtime for runtime, _ in kinds} & set(ON_REQUEST)
    assert [row["batch"] for row in said["rows"]] == sorted(row["batch"] for row in said["rows"])
    for row in said["rows"]:
        faster = row["times_as_fast"]
        if (row["runtime"], row["precision"]) == ("torch", "fp32"):
            assert faster is None
        else:
            assert 0 < faster["lo"] <= faster["factor"] <= faster["hi"]
        assert row["n"] >= 3 and row["artefact_bytes"] > 1000 and "samples_ms" not in row
        (cells,) = [
            cells for cells in drawn(lines) if cells[:3] == [str(row["batch"]), row["runtime"], row["precision"]]
        ]
        assert cells[3:7] == [view.milliseconds(row[f"{name}_ms"]) for name in ("p50", "p90", "p95", "p99")]
    assert [one for one in lines if one.startswith("Not timed: ")] == [f"Not timed: {one}" for one in said["missing"]]


def test_what_does_not_run_here_is_a_sentence(whole) -> None:
    _, _, said, kept = whole
    (reason,) = [one for one in said["missing"] if one.startswith("onnxruntime int8: ")]
    assert "did not honour" in reason and kept["missing"] == said["missing"]


def test_the_file_has_every_sample_and_gives_the_same_figures(whole) -> None:
    _, _, said, kept = whole
    assert kept["environment"]["versions"]["torch"] and kept["commit"] and kept["reference"] == "torch fp32"
    assert (kept["runs"], kept["seconds"], kept["threads"]) == (3, 0.0, said["threads"])
    for short, row in zip(said["rows"], kept["rows"], strict=True):
        assert short.items() <= row.items() and len(row["samples_ms"]) == row["n"]
        assert row["p50_ms"] == pytest.approx(np.median(row["samples_ms"]))
        assert row["images_per_s"] == pytest.approx(1000 * row["batch"] / row["p50_ms"])
    ours, eager = (
        np.median(np.reshape(row["samples_ms"], (-1, row["per_turn"])), axis=1)
        for row in (of(kept["rows"], runtime, 3) for runtime in ("onnxruntime", "torch"))
    )
    assert 1 / of(kept["rows"], "onnxruntime", 3)["times_as_fast"]["factor"] == pytest.approx(np.median(ours / eager))


def test_the_table_is_printed_with_headings_and_without_empty_columns(folder, capsys, monkeypatch) -> None:
    monkeypatch.setattr(deployed, "energy_of", lambda *given, **named: None)
    assert called(folder, *NARROW, "--precision", "fp32") == 0
    text, said = told(capsys)
    row = of(said["rows"], "onnxruntime", 2)
    for shown in ("Times as fast as eager fp32", "p99", "Spread, %", "Images/s", f"{row['artefact_bytes'] / 1e6:.2f}"):
        assert shown in text
    assert "mJ/image" not in text and "GPU memory" not in text and said["file"] is None


def test_on_a_narrow_terminal_no_figure_is_cut(whole) -> None:
    rows = whole[2]["rows"]
    for width, parts in ((80, 2), (200, 1)):
        console = Console(width=width, file=io.StringIO())
        drawn = view.tables("deployed", rows, console)
        assert len(drawn) == parts
        for table in drawn:
            console.print(table)
        text = console.file.getvalue()
        assert "\u2026" not in text
        for row in rows:
            assert all(view.milliseconds(row[f"{name}_ms"]) in text for name in ("p50", "p90", "p95", "p99"))
            assert not row["times_as_fast"] or "{factor:.2f} [{lo:.2f},".format(**row["times_as_fast"]) in text


def test_energy_is_told_where_it_can_be_read(folder, capsys, monkeypatch) -> None:
    energy = Energy(joules_per_image=0.0123, counter="rapl", runs=5, seconds=1.0)
    monkeypatch.setattr(deployed, "energy_of", lambda *given, **named: energy)
    assert called(folder, *NARROW, "--precision", "fp32") == 0
    text, said = told(capsys)
    assert "mJ/image" in text and "12.30" in text and "No energy" not in text
    assert all(row["energy"]["counter"] == "rapl" for row in said["rows"])


def test_threads_are_those_asked_for_and_only_during_the_call(folder, capsys) -> None:
    before = torch.get_num_threads()
    assert called(folder, *NARROW, "--precision", "fp32", "--threads", 1 + before) == 0
    said = told(capsys)[1]
    assert said["threads"] == 1 + before == said["rows"][0]["threads"]
    assert torch.get_num_threads() == before


def test_a_session_that_fails_at_one_batch_size_is_left_out_there(folder, capsys, monkeypatch) -> None:
    made = deployed.subject_of_session

    def small_only(session, batch):
        def refuse() -> None:
            raise RuntimeError("the profile ends at 1")

        return refuse if session.runtime == "onnxruntime" and batch > 1 else made(session, batch)

    monkeypatch.setattr(deployed, "subject_of_session", small_only)
    assert called(folder, "--runtime", "onnxruntime", "--precision", "fp32", "--batch", "1,2") == 0
    said = told(capsys)[1]
    assert said["missing"] == ["onnxruntime fp32: does not run at batch 2 (the profile ends at 1)"]
    assert [(row["runtime"], row["batch"]) for row in said["rows"]] == [("torch", 1), ("onnxruntime", 1), ("torch", 2)]


def test_which_runtimes_and_precisions_a_folder_has(folder, tmp_path) -> None:
    shutil.copy(folder / "program.pt2", tmp_path)
    whole = [(name, own) for name in ("torch", "torch-graphs") for own in ("fp32", "bf16")]
    assert kinds_in(tmp_path) == whole, "the program is all they need"
    assert kinds_in(tmp_path, ["torch-compile"], ["fp32"]) == [("torch", "fp32"), ("torch-compile", "fp32")]
    shutil.copy(folder / "fp32.onnx", tmp_path / "fp16.onnx")
    assert kinds_in(tmp_path)[4:] == [("tensorrt", "fp16"), ("tensorrt-rtx", "fp16")]
    shutil.copy(folder / "fp32.onnx", tmp_path)
    assert kinds_in(tmp_path, ["openvino"]) == [("torch", "fp32"), ("openvino", "fp32"), ("openvino", "bf16")]
    bf16 = [(name, "bf16") for name in ("torch", "torch-graphs", "openvino")]
    assert kinds_in(tmp_path, (), ["bf16"]) == [("torch", "fp32"), *bf16]
    every = {(name, own) for name, runtime in RUNTIMES.items() for own in runtime.precisions if own != "int8"}
    assert set(kinds_in(tmp_path)) == {kind for kind in every if kind[0] not in ON_REQUEST}


def test_a_file_of_another_network_is_refused_and_not_timed(folder, tmp_path, capsys) -> None:
    for file in folder.iterdir():
        shutil.copy(file, tmp_path)
    export(torch.nn.Linear(3, 2), torch.randn(2, 3), tmp_path / "other" / "fp32.onnx")
    shutil.copy(tmp_path / "other" / "fp32.onnx", tmp_path / "int8.onnx")
    assert called(tmp_path) == 2
    said = capsys.readouterr()
    assert "int8.onnx" in said.err and "comes from another network than program.pt2" in said.err and said.out == ""


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--runtime", "onnx"), "--runtime onnx: allowed are torch, "),
        (("--precision", "fp7,fp32"), "--precision fp7: allowed are fp32, "),
        (("--runtime", "onnxruntime", "--precision", "bf16"), "onnxruntime has fp32, int8"),
        (("--runtime", "onnxruntime", "--precision", "int8"), "nothing left to time (onnxruntime int8: "),
        (("--batch", "1,0"), "0 is no positive whole number"),
        (("--batch", "1,-8"), "-8 is no positive whole number"),
        (("--batch", "many"), "many is no positive whole number"),
        (("--batch", ","), "give sizes like"),
        (("--threads", "0"), "--threads 0: at least 1"),
        (("--out", "/proc/none/times.json"), "cannot be written"),
    ],
)
def test_mistakes_are_one_sentence_and_status_2(folder, capsys, words, sentence) -> None:
    assert called(folder, *words) == 2
    said = capsys.readouterr()
    (line,) = [line for line in said.err.splitlines() if not line.startswith("opening ")]
    assert line.startswith("compress.speed: ") and sentence in line and said.out == ""


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--runs", "1"), "--runs 1: at least 2"),
        (("--seconds", "nan"), "0 or more"),
        (("--seconds", "-1"), "0 or more"),
    ],
)
def test_too_little_time_is_refused(folder, capsys, words, sentence) -> None:
    assert command.main([str(folder), *words]) == 2
    assert sentence in capsys.readouterr().err


def test_other_folders_are_refused_with_the_mend(folder, tmp_path, capsys) -> None:
    assert called(tmp_path / "nowhere") == 2 and "is no folder" in capsys.readouterr().err
    assert called(tmp_path) == 2 and "holds no program.pt2" in capsys.readouterr().err
    assert called(folder, "--out", tmp_path) == 2 and "is a folder: give a file" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("precision", "made", "runtime"),
    [("fp16", "fp16", "tensorrt"), ("int8", "int8", "onnxruntime"), ("bf16", "fp32", "onnxruntime")],
)
def test_a_file_that_is_not_there_is_a_command_that_makes_it(folder, tmp_path, capsys, precision, made, runtime):
    shutil.copy(folder / "program.pt2", tmp_path)
    assert called(tmp_path, "--precision", precision) == 2
    said = capsys.readouterr().err.strip()
    assert f"{tmp_path} holds no {made}.onnx" in said
    given = export_command.arguments(shlex.split(said.partition("python -m compress.export ")[2]))
    assert (given.checkpoint, given.out) == (Path("CHECKPOINT"), tmp_path)
    assert (given.precision, given.runtime, bool(given.data)) == (made, runtime, precision == "int8")
    assert given.precision in RUNTIMES[given.runtime].precisions


def test_the_module_is_the_command(monkeypatch, capsys) -> None:
    monkeypatch.setattr(sys, "argv", ["speed", "nowhere"])
    with pytest.raises(SystemExit) as end:
        runpy.run_path(command.__file__, run_name="__main__")
    assert end.value.code == 2 and "nowhere is no folder" in capsys.readouterr().err


def test_options_are_frozen(capsys) -> None:
    given = vars(command.arguments(["deployed"]))
    assert sorted(given) == sorted(["folder", "runtime", "precision", "batch", "threads", "runs", "seconds", "out"])
    with pytest.raises(SystemExit):
        command.arguments(["--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert "Example: python -m compress.speed deployed" in text and "torch-compile, which compiles for minutes" in text
