"""``python -m benchmarks kernels --device cpu,cuda`` from end to end: without a GPU, and on the stand-in for one."""

import functools
import json
import os
import subprocess
import sys

import pytest

import minidl as ml
from benchmarks import __main__, crossover, fresh, libraries, machine
from benchmarks.commands import kernels, steps

ROW = "softmax cross-entropy 64x1000"


def test_without_a_gpu_it_says_so_and_measures_the_cpu():
    command = [sys.executable, "-m", "benchmarks", "kernels", ROW, "--device", "cpu,cuda"]
    settings = ["--against", "", "--rounds", "2", "--threads", "1"]
    hidden = os.environ | {"CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        [*command, *settings], cwd=fresh.ROOT, env=hidden, capture_output=True, text=True, encoding="utf-8", timeout=120
    )
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0].startswith("no CUDA here, so the CPU alone: DeviceError: device 'cuda' is not available: ")
    assert sum("CUDA here" in line for line in lines) == 1
    title = next(line for line in lines if line.startswith("kernel "))
    assert title.split() == ["kernel", "minidl", "GFLOP/s", "of", "peak", "MB", "GB/s"]
    assert sum(line.startswith(ROW) for line in lines) == 2


@pytest.fixture
def run(stand_in, monkeypatch, capsys):
    """Runs a command line in this process with small peaks and short bursts: what it printed."""
    monkeypatch.setattr(fresh, "set_environment", lambda threads: None)
    monkeypatch.setattr(libraries, "notes", [])
    monkeypatch.setattr(machine, "MATMUL_SIZE", {"cpu": 64, "cuda": 64})
    monkeypatch.setattr(machine, "COPY_MEBIBYTES", {"cpu": 1, "cuda": 1})
    monkeypatch.setattr(machine, "settle", lambda function, seconds: function())
    monkeypatch.setattr(crossover, "BURST_SECONDS", 1e-4)
    monkeypatch.setattr(crossover, "PAUSE", 0.0)
    for command in (kernels, steps):
        monkeypatch.setattr(command, "compare", functools.partial(command.compare, burst_seconds=1e-4, pause=0.0))

    def main(*arguments):
        settings = ["--against", "", "--rounds", "2", "--threads", str(ml.get_num_threads())]
        monkeypatch.setattr(sys, "argv", ["benchmarks", *arguments, *settings])
        assert __main__.main() == 0
        assert libraries.notes == []
        return capsys.readouterr().out.splitlines()

    return main


def table(lines, first):
    """Titles and rows of a Markdown table."""
    start = next(i for i, line in enumerate(lines) if line.startswith(f"| {first} |"))
    cells = [line.strip("| ").split(" | ") for line in lines[start:] if line.startswith("| ")]
    return cells[0], cells[1:]


def test_cpu_and_gpu_in_one_table(run, tmp_path):
    pytest.importorskip("matplotlib")
    files = ["--json", str(tmp_path / "figures.json"), "--plot", str(tmp_path / "crossover.svg")]
    lines = run("kernels", ROW, "linear 784", "--device", "cpu,cuda", "--markdown", *files)
    titles, rows = table(lines, "kernel")
    assert titles == [
        "kernel", "minidl", "minidl cuda", "transfer",
        "cpu GFLOP/s", "of cpu peak", "MB", "cpu GB/s", "of cpu copy",
        "cuda TFLOP/s", "of cuda peak", "cuda GB/s", "of cuda copy", "GPU from", "with transfer",
    ]  # fmt: skip
    assert [row[0].removesuffix(" (busy)") for row in rows] == [
        "linear 784->256 forward", "linear 784->256 backward", f"{ROW} forward", f"{ROW} backward",
    ]  # fmt: skip
    assert all(len(row) == len(titles) for row in rows)
    assert all("–" not in row for row in rows[:2])

    figures = json.loads((tmp_path / "figures.json").read_text())
    peaks = figures["machine"]["peaks"]
    for row in figures["rows"]:
        times = row["milliseconds"]
        assert list(times) == ["minidl", "minidl cuda", "transfer"] and min(times.values()) > 0
        assert list(row["ratio"]) == ["minidl cuda"]
        for device, column in (("cpu", "minidl"), ("cuda", "minidl cuda")):
            rate = row["bytes"] / times[column] / 1e6
            assert row["rates"][device]["gigabytes_per_second"] == pytest.approx(rate)
            share = rate / peaks[device]["copy_gigabytes_per_second"]
            assert row["rates"][device]["share_of_copy_peak"] == pytest.approx(share)
        found = row["crossover"]
        assert found["sizes"] == [1, 4, 16, 64, 256]
        gpu = found["milliseconds"]["minidl cuda"]
        assert found["in_place"]["size"] == crossover.crossover(found["sizes"], found["milliseconds"]["minidl"], gpu)
    assert figures["rows"][0]["rates"]["cuda"]["share_of_matmul_peak"] > 0
    drawing = (tmp_path / "crossover.svg").read_text()
    assert drawing.startswith("<?xml") and "batch from which on the GPU is faster" in drawing


def test_the_gpu_alone(run):
    titles, rows = table(run("kernels", ROW, "--device", "cuda", "--markdown"), "kernel")
    assert titles == ["kernel", "minidl", "transfer", "TFLOP/s", "of peak", "MB", "GB/s", "of copy"]
    assert len(rows) == 2 and all(row[2] != "–" and row[-1].endswith("%") for row in rows)


def test_the_cpu_alone_is_as_it_was(run):
    titles, rows = table(run("kernels", ROW, "--markdown"), "kernel")
    assert titles == ["kernel", "minidl", "GFLOP/s", "of peak", "MB", "GB/s"]
    assert len(rows) == 2


def test_steps_on_both_devices(run):
    titles, rows = table(run("steps", "MLP", "--device", "cpu,cuda", "--markdown"), "step")
    assert titles == ["step", "minidl", "minidl cuda", "goal"]
    assert len(rows) == 1 and rows[0][2].endswith("]")  # how many times faster than the CPU


def test_crossovers_are_drawn_in_a_panel_for_each_unit(tmp_path):
    pytest.importorskip("matplotlib")

    def found(unit, sizes, size, wins):
        one = {"size": size, "gpu_wins_at_largest": wins}
        return {"unit": unit, "sizes": sizes, "in_place": one, "with_transfer": one}

    rows = [
        {"case": "relu forward", "crossover": found("batch", [1, 16], 4.0, True)},
        {"case": "add forward", "crossover": found("batch", [1, 16], None, False)},
        {"case": "Adam update", "crossover": found("parameters", [256, 4096], None, True)},
        {"case": "failed", "crossover": None},
    ]
    file = tmp_path / "crossover.svg"
    kernels.plot(rows, file)
    drawing = file.read_text()
    for text in ("relu forward", "add forward", "Adam update", "batch from which", "parameters from which"):
        assert text in drawing
    assert "failed" not in drawing
