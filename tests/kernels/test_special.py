"""The error function against the C library's."""

import inspect

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidl.kernels.cpu import special as cpu
from minidl.kernels.reference import special as reference


def test_signatures_agree():
    assert inspect.signature(cpu.erf) == inspect.signature(reference.erf)


def test_float64_is_exact_to_the_last_digits():
    limits = [0.46875, np.nextafter(0.46875, 1), 4, 6]
    x = np.concatenate([np.linspace(-7, 7, 20001), np.logspace(-300, 2, 500), limits])
    expected = reference.erf(x)
    np.testing.assert_allclose(cpu.erf(x), expected, rtol=1e-15, atol=0)
    np.testing.assert_array_equal(cpu.erf(-x), -cpu.erf(x))


@given(st.lists(st.floats(width=32, allow_subnormal=False), max_size=20))
def test_float32(values):
    x = np.array(values, np.float32)
    y = cpu.erf(x)
    assert y.dtype == np.float32
    np.testing.assert_allclose(y, reference.erf(x), rtol=5e-7, atol=0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_limits(dtype):
    y = cpu.erf(np.array([np.inf, -np.inf, np.nan, 0.0, -0.0], dtype))
    np.testing.assert_array_equal(y, np.array([1, -1, np.nan, 0, 0], dtype))
    np.testing.assert_array_equal(np.signbit(y[3:]), [False, True])


def test_shapes_layouts_and_blocks():
    x = np.linspace(-3, 3, 4 * 200_000).reshape(4, -1)  # several blocks, on all threads
    x.flags.writeable = False
    np.testing.assert_array_equal(cpu.erf(x[::2, ::-1]), cpu.erf(x)[::2, ::-1])
    assert cpu.erf(np.zeros((0, 3))).shape == (0, 3)
    assert cpu.erf(np.array(0.5)).shape == ()
