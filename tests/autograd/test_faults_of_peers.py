"""Faults that other small engines are known for, each by name: none of them may be found here."""

import sys

import numpy as np
import pytest

import minidl as ml
from minidl import functional as F
from minidl.autograd import Function, Tensor, gradcheck, gradgradcheck
from minidl.errors import GradcheckError, GradientError


def normal(*shape, dtype="float64"):
    return Tensor(np.random.default_rng(0).standard_normal(shape).astype(dtype), requires_grad=True)


def test_float32_does_not_become_float64_in_mean():
    """DeZero: mean divides by a NumPy number, and everything after it is double."""
    x = normal(3, 4, dtype="float32")
    ints = np.int64(3)
    for y in (x.mean(), x.mean(0), x.sum(), x.var(), x.std(1), x.norm(), x / ints, x * np.float64(2), x.logsumexp(0)):
        assert y.dtype == np.float32
        x.grad = None
        y.sum().backward()
        assert x.grad.dtype == np.float32


def test_the_two_gradients_of_a_sum_are_two_arrays():
    """DeZero: after a + b, a.grad is b.grad, and an optimizer that scales one scales both."""
    a, b = normal(3), normal(3)
    (a + b).sum().backward()
    assert a.grad is not b.grad and not np.shares_memory(a.grad.data, b.grad.data)
    a.grad.data *= 10
    np.testing.assert_array_equal(b.grad.data, np.ones(3))


def test_a_tensor_added_to_itself_gets_two():
    """DeZero's first versions: the second gradient overwrites the first."""
    x = normal(3)
    (x + x).sum().backward()
    np.testing.assert_array_equal(x.grad.data, np.full(3, 2.0))


def test_a_second_backward_over_the_same_graph_is_an_error():
    """DeZero: it silently adds the gradient once more."""
    x = normal(3)
    y = (x + 1).sum()
    y.backward()
    with pytest.raises(GradientError, match="already freed"):
        y.backward()
    np.testing.assert_array_equal(x.grad.data, np.ones(3))


def test_deep_graphs_do_not_hit_the_recursion_limit():
    """micrograd: topological order by recursion."""
    x = normal(2)
    y = x
    for _ in range(sys.getrecursionlimit() * 3):
        y = y * 0.999
    y.sum().backward()
    assert np.isfinite(x.grad.data).all()


def test_gradient_checks_do_not_pass_anything():
    """DeZero, needle: cotangents of ones, and tolerances of whole digits."""

    class Softmax(Function):
        def forward(self, x):
            y = np.exp(x)
            return y / y.sum()

        def backward(self, gy):
            return gy * 0.0  # what a cotangent of ones sees as right

    x = normal(5)
    with pytest.raises(GradcheckError, match="is wrong in 5 of 5 elements"):
        gradcheck(lambda x: Softmax()(x), x)
    assert gradcheck(lambda x: Softmax()(x).sum(), x)  # indeed it does


def test_the_second_derivative_of_batch_norm_knows_that_sigma_depends_on_x():
    """DeZero: 1/σ is a constant in the backward pass, so the second derivative is silently wrong."""
    x, w, b = normal(6, 3), normal(3), normal(3)
    assert gradgradcheck(lambda x, w, b: F.batch_norm(x, None, None, w, b, training=True), [x, w, b])


def test_gradient_penalties_reach_the_weights_of_a_dense_layer():
    """A fused operation that detaches what it was not asked for loses ∂²/∂x∂w."""
    x, w = normal(4, 3), normal(2, 3)
    (gx,) = ml.grad(F.linear(x, w).tanh().sum(), x, create_graph=True)
    (gx * gx).sum().backward()
    assert gradcheck(lambda w: _penalty(x.detach(), w), w)
    (expected,) = ml.grad(_penalty(x.detach(), w), w)
    np.testing.assert_allclose(w.grad.data, expected.data, rtol=1e-12)
    assert np.abs(w.grad.data).min() > 0


def _penalty(x, w):
    """Σ (∂ Σ tanh(x wᵀ) / ∂x)², by hand."""
    slope = 1 - (x @ w.T).tanh().square()
    return (slope @ w).square().sum()


def test_cotangents_of_the_caller_are_not_consumed():
    """numpy-ml: backward scales its argument in place."""
    x = normal(3, 3)
    cotangent = Tensor(np.ones((3, 3)))
    for op in (F.relu, ml.exp, lambda x: F.softmax(x, 1), lambda x: x.T, lambda x: F.dropout(x, 0.5)):
        op(x).backward(cotangent)
        np.testing.assert_array_equal(cotangent.data, np.ones((3, 3)))


def test_numpy_on_the_left_gives_one_tensor():
    """numpy_array + tensor must not become an array of objects."""
    x = normal(3, dtype="float32")
    for y in (np.ones(3, np.float32) + x, np.float64(2) * x, np.ones(3, np.float32) @ x, 1 / x):
        assert type(y) is Tensor and y.dtype == np.float32 and y.requires_grad
