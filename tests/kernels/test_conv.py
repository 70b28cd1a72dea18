"""Convolution kernels: the NumPy ones against the textbook loops."""

import inspect
from contextlib import contextmanager
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minidl import backend
from minidl.kernels import cpu, reference
from minidl.kernels.cpu import conv_columns, conv_general
from tests.tolerances import assert_close

NAMES = ("conv", "conv_input_grad", "conv_weight_grad", "fold", "unfold")
ONE = {"stride": (1, 1), "padding": ((0, 0), (0, 0)), "dilation": (1, 1)}


@st.composite
def convolutions(draw):
    """Shapes of x and w, and settings that leave at least one output; padding may crop."""
    dims = draw(st.integers(1, 3))
    size, kernel, stride, padding, dilation = [], [], [], [], []
    for _ in range(dims):
        k, d, low, high = draw(st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(-1, 3), st.integers(-1, 3)))
        n = draw(st.integers(max(1, d * (k - 1) + 1 - low - high), d * (k - 1) + (6 - dims) + 3))
        if n + low + high < d * (k - 1) + 1 or n + min(low, 0) + min(high, 0) < 1:
            n = d * (k - 1) + 4
        size.append(n), kernel.append(k), dilation.append(d), padding.append((low, high))
        stride.append(draw(st.integers(1, 4)))
    groups = draw(st.integers(1, 3))
    group_in, group_out = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    x = (draw(st.integers(0, 3)), groups * group_in, *size)
    w = (groups * group_out, group_in, *kernel)
    found = {"stride": stride, "padding": padding, "dilation": dilation}
    return x, w, {name: tuple(value) for name, value in found.items()} | {"groups": groups}


def values(shape, dtype, seed):
    """Read-only, and neither contiguous nor in order."""
    wide = np.random.default_rng(seed).standard_normal((*shape[:-1], 2 * shape[-1])).astype(dtype)
    array = wide[..., ::-2]
    array.flags.writeable = False
    return array


def assert_same(actual, expected):
    assert actual.dtype == expected.dtype and actual.flags.writeable
    assert_close(actual, expected)


@pytest.fixture
def one_thread():
    before = backend.get_num_threads()
    backend.set_num_threads(1)
    yield
    backend.set_num_threads(before)


@contextmanager
def column_bytes_set_to(limit):
    """Other blocks than the usual ones."""
    conv_columns._blocks.cache_clear()
    with mock.patch.object(conv_columns, "COLUMN_BYTES", limit), mock.patch.object(conv_general, "COLUMN_BYTES", limit):
        yield
    conv_columns._blocks.cache_clear()


dtypes = st.sampled_from(["float32", "float64"])
column_bytes = st.sampled_from([1, 300, 3000, 1_600_000])
seeds = st.integers(0, 2**32 - 1)


@pytest.mark.parametrize("name", NAMES)
def test_signatures_are_those_of_the_reference(name):
    assert inspect.signature(getattr(cpu, name)) == inspect.signature(getattr(reference, name))


@given(convolutions(), dtypes, column_bytes, seeds)
@settings(max_examples=80, deadline=None)
def test_conv(case, dtype, limit, seed):
    x_shape, w_shape, found = case
    x, w = values(x_shape, dtype, seed), values(w_shape, dtype, seed + 1)
    with column_bytes_set_to(limit):
        assert_same(cpu.conv(x, w, **found), reference.conv(x, w, **found))


@given(convolutions(), dtypes, column_bytes, st.sampled_from([35, -(10**9), 10**9]), seeds)
@settings(max_examples=120, deadline=None)
def test_input_gradient_by_either_way(case, dtype, limit, scatter_cost, seed):
    x_shape, w_shape, found = case
    w = values(w_shape, dtype, seed)
    gy = values(reference.conv(np.zeros(x_shape), w, **found).shape, dtype, seed + 1)
    with column_bytes_set_to(limit), mock.patch.object(conv_general, "SCATTER_COST", scatter_cost):
        actual = cpu.conv_input_grad(gy, w, size=x_shape[2:], **found)
    assert_same(actual, reference.conv_input_grad(gy, w, size=x_shape[2:], **found))


@given(convolutions(), dtypes, column_bytes, seeds)
@settings(max_examples=80, deadline=None)
def test_weight_gradient(case, dtype, limit, seed):
    x_shape, w_shape, found = case
    x = values(x_shape, dtype, seed)
    gy = values(reference.conv(x, np.zeros(w_shape, dtype), **found).shape, dtype, seed + 1)
    with column_bytes_set_to(limit):
        actual = cpu.conv_weight_grad(x, gy, kernel_size=w_shape[2:], **found)
    assert_same(actual, reference.conv_weight_grad(x, gy, kernel_size=w_shape[2:], **found))


@given(convolutions(), dtypes, seeds)
@settings(max_examples=60, deadline=None)
def test_unfold_and_fold(case, dtype, seed):
    x_shape, w_shape, found = case
    del found["groups"]
    x = values(x_shape, dtype, seed)
    columns = cpu.unfold(x, kernel_size=w_shape[2:], **found)
    assert_same(columns, reference.unfold(x, kernel_size=w_shape[2:], **found))
    columns = values(columns.shape, dtype, seed + 1)
    actual = cpu.fold(columns, size=x_shape[2:], kernel_size=w_shape[2:], **found)
    assert_same(actual, reference.fold(columns, size=x_shape[2:], kernel_size=w_shape[2:], **found))


def test_reference_by_hand():
    """One number of each, worked out on paper, so that the oracle is not taken on faith."""
    x = np.arange(16.0).reshape(1, 1, 4, 4)
    w = np.array([[[[1.0, 2.0], [3.0, 4.0]]]])
    y = reference.conv(x, w, **ONE, groups=1)
    assert y.shape == (1, 1, 3, 3)
    assert y[0, 0, 1, 2] == 1 * 6 + 2 * 7 + 3 * 10 + 4 * 11  # the kernel is not flipped
    gy = np.zeros_like(y)
    gy[0, 0, 1, 2] = 10
    gx = reference.conv_input_grad(gy, w, size=(4, 4), **ONE, groups=1)
    np.testing.assert_array_equal(gx[0, 0, 1:3, 2:4], 10 * w[0, 0])
    assert gx.sum() == 100
    gw = reference.conv_weight_grad(x, gy, kernel_size=(2, 2), **ONE, groups=1)
    np.testing.assert_array_equal(gw[0, 0], 10 * x[0, 0, 1:3, 2:4])
    columns = reference.unfold(x, kernel_size=(2, 2), **ONE)
    np.testing.assert_array_equal(columns[0, :, 5], [6, 7, 10, 11])
    np.testing.assert_array_equal(
        reference.fold(np.ones_like(columns), size=(4, 4), kernel_size=(2, 2), **ONE)[0, 0, :2, :2], [[1, 2], [2, 4]]
    )


def test_the_whole_column_matrix_is_never_built(one_thread):
    """64 images of 32 × 32 with 16 channels have 37 MB of columns; a block must not take more than its share."""
    x, w = np.ones((64, 16, 32, 32), np.float32), np.ones((4, 16, 3, 3), np.float32)
    found = ONE | {"padding": ((1, 1), (1, 1)), "groups": 1}
    sizes = []

    def spy(tag, shape, dtype):
        sizes.append(int(np.prod(shape)) * np.dtype(dtype).itemsize)
        return np.empty(shape, dtype)

    with mock.patch.object(conv_columns, "scratch", spy):
        y = cpu.conv(x, w, **found)
        cpu.conv_input_grad(y, w, size=(32, 32), **found)
        cpu.conv_weight_grad(x, y, kernel_size=(3, 3), **found)
    assert sizes and max(sizes) <= conv_columns.COLUMN_BYTES
    assert y[0, 0, 0, 0] == 4 * 16 and y[0, 0, 5, 5] == 9 * 16
