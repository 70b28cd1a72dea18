"""The NumPy normalization kernels against their definitions."""

import inspect

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minidl import backend
from minidl.kernels import cpu, reference
from tests.tolerances import BACKWARD, FORWARD, assert_close

DTYPES = (np.float32, np.float64)
KERNELS = [name for name in reference.__all__ if "norm" in name or name == "channel_sum"]


def assert_same(actual, expected, kind=FORWARD):
    """Every result, with its dtype, equals that of the reference, at the tolerance of the first one's dtype."""
    assert len(actual) == len(expected)
    for i, (a, e) in enumerate(zip(actual, expected, strict=True)):
        assert a.dtype == e.dtype, f"result {i}"
        if a.size:
            scale = max(np.abs(e).max(), 1.0)
            assert_close((a / scale).astype(actual[0].dtype), e / scale, kind, f"result {i}")


def layouts(x):
    """The same values in other memory layouts: channels last, batch last, reversed, every second of a larger array."""
    yield np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1)
    yield np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 0, -1)), -1, 0)
    yield np.ascontiguousarray(x[::-1])[::-1]
    yield np.repeat(x, 2, axis=1)[:, ::2]


@pytest.mark.parametrize("name", KERNELS)
def test_signatures_agree(name):
    assert list(inspect.signature(getattr(cpu, name)).parameters) == list(
        inspect.signature(getattr(reference, name)).parameters
    )


@settings(max_examples=60, deadline=None)
@given(
    sizes=st.tuples(st.integers(0, 6), st.integers(1, 5)),
    spatial=st.lists(st.integers(1, 7), max_size=3),
    affine=st.sampled_from(["none", "weight", "bias", "both"]),
    dtype=st.sampled_from(DTYPES),
    seed=st.integers(0, 99),
)
def test_batch_norm(sizes, spatial, affine, dtype, seed):
    rng = np.random.default_rng(seed)
    shape = (*sizes, *spatial)
    x, gy = rng.standard_normal((2, *shape)).astype(dtype) * 2
    weight, bias, mean = rng.standard_normal((3, shape[1])).astype(dtype)
    var = rng.uniform(0.5, 2.0, shape[1]).astype(dtype)
    weight = weight if affine in ("weight", "both") else None
    bias = bias if affine in ("bias", "both") else None
    expected = reference.batch_norm(x, weight, bias, 1e-2)
    assert_same(cpu.batch_norm(x, weight, bias, 1e-2), expected)
    assert_same(
        cpu.batch_norm_backward(gy, x, weight, *expected[1:], 1e-2),
        reference.batch_norm_backward(gy, x, weight, *expected[1:], 1e-2),
        BACKWARD,
    )
    assert_same(
        [cpu.batch_norm_eval(x, weight, bias, mean, var, 1e-2)],
        [reference.batch_norm_eval(x, weight, bias, mean, var, 1e-2)],
    )
    assert_same(
        cpu.batch_norm_eval_backward(gy, x, weight, mean, var, 1e-2),
        reference.batch_norm_eval_backward(gy, x, weight, mean, var, 1e-2),
        BACKWARD,
    )


@settings(max_examples=40, deadline=None)
@given(
    sizes=st.tuples(st.integers(0, 5), st.integers(1, 3), st.integers(1, 4), st.integers(1, 40)),
    affine=st.sampled_from(["none", "weight", "bias", "both"]),
    dtype=st.sampled_from(DTYPES),
    seed=st.integers(0, 99),
)
def test_group_norm(sizes, affine, dtype, seed):
    rng = np.random.default_rng(seed)
    x, gy = rng.standard_normal((2, *sizes)).astype(dtype) * 2
    weight, bias = rng.standard_normal((2, *sizes[1:3])).astype(dtype)
    weight = weight if affine in ("weight", "both") else None
    bias = bias if affine in ("bias", "both") else None
    expected = reference.group_norm(x, weight, bias, 1e-2)
    assert_same(cpu.group_norm(x, weight, bias, 1e-2), expected)
    assert_same(
        cpu.group_norm_backward(gy, x, weight, *expected[1:], 1e-2),
        reference.group_norm_backward(gy, x, weight, *expected[1:], 1e-2),
        BACKWARD,
    )


@settings(max_examples=40, deadline=None)
@given(
    sizes=st.tuples(st.integers(0, 3), st.integers(1, 6), st.integers(1, 5)),
    size=st.integers(1, 9),
    dtype=st.sampled_from(DTYPES),
    seed=st.integers(0, 99),
)
def test_local_response_norm(sizes, size, dtype, seed):
    rng = np.random.default_rng(seed)
    x, gy = rng.standard_normal((2, *sizes)).astype(dtype)
    expected = reference.local_response_norm(x, size, 0.5, 0.75, 2.0)
    assert_same(cpu.local_response_norm(x, size, 0.5, 0.75, 2.0), expected)
    assert_same(
        [cpu.local_response_norm_backward(gy, x, expected[1], size, 0.5, 0.75)],
        [reference.local_response_norm_backward(gy, x, expected[1], size, 0.5, 0.75)],
        BACKWARD,
    )


@pytest.mark.parametrize("shape", [(3, 2, 6, 6), (4, 3, 2, 2), (8, 5), (1, 4, 3)])
@pytest.mark.parametrize("dtype", DTYPES)
def test_every_memory_layout_gives_the_same(shape, dtype):
    rng = np.random.default_rng(0)
    x, gy = rng.standard_normal((2, *shape)).astype(dtype)
    weight, bias = rng.standard_normal((2, shape[1])).astype(dtype)
    grouped = (shape[0], 1, shape[1], int(np.prod(shape[2:])))
    forward = reference.batch_norm(x, weight, bias, 1e-2)
    group = reference.group_norm(x.reshape(grouped), weight[None], bias[None], 1e-2)
    for view, gview in zip(layouts(x), reversed(list(layouts(gy))), strict=True):
        view.flags.writeable = gview.flags.writeable = False
        assert_same(cpu.batch_norm(view, weight, bias, 1e-2), forward)
        assert_same(
            cpu.batch_norm_backward(gview, view, weight, *forward[1:], 1e-2),
            reference.batch_norm_backward(gy, x, weight, *forward[1:], 1e-2),
            BACKWARD,
        )
        assert_same(cpu.group_norm(view.reshape(grouped), weight[None], bias[None], 1e-2), group)


def test_batch_norm_keeps_the_memory_layout():
    x = np.moveaxis(np.ones((2, 4, 4, 3), np.float32), -1, 1)
    y, mean, var = cpu.batch_norm(x, None, None, 1e-5)
    assert y.strides == x.strides
    assert cpu.batch_norm_backward(np.ones(x.shape, np.float32), x, None, mean, var, 1e-5)[0].strides == x.strides


@pytest.mark.parametrize("mean", [0.0, 1e4])
@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
def test_float32_statistics_of_numbers_far_from_zero(mean, layout):
    x = np.random.default_rng(0).normal(mean, 1.0, (16, 3, 24, 24)).astype(np.float32)
    exact = x.astype(np.float64)
    if layout == "NHWC":
        x = next(layouts(x))
    axes, shape = (0, 2, 3), (1, 3, 1, 1)
    y, found_mean, found_var = cpu.batch_norm(x, None, None, 1e-5)
    np.testing.assert_allclose(found_mean, exact.mean(axes), rtol=1e-9, atol=1e-7)
    np.testing.assert_allclose(found_var, exact.var(axes), rtol=1e-6)
    expected = (exact - exact.mean(axes).reshape(shape)) / np.sqrt(exact.var(axes) + 1e-5).reshape(shape)
    np.testing.assert_allclose(y, expected, atol=2e-6)

    rows = x.reshape(16, 1, 3, 576)
    y, found_mean, found_var = cpu.group_norm(rows, None, None, 1e-5)
    exact = exact.reshape(16, -1)
    np.testing.assert_allclose(found_mean[:, 0], exact.mean(1), rtol=1e-9, atol=1e-7)
    np.testing.assert_allclose(found_var[:, 0], exact.var(1), rtol=2e-6)
    expected = (exact - exact.mean(1)[:, None]) / np.sqrt(exact.var(1) + 1e-5)[:, None]
    np.testing.assert_allclose(y.reshape(16, -1), expected, atol=2e-6)


def test_float32_gradient_of_numbers_far_from_zero():
    rng = np.random.default_rng(0)
    x = rng.normal(1e4, 1.0, (16, 3, 12, 12)).astype(np.float32)
    gy = rng.standard_normal(x.shape).astype(np.float32)
    _, mean, var = cpu.batch_norm(x, None, None, 1e-5)
    exact = cpu.batch_norm_backward(gy.astype(np.float64), x.astype(np.float64), None, mean, var, 1e-5)
    for actual, expected in zip(cpu.batch_norm_backward(gy, x, None, mean, var, 1e-5), exact, strict=True):
        np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-4)


def test_a_constant_channel_is_normalized_to_zero():
    x = np.full((4, 2, 3, 3), 0.1, np.float32)
    y, mean, var = cpu.batch_norm(x, None, None, 1e-5)
    assert np.abs(y).max() < 1e-5
    assert (var >= 0).all() and np.isfinite(mean).all()


def test_results_are_the_same_to_the_bit_for_the_same_number_of_threads():
    x = np.random.default_rng(0).standard_normal((64, 8, 40, 40)).astype(np.float32)
    threads = backend.get_num_threads()
    results = []
    for count in (1, 3, 3):
        backend.set_num_threads(count)
        try:
            grouped = cpu.group_norm(x.reshape(64, 4, 2, -1), None, None, 1e-5)
            results.append((*cpu.batch_norm(x, None, None, 1e-5), *grouped))
        finally:
            backend.set_num_threads(threads)
    for one, many, again in zip(*results, strict=True):
        np.testing.assert_array_equal(many, again)
        np.testing.assert_allclose(one, many, rtol=1e-5, atol=1e-6)  # sums are cut into other parts
