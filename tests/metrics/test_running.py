"""Running averages."""

import math

import numpy as np
import pytest

from minidl.autograd import Tensor
from minidl.errors import ArgumentError
from minidl.metrics import Accuracy, Mean


def test_mean_weighs_batches():
    loss = Mean()
    loss.update(2.0, weight=3)
    loss.update(Tensor(np.array([6.0], np.float32)), weight=1)
    assert loss.compute() == 3.0
    loss.reset()
    assert math.isnan(loss.compute())


def test_mean_refuses_more_than_a_number():
    with pytest.raises(ArgumentError, match=r"one number, got shape \(2,\)"):
        Mean().update([1.0, 2.0])
    with pytest.raises(ArgumentError, match="weight=-1 is negative"):
        Mean().update(1.0, weight=-1)


def test_accuracy_counts_samples_not_batches():
    running = Accuracy()
    assert math.isnan(running.compute())
    running.update([0, 1, 2], [0, 1, 0])
    running.update(Tensor(np.array([[0.2, 0.8]], np.float32)), Tensor(np.array([1])))
    assert running.compute() == 0.75
    running.reset()
    assert running.count == 0
