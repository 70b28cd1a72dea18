"""Adding into places: the fast kernels against the loops."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidl.kernels import cpu, reference
from tests.tolerances import assert_close

dtypes = st.sampled_from([np.float32, np.float64])
seeds = st.integers(0, 2**32 - 1)


@st.composite
def indices(draw, shape):
    """An index of a tensor of `shape`: slices, integers, integer arrays that broadcast together, a mask."""
    rng = np.random.default_rng(draw(seeds))
    common = draw(st.sampled_from([(), (3,), (2, 2), (0,), (1, 3)]))
    entries = []
    for length in shape:
        kind = draw(st.sampled_from(["slice", "integer", "array", "mask"] if length else ["slice"]))
        if kind == "slice":
            entries.append(slice(None, None, draw(st.sampled_from([1, 2, -1]))))
        elif kind == "integer":
            entries.append(draw(st.integers(-length, length - 1)))
        elif kind == "array":
            entries.append(rng.integers(-length, length, common))
        elif not any(isinstance(e, np.ndarray) for e in entries):
            entries.append(rng.random(length) < 0.5)
            break
    return tuple(entries[: draw(st.integers(1, len(entries)))])


@given(st.data(), st.lists(st.integers(0, 4), min_size=1, max_size=3), dtypes, seeds)
def test_index_put_add(data, shape, dtype, seed):
    shape = tuple(shape)
    index = data.draw(indices(shape))
    chosen = np.zeros(shape)[index]
    values = np.random.default_rng(seed).standard_normal(chosen.shape).astype(dtype)
    values = np.asarray(values)
    values.flags.writeable = False
    y = cpu.index_put_add(shape, index, values)
    expected = reference.index_put_add(shape, index, values)
    assert y.shape == shape and y.dtype == dtype
    assert_close(y, expected)


@given(st.data(), st.lists(st.integers(1, 4), min_size=1, max_size=3), dtypes, seeds)
def test_scatter_add(data, shape, dtype, seed):
    shape = tuple(shape)
    dim = data.draw(st.integers(0, len(shape) - 1))
    size = tuple(data.draw(st.integers(0, n if d != dim else 5)) for d, n in enumerate(shape))
    rng = np.random.default_rng(seed)
    index = rng.integers(0, shape[dim], size)
    values = rng.standard_normal((*size[::-1],)).astype(dtype).T  # strided the other way
    y = cpu.scatter_add(shape, dim, index, values)
    assert y.dtype == dtype
    assert_close(y, reference.scatter_add(shape, dim, index, values))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_place_named_many_times(dtype):
    index = (np.zeros(1000, int),)
    values = np.full((1000, 2), 0.1, dtype)
    y = cpu.index_put_add((3, 2), index, values)
    np.testing.assert_allclose(y, [[100, 100], [0, 0], [0, 0]], rtol=1e-5)
    z = cpu.scatter_add((3, 2), 0, np.zeros((1000, 2), int), values)
    np.testing.assert_allclose(z, y, rtol=1e-5)
    assert z.dtype == y.dtype == dtype


def test_two_masks_name_no_place_twice():
    index = (np.array([True, False, True]), np.array([False, True, True, False]))
    values = np.array([1.0, 2.0])
    y = cpu.index_put_add((3, 4), index, values)
    np.testing.assert_array_equal(y, reference.index_put_add((3, 4), index, values))


def test_adjoints():
    """⟨x[i], v⟩ = ⟨x, put(i, v)⟩."""
    rng = np.random.default_rng(0)
    x, index = rng.standard_normal((5, 4)), (rng.integers(-5, 5, (3, 2)), rng.integers(0, 4, 2))
    v = rng.standard_normal((3, 2))
    assert np.vdot(x[index], v) == pytest.approx(np.vdot(x, cpu.index_put_add(x.shape, index, v)))


@pytest.mark.parametrize("times", [1, 5, 40])
def test_rows_that_come_seldom_and_often(rng, times):
    index = (rng.permutation(np.repeat(np.arange(-3, 4), times)),)
    values = rng.standard_normal((len(index[0]), 6)).astype(np.float32)
    assert_close(cpu.index_put_add((9, 6), index, values), reference.index_put_add((9, 6), index, values))
