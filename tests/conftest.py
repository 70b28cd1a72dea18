"""What every test gets: a fixed seed, and the devices to run on."""

import os
import sys

import numpy as np
import pytest
from hypothesis import settings

import minidl as ml
from minidl.backend._cupy import import_cupy
from tests.fake_cupy import make as make_fake_cupy

# A busy machine is no failure; and CI draws the same examples each time.
settings.register_profile("minidl", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("minidl")


def pytest_addoption(parser):
    parser.addoption("--device", default="cpu", help="where the operation table runs: cpu, cuda, or cpu,cuda")


def pytest_generate_tests(metafunc):
    if "device" in metafunc.fixturenames:
        metafunc.parametrize("device", metafunc.config.getoption("--device").split(","))


@pytest.fixture(autouse=True)
def _seeded():
    """Every test starts from the same random streams."""
    ml.manual_seed(0)


@pytest.fixture
def rng():
    """A generator of NumPy's, seeded."""
    return np.random.default_rng(0)


@pytest.fixture
def fake_cupy(monkeypatch):
    """A stand-in for CuPy in sys.modules, with two devices."""
    module = make_fake_cupy()
    monkeypatch.setitem(sys.modules, "cupy", module)
    import_cupy.cache_clear()
    yield module
    import_cupy.cache_clear()
