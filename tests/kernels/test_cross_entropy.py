"""Softmax and cross-entropy in one, on every device, against the textbook loops."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minidl import get_num_threads, set_num_threads
from minidl.kernels import cpu, reference
from tests.kernels._devices import check, run, values
from tests.tolerances import BACKWARD

shapes = st.tuples(st.integers(0, 4), st.integers(1, 70), st.integers(0, 5), st.integers(1, 5))
dtypes = st.sampled_from(["float32", "float64"])


def labels_for(shape, dim, seed=0):
    return np.random.default_rng(seed).integers(0, shape[dim], shape[:dim] + shape[dim + 1 :])


def check_both(device, x, dim, kind=BACKWARD):
    labels = labels_for(x.shape, dim)
    _, e, total = check(device, "softmax_cross_entropy", x, labels, dim)
    for gy in (values(labels.shape, x.dtype, 1) if labels.ndim else np.array(2.0, x.dtype), np.array(0.5, x.dtype)):
        check(device, "softmax_cross_entropy_backward", gy, e, total, labels, dim, kind=kind)


@given(shapes, st.integers(1, 4), st.integers(0, 1), dtypes)
@settings(max_examples=60, deadline=None)
def test_any_shape(device, shape, ndim, dim, dtype):
    shape = shape[:ndim]
    dim = min(dim, ndim - 1)
    if shape[dim]:
        check_both(device, 4 * values(shape, dtype), dim)


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
@pytest.mark.parametrize("axes", [(0, 1, 2, 3), (0, 2, 3, 1), (2, 3, 0, 1), (1, 2, 3, 0)])
@pytest.mark.parametrize("classes", [1, 6, 65])
def test_layouts(device, axes, classes, dtype):
    shape = (3, classes, 4, 5)
    x = np.empty([shape[axis] for axis in axes], dtype).transpose(np.argsort(axes))
    x[...] = np.random.default_rng(0).standard_normal(shape)
    check_both(device, x, 1)


def test_large_scores_do_not_overflow_and_far_ones_count_as_nothing(device):
    x = np.array([[1e4, 0.0, -1e4], [88.0, 89.0, 90.0], [-np.inf, 0.0, 1.0]])
    check_both(device, x, 1)


def test_a_nan_comes_out(device):
    x = np.zeros((4, 300), "float32")
    x[1, 7], x[2, 299] = np.nan, np.nan
    losses, *_ = run(device, "softmax_cross_entropy", x, labels_for(x.shape, 1), 1)
    assert np.isnan(losses).tolist() == [False, True, True, False]


@pytest.mark.parametrize("shape", [(64, 6, 40, 40), (30, 2000), (4000, 10)])
@pytest.mark.parametrize("threads", [1, 2])
def test_many_scores(shape, threads):
    """Enough for several blocks and cores; the definition, in float64, on some rows of them."""
    x = np.random.default_rng(0).standard_normal(shape).astype("float32")
    labels = labels_for(shape, 1)
    before = get_num_threads()
    try:
        set_num_threads(threads)
        losses, e, total = cpu.softmax_cross_entropy(x, labels, 1)
        gx = cpu.softmax_cross_entropy_backward(np.float32(3.0), e, total, labels, 1)
    finally:
        set_num_threads(before)
    some = slice(None, None, max(shape[0] // 5, 1))
    wanted = reference.softmax_cross_entropy(x[some], labels[some], 1)
    np.testing.assert_allclose(losses[some], wanted[0], rtol=1e-5, atol=1e-6)
    wanted = reference.softmax_cross_entropy_backward(np.float32(3.0), *wanted[1:], labels[some], 1)
    np.testing.assert_allclose(gx[some], wanted, rtol=1e-5, atol=1e-6)
