"""Pooling kernels: the NumPy ones against the textbook loops."""

import inspect

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minidl.kernels.cpu import max_pool_2x2
from minidl.kernels.cpu import pooling as cpu
from minidl.kernels.reference import pooling as reference
from tests.tolerances import assert_close

DTYPES = ("float32", "float64")


def public(module):
    """The functions that a module defines for others."""
    functions = inspect.getmembers(module, inspect.isfunction)
    return {name: fn for name, fn in functions if fn.__module__ == module.__name__ and not name.startswith("_")}


@st.composite
def windows(draw, max_dims=3, dilated=True):
    """Settings of a pooling and the size of a plane that every window of it meets, drawn together."""
    dims = draw(st.integers(1, max_dims))
    size, out_size, kernel, stride, padding, dilation = [], [], [], [], [], []
    for _ in range(dims):
        k, s, d = draw(st.integers(1, 3)), draw(st.integers(1, 4)), draw(st.integers(1, 2)) if dilated else 1
        p = draw(st.integers(0, k // 2))
        span = d * (k - 1) + 1
        length = draw(st.integers(max(1, span - p), span + 4))  # window 0 meets the input
        ceil = draw(st.booleans())
        count = (length + 2 * p - span + (s - 1 if ceil else 0)) // s + 1
        if ceil and (count - 1) * s >= length + p:
            count -= 1
        size.append(length), out_size.append(count), kernel.append(k), stride.append(s), padding.append(p)
        dilation.append(d)
    found = dict(kernel=kernel, stride=stride, padding=padding, dilation=dilation, out_size=out_size)
    if not dilated:
        del found["dilation"]
    return tuple(size), {name: tuple(value) for name, value in found.items()}


leads = st.sampled_from([(1,), (3,), (2, 3), (0, 2)])
seeds = st.integers(0, 2**32 - 1)
sizes = st.lists(st.integers(1, 6), min_size=1, max_size=3).map(tuple)


def values(shape, dtype, seed, ties=False):
    """Read-only and not contiguous; `ties` draws few different values, so that maxima repeat."""
    rng = np.random.default_rng(seed)
    wide = (*shape[:-1], 2 * shape[-1])
    array = rng.integers(-3, 3, wide) if ties else rng.standard_normal(wide)
    array = array.astype(dtype)[..., ::2]
    array.flags.writeable = False
    return array


def assert_same(actual, expected):
    """Equal bit for bit, dtypes too."""
    assert actual.dtype == expected.dtype
    np.testing.assert_array_equal(actual, expected)


def assert_same_pair(actual, expected):
    """The same values and the same indices."""
    assert_same(actual[0], expected[0])
    assert_same(actual[1], expected[1])


def test_both_libraries_have_the_same_functions():
    ours, theirs = public(cpu) | public(max_pool_2x2), public(reference)
    assert ours.keys() == theirs.keys()
    for name, fn in ours.items():
        assert inspect.signature(fn) == inspect.signature(theirs[name])


@given(windows(), leads, seeds, st.sampled_from(DTYPES), st.booleans())
@settings(max_examples=60, deadline=None)
def test_max_pool(window, lead, seed, dtype, ties):
    size, setting = window
    x = values(lead + size, dtype, seed, ties)
    assert_same_pair(cpu.max_pool(x, **setting), reference.max_pool(x, **setting))


@given(windows(max_dims=2), seeds)
@settings(max_examples=40, deadline=None)
def test_max_pool_of_nan_and_infinity(window, seed):
    size, setting = window
    x = np.random.default_rng(seed).choice([np.nan, -np.inf, 1.0, 2.0], (2, 1, *size), p=[0.2, 0.5, 0.2, 0.1])
    assert_same_pair(cpu.max_pool(x, **setting), reference.max_pool(x, **setting))


@pytest.mark.parametrize("library", [cpu, reference])
def test_max_pool_of_integers(library):
    x = np.array([[[-5, -3, -9, -7]]])
    y, indices = library.max_pool(x, kernel=(3,), stride=(2,), padding=(1,), dilation=(1,), out_size=(2,))
    assert_same(y, np.array([[[-3, -3]]]))
    assert_same(indices, np.array([[[1, 1]]]))


def test_max_pool_gives_the_same_in_blocks_and_on_several_threads(monkeypatch):
    x = values((8, 2, 9, 9), "float32", 0)
    setting = dict(kernel=(2, 3), stride=(2, 3), padding=(0, 1), dilation=(1, 1), out_size=(4, 3))
    expected = reference.max_pool(x, **setting)
    monkeypatch.setattr(cpu, "_BLOCK", 1)
    assert_same_pair(cpu.max_pool(x, **setting), expected)


@given(sizes, st.data(), leads, seeds, st.sampled_from(DTYPES), st.booleans())
@settings(max_examples=60, deadline=None)
def test_adaptive_max_pool(size, data, lead, seed, dtype, ties):
    out_size = tuple(data.draw(st.integers(0, 7)) for _ in size)
    x = values(lead + size, dtype, seed, ties)
    assert_same_pair(cpu.adaptive_max_pool(x, out_size=out_size), reference.adaptive_max_pool(x, out_size=out_size))


def test_adaptive_max_pool_takes_the_last_nan():
    x = np.array([[[1.0, np.nan, 3.0, np.nan, 2.0, 9.0]]])
    for library in (cpu, reference):
        y, indices = library.adaptive_max_pool(x, out_size=(1,))
        assert np.isnan(y).all() and indices.item() == 3
        assert_same(library.adaptive_max_pool(x, out_size=(3,))[1], np.array([[[1, 3, 5]]]))


@given(sizes, st.data(), leads, seeds, st.sampled_from(DTYPES))
@settings(max_examples=60, deadline=None)
def test_gather_and_scatter(size, data, lead, seed, dtype):
    out_size = tuple(data.draw(st.integers(1, 5)) for _ in size)
    x, g = values(lead + size, dtype, seed), values(lead + out_size, dtype, seed + 1)
    indices = np.random.default_rng(seed).integers(0, np.prod(size), lead + out_size)
    dims = len(size)
    assert_same(cpu.plane_gather(x, indices, dims=dims), reference.plane_gather(x, indices, dims=dims))
    for accumulate in (True, False):
        actual = cpu.plane_scatter(g, indices, size=size, accumulate=accumulate)
        assert actual.dtype == dtype
        assert_close(actual, reference.plane_scatter(g, indices, size=size, accumulate=accumulate))
    assert_same(cpu.last_of_equal_indices(indices, dims=dims), reference.last_of_equal_indices(indices, dims=dims))


def test_scatter_in_blocks_of_planes(monkeypatch):
    monkeypatch.setattr(cpu, "_BLOCK", 20)
    indices = np.random.default_rng(0).integers(0, 9, (5, 1, 4))
    g = values((5, 1, 4), "float32", 1)
    expected = reference.plane_scatter(g, indices, size=(9,), accumulate=True)
    assert_close(cpu.plane_scatter(g, indices, size=(9,), accumulate=True), expected)


@given(windows(dilated=False), leads, seeds, st.sampled_from(DTYPES), st.booleans(), st.sampled_from([None, 3, -2]))
@settings(max_examples=60, deadline=None)
def test_avg_pool_and_its_adjoint(window, lead, seed, dtype, include_pad, override):
    size, setting = window
    setting |= dict(count_include_pad=include_pad, divisor_override=override)
    x, gy = values(lead + size, dtype, seed), values(lead + setting["out_size"], dtype, seed + 1)
    y = cpu.avg_pool(x, **setting)
    assert y.dtype == dtype
    assert_close(y, reference.avg_pool(x, **setting))

    del setting["out_size"]
    gx = cpu.avg_pool_input_grad(gy, in_size=size, **setting)
    assert gx.dtype == dtype
    assert_close(gx, reference.avg_pool_input_grad(gy, in_size=size, **setting))


@given(sizes, st.data(), leads, seeds, st.sampled_from(DTYPES))
@settings(max_examples=60, deadline=None)
def test_adaptive_avg_pool_and_its_adjoint(size, data, lead, seed, dtype):
    out_size = tuple(data.draw(st.integers(0, 7)) for _ in size)
    x, gy = values(lead + size, dtype, seed), values(lead + out_size, dtype, seed + 1)
    y = cpu.adaptive_avg_pool(x, out_size=out_size)
    assert y.dtype == dtype
    assert_close(y, reference.adaptive_avg_pool(x, out_size=out_size))

    gx = cpu.adaptive_avg_pool_input_grad(gy, in_size=size)
    assert gx.dtype == dtype
    assert_close(gx, reference.adaptive_avg_pool_input_grad(gy, in_size=size))


@pytest.mark.parametrize("window", [dict(kernel=(2, 2), stride=(2, 2), padding=(0, 0)),
                                    dict(kernel=(3, 2), stride=(1, 2), padding=(1, 0))])  # fmt: skip
def test_channels_last_inputs_give_channels_last_outputs(window):
    x = np.random.default_rng(0).standard_normal((2, 6, 6, 3)).transpose(0, 3, 1, 2)
    out_size = tuple((6 + 2 * p - k) // s + 1 for k, s, p in zip(*window.values(), strict=True))
    y, indices = cpu.max_pool(x, **window, dilation=(1, 1), out_size=out_size)
    mean = cpu.avg_pool(x, **window, out_size=out_size, count_include_pad=True, divisor_override=None)
    for array in (y, indices, mean):
        assert array.transpose(0, 2, 3, 1).flags.c_contiguous
    assert_same_pair((y, indices), reference.max_pool(x, **window, dilation=(1, 1), out_size=out_size))
