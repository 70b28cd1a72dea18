"""What measurements come to: ratios by device, rates and shares of the peaks."""

import json

import numpy as np
import pytest

from benchmarks import machine, report
from benchmarks.cases._case import Case
from benchmarks.commands.kernels import _rate_cells, _rate_titles, rates
from benchmarks.options import parse
from benchmarks.timing import Measurement

PEAKS = {"matmul_gflops_per_second": 100.0, "copy_gigabytes_per_second": 20.0}


def seconds(*values):
    return Measurement(values, (0.0,) * len(values))


def test_ratios_are_taken_on_the_same_device():
    times = {"minidl": 8, "torch": 4, "minidl cuda": 2, "torch cuda": 1, "torch channels_last cuda": 4, "transfer": 6}
    figures = report.row(Case("a", {}), {name: seconds(t, t, t) for name, t in times.items()})
    assert figures["ratio"] == {
        "torch": 2.0,
        "minidl cuda": 4.0,  # so many times faster than the CPU
        "torch cuda": 2.0,
        "torch channels_last cuda": 0.5,
    }
    assert report.time_cells(figures, ["minidl", "transfer"]) == ["8000.0 ±0%", "6000.0 ±0%"]


def test_a_device_that_failed_leaves_no_ratio():
    figures = report.row(Case("a", {}), {"minidl": seconds(1, 1), "torch cuda": seconds(1, 1)})
    assert figures["ratio"] == {}
    assert report.time_cells(figures, ["minidl cuda"]) == [report.NONE]


def test_rates_and_shares():
    found = rates(Case("a", {}, flops=40e9, moved=8_000_000_000), seconds(2, 1, 3), PEAKS)
    assert found == {
        "gflops_per_second": 20.0,
        "share_of_matmul_peak": 0.2,
        "gigabytes_per_second": 4.0,
        "share_of_copy_peak": 0.2,
    }
    assert set(rates(Case("a", {}), seconds(1, 1), PEAKS).values()) == {None}


@pytest.mark.parametrize(
    "devices, titles, cells",
    [
        (("cpu",), ["GFLOP/s", "of peak", "MB", "GB/s"], ["1500.0", "20%", "2.0", "3.0"]),
        (
            ("cuda",),
            ["TFLOP/s", "of peak", "MB", "GB/s", "of copy"],
            ["1.50", "20%", "2.0", "3.0", "10%"],
        ),
        (
            ("cpu", "cuda"),
            ["cpu GFLOP/s", "of cpu peak", "MB", "cpu GB/s", "of cpu copy"]
            + ["cuda TFLOP/s", "of cuda peak", "cuda GB/s", "of cuda copy"],
            ["1500.0", "20%", "2.0", "3.0", "10%", "1.50", "20%", "3.0", "10%"],
        ),
    ],
)
def test_rates_have_the_units_of_their_device(devices, titles, cells):
    one = {
        "gflops_per_second": 1500.0,
        "share_of_matmul_peak": 0.2,
        "gigabytes_per_second": 3.0,
        "share_of_copy_peak": 0.1,
    }
    assert _rate_titles(devices) == titles
    assert _rate_cells({"bytes": 2_000_000, "rates": {device: one for device in devices}}, devices) == cells
    missing = _rate_cells({"bytes": None, "rates": {}}, devices)
    assert missing == [report.NONE] * len(titles)


@pytest.mark.parametrize("threads", [1, 3])
def test_peaks_count_arithmetic_and_bytes(threads, stand_in, monkeypatch):
    """With a clock that always shows half a second."""
    called = []

    def burst(function, calls):
        called.append(function())
        return 0.5

    monkeypatch.setattr(machine, "burst", burst)
    monkeypatch.setattr(machine, "MATMUL_SIZE", {"cpu": 16, "cuda": 32})
    monkeypatch.setattr(machine, "COPY_MEBIBYTES", {"cpu": 1, "cuda": 2})
    assert machine.matmul_peak("cpu") == pytest.approx(2 * 16**3 / 0.5 / 1e9)
    assert machine.matmul_peak("cuda") == pytest.approx(2 * 32**3 / 0.5 / 1e9)
    assert machine.copy_peak("cpu", threads) == pytest.approx(2 * 2**20 / 0.5 / 1e9)
    assert machine.copy_peak("cuda", threads) == pytest.approx(2 * 2**21 / 0.5 / 1e9)
    assert called[0].shape == (16, 16) and called[-1].shape == (2**19,)
    assert isinstance(called[-1].data, stand_in.ndarray)


def test_the_machine_names_the_gpu_and_its_peaks(stand_in, monkeypatch, capsys):
    monkeypatch.setattr(machine, "settle", lambda function, seconds: function())
    monkeypatch.setattr(machine, "MATMUL_SIZE", {"cpu": 64, "cuda": 32})
    monkeypatch.setattr(machine, "COPY_MEBIBYTES", {"cpu": 1, "cuda": 1})
    found = machine.describe(parse(["kernels", "--device", "cpu,cuda", "--threads", "2"]))
    assert found["gpu"] == "Stand-in GPU"
    for device in ("cpu", "cuda"):
        assert all(np.isfinite(peak) and peak > 0 for peak in found["peaks"][device].values())
    json.dumps(found)
    found["peaks"]["cuda"] = {"matmul_gflops_per_second": 51234.0, "copy_gigabytes_per_second": 2987.6}
    machine.show(found)
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].startswith("cpu, 2 threads, 11 rounds; matmul peak (64, float32) ")
    assert lines[2] == (
        "cuda (Stand-in GPU), 2 threads, 11 rounds; matmul peak (32, float32) 51234 GFLOP/s, "
        "copy peak (1 MiB) 2987.6 GB/s"
    )
    assert machine.describe(parse(["kernels"]))["gpu"] is None
