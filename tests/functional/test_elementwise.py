"""Elementwise functions at the edges of their domains, on integers, and clamped."""

import math

import numpy as np
import pytest

import minidl as ml
from minidl.errors import ArgumentError, ArgumentTypeError, DtypeError

FLOATING = "exp expm1 log log2 log10 log1p sqrt rsqrt reciprocal sin cos tanh sigmoid erf".split()
ALL = FLOATING + "neg abs square relu sign floor ceil round".split()


def leaf(*values):
    return ml.tensor(np.array(values), requires_grad=True)


@pytest.mark.parametrize("name", ALL)
def test_forms_and_bad_input(name):
    x = ml.tensor([0.3, 0.7])
    function = getattr(ml, name)
    for y in (function(x), getattr(x, name)(), getattr(ml.functional, name)(x)):
        assert y.dtype == np.float32 and y.shape == (2,)
        np.testing.assert_array_equal(y.data, function(x).data)
    for bad in ([1.0], 1.0, np.ones(2), None):
        with pytest.raises(ArgumentTypeError, match=f"{name}: (x|input 0) must be a Tensor, got {type(bad).__name__}"):
            function(bad)
    assert function(ml.ones(0, 3)).shape == (0, 3)
    assert type(function(ml.tensor(0.5)).data) is np.ndarray


@pytest.mark.parametrize("name", FLOATING)
def test_integers_become_float32(name):
    for x in (ml.tensor([1, 2]), ml.tensor([True, True]), ml.tensor([1, 2], dtype="uint8")):
        y = getattr(ml, name)(x)
        assert y.dtype == np.float32
        np.testing.assert_array_equal(y.data, getattr(ml, name)(x.float()).data)


@pytest.mark.parametrize("name", ["neg", "abs", "square", "relu", "sign", "floor", "ceil", "round"])
def test_integers_stay_integers(name):
    y = getattr(ml, name)(ml.tensor([-2, 3]))
    assert y.dtype == np.int64
    expected = {"neg": [2, -3], "abs": [2, 3], "square": [4, 9], "relu": [0, 3], "sign": [-1, 1]}.get(name, [-2, 3])
    assert y.tolist() == expected
    assert ml.sign(ml.tensor([True, False])).tolist() == [True, False]


def test_edges_of_the_domains_are_no_warnings():
    inf, nan = math.inf, math.nan
    x = ml.tensor([-inf, -1.0, 0.0, inf, nan])
    for name, expected in {
        "exp": [0, math.exp(-1), 1, inf, nan],
        "log": [nan, nan, -inf, inf, nan],
        "log1p": [nan, -inf, 0, inf, nan],
        "sqrt": [nan, nan, 0, inf, nan],
        "rsqrt": [nan, nan, inf, 0, nan],
        "reciprocal": [0, -1, inf, 0, nan],
        "tanh": [-1, math.tanh(-1), 0, 1, nan],
        "sigmoid": [0, 1 / (1 + math.e), 0.5, 1, nan],
        "erf": [-1, math.erf(-1), 0, 1, nan],
        "relu": [0, 0, 0, inf, nan],
        "sign": [-1, -1, 0, 1, nan],
        "abs": [inf, 1, 0, inf, nan],
    }.items():
        np.testing.assert_allclose(getattr(ml, name)(x).data, expected, rtol=1e-6, err_msg=name)
    assert ml.exp(ml.tensor([1000.0])).item() == inf


def test_accuracy_near_zero_and_in_the_tails():
    x = ml.tensor([1e-10], dtype="float64")
    assert x.expm1().item() == pytest.approx(1e-10, rel=1e-14)
    assert x.log1p().item() == pytest.approx(1e-10, rel=1e-9)
    assert ml.tensor([-700.0], dtype="float64").sigmoid().item() == pytest.approx(math.exp(-700), rel=1e-12)
    assert ml.tensor([-80.0]).sigmoid().item() > 0
    assert ml.tensor([0.5, 1.5, 2.5, -0.5]).round().tolist() == [0, 2, 2, 0]


@pytest.mark.parametrize(
    "name, at, expected",
    [
        ("abs", 0.0, 0),
        ("relu", 0.0, 0),
        ("sign", 0.3, 0),
        ("floor", 0.3, 0),
        ("ceil", 0.3, 0),
        ("round", 0.3, 0),
        ("sqrt", 0.0, math.inf),
    ],
)
def test_gradients_at_special_points(name, at, expected):
    x = leaf(at)
    getattr(ml, name)(x).sum().backward()
    assert x.grad.item() == expected


# clamp ----------------------------------------------------------------------------------------------------------------


def test_clamp_forms():
    x = ml.tensor([-2.0, 0.5, 3.0])
    expected = [-1, 0.5, 1]
    for y in (ml.clamp(x, -1, 1), x.clamp(-1, 1), ml.clip(x, -1, 1), x.clip(min=-1, max=1), x.clamp(max=1, min=-1)):
        assert y.tolist() == expected
    assert x.clamp(min=0).tolist() == [0, 0.5, 3] and x.clamp(max=0).tolist() == [-2, 0, 0]
    assert x.clamp(2, 1).tolist() == [1, 1, 1]  # as in PyTorch, max wins
    with pytest.raises(ArgumentError, match="clamp: give min, max or both"):
        x.clamp()
    with pytest.raises(ArgumentTypeError, match="clamp: x must be a Tensor, got list"):
        ml.clamp([1.0], 0, 1)
    with pytest.raises(ArgumentTypeError, match="got str"):
        x.clamp("0")


def test_clamp_dtypes():
    x = ml.tensor([-2.0, 3.0])
    for bound in (0, 0.0, np.float64(0), np.int64(0), ml.tensor(0), np.float32(0)):
        assert x.clamp(bound).dtype == np.float32
        assert x.clamp(max=bound).dtype == np.float32
    n = ml.tensor([-2, 3])
    assert n.clamp(0, 2).dtype == np.int64 and n.clamp(0, 2).tolist() == [0, 2]
    assert n.clamp(0.5).dtype == np.float32 and n.clamp(0.5).tolist() == [0.5, 3]
    with pytest.raises(DtypeError, match="different float dtypes"):
        x.clamp(np.zeros(2))


def test_clamp_passes_the_gradient_at_its_bounds():
    for low, high in ((-1.0, 1.0), (ml.tensor(-1.0, dtype="float64"), ml.tensor(1.0, dtype="float64"))):
        x = leaf(-2.0, -1.0, 0.0, 1.0, 2.0)
        x.clamp(low, high).sum().backward()
        assert x.grad.tolist() == [0, 1, 1, 1, 0]


def test_bounds_that_are_tensors_get_what_was_cut_off():
    x, low, high = leaf(-2.0, 0.0, 2.0), leaf(-1.0), leaf(1.0)
    x.clamp(low, high).sum().backward()
    assert (x.grad.tolist(), low.grad.tolist(), high.grad.tolist()) == ([0, 1, 0], [1], [1])
    assert ml.ones(2, 1).clamp(ml.tensor([0.0, 2.0, 3.0])).tolist() == [[1, 2, 3]] * 2
