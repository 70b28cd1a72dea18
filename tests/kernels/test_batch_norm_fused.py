"""Batch norm in one pass with what stands beside it: sums, other batch norms, a ReLU after it, and its gradient."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minidl.kernels import cpu, reference
from tests.kernels._workers import KINDS, LAYOUTS, in_order, workers

DTYPES = ("float32", "float64")
ROUNDING = {"float16": 2e-2, "float32": 5e-6, "float64": 1e-13}
EPS = 1e-3


@pytest.fixture(autouse=True)
def _no_warnings():
    """The engine calls kernels in silence: infinities and NaN are results."""
    with np.errstate(all="ignore"):
        yield


def assert_near(actual, expected, what=""):
    """Equal up to rounding, measured by the largest number; the same dtype."""
    assert actual.dtype == expected.dtype and actual.shape == expected.shape, what
    if actual.size:
        scale = max(float(np.nanmax(np.abs(expected))), 1.0)
        np.testing.assert_allclose(
            actual / scale, expected / scale, rtol=0, atol=ROUNDING[actual.dtype.name], err_msg=what
        )


def normal(shape, dtype, seed):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def batch_norm_arguments(x, affine="both", seed=0, mean=None, var=None):
    """What normalizes x: (x, weight, bias, mean, var, eps)."""
    rng, channels = np.random.default_rng(seed), x.shape[1]
    weight = rng.standard_normal(channels).astype(x.dtype) if affine in ("weight", "both") else None
    bias = rng.standard_normal(channels).astype(x.dtype) if affine in ("bias", "both") else None
    mean = rng.standard_normal(channels) if mean is None else mean
    var = rng.uniform(0.5, 2, channels) if var is None else var
    return x, weight, bias, mean, var, EPS


# Sums -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("relu", [False, True], ids=["", "relu"])
@pytest.mark.parametrize("others", [0, 1, 2])
@pytest.mark.parametrize("terms", [1, 2, 3])
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_sum_of_batch_norms_and_others(terms, others, relu, dtype):
    shape = (3, 5, 6, 7)
    kinds = ("both", "none", "bias", "weight")
    normalized = [batch_norm_arguments(normal(shape, dtype, i), kinds[i], i) for i in range(terms)]
    rest = [normal(shape, dtype, 10 + i) for i in range(others)]
    expected = reference.normalized_sum(normalized, rest, relu)
    for layout in LAYOUTS.values():
        seen = [(layout(x), *arguments) for x, *arguments in normalized]
        assert_near(cpu.normalized_sum(seen, [layout(x) for x in rest], relu), expected)


@settings(max_examples=60)
@given(
    shape=st.lists(st.integers(1, 6), min_size=2, max_size=5).map(tuple),
    layouts=st.lists(st.permutations(range(5)), min_size=4, max_size=4),
    terms=st.integers(1, 3),
    others=st.integers(0, 1),
    dtype=st.sampled_from(DTYPES),
    relu=st.booleans(),
    far=st.booleans(),
)
def test_terms_may_lie_in_memory_in_different_orders(shape, layouts, terms, others, dtype, relu, far):
    orders = [[axis for axis in order if axis < len(shape)] for order in layouts]
    arrays = [in_order(normal(shape, dtype, i), orders[i]) for i in range(terms + others)]
    normalized = [batch_norm_arguments(x, "both", i) for i, x in enumerate(arrays[:terms])]
    if far:
        x, weight, bias, mean, var, eps = normalized[-1]
        normalized[-1] = (x + x.dtype.type(1000), weight, bias, mean + 1000, var, eps)
    expected = reference.normalized_sum(normalized, arrays[terms:], relu)
    actual = cpu.normalized_sum(normalized, arrays[terms:], relu)
    tolerance = 40 * ROUNDING[dtype] if far else ROUNDING[dtype]
    np.testing.assert_allclose(actual, expected, rtol=tolerance, atol=20 * tolerance)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("order", [(0, 1, 2, 3), (2, 3, 0, 1), (1, 2, 3, 0)], ids=["NCHW", "HWNC", "CHWN"])
def test_large_sums_shared_out(kind, order):
    x, z = (in_order(normal((8, 6, 41, 41), "float32", i), order) for i in range(2))
    first, second = (batch_norm_arguments(x, "both", i) for i, x in enumerate((x, z)))
    with workers(kind):
        actual = cpu.normalized_sum([first, second], [x], True)
    expected = np.maximum(x, 0) * 0
    for x_, weight, bias, mean, var, eps in (first, second):
        per_channel = [v.reshape(-1, 1, 1) for v in (weight, bias, mean, var)]
        expected = expected + (x_ - per_channel[2]) / np.sqrt(per_channel[3] + eps) * per_channel[0] + per_channel[1]
    assert_near(actual, np.maximum(expected + x, 0).astype(np.float32))
    assert actual.strides == x.strides


def test_a_sum_is_new_memory_and_writes_to_no_input():
    x, z = normal((4, 3, 10, 10), "float32", 0), normal((4, 3, 10, 10), "float32", 1)
    x.flags.writeable = z.flags.writeable = False
    y = cpu.normalized_sum([batch_norm_arguments(x)], [z], False)
    assert y.flags.writeable and not np.shares_memory(y, x) and not np.shares_memory(y, z)


@pytest.mark.parametrize("dtype", DTYPES)
def test_relu_keeps_nan_and_cuts_minus_infinity(dtype):
    x = np.zeros((2, 1, 3), dtype)
    x[:, 0] = [[np.nan, np.inf, -np.inf], [-1, 0, 1]]
    arguments = batch_norm_arguments(x, "none", mean=np.zeros(1), var=np.ones(1) - EPS)
    y = cpu.normalized_sum([arguments], [], True)
    np.testing.assert_array_equal(y, np.array([[[np.nan, np.inf, 0]], [[0, 0, 1]]], dtype))


def test_a_lone_batch_norm_is_that_of_batch_norm_eval():
    x = normal((4, 3, 10, 10), "float32", 0)
    arguments = batch_norm_arguments(x)
    np.testing.assert_array_equal(cpu.normalized_sum([arguments], [], False), cpu.batch_norm_eval(*arguments))
    np.testing.assert_array_equal(
        cpu.normalized_sum([arguments], [], True), np.maximum(cpu.batch_norm_eval(*arguments), 0)
    )


@pytest.mark.parametrize("shape", [(0, 3), (0, 3, 4), (2, 3, 0), (2, 0, 4, 4)])
def test_sums_and_gradients_without_elements(shape):
    x = np.zeros(shape, np.float32)
    arguments = batch_norm_arguments(x)
    assert cpu.normalized_sum([arguments, arguments], [x], True).shape == shape
    gx, gweight, gbias = cpu.batch_norm_backward(x, x, arguments[1], *arguments[3:], relu_output=x)
    assert gx.shape == shape and not gweight.any() and not gbias.any()
    assert cpu.channel_sum(x).shape == (shape[1],) and not cpu.channel_sum(x).any()


# Far from zero --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", ["NCHW", "HWNC", "CHWN", "NHWC", "gaps"])
@pytest.mark.parametrize("channels", [3, 8, 20])
@pytest.mark.parametrize("mean", [0.0, 1.0, 3.9, 4.1, 100.0, 1e4, -1e5])
def test_statistics_of_numbers_far_from_zero(layout, channels, mean):
    x = np.random.default_rng(0).normal(mean, 1.0, (6, channels, 20, 21)).astype(np.float32)
    exact = x.astype(np.float64)
    found = cpu.batch_norm_statistics(LAYOUTS[layout](x))
    assert found[0].dtype == found[1].dtype == np.float64
    np.testing.assert_allclose(found[0], exact.mean((0, 2, 3)), rtol=3e-7, atol=3e-7)  # blocks in float32
    np.testing.assert_allclose(found[1], exact.var((0, 2, 3)), rtol=1e-5)


@pytest.mark.parametrize("layout", ["NCHW", "HWNC", "CHWN"])
def test_one_channel_far_from_zero_spoils_no_other(layout):
    x = np.random.default_rng(0).normal(0, 1.0, (6, 4, 20, 21)).astype(np.float32)
    x[:, 1] += 1e4
    x[:, 2] = x[:, 2] * 1e-3 - 50
    exact = x.astype(np.float64)
    mean, var = exact.mean((0, 2, 3)), exact.var((0, 2, 3))
    x = LAYOUTS[layout](x)
    found = cpu.batch_norm_statistics(x)
    np.testing.assert_allclose(found[0], mean, rtol=1e-8, atol=1e-7)
    np.testing.assert_allclose(found[1], var, rtol=1e-5)
    x_hat = (exact - mean.reshape(-1, 1, 1)) / np.sqrt(var.reshape(-1, 1, 1) + EPS)
    y = cpu.normalized_sum([(x, None, None, *found, EPS)], [x * 0], False)
    np.testing.assert_allclose(y, x_hat, atol=3e-6)
    gy = LAYOUTS[layout](normal(x.shape, "float32", 1))
    expected = cpu.batch_norm_backward(gy.astype(np.float64), exact, None, mean, var, EPS)
    for actual, wanted in zip(cpu.batch_norm_backward(gy, x, None, *found, EPS), expected, strict=True):
        np.testing.assert_allclose(actual, wanted, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("value", [0.0, 0.1, -7e3, 1e8])
@pytest.mark.parametrize("layout", ["NCHW", "HWNC", "CHWN"])
def test_constant_channels_have_no_variance(value, layout):
    x = LAYOUTS[layout](np.full((8, 4, 9, 9), value, np.float32))
    mean, var = cpu.batch_norm_statistics(x)
    np.testing.assert_allclose(mean, np.float32(value), rtol=1e-7)
    assert (0 <= var).all() and (var <= 1e-12 * max(1.0, value * value)).all()
    assert np.abs(cpu.normalized_sum([(x, None, None, mean, var, 1e-5)], [], False)).max() < 1e-3


@pytest.mark.parametrize("kind", ["threads", "processes"])
@pytest.mark.parametrize("order", [(0, 1, 2, 3), (2, 3, 0, 1), (1, 2, 3, 0)], ids=["NCHW", "HWNC", "CHWN"])
def test_large_statistics_and_gradients_shared_out(kind, order):
    x = in_order(np.random.default_rng(0).normal(5.0, 1.0, (16, 6, 40, 41)).astype(np.float32), order)
    gy, y = (in_order(normal(x.shape, "float32", i), order) for i in (1, 2))
    y = np.maximum(y, 0)
    weight = normal((6,), "float32", 3)

    def everything():
        mean, var = cpu.batch_norm_statistics(x)
        return mean, var, *cpu.batch_norm_backward(gy, x, weight, mean, var, EPS, y), cpu.channel_sum(x)

    with workers(kind, 2):
        shared, again = everything(), everything()
    with workers("threads", 2):
        by_threads = everything()
    with workers("alone"):
        alone = everything()
    for i, expected in enumerate(alone):
        np.testing.assert_array_equal(shared[i], again[i])
        np.testing.assert_array_equal(shared[i], by_threads[i])  # the order of additions is that of the parts
        np.testing.assert_allclose(shared[i], expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


# The gradient of a ReLU on the way ------------------------------------------------------------------------------------

BACKWARDS = ("batch_norm_backward", "batch_norm_eval_backward")


@pytest.mark.parametrize("name", BACKWARDS)
@pytest.mark.parametrize("dtype", ["float16", *DTYPES])
@pytest.mark.parametrize("shape", [(3, 4, 5, 6), (6, 5), (5, 2, 7)])
@pytest.mark.parametrize("mean", [0.0, 30.0])
def test_backward_with_the_output_of_a_relu(name, dtype, shape, mean):
    x, gy = normal(shape, dtype, 0) + np.asarray(mean, dtype), normal(shape, dtype, 1)
    _, weight, bias, _, _, _ = batch_norm_arguments(x, "both")
    found = reference.batch_norm_statistics(x)
    y = np.maximum(reference.batch_norm_eval(x, weight, bias, *found, EPS), 0)
    for affine in (weight, None):
        expected = getattr(reference, name)(gy, x, affine, *found, EPS, y)
        for layout in LAYOUTS if len(shape) == 4 else ["NCHW"]:
            seen = [LAYOUTS[layout](array) for array in (gy, x, y)]
            actual = getattr(cpu, name)(*seen[:2], affine, *found, EPS, relu_output=seen[2])
            for result, wanted, what in zip(actual, expected, ("gx", "gweight", "gbias"), strict=True):
                assert_near(result, wanted, f"{what}, {layout}")


@pytest.mark.parametrize("name", BACKWARDS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layout", ["NCHW", "HWNC", "CHWN"])
def test_the_output_of_a_relu_masks_to_the_same_bits_as_its_gradient(name, dtype, layout):
    x, gy, y = (LAYOUTS[layout](normal((6, 9, 40, 41), dtype, i)) for i in range(3))
    y = np.maximum(y, 0)
    gy[0, 0, 0, 0] = gy[1, 2, 3, 4] = np.inf
    y[0, 0, 0, 0] = y[1, 2, 3, 4] = 0
    found = cpu.batch_norm_statistics(x)
    masked = getattr(cpu, name)(gy, x, None, *found, EPS, relu_output=y)
    plain = getattr(cpu, name)(cpu.relu_backward(gy, y), x, None, *found, EPS)
    for actual, expected in zip(masked, plain, strict=True):
        np.testing.assert_array_equal(actual, expected)
        assert np.isfinite(actual).all()
    assert masked[0].strides == x.strides


def test_the_arrays_may_lie_in_memory_in_three_different_orders():
    arrays = [normal((6, 9, 10, 11), "float32", i) for i in range(3)]
    arrays[2] = np.maximum(arrays[2], 0)
    found = cpu.batch_norm_statistics(arrays[1])
    expected = reference.batch_norm_backward(*arrays[:2], None, *found, EPS, arrays[2])
    for shift in range(3):
        names = np.roll(["NCHW", "HWNC", "CHWN"], shift)
        gy, x, y = (LAYOUTS[name](array) for name, array in zip(names, arrays, strict=True))
        kept = [array.copy() for array in (gy, x, y)]
        for actual, wanted in zip(cpu.batch_norm_backward(gy, x, None, *found, EPS, y), expected, strict=True):
            assert_near(actual, wanted)
        for array, before in zip((gy, x, y), kept, strict=True):
            np.testing.assert_array_equal(array, before)


def test_a_gradient_repeated_over_all_positions():
    """What the backward of a sum gives: strides of 0."""
    x = normal((6, 9, 10, 11), "float32", 0)
    gy = np.broadcast_to(np.float32(2), x.shape)
    y = np.maximum(normal(x.shape, "float32", 1), 0)
    found = cpu.batch_norm_statistics(x)
    for order in ("NCHW", "HWNC"):
        actual = cpu.batch_norm_backward(gy, LAYOUTS[order](x), None, *found, EPS, LAYOUTS[order](y))
        expected = reference.batch_norm_backward(gy, x, None, *found, EPS, y)
        for result, wanted in zip(actual, expected, strict=True):
            assert_near(result, wanted)


# Half precision -------------------------------------------------------------------------------------------------------


def test_half_precision_statistics_of_many_values():
    """Sums of thousands of squares do not fit into float16, whose largest number is 65504."""
    x = np.random.default_rng(0).normal(70.0, 10.0, (4, 3, 32, 32)).astype(np.float16)
    exact = x.astype(np.float64)
    mean, var = cpu.batch_norm_statistics(x)
    np.testing.assert_allclose(mean, exact.mean((0, 2, 3)), rtol=1e-2)
    np.testing.assert_allclose(var, exact.var((0, 2, 3)), rtol=5e-2)


# Sums over channels ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(7, 3), (4, 3, 50), (3, 20, 9, 8), (2, 3, 4, 5, 6), (1, 1, 1)])
def test_channel_sum(dtype, shape):
    x = normal(shape, dtype, 0)
    expected = reference.channel_sum(x)
    for seen in (x, x[::-1], x.swapaxes(0, 1).copy().swapaxes(0, 1), np.moveaxis(np.moveaxis(x, 0, -1).copy(), -1, 0)):
        assert_near(cpu.channel_sum(seen), expected)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("channels", [5, 16])
def test_channel_sum_keeps_its_digits(layout, channels):
    x = (normal((9, channels, 40, 41), "float32", 0) + 1).astype(np.float32)
    expected = [math.fsum(x[:, c].ravel().tolist()) for c in range(channels)]
    np.testing.assert_allclose(cpu.channel_sum(LAYOUTS[layout](x)), expected, rtol=2e-6)


def test_channel_sum_of_a_repeated_gradient():
    gy = np.broadcast_to(np.float32(1), (50, 4, 30, 30))
    np.testing.assert_array_equal(cpu.channel_sum(gy), np.full(4, 45_000, np.float32))
