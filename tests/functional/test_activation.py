"""Activation functions and softmax: kinks, limits, bad input. The numbers themselves are in tests/op_cases."""

import numpy as np
import pytest

import minidl as ml
import minidl.functional as F
from minidl.errors import ArgumentError, ArgumentTypeError, DtypeError, OutOfRangeError, ShapeError

ALL = [
    *(F.relu, F.relu6, F.leaky_relu, F.elu, F.selu, F.celu, F.gelu, F.silu, F.hardswish, F.hardsigmoid, F.hardtanh),
    *(F.mish, F.softplus, F.softsign, F.sigmoid, F.tanh, F.logsigmoid),
    lambda x: F.gelu(x, approximate="tanh"),
    lambda x: F.threshold(x, 0.0, 0.0),
    lambda x: F.prelu(x, ml.full((1,), 0.25)),
]
SOFTMAXES = [F.softmax, F.log_softmax, F.softmin]


def slope(fn, *values):
    """The derivative of an elementwise function, as backward gives it."""
    x = ml.tensor(list(values), dtype=ml.float64, requires_grad=True)
    (gx,) = ml.grad(fn(x).sum(), x)
    return gx.tolist()


@pytest.mark.parametrize("fn", ALL)
def test_float32_stays_float32_in_both_backward_passes(fn):
    x = ml.randn(3, 2, requires_grad=True)
    y = fn(x)
    (gx,) = ml.grad(y.sum(), x, create_graph=True)
    assert y.dtype == gx.dtype == ml.float32
    if gx.requires_grad:
        (ggx,) = ml.grad((gx * gx).sum(), x, allow_unused=True)
        assert ggx is None or ggx.dtype == ml.float32


@pytest.mark.parametrize("fn", ALL)
def test_large_inputs_give_finite_gradients_without_warnings(fn):
    x = ml.tensor([-1e4, -200.0, -90.0, 90.0, 200.0, 1e4], requires_grad=True)
    for create_graph in (False, True):
        y = fn(x)
        (gx,) = ml.grad(y.sum(), x, create_graph=create_graph)
        assert np.isfinite(y.data).all() and np.isfinite(gx.data).all()


@pytest.mark.parametrize("fn", ALL)
def test_nan_stays_nan(fn):
    assert np.isnan(fn(ml.tensor([float("nan")])).data).all()


def test_slopes_at_kinks_are_those_of_pytorch():
    assert slope(F.relu, 0) == [0]
    assert slope(F.relu6, 0, 6) == [0, 0]
    assert slope(F.hardtanh, -1, 1) == [0, 0]
    assert slope(F.hardsigmoid, -3, 3) == [0, 0]
    assert slope(F.hardswish, -3, 3) == [0, 1]
    assert slope(F.leaky_relu, 0) == [0.01]
    assert slope(lambda x: F.elu(x, 0.5), 0) == [0.5]
    assert slope(F.softsign, 0) == [1]
    assert slope(lambda x: F.threshold(x, 1.0, 5.0), 1) == [0]


def test_zero_input_keeps_a_usable_slope():
    """A logit of exactly 0 is where training starts: |x| or max(x, 0) in the formula must not spoil its slope."""
    assert slope(F.softplus, 0) == slope(F.sigmoid, 0)[:0] + [0.5]
    assert slope(F.logsigmoid, 0) == [0.5]
    assert slope(F.gelu, 0) == slope(F.silu, 0) == [0.5]


def test_sigmoid_is_accurate_in_the_lower_tail():
    x = np.array([-20.0, -40.0, -80.0])
    np.testing.assert_allclose(F.sigmoid(ml.tensor(x.tolist())).data, np.exp(x), rtol=1e-5)


def test_softplus_is_linear_beyond_the_threshold():
    y = F.softplus(ml.tensor([2.0, 20.5]), beta=1, threshold=20)
    assert y.data[1] == np.float32(20.5) and y.data[0] > 2


def test_inputs_must_be_floating_tensors():
    for fn in (F.gelu, F.elu, F.leaky_relu, F.mish, F.relu6, F.softsign):
        with pytest.raises(DtypeError, match="must be a floating-point tensor, got int64"):
            fn(ml.tensor([1, 2]))
        with pytest.raises(ArgumentTypeError, match="x must be a Tensor, got list"):
            fn([1.0])
    with pytest.raises(ArgumentTypeError, match="threshold: x must be a Tensor"):
        F.threshold([1.0], 0.0, 0.0)


def test_settings_are_checked():
    x = ml.ones(2)
    with pytest.raises(ArgumentError, match="gelu: approximate must be 'none' or 'tanh', got 'fast'"):
        F.gelu(x, approximate="fast")
    with pytest.raises(ArgumentError, match="hardtanh: min_val 2.0 is greater than max_val 1.0"):
        F.hardtanh(x, 2.0, 1.0)
    with pytest.raises(ArgumentError, match="celu: alpha must be positive, got 0"):
        F.celu(x, 0)
    with pytest.raises(ArgumentError, match="softplus: beta must be positive, got -1"):
        F.softplus(x, beta=-1)


@pytest.mark.parametrize(("x", "slopes"), [((3, 4), (3,)), ((5,), (5,)), ((2, 3, 4), (4,)), ((3, 4), (1, 4))])
def test_prelu_weight_must_fit_the_channels(x, slopes):
    with pytest.raises(ShapeError, match=r"prelu: weight of shape .* does not fit x"):
        F.prelu(ml.ones(x), ml.ones(slopes))


# ---------------------------------------------------------------------------------------------------------------------
# Softmax


@pytest.mark.parametrize("fn", SOFTMAXES)
def test_softmax_needs_a_valid_dim(fn):
    x = ml.ones(2, 3)
    with pytest.raises(ArgumentTypeError, match="dim must be an integer, got None"):
        fn(x, None)
    with pytest.raises(OutOfRangeError, match="dim 2 is out of range for a tensor of 2 dimensions"):
        fn(x, 2)
    with pytest.raises(ArgumentTypeError, match="x must be a Tensor"):
        fn([1.0], 0)
    with pytest.raises(DtypeError, match="must be a floating-point tensor, got int64"):
        fn(ml.tensor([1, 2]), 0)


def test_softmax_converts_first_if_asked():
    y = F.softmax(ml.tensor([1, 2]), 0, dtype=ml.float64)
    assert y.dtype == ml.float64
    assert F.log_softmax(ml.ones(2), 0, ml.float64).dtype == ml.float64
    assert F.softmin(ml.tensor([1, 2]), 0, dtype=ml.float32).data[0] > 0.5


def test_softmax_does_not_overflow():
    x = ml.tensor([[1e4, 1e4, -1e4], [3e38, 0.0, 0.0]])
    np.testing.assert_array_equal(F.softmax(x, 1).data, [[0.5, 0.5, 0], [1, 0, 0]])
    assert np.isfinite(F.log_softmax(x[:1], 1).data).all()


@pytest.mark.parametrize("create_graph", [False, True])
def test_infinite_scores(create_graph):
    """A score of −∞ has probability 0; a row of nothing else has no softmax."""
    inf = float("inf")
    x = ml.tensor([[0.0, -inf], [-inf, -inf]], requires_grad=True)
    y = F.softmax(x, 1)
    np.testing.assert_array_equal(y.data, [[1, 0], [np.nan, np.nan]])
    (gx,) = ml.grad(y[0, 0], x, create_graph=create_graph)
    np.testing.assert_array_equal(gx.data[0], [0, 0])
    np.testing.assert_array_equal(F.log_softmax(x, 1).data[0], [0, -inf])


def test_softmax_over_no_elements():
    assert F.softmax(ml.zeros(3, 0), 1).shape == (3, 0)
    assert F.log_softmax(ml.zeros(0, 3), 1).shape == (0, 3)


def test_softmax_gradient_is_not_that_of_a_blind_check():
    """The probabilities sum to 1, so a cotangent of ones gives 0; any other must not."""
    x = ml.randn(2, 5, dtype=ml.float64, requires_grad=True)
    (blind,) = ml.grad(F.softmax(x, 1).sum(), x)
    (seen,) = ml.grad((F.softmax(x, 1) * ml.arange(5).to(ml.float64)).sum(), x)
    np.testing.assert_allclose(blind.data, 0, atol=1e-15)
    assert np.abs(seen.data).min() > 1e-3


def test_methods():
    x = ml.randn(2, 3)
    np.testing.assert_array_equal(x.softmax(1).data, F.softmax(x, 1).data)
    np.testing.assert_array_equal(x.log_softmax(dim=-1).data, F.log_softmax(x, 1).data)
