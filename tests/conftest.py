"""What every test gets: a fixed seed, and the devices to run on."""

import functools
import os

import numpy as np
import pytest
from hypothesis import settings

import minidl as ml
from tests import cupy_stand_in

# A busy machine is no failure; and CI draws the same examples each time.
settings.register_profile("minidl", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("minidl")


def pytest_addoption(parser):
    parser.addoption(
        "--device",
        default="cpu,cuda",
        help="where the operation table runs: cpu, cuda, or cpu,cuda. Without a GPU, cuda is a stand-in for CuPy",
    )
    parser.addoption(
        "--lessons-twice",
        action="store_true",
        help="run each lesson's --fast twice and compare what it prints and draws: some five minutes",
    )


def pytest_ignore_collect(collection_path, config):
    """What runs for minutes only runs when asked for."""
    return (collection_path.name == "test_lessons_twice.py" and not config.getoption("--lessons-twice")) or None


def pytest_generate_tests(metafunc):
    if "device" in metafunc.fixturenames:
        metafunc.parametrize("device", metafunc.config.getoption("--device").split(","))


@functools.cache
def has_gpu():
    return ml.backend.cuda_is_available()


@pytest.fixture(autouse=True)
def _device(request):
    """The stand-in for CuPy in its place, for a test on "cuda" where there is no GPU."""
    callspec = getattr(request.node, "callspec", None)
    if callspec is None or callspec.params.get("device") != "cuda" or has_gpu():
        yield
        return
    with pytest.MonkeyPatch.context() as patch, cupy_stand_in.installed(patch):
        yield
        cupy_stand_in.check()


@pytest.fixture(autouse=True)
def _seeded(_device):
    """Every test starts from the same random streams."""
    ml.manual_seed(0)


@pytest.fixture
def rng():
    """A generator of NumPy's, seeded."""
    return np.random.default_rng(0)


@pytest.fixture
def stand_in():
    """The stand-in for CuPy in its place, with two devices, whether or not there is a GPU."""
    with pytest.MonkeyPatch.context() as patch, cupy_stand_in.installed(patch) as cupy:
        yield cupy
        cupy_stand_in.check()


@pytest.fixture
def on_cuda(request):
    """For a test that is about GPUs only: the GPU, or the stand-in where there is none."""
    if not has_gpu():
        request.getfixturevalue("stand_in")
