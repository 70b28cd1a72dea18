"""Kernels of a device against the definition: what several test files need."""

import numpy as np

from minidl import kernels
from minidl.backend import to_device, to_numpy
from minidl.kernels import reference
from tests.cupy_stand_in import counting
from tests.tolerances import FORWARD, assert_close


def on(device, value):
    """Arrays on the device, also those in tuples and lists."""
    if isinstance(value, tuple | list):
        return type(value)(on(device, each) for each in value)
    return to_device(value, device) if isinstance(value, np.ndarray) else value


def run(device, name, *arguments, waits=False, **settings):
    """What the device's kernel gives for NumPy arrays: its results on the host, as a tuple.

    It must not wait for the device nor move anything, unless `waits`; and leave its arguments as they were.
    """
    arguments = on(device, arguments)
    module = kernels.of(to_device(np.ones(1), device))
    with counting() as seen:
        results = getattr(module, name)(*arguments, **settings)
    assert waits or not (seen.synchronisations or seen.transfers_to_device or seen.transfers_to_host), seen.places
    results = results if isinstance(results, tuple) else (results,)
    return tuple(np.asarray(y) if isinstance(y, np.generic) else to_numpy(y) for y in results)


def check(device, name, *arguments, kind=FORWARD, waits=False, **settings):
    """The device's kernel gives what the definition gives, at the tolerance of the first float result; returns that."""
    results = run(device, name, *arguments, waits=waits, **settings)
    expected = getattr(reference, name)(*arguments, **settings)
    expected = expected if isinstance(expected, tuple) else (expected,)
    assert len(results) == len(expected)
    precision = next((wanted.dtype for wanted in expected if wanted.dtype.kind == "f"), None)
    for y, wanted in zip(results, expected, strict=True):
        assert y.dtype == wanted.dtype and y.shape == wanted.shape
        if wanted.dtype.kind != "f":
            np.testing.assert_array_equal(y, wanted)
        elif y.size:
            scale = max(np.abs(wanted).max(initial=0), 1.0)
            if precision == np.float16:
                np.testing.assert_allclose(y / scale, wanted / scale, rtol=2e-3, atol=2e-3)
            else:
                assert_close((y / scale).astype(precision), wanted / scale, kind, name)
    return expected


def values(shape, dtype="float64", seed=0):
    """Read-only, and neither contiguous nor in order."""
    wide = np.random.default_rng(seed).standard_normal((*shape[:-1], 2 * shape[-1])).astype(dtype)
    array = wide[..., ::-2]
    array.flags.writeable = False
    return array
