"""The NumPy grid-sampling kernels against their definitions."""

import inspect

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minidl.kernels.cpu import grid_sample as cpu
from minidl.kernels.reference import grid_sample as reference
from tests.tolerances import assert_close

DTYPES = (np.float32, np.float64)
KERNELS = [name for name, kernel in inspect.getmembers(reference, inspect.isfunction) if not name.startswith("_")]


@pytest.mark.parametrize("name", KERNELS)
def test_signatures_agree(name):
    assert inspect.signature(getattr(cpu, name)) == inspect.signature(getattr(reference, name))


@st.composite
def samplings(draw):
    size = tuple(draw(st.lists(st.integers(1, 5), min_size=2, max_size=3)))
    return size, {
        "mode": draw(st.sampled_from(["nearest", "bilinear", "bicubic"])),
        "padding_mode": draw(st.sampled_from(["zeros", "border", "reflection"])),
        "align_corners": draw(st.booleans()),
    }


@settings(max_examples=150, deadline=None)
@given(samplings(), st.integers(0, 2), st.integers(0, 4), st.sampled_from(DTYPES), st.integers(0, 99))
def test_coordinates_and_taps(sampling, batch, points, dtype, seed):
    size, options = sampling
    grid = (np.random.default_rng(seed).standard_normal((batch, points, len(size))) * 2).astype(dtype)
    grid = grid.transpose(0, 2, 1)  # as the functional layer hands it over: not contiguous
    results = cpu.grid_coordinates(grid, size, **options)
    for result, expected in zip(results, reference.grid_coordinates(grid, size, **options), strict=True):
        assert result.dtype == dtype
        assert_close(result, expected)
    positions = results[0] + dtype(0.0123)  # away from halves and integers, where rounding decides
    for result, expected in zip(
        cpu.grid_taps(positions, size, **options), reference.grid_taps(positions, size, **options), strict=True
    ):
        assert result.dtype == expected.dtype
        np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize("mode", ["nearest", "bilinear", "bicubic"])
@pytest.mark.parametrize("padding_mode", ["zeros", "border", "reflection"])
def test_points_that_are_no_points(mode, padding_mode):
    grid = np.array([[[np.nan, np.inf], [-np.inf, 1e30]]])
    options = {"mode": mode, "padding_mode": padding_mode, "align_corners": True}
    positions, slopes = cpu.grid_coordinates(grid, (3, 4), **options)
    expected = reference.grid_coordinates(grid, (3, 4), **options)
    np.testing.assert_array_equal(positions, expected[0])
    np.testing.assert_array_equal(slopes, expected[1])
    assert np.isnan(positions[0, 0, 0]) and np.isfinite(positions.ravel()[1:]).all() and not slopes.any()
    index, base = cpu.grid_taps(positions, (3, 4), **options)
    assert index.min() >= 0 and index.max() <= 12 and np.isfinite(base).all()


@settings(max_examples=80, deadline=None)
@given(
    batch=st.integers(0, 3),
    channels=st.integers(1, 3),
    length=st.integers(1, 8),
    taps=st.integers(1, 4),
    points=st.integers(0, 6),
    dtype=st.sampled_from(DTYPES),
    seed=st.integers(0, 99),
)
def test_the_trilinear_form(batch, channels, length, taps, points, dtype, seed):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((length, batch, channels)).astype(dtype).transpose(1, 2, 0)
    gy = rng.standard_normal((batch, channels, points)).astype(dtype)
    weight = rng.standard_normal((batch, taps, points)).astype(dtype)
    index = rng.integers(0, length + 1, (batch, taps, points))
    for array in (x, gy, weight, index):
        array.flags.writeable = False
    calls = {
        "weighted_gather": (x, index, weight),
        "weighted_scatter": (gy, index, weight, length),
        "gather_dot": (x, gy, index),
    }
    for name, arguments in calls.items():
        result = getattr(cpu, name)(*arguments)
        assert result.dtype == dtype
        assert_close(result, getattr(reference, name)(*arguments))


def test_the_pixel_outside_is_zero_beside_infinite_ones():
    x = np.full((1, 1, 4), np.inf)
    index, weight = np.array([[[4, 4]]]), np.ones((1, 1, 2))
    np.testing.assert_array_equal(cpu.weighted_gather(x, index, weight), np.zeros((1, 1, 2)))
    np.testing.assert_array_equal(cpu.gather_dot(x, np.ones((1, 1, 2)), index), np.zeros((1, 1, 2)))
