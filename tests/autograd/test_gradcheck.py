"""gradcheck is itself checked, against a bank of planted wrong gradients: it must reject every one of them."""

import re

import numpy as np
import pytest

import minidl as ml
from minidl import functional as F
from minidl import nn
from minidl.autograd import Function, FusedFunction, Tensor, gradcheck, gradgradcheck
from minidl.errors import ArgumentError, ArgumentTypeError, DtypeError, GradcheckError, NotTwiceDifferentiable


def normal(*shape, seed=0, requires_grad=True):
    return Tensor(np.asarray(np.random.default_rng(seed).standard_normal(shape)), requires_grad=requires_grad)


def planted(forward, backward):
    """A function of tensors whose forward is right and whose backward is what the test plants."""
    function = type("Planted", (Function,), {"forward": staticmethod(forward), "backward": backward})
    return lambda *inputs: function()(*inputs)


def softmax(x):
    y = np.exp(x - x.max(1, keepdims=True))
    return y / y.sum(1, keepdims=True)


def standardize(x):
    return (x - x.mean(0)) / np.sqrt(x.var(0) + 1e-5)


def standardize_backward(gy, x):
    """The right gradient of `standardize`, on Tensors."""
    deviation = x - x.mean(0, keepdim=True)
    sigma = (deviation.square().mean(0, keepdim=True) + 1e-5).sqrt()
    y = deviation / sigma
    return (gy - gy.mean(0, keepdim=True) - y * (gy * y).mean(0, keepdim=True)) / sigma


def softmax_backward(gy, y):
    return y * (gy - (gy * y).sum(1, keepdim=True))


def zero_out(gradient, index):
    keep = np.ones(gradient.shape)
    keep[index] = 0
    return gradient * Tensor(keep)


RIGHT = {
    "product": (lambda a, b: a * b, lambda self, gy: (gy * self.inputs[1], gy * self.inputs[0]), [(3, 4), (3, 4)]),
    "softmax": (softmax, lambda self, gy: softmax_backward(gy, self.output(0)), [(3, 4)]),
    "batch norm": (standardize, lambda self, gy: standardize_backward(gy, self.inputs[0]), [(5, 3)]),
    "matmul": (
        lambda a, b: a @ b,
        lambda self, gy: (gy @ self.inputs[1].T, self.inputs[0].T @ gy),
        [(3, 4), (4, 3)],
    ),
}

WRONG = {
    "times 1.001": (np.exp, lambda self, gy: gy * self.output(0) * 1.001, [(3, 4)]),
    "times 1.001 in one of two inputs": (
        lambda a, b: a * b,
        lambda self, gy: (gy * self.inputs[1], gy * self.inputs[0] * 1.001),
        [(3, 4), (3, 4)],
    ),
    "times 17 through batch norm": (
        standardize,
        lambda self, gy: 17 * standardize_backward(gy, self.inputs[0]),
        [(5, 3)],
    ),
    "transposed": (lambda a, b: a @ b, lambda self, gy: ((gy @ self.inputs[1].T).T, None), [(4, 4), (4, 4)]),
    "half of the product rule": (lambda a, b: a * b, lambda self, gy: (gy * self.inputs[1], None), [(3, 4), (3, 4)]),
    "half of the square": (lambda x: x * x, lambda self, gy: gy * self.inputs[0], [(3, 4)]),
    "zero": (np.sin, lambda self, gy: gy * 0.0, [(3, 4)]),
    "none at all": (np.sin, lambda self, gy: None, [(3, 4)]),
    "sign": (np.cos, lambda self, gy: gy * self.inputs[0].sin(), [(3, 4)]),
    "inputs swapped": (
        lambda a, b: a * b,
        lambda self, gy: (gy * self.inputs[0], gy * self.inputs[1]),
        [(3, 4), (3, 4)],
    ),
    "rolled by one": (np.sin, lambda self, gy: (gy * self.inputs[0].cos()).roll(1, 1), [(3, 4)]),
    "one element left out": (np.sin, lambda self, gy: zero_out(gy * self.inputs[0].cos(), (1, 2)), [(3, 4)]),
    "softmax that passes for a cotangent of ones": (softmax, lambda self, gy: gy * 0.0, [(3, 4)]),
    "softmax without its coupling": (
        softmax,
        lambda self, gy: gy * self.output(0) * (1 - self.output(0)),
        [(3, 4)],
    ),
    "batch norm that passes for a cotangent of ones": (
        standardize,
        lambda self, gy: gy - gy.mean(0, keepdim=True),
        [(5, 3)],
    ),
    "batch norm with a constant deviation": (
        standardize,
        lambda self, gy: (gy - gy.mean(0, keepdim=True)) / (self.inputs[0].var(0, correction=0) + 1e-5).sqrt(),
        [(5, 3)],
    ),
    "the cotangent ignored": (np.sin, lambda self, gy: self.inputs[0].cos(), [(3, 4)]),
    "the cotangent squared": (np.sin, lambda self, gy: gy * gy * self.inputs[0].cos(), [(3, 4)]),
    "off by a constant": (np.sin, lambda self, gy: gy * self.inputs[0].cos() + 1e-4, [(3, 4)]),
    "not a number": (np.sin, lambda self, gy: gy * float("nan"), [(3, 4)]),
}


def at(shapes):
    return [normal(*shape, seed=i) for i, shape in enumerate(shapes)]


@pytest.mark.parametrize("mode", ["full", "directional"])
@pytest.mark.parametrize("name", RIGHT)
def test_right_gradients_pass(name, mode):
    forward, backward, shapes = RIGHT[name]
    assert gradcheck(planted(forward, backward), at(shapes), mode=mode)
    assert gradgradcheck(planted(forward, backward), at(shapes), mode=mode)


@pytest.mark.parametrize("mode", ["full", "directional"])
@pytest.mark.parametrize("name", WRONG)
def test_wrong_gradients_are_rejected(name, mode):
    forward, backward, shapes = WRONG[name]
    with pytest.raises(GradcheckError, match="is wrong"):
        gradcheck(planted(forward, backward), at(shapes), mode=mode)
    assert gradcheck(planted(forward, backward), at(shapes), mode=mode, raise_exception=False) is False


@pytest.mark.parametrize("mode", ["full", "directional"])
def test_scalar_inputs_are_checked(mode):
    a, b = normal(seed=1), normal(seed=2)
    assert a.shape == ()
    assert gradcheck(lambda a, b: a * b.sin(), (a, b), mode=mode)
    assert gradgradcheck(lambda a, b: a * b.sin(), (a, b), mode=mode)
    with pytest.raises(GradcheckError, match=r"the gradient .* is wrong"):
        gradcheck(lambda a, b: planted(lambda x: x**2, lambda self, gy: gy)(a) * b, (a, b), mode=mode)


@pytest.mark.parametrize("mode", ["full", "directional"])
def test_a_wrong_gradient_deep_inside_is_rejected(mode):
    wrong = planted(np.tanh, lambda self, gy: gy * (1 - self.output(0) * self.output(0)) * 1.001)
    with pytest.raises(GradcheckError, match="is wrong"):
        gradcheck(lambda x, w: wrong(x @ w).exp() * x.sum(), at([(3, 3), (3, 3)]), mode=mode)


def test_the_sum_over_a_broadcast_forgotten_is_a_shape_error_that_names_the_operation():
    add = planted(lambda a, b: a + b, lambda self, gy: (gy, gy))
    with pytest.raises(RuntimeError, match=r"planted: .* shape \(3, 4\) .* input 1 of shape \(4,\)"):
        gradcheck(add, at([(3, 4), (4,)]))


# Second derivatives ---------------------------------------------------------------------------------------------------

WRONG_TWICE = {
    "batch norm that treats its deviation as constant": (
        standardize,
        lambda self, gy: _with_constant_deviation(gy, self.inputs[0]),
        [(5, 3)],
    ),
    "a detached factor": (np.exp, lambda self, gy: gy * self.output(0).detach(), [(3, 4)]),
    "a detached input": (lambda x: x**3, lambda self, gy: gy * 3 * self.inputs[0].detach() ** 2, [(3, 4)]),
    "a detached cotangent": (np.sin, lambda self, gy: gy.detach() * self.inputs[0].cos(), [(3, 4)]),
    "half detached": (
        lambda x: x**3,
        lambda self, gy: gy * 3 * self.inputs[0] * self.inputs[0].detach(),
        [(3, 4)],
    ),
    "a wrong mixed term": (
        lambda a, b: a * b,
        lambda self, gy: (gy * self.inputs[1].detach(), gy * self.inputs[0]),
        [(3, 4), (3, 4)],
    ),
}


def _with_constant_deviation(gy, x):
    """The right first derivative of `standardize`, in which σ is a number and no function of x."""
    deviation = x - x.mean(0, keepdim=True)
    sigma = ((deviation.square().mean(0, keepdim=True) + 1e-5).sqrt()).detach()
    y = deviation / sigma
    return (gy - gy.mean(0, keepdim=True) - y * (gy * y).mean(0, keepdim=True)) / sigma


@pytest.mark.parametrize("mode", ["full", "directional"])
@pytest.mark.parametrize("name", WRONG_TWICE)
def test_wrong_second_derivatives_behind_right_first_ones_are_rejected(name, mode):
    forward, backward, shapes = WRONG_TWICE[name]
    assert gradcheck(planted(forward, backward), at(shapes), mode=mode)
    with pytest.raises(GradcheckError, match="gradgradcheck: .*(is wrong|depends on the inputs)"):
        gradgradcheck(planted(forward, backward), at(shapes), mode=mode)
    assert gradgradcheck(planted(forward, backward), at(shapes), mode=mode, raise_exception=False) is False


class Doubled(FusedFunction):
    """A composite that is another function than the forward."""

    def forward(self, x):
        return np.sin(x)

    def backward_array(self, gy):
        return gy * np.cos(self.input_arrays[0])

    def composite(self, x):
        return 2 * x.sin()


class Once(FusedFunction):
    def forward(self, x):
        return np.sin(x)

    def backward_array(self, gy):
        return gy * np.cos(self.input_arrays[0])


def test_a_composite_that_is_another_function_is_rejected():
    assert gradcheck(lambda x: Doubled()(x), normal(3))
    with pytest.raises(GradcheckError, match="composite and backward_array are not the same function"):
        gradgradcheck(lambda x: Doubled()(x), normal(3))


def test_an_operation_without_a_composite_says_so_under_a_second_derivative():
    with pytest.raises(NotTwiceDifferentiable, match="once: its gradient cannot itself be differentiated"):
        gradgradcheck(lambda x: Once()(x), normal(3))


def test_gradgradcheck_takes_cotangents():
    assert gradgradcheck(lambda x: x**3, normal(3), normal(3, seed=1, requires_grad=False))
    assert gradgradcheck(lambda x: (x**3, x.exp()), normal(3), [normal(3), normal(3, seed=1)])
    with pytest.raises(ArgumentError, match="2 outputs but 1 grad_outputs"):
        gradgradcheck(lambda x: (x**3, x.exp()), normal(3), [normal(3)])


def test_gradgradcheck_of_a_module_includes_the_mixed_derivatives():
    assert gradgradcheck(nn.Linear(3, 2).to(ml.float64), normal(4, 3))
    assert gradgradcheck(nn.LayerNorm(3).to(ml.float64), normal(4, 3), mode="directional")


# Modules --------------------------------------------------------------------------------------------------------------


class WrongScale(nn.Module):
    """Its gradient is right in x and wrong in its parameter."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(np.array([1.5, -0.5]))

    def forward(self, x):
        product = planted(
            lambda a, b: a * b, lambda self, gy: (gy * self.inputs[1], (gy * self.inputs[0]).sum(0) * 1.01)
        )
        return product(x, self.scale)


@pytest.mark.parametrize("mode", ["full", "directional"])
def test_wrong_parameters_of_a_module_are_found_and_named(mode):
    with pytest.raises(GradcheckError, match="parameter scale"):
        gradcheck(WrongScale(), normal(3, 2), mode=mode)


def test_a_module_is_checked_even_where_no_input_requires_a_gradient():
    with pytest.raises(GradcheckError, match="parameter scale is wrong in 2 of 2"):
        gradcheck(WrongScale(), normal(3, 2, requires_grad=False))
    assert gradcheck(nn.Linear(2, 3).to(ml.float64), normal(3, 2, requires_grad=False))


def test_frozen_parameters_are_left_out():
    module = WrongScale()
    module.scale.requires_grad_(False)
    assert gradcheck(module, normal(3, 2))


def test_parameters_must_be_float64_and_stay_as_they_were():
    with pytest.raises(DtypeError, match="parameter weight is float32"):
        gradcheck(nn.Linear(2, 3), normal(3, 2))
    module = nn.Linear(2, 3).to(ml.float64)
    before = [p.data.copy() for p in module.parameters()]
    for mode in ("full", "directional"):
        gradcheck(module, normal(3, 2), mode=mode)
    for p, old in zip(module.parameters(), before, strict=True):
        np.testing.assert_array_equal(p.data, old)
        assert p.grad is None


# What it reports ------------------------------------------------------------------------------------------------------


def test_the_worst_element_is_reported_with_its_index_and_both_values():
    def backward(self, gy):
        wrong = np.zeros((3, 4))
        wrong[0, 1], wrong[2, 3] = 0.1, 0.5
        return gy + Tensor(wrong)

    with pytest.raises(GradcheckError) as caught:
        gradcheck(planted(lambda x: x * 1.0, backward), normal(3, 4))
    message = str(caught.value)
    assert "the gradient of input 0 is wrong in 2 of 12 elements, worst at index (2, 3)" in message
    analytic, numeric = map(float, re.search(r"analytic (\S+), numeric (\S+)", message).groups())
    assert analytic - numeric == pytest.approx(0.5, abs=1e-6)
    assert "difference 0.5" in message


def test_the_wrong_one_of_several_inputs_is_named():
    with pytest.raises(GradcheckError, match="input 1 is wrong"):
        gradcheck(planted(*WRONG["times 1.001 in one of two inputs"][:2]), at([(3, 4), (3, 4)]))


def test_a_gradient_that_is_not_a_number_is_the_worst():
    def backward(self, gy):
        wrong = np.zeros(3)
        wrong[0], wrong[1] = 1e9, np.nan
        return gy + Tensor(wrong)

    with pytest.raises(GradcheckError, match=r"worst at index \(1,\): analytic nan"):
        gradcheck(planted(lambda x: x * 1.0, backward), normal(3))


@pytest.mark.parametrize("mode", ["full", "directional"])
@pytest.mark.parametrize(
    "fn, value",
    [
        (ml.abs, 0.0),
        (F.relu, 0.0),
        (ml.abs, 5e-7),
        (F.relu, -5e-7),
        (lambda x: x.clamp(-1, 1), 1.0),
        (lambda x: ml.maximum(x, x * 0.0), 0.0),
        (ml.sign, 0.0),
        (ml.floor, 2.0),
        (ml.floor, 2.0 - 3e-7),
        (lambda x: ml.where(x > 1, x + 5, x), 1.0),
    ],
    ids=["abs", "relu", "near abs", "near relu", "clamp", "maximum", "sign", "floor", "near floor", "where"],
)
def test_kinks_and_jumps_are_named(fn, value, mode):
    if mode == "directional" and 0 < abs(value) < 1e-6:
        return  # a random direction is shorter than the way to the kink
    x = Tensor(np.array([0.3, value, -0.4]), requires_grad=True)
    where = r"input 0 at index \(1,\)" if mode == "full" else "random direction 0 through input 0"
    with pytest.raises(GradcheckError, match=f"{where}: the function has a kink or a jump there"):
        gradcheck(fn, x, mode=mode)


def test_steep_and_strongly_curved_functions_have_no_kink():
    for fn in (lambda x: (20 * x).exp(), lambda x: 1e4 * x, lambda x: 1 / x, lambda x: (30 * x).sin()):
        assert gradcheck(fn, Tensor(np.array([0.1, 0.4, 0.7]), requires_grad=True), rtol=1e-4)


# What it refuses ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_other_floats_are_refused(dtype):
    with pytest.raises(DtypeError, match=f"input 0 is {dtype}; finite differences need float64"):
        gradcheck(ml.exp, ml.ones(2, dtype=dtype, requires_grad=True))
    with pytest.raises(DtypeError, match=f"gradgradcheck: input 0 is {dtype}"):
        gradgradcheck(ml.exp, ml.ones(2, dtype=dtype, requires_grad=True))


def test_a_function_with_random_parts_is_refused():
    rng = np.random.default_rng(0)
    with pytest.raises(GradcheckError, match="not deterministic: two calls gave"):
        gradcheck(lambda x: x * Tensor(rng.standard_normal(3)), normal(3))
    ml.manual_seed(0)
    with pytest.raises(GradcheckError, match="not deterministic"):
        gradcheck(lambda x: F.dropout(x, 0.5), normal(20))


def test_a_backward_with_random_parts_is_refused():
    rng = np.random.default_rng(0)
    noisy = planted(np.sin, lambda self, gy: gy * self.inputs[0].cos() + 1e-9 * Tensor(rng.standard_normal(3)))
    with pytest.raises(GradcheckError, match="two backward passes gave different gradients of input 0"):
        gradcheck(noisy, normal(3))


def test_a_backward_that_writes_to_what_was_saved_is_refused():
    def backward(self, gy):
        gradient = gy * self.output(0)
        self.output_arrays[0][...] *= 2
        return gradient

    with pytest.raises(GradcheckError, match="two backward passes gave different gradients"):
        gradcheck(planted(np.exp, backward), normal(3))


def test_writing_to_an_input_is_refused():
    def forward(x):
        x[0] += 1e-3
        return x * 2.0

    with pytest.raises(GradcheckError, match="changed an input in place|not deterministic"):
        gradcheck(planted(forward, lambda self, gy: gy * 2.0), normal(3))

    def once(x, constant):
        constant[...] = 0
        return x * 2.0

    fn = planted(once, lambda self, gy: (gy * 2.0, None))
    with pytest.raises(GradcheckError, match="changed an input in place"):
        gradcheck(fn, [normal(3), normal(3, requires_grad=False)])


def test_writing_to_the_cotangent_is_refused():
    """Doubled in place, the cotangent would double the numeric gradient too, and the error would pass."""

    def backward(self, gy):
        gy.data[...] *= 2
        return gy

    with pytest.raises(GradcheckError, match="backward changed the gradient that it was given"):
        gradcheck(planted(lambda x: x * 1.0, backward), normal(3))


def test_a_function_that_cuts_the_graph_is_refused():
    with pytest.raises(GradcheckError, match="is fn detaching them"):
        gradcheck(lambda x: x.detach() * 2, normal(3))
    with pytest.raises(GradcheckError, match="is wrong"):
        gradcheck(lambda x: x * x.detach(), normal(3))


def test_points_outside_the_domain_are_refused():
    with pytest.raises(GradcheckError, match="= nan at this point"):
        gradcheck(ml.log, Tensor(np.array([1.0, -1.0]), requires_grad=True))


def test_bad_calls():
    with pytest.raises(ArgumentError, match="mode must be 'full' or 'directional', got 'fast'"):
        gradcheck(ml.exp, normal(2), mode="fast")
    with pytest.raises(ArgumentError, match="no input requires a gradient"):
        gradcheck(ml.exp, normal(2, requires_grad=False))
    with pytest.raises(ArgumentTypeError, match="fn must return Tensors, got ndarray"):
        gradcheck(lambda x: x.detach().numpy(), normal(2))


# Shapes and forms of functions ----------------------------------------------------------------------------------------


def test_forms_of_functions():
    assert gradcheck(lambda x, n: x**n, [normal(2), 3])  # settings among the inputs
    assert gradcheck(lambda x: (x.exp(), x.argmax(), x.sin()), normal(3))  # several outputs, one without a gradient
    assert gradcheck(lambda x: [x.exp()], normal(3))
    assert gradcheck(lambda x, y: x * 2, [normal(3), normal(3)])  # one input unused
    assert gradcheck(lambda x: (x, ml.ones(2, dtype="float64")), normal(3))  # one output constant
    assert gradgradcheck(lambda x, n: x**n, [normal(2), 3])
    assert gradcheck(ml.exp, normal())
    assert gradcheck(ml.exp, normal(0, 3))
    assert gradcheck(ml.exp, normal(0, 3), mode="directional")
    assert gradcheck(lambda x: x * 2, Tensor(np.broadcast_to(np.float64(3), (2, 2)), requires_grad=True))


def test_the_callers_tensors_and_mode_are_left_alone():
    x = normal(3)
    before = x.data.copy()
    with ml.no_grad():
        assert gradcheck(ml.exp, x)
        assert gradgradcheck(ml.exp, x)
        assert not ml.is_grad_enabled()
    assert x.grad is None
    np.testing.assert_array_equal(x.data, before)


def test_tolerances_are_the_callers():
    slightly = planted(np.sin, lambda self, gy: gy * self.inputs[0].cos() * 1.001)
    assert gradcheck(slightly, normal(3), rtol=1e-2)
    assert gradcheck(slightly, normal(3), atol=1e-2)
    assert gradcheck(slightly, normal(3), rtol=1e-2, mode="directional")
