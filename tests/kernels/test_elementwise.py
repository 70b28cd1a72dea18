"""Element-wise kernels on arrays so large that the work is shared out, against the textbook loops."""

import numpy as np
import pytest

from minidl.kernels import cpu, reference
from minidl.kernels.cpu import elementwise
from tests.kernels._workers import KINDS, LAYOUTS, workers

SHAPE = (7, 9, 35, 37)  # 81,585 elements, no multiple of any block
SMALL = (2, 3, 4, 5)
DTYPES = ("float16", "float32", "float64")
ROUNDING = {"float16": 2e-3, "float32": 1e-6, "float64": 1e-14}
SPECIAL = [np.nan, np.inf, -np.inf, 0.0, -0.0]


@pytest.fixture(autouse=True)
def _no_warnings():
    """The engine calls kernels in silence: infinities and NaN are results."""
    with np.errstate(all="ignore"):
        yield


def values(shape, dtype, seed=0, special=SPECIAL):
    """Normal numbers, and one in ten of the special ones."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(shape)
    at = rng.random(shape) < 0.1
    if special:
        x[at] = rng.choice(special, at.sum())
    return x.astype(dtype)


def assert_same(actual, expected, rtol=0.0):
    """The same dtype and values, NaN and infinities at the same places."""
    assert actual.dtype == expected.dtype and actual.shape == expected.shape
    if rtol:
        np.testing.assert_allclose(actual, expected, rtol=rtol, atol=rtol)
    else:
        np.testing.assert_array_equal(actual, expected)


def in_other_layouts(*arrays):
    """The same values in every order in memory; of two arrays also one in each."""
    for name, layout in LAYOUTS.items():
        yield name, [layout(x) for x in arrays]
    if len(arrays) > 1:
        for name in ("NCHW", "HWNC", "gaps"):
            yield f"HWNC and {name}", [LAYOUTS["HWNC"](arrays[0]), *map(LAYOUTS[name], arrays[1:])]
            yield f"{name} and CHWN", [LAYOUTS[name](arrays[0]), *map(LAYOUTS["CHWN"], arrays[1:])]


def assert_like_the_reference(name, arrays, settings=(), rtol=0.0):
    """In every layout, shared out or not, and with few elements too."""
    for shape in (SHAPE, SMALL):
        cut = [x[tuple(slice(n) for n in shape)] for x in arrays]
        expected = getattr(reference, name)(*cut, *settings)
        for layout, seen in in_other_layouts(*cut):
            kept = [x.copy() for x in seen]
            assert_same(getattr(cpu, name)(*seen, *settings), expected, rtol)
            for x, before in zip(seen, kept, strict=True):
                np.testing.assert_array_equal(x, before, err_msg=f"{layout}: an input was written to")


@pytest.fixture(params=KINDS)
def kind(request):
    with workers(request.param, 3):
        yield request.param


# ReLU -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
def test_relu(dtype):
    with workers("threads"):
        assert_like_the_reference("relu", [values(SHAPE, dtype)])


@pytest.mark.parametrize("dtype", DTYPES)
def test_relu_backward(dtype):
    """By bits: infinite gradients and NaN pass or vanish like any other, and NaN in y lets them through."""
    y = cpu.relu(values(SHAPE, dtype, 1))
    with workers("threads"):
        assert_like_the_reference("relu_backward", [values(SHAPE, dtype, 2), y])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("count", [1, 5, 8192, 100_000])
def test_the_gradient_of_relu_at_either_zero_is_zero(dtype, count):
    x = np.full((count, 2), -0.0, dtype)
    x[::2] = 0.0
    for view in (x, x.T, x[:, :1], x[::-1]):
        y = cpu.relu(view)
        assert (y == 0).all()
        assert not cpu.relu_backward(np.full(view.shape, np.inf, dtype), y).any()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_relu_backward_passes_the_smallest_numbers(dtype):
    """A denormal is more than 0."""
    y = np.full(70_000, np.finfo(dtype).smallest_subnormal, dtype)
    y[::3] = 0.0
    gy = values(y.shape, dtype)
    assert_same(cpu.relu_backward(gy, y), np.where(y > 0, gy, 0).astype(dtype))


def test_relu_of_integers():
    x = np.arange(-50_000, 50_000)
    assert_same(cpu.relu(x), np.maximum(x, 0))


# Leaky ReLU -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("slope", [0.01, 0.0, 1.0, 1.5, -0.5])
def test_leaky_relu(dtype, slope):
    x = values(SHAPE, dtype)
    assert_like_the_reference("leaky_relu", [x], (slope,), ROUNDING[dtype])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("slope", [0.01, 0.0, 1.0, 1.5, -0.5])
def test_leaky_relu_backward(dtype, slope):
    arrays = [values(SHAPE, dtype, 1), values(SHAPE, dtype, 2)]
    assert_like_the_reference("leaky_relu_backward", arrays, (slope,), ROUNDING[dtype])


# Tanh, and NumPy's functions ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ["tanh", "exp", "negative", "sqrt"])
def test_unary(dtype, name):
    x = values(SHAPE, dtype)
    expected = reference.unary(name, x)
    for _, (seen,) in in_other_layouts(x):
        assert_same(cpu.unary(name, seen), expected, ROUNDING[dtype])


def test_unary_of_integers_gives_floats():
    x = np.arange(100_000)
    assert_same(cpu.unary("tanh", x), np.tanh(x))
    assert_same(cpu.unary("negative", x), -x)


@pytest.mark.parametrize("dtype", DTYPES)
def test_tanh_backward(dtype):
    y = np.tanh(values(SHAPE, dtype, 1))
    arrays = [values(SHAPE, dtype, 2, special=[0.0, -0.0]), y]
    assert_like_the_reference("tanh_backward", arrays, rtol=ROUNDING[dtype])


def test_tanh_backward_of_infinite_gradients():
    gy = np.tile(np.float32([np.inf, -np.inf, np.nan, 1.0]), 20_000)
    y = np.repeat(np.float32([0.5, -0.5, 1.0, 0.0]), 20_000)
    assert_same(cpu.tanh_backward(gy, y), gy * (1 - y * y))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ["add", "subtract", "multiply", "maximum"])
def test_binary(dtype, name):
    a, b = values(SHAPE, dtype, 1), values(SHAPE, dtype, 2)
    expected = reference.binary(name, a, b)
    for _, (seen_a, seen_b) in in_other_layouts(a, b):
        assert_same(cpu.binary(name, seen_a, seen_b), expected)
    if name == "add":
        assert_same(cpu.add(a, b), reference.add(a, b))


@pytest.mark.parametrize("shape", [(9, 35, 37), (9, 1, 1), (1, 1, 37), (), (7, 1, 35, 1)])
def test_binary_broadcasts(shape):
    a, b = values(SHAPE, "float32", 1), values(shape, "float32", 2)
    assert_same(cpu.add(a, b), a + b)
    assert_same(cpu.add(b, a), a + b)
    assert_same(cpu.add(np.broadcast_to(b, SHAPE), a), a + b)
    assert_same(cpu.add(a, np.broadcast_to(b, SHAPE)), a + b)


@pytest.mark.parametrize("count", [10, 100_000])
@pytest.mark.parametrize("first", ["bool", "uint8", "int32", "int64", "float16", "float32", "float64"])
@pytest.mark.parametrize("second", ["bool", "int8", "int64", "float32", "float64"])
def test_two_dtypes_give_the_dtype_that_numpy_gives(count, first, second):
    a, b = (np.full(count, np.array(100).astype(dtype)) for dtype in (first, second))
    assert_same(cpu.add(a, b), np.add(a, b))


# The same in row-major order ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [*DTYPES, "int64", "uint8", "bool"])
@pytest.mark.parametrize("shape", [SHAPE, SMALL])
def test_contiguous(dtype, shape):
    x = (values(shape, "float32", special=[]) * 3).astype(dtype)
    for name, (seen,) in in_other_layouts(x):
        y = cpu.contiguous(seen)
        assert y.flags.c_contiguous, name
        assert_same(y, reference.contiguous(seen))
        assert np.shares_memory(y, seen) == seen.flags.c_contiguous, name


@pytest.mark.parametrize("x", [np.array(2.0), np.empty((0, 3)).T, np.broadcast_to(np.float32(1), (300, 400))])
def test_contiguous_of_arrays_without_strides_of_their_own(x):
    y = cpu.contiguous(x)
    assert y.flags.c_contiguous
    assert_same(y, x)


# Whoever does it ------------------------------------------------------------------------------------------------------


def everything(dtype):
    a, b = values(SHAPE, dtype, 1), values(SHAPE, dtype, 2)
    return {
        "relu": cpu.relu(a),
        "relu_backward": cpu.relu_backward(b, cpu.relu(a)),
        "leaky_relu": cpu.leaky_relu(a, 0.1),
        "leaky_relu_backward": cpu.leaky_relu_backward(b, a, 0.1),
        "tanh": cpu.unary("tanh", a),
        "tanh_backward": cpu.tanh_backward(b, np.tanh(a)),
        "add": cpu.add(a, b),
    }


@pytest.mark.parametrize("dtype", DTYPES)
def test_results_do_not_depend_on_who_does_them(kind, dtype):
    actual = everything(dtype)
    with workers("alone"):
        expected = everything(dtype)
    for name, result in expected.items():
        np.testing.assert_array_equal(actual[name], result, err_msg=name)


@pytest.mark.parametrize("order", ["HWNC", "CHWN", "NHWC"])
def test_results_lie_in_memory_as_their_inputs_do(order):
    x = LAYOUTS[order](values(SHAPE, "float32"))
    y = cpu.relu(x)
    results = [y, cpu.relu_backward(np.ones_like(y), y), cpu.unary("tanh", x), cpu.add(x, x), cpu.add(x, x.copy())]
    results += [cpu.leaky_relu(x, 0.1), cpu.leaky_relu_backward(x, x, 0.1), cpu.tanh_backward(x, x)]
    assert {result.strides for result in results} == {x.strides}
    assert not any(np.shares_memory(result, x) for result in results)


@pytest.mark.parametrize("shape", [(), (0,), (3, 0, 5), (1,), (8191,), (8192,), (8193,), (65_536,), (65_537,)])
@pytest.mark.parametrize("dtype", DTYPES)
def test_sizes_around_those_of_rows_and_blocks(shape, dtype):
    a, b = values(shape, dtype, 1), values(shape, dtype, 2)
    y = np.asarray(cpu.relu(a))
    assert_same(y, np.maximum(a, 0))
    assert_same(np.asarray(cpu.relu_backward(b, y)), np.where(y == 0, 0, b).astype(dtype))
    assert_same(np.asarray(cpu.leaky_relu(a, 0.5)), np.where(a > 0, a, a * np.asarray(0.5, dtype)))
    assert_same(np.asarray(cpu.leaky_relu_backward(b, a, 0.5)), np.where(a > 0, b, b * np.asarray(0.5, dtype)))
    assert_same(np.asarray(cpu.add(a, b)), np.asarray(a + b))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_mask_writes_where_it_is_told(dtype):
    """Also over the gradients themselves."""
    y = cpu.relu(values((20_001,), dtype, 1))
    grads = values((20_001,), dtype, 2)
    expected = np.where(y == 0, 0, grads).astype(dtype)
    out = np.empty_like(grads)
    elementwise.mask(grads, y, out)
    assert_same(out, expected)
    elementwise.mask(grads, y, grads)
    assert_same(grads, expected)
