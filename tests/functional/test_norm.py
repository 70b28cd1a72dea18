"""Normalizations: bad input, PyTorch's corner cases, faults that other engines have had."""

import numpy as np
import pytest

import minidl.functional as F
from minidl.autograd import Tensor, grad, gradcheck, gradgradcheck
from minidl.errors import ArgumentError, ArgumentTypeError, DtypeError, ShapeError
from minidl.functional.norm import BatchNorm, BatchNormEval
from tests.tolerances import BACKWARD, assert_close


def make(*shape, seed=0, dtype=np.float64, requires_grad=False):
    return Tensor(np.random.default_rng(seed).standard_normal(shape).astype(dtype), requires_grad=requires_grad)


# Faults of peers ------------------------------------------------------------------------------------------------------


def test_second_derivative_of_batch_norm_knows_that_sigma_depends_on_x():
    """Against finite differences of the first derivative: a constant 1/σ would leave out whole terms."""
    x, gy, v = make(5, 2, requires_grad=True), make(5, 2, seed=1), make(5, 2, seed=2)

    def first(values):
        x = Tensor(values, requires_grad=True)
        return grad(F.batch_norm(x, None, None, training=True), x, gy)[0].data

    (gx,) = grad(F.batch_norm(x, None, None, training=True), x, gy, create_graph=True)
    (second,) = grad((gx * v).sum(), x)
    eps = 1e-5
    numeric = np.zeros(x.shape)
    for at in np.ndindex(x.shape):
        step = np.zeros(x.shape)
        step[at] = eps
        numeric[at] = ((first(x.data + step) - first(x.data - step)) * v.data).sum() / (2 * eps)
    np.testing.assert_allclose(second.data, numeric, rtol=1e-6, atol=1e-8)


def test_gradients_of_batch_norm_with_gamma_zero():
    x, weight, bias = make(4, 3, 2, requires_grad=True), make(3, seed=1, requires_grad=True), make(3, seed=2)
    weight.data[:2] = 0.0

    def fn(x, weight, bias):
        return F.batch_norm(x, None, None, weight, bias, training=True)

    assert gradcheck(fn, [x, weight, bias])
    assert gradgradcheck(fn, [x, weight, bias])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_nothing_changes_dtype(dtype):
    """A mean over float32 stays float32, in results, running statistics and gradients."""
    x, weight = make(3, 4, 5, dtype=dtype, requires_grad=True), make(4, dtype=dtype, requires_grad=True)
    running = Tensor(np.zeros(4, dtype)), Tensor(np.ones(4, dtype))
    results = [
        F.batch_norm(x, *running, weight, training=True, momentum=np.float64(0.1)),
        F.batch_norm(x, *running, weight, eps=np.float64(1e-5)),
        F.group_norm(x, 2, weight),
        F.layer_norm(x, 5, eps=np.float64(1e-5)),
        F.instance_norm(x, *running, weight),
        F.local_response_norm(x, 3, *np.array([0.1, 0.5, 1.0])),
        F.rms_norm(x, 5),
    ]
    assert running[0].dtype == running[1].dtype == dtype
    for y in results:
        assert y.dtype == dtype
        assert grad(y.sum(), x, retain_graph=True)[0].dtype == dtype
        assert grad((y * y).sum(), x, create_graph=True)[0].dtype == dtype


def test_operations_leave_running_statistics_alone():
    """The Functions are pure: only the wrapper updates, and it gives the tensors new arrays."""
    x, mean, var = make(4, 3), make(3), Tensor(np.ones(3))
    mean_array, before = mean.data, mean.data.copy()
    y, batch_mean, batch_var = BatchNorm(eps=1e-5)(x)
    np.testing.assert_allclose(batch_mean.data, x.data.mean(0))
    np.testing.assert_allclose(batch_var.data, x.data.var(0))
    BatchNormEval(eps=1e-5)(x, mean, var)
    np.testing.assert_array_equal(mean.data, before)
    F.batch_norm(x, mean, var, training=True)
    assert mean.data is not mean_array
    np.testing.assert_array_equal(mean_array, before)


@pytest.mark.parametrize("create_graph", [False, True])
def test_eval_backward_uses_the_statistics_that_its_forward_saw(create_graph):
    x, weight = make(4, 3, requires_grad=True), make(3, seed=1, requires_grad=True)
    mean, var = make(3, seed=2), Tensor(np.array([0.5, 1.0, 2.0]))
    expected = weight.data / np.sqrt(var.data + 1e-5)
    x_hat = (x.data - mean.data) / np.sqrt(var.data + 1e-5)
    y = F.batch_norm(x, mean, var, weight)
    F.batch_norm(make(4, 3, seed=5), mean, var, weight, training=True)
    mean.data[...] = 7.0  # and an overwrite in place, as of load_state_dict
    gx, gweight = grad(y.sum(), [x, weight], create_graph=create_graph)
    np.testing.assert_allclose(gx.data, np.broadcast_to(expected, x.shape))
    np.testing.assert_allclose(gweight.data, x_hat.sum(0))


def test_large_mean_in_float32():
    """Mean 10⁴ and deviation 1: a variance as mean(x²) − mean(x)² would be all noise."""
    values = np.random.default_rng(0).normal(1e4, 1.0, (16, 4, 8, 8)).astype(np.float32)
    exact = values.astype(np.float64)
    x = Tensor(values)
    expected = (exact - exact.mean((0, 2, 3), keepdims=True)) / exact.std((0, 2, 3), keepdims=True)
    np.testing.assert_allclose(F.batch_norm(x, None, None, training=True).data, expected, atol=3e-5)
    expected = (exact - exact.mean((2, 3), keepdims=True)) / exact.std((2, 3), keepdims=True)
    np.testing.assert_allclose(F.instance_norm(x).data, expected, atol=5e-5)
    expected = (exact - exact.mean((1, 2, 3), keepdims=True)) / exact.std((1, 2, 3), keepdims=True)
    np.testing.assert_allclose(F.group_norm(x, 1).data, expected, atol=3e-5)
    np.testing.assert_allclose(F.layer_norm(x, (4, 8, 8)).data, expected, atol=3e-5)


# Running statistics ---------------------------------------------------------------------------------------------------


def test_running_statistics_take_the_unbiased_variance():
    x = make(4, 3, 5)
    mean, var = Tensor(np.full(3, 2.0)), Tensor(np.full(3, 3.0))
    F.batch_norm(x, mean, var, training=True, momentum=0.25)
    np.testing.assert_allclose(mean.data, 0.75 * 2.0 + 0.25 * x.data.mean((0, 2)))
    np.testing.assert_allclose(var.data, 0.75 * 3.0 + 0.25 * x.data.var((0, 2), ddof=1))


def test_one_running_statistic_may_be_absent_in_training():
    mean = Tensor(np.zeros(3))
    F.batch_norm(make(4, 3), mean, None, training=True, momentum=1.0)
    np.testing.assert_allclose(mean.data, make(4, 3).data.mean(0))


def test_an_empty_batch_leaves_the_running_statistics():
    mean, var = Tensor(np.zeros(3)), Tensor(np.ones(3))
    for y in (
        F.batch_norm(make(0, 3, 2), mean, var, training=True),
        F.instance_norm(make(0, 3, 2), mean, var),
        F.batch_norm(make(0, 3, 2), mean, var),
    ):
        assert y.shape == (0, 3, 2)
    np.testing.assert_array_equal(mean.data, np.zeros(3))
    np.testing.assert_array_equal(var.data, np.ones(3))


def test_instance_norm_with_running_statistics():
    torch = pytest.importorskip("torch")
    x, weight = make(4, 3, 5, requires_grad=True), make(3, seed=1)
    ours, theirs = [], []
    for make_tensor, norm, results in (
        (Tensor, F.instance_norm, ours),
        (torch.tensor, torch.nn.functional.instance_norm, theirs),
    ):
        mean, var = make_tensor(np.zeros(3)), make_tensor(np.ones(3))
        arguments = make_tensor(x.data), mean, var, make_tensor(weight.data)
        results += [norm(*arguments, momentum=0.3), mean, var, norm(*arguments, use_input_stats=False)]
    for our, their in zip(ours, theirs, strict=True):
        assert_close(our.data, their.numpy())


def test_running_statistics_get_no_gradient():
    mean, var = make(3, requires_grad=True), Tensor(np.ones(3), requires_grad=True)
    x = make(4, 3, requires_grad=True)
    F.batch_norm(x, mean, var).sum().backward()
    assert mean.grad is None and var.grad is None and x.grad is not None


# Gradients that are not asked for, and combinations -------------------------------------------------------------------


def test_gradient_of_parameters_alone():
    x, weight, bias = make(4, 3, 5), make(3, seed=1, requires_grad=True), make(3, seed=2, requires_grad=True)
    gy = make(4, 3, 5, seed=3)
    for y in (
        F.batch_norm(x, None, None, weight, bias, training=True),
        F.batch_norm(x, Tensor(np.zeros(3)), Tensor(np.ones(3)), weight, bias),
        F.instance_norm(x, None, None, weight, bias),
    ):
        fused = grad(y, [weight, bias], gy, retain_graph=True)
        composite = grad(y, [weight, bias], gy, create_graph=True)
        for a, b in zip(fused, composite, strict=True):
            assert_close(a.data, b.data, BACKWARD)
        np.testing.assert_allclose(fused[1].data, gy.data.sum((0, 2)))


def test_layer_norm_takes_an_int():
    x = make(2, 5)
    np.testing.assert_array_equal(F.layer_norm(x, 5).data, F.layer_norm(x, (5,)).data)


def test_layer_norm_with_a_bias_alone():
    x, bias = make(2, 5), make(5, seed=1)
    np.testing.assert_allclose(F.layer_norm(x, 5, None, bias).data, F.layer_norm(x, 5).data + bias.data)


def test_normalize_leaves_zeros():
    x = Tensor(np.array([[0.0, 0.0], [3.0, 4.0]]))
    np.testing.assert_allclose(F.normalize(x).data, [[0.0, 0.0], [0.6, 0.8]])


def test_rms_norm_default_eps_is_that_of_the_dtype():
    x = Tensor(np.full((1, 2), 1e-4, np.float32))
    expected = 1e-4 / np.sqrt(1e-8 + np.finfo(np.float32).eps)
    np.testing.assert_allclose(F.rms_norm(x, 2).data, np.full((1, 2), expected), rtol=1e-5)


def test_normalizations_do_not_see_the_rest_of_the_batch():
    x = make(3, 4, 5)
    for norm in (lambda x: F.group_norm(x, 2), lambda x: F.layer_norm(x, (4, 5)), F.instance_norm):
        np.testing.assert_allclose(norm(x).data[1:2], norm(Tensor(x.data[1:2])).data)


# Bad input ------------------------------------------------------------------------------------------------------------

STATISTICS = Tensor(np.zeros(3)), Tensor(np.ones(3))


@pytest.mark.parametrize(
    "call, error, message",
    [
        (lambda: F.batch_norm([[1.0]], None, None, training=True), ArgumentTypeError, "batch_norm: x must be a Tensor"),
        (lambda: F.batch_norm(Tensor(np.ones((2, 3), int)), *STATISTICS), DtypeError, "x must be a floating"),
        (lambda: F.batch_norm(make(3), None, None, training=True), ShapeError, r"at least 2 dimensions, got .*\(3,\)"),
        (lambda: F.batch_norm(make(2, 3), None, None), ArgumentError, "evaluation needs running_mean and running_var"),
        (lambda: F.batch_norm(make(2, 3), STATISTICS[0], None), ArgumentError, "needs running_mean and running_var"),
        (lambda: F.batch_norm(make(1, 3), *STATISTICS, training=True), ShapeError, "Expected more than 1 value"),
        (lambda: F.batch_norm(make(2, 4), *STATISTICS), ShapeError, r"running_mean has shape \(3,\) but x \(2, 4\)"),
        (lambda: F.batch_norm(make(2, 4), None, make(3), training=True), ShapeError, "running_var has shape"),
        (lambda: F.batch_norm(make(2, 3), None, None, make(2), training=True), ShapeError, r"weight has shape \(2,\)"),
        (lambda: F.batch_norm(make(2, 3), *STATISTICS, None, make(1, 3)), ShapeError, r"bias has shape \(1, 3\)"),
        (lambda: F.batch_norm(make(2, 3), *STATISTICS, 2.0), ArgumentTypeError, "weight must be a Tensor"),
        (lambda: F.batch_norm(make(2, 3), *STATISTICS, make(3, dtype=np.float32)), DtypeError, "different float"),
        (lambda: F.batch_norm(make(2, 3), None, None, training=True, eps=0.0), ArgumentError, "eps must be positive"),
        (lambda: F.batch_norm(make(2, 3), *STATISTICS, eps=-1.0), ArgumentError, "eps must not be negative, got -1.0"),
        (lambda: F.batch_norm(make(2, 3), *STATISTICS, eps=float("nan")), ArgumentError, "eps must not be negative"),
        (lambda: F.group_norm(make(2, 3), 2), ShapeError, r"3 channels of x \(2, 3\) must be divisible by .*2"),
        (lambda: F.group_norm(make(2, 3), 0), ArgumentError, "num_groups must be at least 1, got 0"),
        (lambda: F.group_norm(make(2, 3), 1.5), ArgumentTypeError, "num_groups must be an integer .*got 1.5"),
        (lambda: F.group_norm(make(1, 3), 3), ShapeError, "Expected more than 1 value per channel"),
        (lambda: F.group_norm(make(2, 4), 2, make(2)), ShapeError, "weight has shape"),
        (lambda: F.layer_norm(make(2, 3), 4), ShapeError, r"normalized_shape \(4,\) must name .* got x \(2, 3\)"),
        (lambda: F.layer_norm(make(2, 3), 3.0), ArgumentTypeError, "layer_norm: sizes must be integers"),
        (lambda: F.layer_norm(make(2, 3), ()), ShapeError, r"normalized_shape \(\) must name one or more"),
        (lambda: F.layer_norm(make(2, 3), 3, make(2)), ShapeError, "weight has shape"),
        (lambda: F.instance_norm(make(2, 3, 1)), ShapeError, "Expected more than 1 spatial element"),
        (lambda: F.instance_norm(make(2, 4, 2), *STATISTICS), ShapeError, "instance_norm: running_mean has shape"),
        (lambda: F.instance_norm(make(2, 3, 2), use_input_stats=False), ArgumentError, "needs running_mean"),
        (lambda: F.rms_norm(make(2, 3), 2), ShapeError, "rms_norm: normalized_shape"),
        (lambda: F.rms_norm(make(2, 3), 3, eps=-1.0), ArgumentError, "rms_norm: eps must not be negative"),
        (lambda: F.local_response_norm(make(2, 3), 2), ShapeError, "at least 3 dimensions"),
        (lambda: F.local_response_norm(make(2, 3, 2), 0), ArgumentError, "size must be at least 1, got 0"),
        (lambda: F.local_response_norm(make(2, 3, 2), 2.0), ArgumentTypeError, "size must be an integer .*got 2.0"),
        (lambda: F.normalize(Tensor(np.ones((2, 3), int))), DtypeError, "normalize: x must be a floating"),
    ],
)
def test_bad_input(call, error, message):
    with pytest.raises(error, match=message):
        call()
