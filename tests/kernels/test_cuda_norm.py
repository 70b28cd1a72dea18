"""The normalizations of every device against the textbook loops, and what they owe to the order of their sums."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minidl import kernels
from minidl.backend import to_device, to_numpy
from minidl.kernels import cpu, reference
from tests.kernels._devices import check, on, run, values
from tests.tolerances import BACKWARD

DTYPES = ("float32", "float64")
AFFINE = ("none", "weight", "bias", "both")
dtypes = st.sampled_from(DTYPES)


def parameters(shape, affine, dtype):
    """(weight, bias), each of which may be None."""
    weight, bias = values((2, *shape), dtype, 7)
    return weight if affine in ("weight", "both") else None, bias if affine in ("bias", "both") else None


@given(
    st.tuples(st.integers(0, 6), st.integers(1, 5)),
    st.lists(st.integers(1, 7), max_size=3),
    st.sampled_from(AFFINE),
    dtypes,
)
@settings(max_examples=60)
def test_batch_norm(device, sizes, spatial, affine, dtype):
    shape = (*sizes, *spatial)
    x, gy = values(shape, dtype), values(shape, dtype, 1)
    weight, bias = parameters(sizes[1:], affine, dtype)
    _, mean, var = check(device, "batch_norm", x, weight, bias, 1e-2)
    check(device, "batch_norm_backward", gy, x, weight, mean, var, 1e-2, kind=BACKWARD)
    running = mean.astype(dtype), (var + 0.5).astype(dtype)
    check(device, "batch_norm_eval", x, weight, bias, *running, 1e-2)
    check(device, "batch_norm_eval_backward", gy, x, weight, *running, 1e-2, kind=BACKWARD)
    check(device, "channel_sum", x)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ["batch_norm_backward", "batch_norm_eval_backward"])
def test_the_gradient_of_a_relu_is_taken_on_the_way(device, dtype, name):
    x, gy, y = (values((4, 3, 5, 6), dtype, i) for i in range(3))
    y = np.maximum(y, 0).astype(dtype)
    _, mean, var = reference.batch_norm(x, None, None, 1e-3)
    check(device, name, gy, x, values((3,), dtype), mean, var, 1e-3, y, kind=BACKWARD)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("norms, others, relu", list(itertools.product([1, 2], [0, 1], [False, True])))
def test_sums_of_batch_norms(device, dtype, norms, others, relu):
    shape, normalized = (3, 4, 2, 5), []
    for i, affine in zip(range(norms), ("both", "none"), strict=False):
        x = values(shape, dtype, i)
        normalized.append((x, *parameters(shape[1:2], affine, dtype), *reference.batch_norm_statistics(x), 1e-2))
    check(device, "normalized_sum", normalized, [values(shape, dtype, 9)] * others, relu)


@given(
    st.tuples(st.integers(0, 5), st.integers(1, 3), st.integers(1, 4), st.integers(1, 40)),
    st.sampled_from(AFFINE),
    dtypes,
)
@settings(max_examples=60)
def test_group_norm(device, sizes, affine, dtype):
    x, gy = values(sizes, dtype), values(sizes, dtype, 1)
    weight, bias = parameters(sizes[1:3], affine, dtype)
    _, mean, var = check(device, "group_norm", x, weight, bias, 1e-2)
    check(device, "group_norm_backward", gy, x, weight, mean, var, 1e-2, kind=BACKWARD)


@given(st.tuples(st.integers(0, 3), st.integers(1, 6), st.integers(1, 5)), st.integers(1, 9), dtypes)
def test_local_response_norm(device, sizes, size, dtype):
    x, gy = values(sizes, dtype), values(sizes, dtype, 1)
    _, energy = check(device, "local_response_norm", x, size, 0.5, 0.75, 2.0)
    check(device, "local_response_norm_backward", gy, x, energy, size, 0.5, 0.75, kind=BACKWARD)


@pytest.mark.parametrize("shape", [(40, 3, 23, 31), (3000, 5), (700, 40, 2), (1, 2, 9000), (9000, 1, 4)])
def test_channels_that_several_blocks_share(device, shape):
    x = values(shape) * 3 + 1
    axes = (0, *range(2, len(shape)))
    mean, var = run(device, "batch_norm_statistics", x)
    np.testing.assert_allclose(mean, x.mean(axes), rtol=1e-12)
    np.testing.assert_allclose(var, x.var(axes), rtol=1e-12)
    np.testing.assert_allclose(*run(device, "channel_sum", x), x.sum(axes), rtol=1e-10)
    gy = values(shape, seed=1)
    expected = cpu.batch_norm_backward(gy, x, None, mean, var, 1e-5)
    for y, wanted in zip(run(device, "batch_norm_backward", gy, x, None, mean, var, 1e-5), expected, strict=True):
        np.testing.assert_allclose(y, wanted, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("mean", [0.0, 1e4])
@pytest.mark.parametrize("first", [0.0, 1.0])
def test_statistics_of_numbers_far_from_zero(device, mean, first):
    """A large mean costs no digits, even where the first value, from which a thread measures, lies far away."""
    x = np.random.default_rng(0).normal(mean, 1.0, (16, 3, 24, 24)).astype(np.float32)
    x[0, :, 0, 0] *= first
    exact, axes = x.astype(np.float64), (0, 2, 3)
    y, found_mean, found_var = run(device, "batch_norm", x, None, None, 1e-5)
    np.testing.assert_allclose(found_mean, exact.mean(axes), rtol=1e-9, atol=1e-7)
    np.testing.assert_allclose(found_var, exact.var(axes), rtol=1e-5 if device == "cpu" else 1e-9)
    expected = (exact - exact.mean(axes, keepdims=True)) / np.sqrt(exact.var(axes, keepdims=True) + 1e-5)
    np.testing.assert_allclose(y, expected, atol=1e-4 if device == "cpu" else 2e-6, rtol=1e-6)


def test_float64_statistics_of_numbers_far_from_zero(device):
    x = np.random.default_rng(0).standard_normal((16, 3, 24, 24))
    mean, var = run(device, "batch_norm_statistics", x + 1e8)
    np.testing.assert_allclose(mean - 1e8, x.mean((0, 2, 3)), atol=1e-7)
    np.testing.assert_allclose(var, x.var((0, 2, 3)), rtol=1e-6)


def test_results_are_contiguous_and_the_same_to_the_bit(device):
    x = np.moveaxis(np.random.default_rng(0).standard_normal((9, 30, 31, 4)).astype(np.float32), -1, 1)
    x = to_device(x, device)
    module = kernels.of(x)
    results = [module.batch_norm(x, None, None, 1e-5) for _ in range(2)]
    for a, b in zip(*results, strict=True):
        np.testing.assert_array_equal(to_numpy(a), to_numpy(b))
    assert device == "cpu" or results[0][0].flags.c_contiguous


def test_a_constant_channel_is_normalized_to_zero(device):
    y, _, var = run(device, "batch_norm", np.full((4, 2, 3, 3), 0.1, np.float32), None, None, 1e-5)
    assert np.abs(y).max() < 1e-5 and (var >= 0).all()


def test_half_precision_is_computed_in_single(device):
    x, gy, y = (values((3, 4, 5, 6), "float16", i) for i in range(3))
    weight = values((4,), "float16")
    _, mean, var = check(device, "batch_norm", x, weight, None, 1e-2)
    check(device, "batch_norm_backward", gy, x, weight, mean, var, 1e-2, np.maximum(y, np.float16(0)))
    check(device, "normalized_sum", [(x, weight, None, mean, var, 1e-2)], [gy], True)
    check(device, "channel_sum", x)
    options = {"stride": (1, 1), "padding": ((1, 1), (1, 1)), "dilation": (1, 1), "groups": 2}
    check(device, "conv", x, values((6, 2, 3, 3), "float16"), values((6,), "float16"), **options)
    window = {"kernel": (2, 2), "stride": (2, 2), "padding": (0, 0), "dilation": (1, 1), "out_size": (2, 3)}
    check(device, "max_pool", x, **window)
    results = kernels.of(on(device, x)).max_pool_recorded(on(device, x), **window)
    assert results[0].dtype == np.float16
