"""The updates of the optimizers, on every device, against the formulas element by element."""

import itertools

import numpy as np
import pytest

from minidl import backend, get_num_threads, kernels, set_num_threads
from minidl.backend import to_device, to_numpy
from minidl.kernels import cpu, reference
from tests import cupy_stand_in
from tests.tolerances import FORWARD, assert_close

SHAPE = (3, 4, 5)
GRADIENT = [dict(weight_decay=w, maximize=m) for w, m in itertools.product([0.0, 0.1], [False, True])]
SGD = [
    dict(lr=0.1, momentum=m, dampening=d, nesterov=n, first=f)
    for m, d, n, f in [(0, 0, False, True), (0.9, 0, False, True), (0.9, 0.2, False, False), (0.9, 0, True, False)]
]
ADAM = [
    dict(step=s, lr=0.1, beta1=0.9, beta2=0.99, eps=1e-3, decoupled=d)
    for s, d in itertools.product([1, 5], [False, True])
]
RMSPROP = [dict(lr=0.1, alpha=0.9, eps=1e-3, momentum=m) for m in (0.0, 0.7)]
ADAGRAD = [dict(lr=0.1, eps=1e-3)]


def cases():
    """(kernel, how many arrays of memory, which of them are None, settings)"""
    for gradient in GRADIENT:
        for settings in SGD:
            yield "sgd_update", 1, () if settings["momentum"] else (0,), settings | gradient
        for settings, absent in itertools.product(ADAM, [(), (2,)]):
            yield "adam_update", 3, absent, settings | gradient
        for settings, centered in itertools.product(RMSPROP, [False, True]):
            absent = (() if centered else (1,)) + (() if settings["momentum"] else (2,))
            yield "rmsprop_update", 3, absent, settings | gradient
        for settings in ADAGRAD:
            yield "adagrad_update", 1, (), settings | gradient


def operands(memories, absent, dtype, shape=SHAPE):
    """Parameters and a gradient, and memories as they may be: positive, and a mean's square below the mean square."""
    rng = np.random.default_rng(0)
    data, grad = rng.standard_normal((2, *shape)).astype(dtype)
    memory = [rng.uniform(low, low + 0.5, shape).astype(dtype) for low in (1.0, 0.1, 0.5)[:memories]]
    return [data, grad, *(None if i in absent else array for i, array in enumerate(memory))]


def updated(module, device, name, arrays, settings):
    """All arrays after the update, but for the gradient."""
    there = [None if array is None else to_device(array.copy(), device) for array in arrays]
    getattr(module, name)(*there, **settings)
    np.testing.assert_array_equal(to_numpy(there[1]), arrays[1])
    return [to_numpy(array) for i, array in enumerate(there) if array is not None and i != 1]


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
@pytest.mark.parametrize("name, memories, absent, settings", list(cases()))
def test_updates(device, name, memories, absent, settings, dtype):
    arrays = operands(memories, absent, dtype)
    module = kernels.of(to_device(np.ones(1), device))
    expected = updated(reference, "cpu", name, arrays, settings)
    for array, wanted in zip(updated(module, device, name, arrays, settings), expected, strict=True):
        assert array.dtype == dtype
        if dtype == "float16":
            np.testing.assert_allclose(array, wanted, rtol=5e-3, atol=5e-3)
        else:
            assert_close(array, wanted, FORWARD, name)


@pytest.mark.parametrize("name, memories, absent, settings", list(cases()))
def test_an_update_is_one_kernel(stand_in, name, memories, absent, settings):
    module = kernels.of(stand_in.ones(1))
    arrays = [None if array is None else stand_in.asarray(array) for array in operands(memories, absent, "float32")]
    with cupy_stand_in.counting() as seen:
        getattr(module, name)(*arrays, **settings)
    assert sum(seen.launches.values()) == 1 and not seen.places


@pytest.mark.parametrize("name, memories, absent, settings", list(cases()))
@pytest.mark.parametrize("threads", [1, 2])
def test_large_parameters_are_updated_as_small_ones_are(name, memories, absent, settings, threads):
    arrays = operands(memories, absent, "float32", (300_001,))
    pieces = [arrays[0].copy(), *arrays[1:2], *(None if array is None else array.copy() for array in arrays[2:])]
    shared = [None if array is None else backend.copy(array) for array in arrays]
    before = get_num_threads()
    try:
        set_num_threads(threads)
        getattr(cpu, name)(*shared, **settings)
    finally:
        set_num_threads(before)
    for start in range(0, 300_001, 20_000):
        piece = [None if array is None else array[start : start + 20_000] for array in pieces]
        getattr(cpu, name)(*piece, **settings)
    for i, (array, wanted) in enumerate(zip(shared, pieces, strict=True)):
        if array is not None:
            np.testing.assert_array_equal(array, wanted, err_msg=str(i))


def test_any_layout():
    arrays = operands(1, (), "float64")
    expected = updated(reference, "cpu", "sgd_update", arrays, SGD[2] | GRADIENT[1])
    turned = [np.asfortranarray(array) for array in arrays]
    cpu.sgd_update(*turned, **SGD[2], **GRADIENT[1])
    assert_close(turned[0], expected[0], FORWARD, "data")
    assert_close(turned[2], expected[1], FORWARD, "buffer")
