"""What every test gets: a fixed seed, and the devices to run on."""

import numpy as np
import pytest
from hypothesis import settings

import minidl as ml

settings.register_profile("minidl", deadline=None)  # a busy machine is no failure
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
