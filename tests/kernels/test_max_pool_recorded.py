"""Max pooling with a record of its winners, against max pooling with indices and the scatter to them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minidl.kernels import cpu, reference
from minidl.kernels.cpu import max_pool_2x2
from tests.kernels._workers import KINDS, LAYOUTS, in_order, workers

DTYPES = ("float32", "float64")
ORDERS = {"HWNC": (2, 3, 0, 1), "CHWN": (1, 2, 3, 0)}
orders = pytest.mark.parametrize("order", ORDERS)
dtypes = pytest.mark.parametrize("dtype", DTYPES)


@pytest.fixture(autouse=True)
def _no_warnings():
    """The engine calls kernels in silence: infinities and NaN are results."""
    with np.errstate(all="ignore"):
        yield


def two_by_two(size):
    """The settings of windows of 2×2 that do not overlap, over planes of this size."""
    return {
        "kernel": (2, 2),
        "stride": (2, 2),
        "padding": (0, 0),
        "dilation": (1, 1),
        "out_size": (size[0] // 2, size[1] // 2),
    }


def values(shape, dtype, seed, ties=False):
    rng = np.random.default_rng(seed)
    return (rng.integers(-2, 3, shape) if ties else rng.standard_normal(shape)).astype(dtype)


def assert_same(actual, expected):
    """Equal bit for bit, dtypes too."""
    assert actual.dtype == expected.dtype and actual.shape == expected.shape
    np.testing.assert_array_equal(actual, expected)


def assert_like_max_pool(x, window, bits=None):
    """The recorded forms give what the textbook's indices give; `bits`: whether the record is three bits."""
    before = x.copy()
    size = x.shape[2:]
    y, record = cpu.max_pool_recorded(x, **window)
    expected, indices = reference.max_pool(x, **window)
    assert_same(y, expected)
    found = cpu.recorded_indices(record, size=size)
    assert_same(found, indices)
    assert_same(found, cpu.max_pool(x, **window)[1])
    if bits is not None:
        assert (record.dtype == np.bool_) == bits
    gy = values(y.shape, x.dtype, 5)
    gy.reshape(-1)[::7] = np.inf
    gy.reshape(-1)[3::11] = np.nan
    for seen in (gy, in_order(gy, ORDERS["HWNC"]), in_order(gy, ORDERS["CHWN"]), gy[::-1].copy()[::-1]):
        gx = cpu.recorded_input_grad(seen, record, size=size, accumulate=False)
        assert_same(gx, reference.plane_scatter(gy, indices, size=size, accumulate=False))
    np.testing.assert_array_equal(x, before)
    return y, record


@orders
@dtypes
@pytest.mark.parametrize("ties", [False, True], ids=["", "ties"])
@pytest.mark.parametrize("shape", [(8, 3, 4, 6), (9, 2, 5, 7), (8, 1, 2, 2), (8, 4, 3, 2), (8, 2, 2, 9), (16, 1, 7, 8)])
def test_bits_are_as_good_as_indices(order, dtype, ties, shape):
    x = in_order(values(shape, dtype, 1, ties), ORDERS[order])
    y, record = assert_like_max_pool(x, two_by_two(shape[2:]), bits=True)
    assert record.shape == (3, *y.shape) and y.transpose(ORDERS[order]).flags.c_contiguous


@settings(max_examples=60)
@given(
    st.tuples(st.integers(1, 12), st.integers(1, 5), st.integers(2, 7), st.integers(2, 7)),
    st.sampled_from(list(LAYOUTS)),
    st.sampled_from(DTYPES),
    st.sampled_from([0.0, 0.1]),
    st.integers(0, 2**32 - 1),
)
def test_any_shape_in_any_order(shape, layout, dtype, special, seed):
    x = values(shape, dtype, seed, ties=True)
    rng = np.random.default_rng(seed)
    at = rng.random(shape) < special
    x[at] = rng.choice([np.inf, -np.inf, 0.0, -0.0], at.sum())
    with np.errstate(all="ignore"):
        assert_like_max_pool(LAYOUTS[layout](x), two_by_two(shape[2:]))


@orders
@dtypes
@pytest.mark.parametrize("value", [0.0, -0.0, 1.0, -np.inf, np.inf, np.nan])
def test_the_first_of_equals_wins_but_the_last_nan(order, dtype, value):
    x = in_order(np.full((8, 2, 5, 4), value, dtype), ORDERS[order])
    y, record = assert_like_max_pool(x, two_by_two((5, 4)), bits=not np.isnan(value))
    first = 5 if np.isnan(value) else 0  # of the window's positions 0, 1, 4 and 5
    assert (cpu.recorded_indices(record, size=(5, 4))[:, :, 0, 0] == first).all()
    np.testing.assert_array_equal(y, np.full(y.shape, value, dtype))


@orders
@dtypes
def test_all_orders_of_four_values_with_ties(order, dtype):
    """Each window of four values out of three, in a plane of its own."""
    windows = np.stack(np.meshgrid(*[[-1.0, 0.0, 2.0]] * 4), -1).reshape(81, 1, 2, 2).astype(dtype)
    assert_like_max_pool(in_order(windows, ORDERS[order]), two_by_two((2, 2)), bits=True)


@orders
@dtypes
@pytest.mark.parametrize("where", [(0, 0, 0, 0), (7, 2, 3, 5), (4, 1, 2, 3)])
def test_a_single_nan_wins_its_window(order, dtype, where):
    x = values((8, 3, 5, 7), dtype, 0)
    x[where] = np.nan
    y, _ = assert_like_max_pool(in_order(x, ORDERS[order]), two_by_two((5, 7)), bits=False)
    assert np.isnan(y).sum() == 1


@orders
def test_a_nan_that_no_window_sees_is_no_matter(order):
    x = values((8, 3, 5, 7), "float32", 0)
    x[:, :, 4] = x[:, :, :, 6] = np.nan
    y, _ = assert_like_max_pool(in_order(x, ORDERS[order]), two_by_two((5, 7)), bits=True)
    assert not np.isnan(y).any()


@orders
@dtypes
def test_infinities_and_nan_beside_each_other(order, dtype):
    rng = np.random.default_rng(0)
    x = rng.choice([np.nan, np.inf, -np.inf, 1.0], (9, 4, 7, 8), p=[0.1, 0.2, 0.5, 0.2]).astype(dtype)
    assert_like_max_pool(in_order(x, ORDERS[order]), two_by_two((7, 8)), bits=False)
    assert_like_max_pool(in_order(np.nan_to_num(x, nan=-np.inf), ORDERS[order]), two_by_two((7, 8)), bits=True)


OTHERS = {
    "3x3": {"kernel": (3, 3), "out_size": (2, 3)},
    "overlapping": {"stride": (1, 1), "out_size": (5, 6)},
    "one-dimension": {"stride": (2, 1), "out_size": (3, 6)},
    "padded": {"padding": (1, 1), "out_size": (4, 4)},
    "ceil": {"out_size": (3, 4)},
    "dilated": {"dilation": (2, 1), "out_size": (2, 3)},
    "fewer": {"out_size": (2, 2)},
}


@orders
@pytest.mark.parametrize("name", OTHERS)
def test_other_windows_keep_indices(order, name):
    x = values((8, 3, 6, 7), "float32", 0, ties=True)
    window = two_by_two((6, 7)) | OTHERS[name]
    overlap = name in ("3x3", "overlapping", "one-dimension", "dilated")
    x = in_order(x, ORDERS[order])
    y, record = cpu.max_pool_recorded(x, **window)
    expected, indices = reference.max_pool(x, **window)
    assert_same(y, expected)
    assert_same(cpu.recorded_indices(record, size=(6, 7)), indices)
    gy = values(y.shape, "float32", 1)
    actual = cpu.recorded_input_grad(gy, record, size=(6, 7), accumulate=overlap)
    assert actual.dtype == np.float32
    np.testing.assert_allclose(
        actual, reference.plane_scatter(gy, indices, size=(6, 7), accumulate=overlap), rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("shape", [(8, 4, 4, 4), (1, 8, 4, 4), (8, 1, 4, 4), (3, 2, 4, 4), (1, 1, 4, 4)])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_few_samples_and_channels(shape, layout):
    assert_like_max_pool(LAYOUTS[layout](values(shape, "float32", 0, ties=True)), two_by_two((4, 4)))


@pytest.mark.parametrize("dtype", ["float16", "int64", "int8"])
@orders
def test_other_dtypes_keep_indices(dtype, order):
    x = in_order(values((8, 3, 4, 6), dtype, 0, ties=True), ORDERS[order])
    y, record = cpu.max_pool_recorded(x, **two_by_two((4, 6)))
    expected, indices = reference.max_pool(x, **two_by_two((4, 6)))
    assert_same(y, expected)
    assert_same(cpu.recorded_indices(record, size=(4, 6)), indices)


@pytest.mark.parametrize("shape", [(3, 4, 6), (8, 2, 4, 4, 4)])
def test_other_numbers_of_dimensions_keep_indices(shape):
    dims = len(shape) - 2
    window = {"kernel": (2,) * dims, "stride": (2,) * dims, "padding": (0,) * dims, "dilation": (1,) * dims}
    window["out_size"] = tuple(n // 2 for n in shape[2:])
    x = values(shape, "float32", 0, ties=True)
    y, record = cpu.max_pool_recorded(x, **window)
    expected, indices = reference.max_pool(x, **window)
    assert_same(y, expected)
    assert_same(cpu.recorded_indices(record, size=shape[2:]), indices)


def test_an_empty_batch():
    x = np.zeros((4, 4, 0, 9), np.float32).transpose(2, 3, 0, 1)
    y, record = cpu.max_pool_recorded(x, **two_by_two((4, 4)))
    assert y.shape == (0, 9, 2, 2)
    assert cpu.recorded_indices(record, size=(4, 4)).shape == (0, 9, 2, 2)
    assert cpu.recorded_input_grad(y, record, size=(4, 4), accumulate=False).shape == (0, 9, 4, 4)


@orders
def test_the_gradient_does_not_hold_what_was_in_memory_before(order):
    """Also in the last row and column, which no window sees."""
    x = in_order(values((16, 8, 31, 33), "float32", 0), ORDERS[order])
    y, record = cpu.max_pool_recorded(x, **two_by_two((31, 33)))
    for _ in range(3):
        rubbish = in_order(np.full(x.shape, np.nan, np.float32), ORDERS[order])
        np.copyto(cpu.relu(rubbish), np.nan)  # leaves an array of this size behind
        gx = cpu.recorded_input_grad(np.ones_like(y), record, size=(31, 33), accumulate=False)
        assert gx.sum() == y.size and (gx >= 0).all()
        assert not gx[:, :, 30].any() and not gx[:, :, :, 32].any()


@pytest.mark.parametrize("kind", KINDS)
@orders
@dtypes
@pytest.mark.parametrize("shape", [(32, 16, 31, 30), (64, 3, 33, 33), (512, 40, 3, 4), (16, 2, 90, 40)])
def test_large_images_shared_out(kind, order, dtype, shape):
    x = in_order(values(shape, dtype, 0, ties=True), ORDERS[order])
    window = two_by_two(shape[2:])
    expected, indices = cpu.max_pool(x, **window)
    gy = values(expected.shape, dtype, 1)
    with workers(kind, 3):
        y, record = cpu.max_pool_recorded(x, **window)
        gx = cpu.recorded_input_grad(gy, record, size=shape[2:], accumulate=False)
    assert record.dtype == np.bool_
    assert_same(y, expected)
    assert_same(cpu.recorded_indices(record, size=shape[2:]), indices)
    assert_same(gx, cpu.plane_scatter(gy, indices, size=shape[2:], accumulate=False))


@pytest.mark.parametrize("kind", KINDS)
@orders
def test_a_nan_in_the_part_of_another_worker_is_seen(kind, order):
    x = values((16, 8, 64, 64), "float32", 0)
    window = two_by_two((64, 64))
    for where in [(0, 0, 0, 0), (15, 7, 63, 63)]:
        z = x.copy()
        z[where] = np.nan
        with workers(kind, 2):
            y, record = cpu.max_pool_recorded(in_order(z, ORDERS[order]), **window)
        assert np.isnan(y).sum() == 1 and np.isnan(y[where[0], where[1], where[2] // 2, where[3] // 2])
        assert_same(cpu.recorded_indices(record, size=(64, 64)), cpu.max_pool(z, **window)[1])


def test_blocks_of_any_size_give_the_same(monkeypatch):
    for order in ORDERS.values():
        x = in_order(values((9, 3, 7, 8), "float32", 0, ties=True), order)
        for block in (1, 30, 300):
            monkeypatch.setattr(max_pool_2x2, "BLOCK", block)
            assert_like_max_pool(x, two_by_two((7, 8)), bits=True)
