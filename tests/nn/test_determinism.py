"""The same seed and the same number of threads give the same bits, for every layer, in this process and in another."""

import functools
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import minidl as ml
from minidl import nn
from tests.nn._determinism import LAYERS, digest

ROOT = Path(__file__).parents[2]
CONTAINERS = {"Module", "ModuleDict", "ModuleList", "ParameterDict", "ParameterList", "Sequential"}


@functools.cache
def digests_elsewhere(threads):
    """Every layer's digest from a process of its own, in which sets and dicts hash differently."""
    command = [sys.executable, "-m", "tests.nn._determinism", str(threads)]
    environment = {**os.environ, "PYTHONHASHSEED": str(threads)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture
def threads(request):
    before = ml.get_num_threads()
    ml.set_num_threads(request.param)
    yield request.param
    ml.set_num_threads(before)


def test_every_layer_is_in_the_table():
    layers = {name for name in nn.__all__ if isinstance(getattr(nn, name), type)}
    layers = {name for name in layers if issubclass(getattr(nn, name), nn.Module)}
    assert layers - CONTAINERS == set(LAYERS)


@pytest.mark.parametrize("threads", [1, 2], indirect=True)
@pytest.mark.parametrize("name", LAYERS)
def test_two_runs_forward_and_backward_are_the_same_to_the_bit(name, threads):
    assert digest(name) == digests_elsewhere(threads)[name]


def test_the_digest_sees_another_order_of_addition():
    """Two threads add a convolution's weight gradient in another order: the check above would notice that."""
    one, two = digests_elsewhere(1), digests_elsewhere(2)
    assert one["Conv2d"] != two["Conv2d"] and one["MaxPool2d"] == two["MaxPool2d"]
