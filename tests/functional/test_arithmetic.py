"""Arithmetic: dtypes, reflected forms, NumPy on the left, ties, zeros and infinities, bad operands."""

import itertools
import operator

import numpy as np
import pytest

import minidl as ml
from minidl.autograd import Tensor
from minidl.errors import ArgumentError, ArgumentTypeError, DtypeError, OutOfRangeError, ShapeError

OPERATORS = [operator.add, operator.sub, operator.mul, operator.truediv, operator.pow, operator.floordiv, operator.mod]


def leaf(*values, dtype="float64"):
    return ml.tensor(np.array(values if len(values) != 1 else values[0], dtype), requires_grad=True)


# Dtypes ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("op", OPERATORS, ids=lambda op: op.__name__)
@pytest.mark.parametrize(
    "scalar", [2, 2.0, np.float64(2), np.float32(2), np.int64(2), np.int8(2), True, np.bool_(True)]
)
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_scalars_never_promote(op, scalar, dtype):
    x = ml.tensor([1.5, 2.5], dtype=dtype)
    assert op(x, scalar).dtype == dtype
    assert op(scalar, x).dtype == dtype
    np.testing.assert_allclose(op(x, scalar).data, op(x.data.astype(float), float(scalar)), rtol=1e-2)
    np.testing.assert_allclose(op(scalar, x).data, op(float(scalar), x.data.astype(float)), rtol=1e-2)


@pytest.mark.parametrize("op", OPERATORS, ids=lambda op: op.__name__)
@pytest.mark.parametrize("dtype", ["int64", "int32", "uint8", "bool"])
def test_an_integer_operand_takes_the_float_operands_dtype(op, dtype):
    x, n = ml.tensor([1.5, 2.5]), ml.tensor([1, 1], dtype=dtype)
    assert op(x, n).dtype == op(n, x).dtype == np.float32
    assert op(x.double(), n).dtype == np.float64
    assert op(x, np.array([1, 1])).dtype == np.float32


@pytest.mark.parametrize("op", OPERATORS, ids=lambda op: op.__name__)
def test_mixed_floats_are_refused(op):
    with pytest.raises(DtypeError, match=r"different float dtypes \(float32, float64\); convert one of them with .to"):
        op(ml.ones(2), ml.ones(2, dtype="float64"))
    with pytest.raises(TypeError, match=r"\(float64, float32\)"):
        op(np.ones(2), ml.ones(2))


@pytest.mark.parametrize(
    "op, a, b, dtype, expected",
    [
        (operator.add, [1, 2], 3, "int64", [4, 5]),
        (operator.mul, [1, 2], 2.5, "float32", [2.5, 5]),
        (operator.truediv, [1, 2], 2, "float32", [0.5, 1]),
        (operator.truediv, [1, 2], [4, 5], "float32", [0.25, 0.4]),
        (operator.truediv, [True, False], [True, True], "float32", [1, 0]),
        (operator.floordiv, [-7, 7], 2, "int64", [-4, 3]),
        (operator.mod, [-7, 7], 3, "int64", [2, 1]),
        (operator.mod, [-7, 7], -3, "int64", [-1, -2]),
        (operator.pow, [2, 3], 2, "int64", [4, 9]),
        (operator.pow, [2, 3], 0.5, "float32", [2**0.5, 3**0.5]),
        (operator.pow, 2, [0, 3], "int64", [1, 8]),
        (operator.add, [True, False], 1, "int64", [2, 1]),
        (operator.mul, [True, False], [True, True], "bool", [True, False]),
        (operator.sub, 1, [1, 2], "int64", [0, -1]),
    ],
)
def test_integers(op, a, b, dtype, expected):
    a, b = (ml.tensor(v) if isinstance(v, list) else v for v in (a, b))
    result = op(a, b)
    assert result.dtype == dtype
    np.testing.assert_allclose(result.data, np.array(expected), rtol=1e-6)


def test_integers_of_two_sizes_take_the_wider():
    a, b = ml.tensor([1], dtype="int32"), ml.tensor([2])
    assert (a + b).dtype == np.int64 and (a + ml.tensor([True])).dtype == np.int32


def test_large_integers_are_divided_exactly():
    a = ml.tensor([2**53 + 1, -(2**53) - 1])
    assert ml.div(a, 2, rounding_mode="trunc").tolist() == [2**52, -(2**52)]
    assert ml.div(a, 2, rounding_mode="floor").tolist() == [2**52, -(2**52) - 1]


# Operators ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("op", OPERATORS, ids=lambda op: op.__name__)
def test_all_forms_agree(op):
    x = leaf(1.5, 2.5)
    name = {"truediv": "div", "floordiv": "floor_divide", "mod": "remainder"}.get(op.__name__, op.__name__)
    expected = op(x.data, 2.0)
    for y in (op(x, 2.0), getattr(ml, name)(x, 2.0), getattr(x, name)(2.0), getattr(ml.functional, name)(x, 2.0)):
        np.testing.assert_allclose(y.data, expected)
    array = np.array([3.0, 4.0])
    for left, right in ((array, x), (x, array), (3.0, x)):
        y = op(left, right)
        assert type(y) is Tensor and y.requires_grad
        values = [np.asarray(v.data if isinstance(v, Tensor) else v) for v in (left, right)]
        np.testing.assert_allclose(y.data, op(*values))


def test_unary_operators():
    x = leaf(1.5, -2.5)
    assert (-x).tolist() == [-1.5, 2.5] and (+x).tolist() == [1.5, -2.5] and abs(x).tolist() == [1.5, 2.5]
    with pytest.raises(DtypeError, match="neg: a boolean tensor cannot be negated; use ~x"):
        -ml.tensor([True])


def test_alpha():
    assert ml.add(ml.tensor([1.0]), ml.tensor([2.0]), alpha=10).tolist() == [21]
    assert ml.sub(ml.tensor([1.0]), 2, alpha=10).tolist() == [-19]


def test_rounding_modes():
    a, b = ml.tensor([7.0, -7.0, 7.0, -7.0]), ml.tensor([2.0, 2.0, -2.0, -2.0])
    assert ml.div(a, b, rounding_mode="trunc").tolist() == [3, -3, -3, 3]
    assert ml.div(a, b, rounding_mode="floor").tolist() == [3, -4, -4, 3]
    assert a.long().div(b.long(), rounding_mode="trunc").tolist() == [3, -3, -3, 3]
    assert a.long().div(b.long(), rounding_mode="trunc").dtype == np.int64
    with pytest.raises(ArgumentError, match="rounding_mode must be None, 'floor' or 'trunc', got 'round'"):
        ml.div(a, b, rounding_mode="round")


# Broadcasting ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["add", "sub", "mul", "div", "pow", "maximum", "minimum", "floor_divide", "remainder"])
def test_shapes_that_do_not_fit(name):
    with pytest.raises(ShapeError, match=rf"{name}: shapes \(2, 3\) and \(2,\) cannot be broadcast together"):
        getattr(ml, name)(ml.ones(2, 3), ml.ones(2))


def test_gradients_have_the_shapes_of_their_operands():
    shapes = [(), (1,), (3,), (2, 1), (2, 3), (1, 2, 3), (0, 2, 3)]
    for a_shape, b_shape in itertools.product(shapes, shapes):
        a, b = ml.ones(a_shape, requires_grad=True), ml.ones(b_shape, requires_grad=True)
        for op in (operator.add, operator.mul, operator.truediv):
            a.grad = b.grad = None
            op(a, b).sum().backward()
            assert a.grad.shape == a_shape and b.grad.shape == b_shape
            assert a.grad.data.sum() == np.broadcast(a.data, b.data).size


# Special points -------------------------------------------------------------------------------------------------------


def gradient(fn, *values):
    xs = [leaf(v) for v in values]
    return [g.item() for g in ml.grad(fn(*xs), xs)]


def test_division_by_zero_is_infinite_not_an_error():
    x = ml.tensor([1.0, -1.0, 0.0])
    np.testing.assert_array_equal((x / 0).data, [np.inf, -np.inf, np.nan])
    np.testing.assert_array_equal((x // 0).data, [np.inf, -np.inf, np.nan])
    assert (x % 0).isnan().all()
    for op in (operator.floordiv, operator.mod):
        with pytest.raises(ArgumentError, match="integer division by zero"):
            op(ml.tensor([1, 2]), ml.tensor([1, 0]))


def test_overflow_and_nan_are_results():
    big = ml.tensor([1e38])
    assert (big * 10).item() == np.inf and (big * 10 - big * 10).isnan().item()
    assert (big * 1e39).item() == np.inf


def test_powers_at_zero():
    assert gradient(lambda x: x**2, 0.0) == [0]
    assert gradient(lambda x: x**1, 0.0) == [1]
    assert gradient(lambda x: x**0, 0.0) == [0]
    assert gradient(lambda x: x**0.5, 0.0) == [np.inf]
    assert gradient(lambda a, b: a**b, 0.0, 0.0) == [0, 0]
    assert gradient(lambda a, b: a**b, 0.0, 2.0) == [0, 0]
    assert gradient(lambda a, b: a**b, 0.0, 1.0) == [1, 0]
    assert gradient(lambda b: 0.0**b, 2.0) == [0]
    assert gradient(lambda a, b: a**b, -2.0, 3.0)[0] == 12
    assert np.isnan((ml.tensor([-1.0]) ** 0.5).item())
    a, b = leaf(0.0), leaf(0.0)
    (first,) = ml.grad(a**b, a, create_graph=True)
    assert ml.grad(first, a)[0].item() == 0  # and no 0 · ∞ on the way to the second


def test_negative_powers_of_integers():
    with pytest.raises(DtypeError, match="pow: integers to the negative power -1 are no integers"):
        ml.tensor([2]) ** -1
    with pytest.raises(DtypeError, match="pow: integers to a negative power"):
        ml.tensor([2]) ** ml.tensor([-1])
    with pytest.raises(DtypeError, match="pow: integers to a negative power"):
        2 ** ml.tensor([-1])
    assert (ml.tensor([2]) ** -1.0).item() == 0.5


@pytest.mark.parametrize("op", [ml.maximum, ml.minimum])
def test_ties_share_the_gradient(op):
    assert gradient(op, 1.0, 1.0) == [0.5, 0.5]
    assert gradient(lambda x: op(x, 1.0), 1.0) == [0.5]
    np.testing.assert_array_equal(op(ml.tensor([np.nan, 1.0]), ml.tensor([1.0, np.nan])).data, [np.nan, np.nan])


def test_extrema_send_gradients_to_the_chosen():
    assert gradient(ml.maximum, 2.0, 1.0) == [1, 0]
    assert gradient(ml.minimum, 2.0, 1.0) == [0, 1]
    assert ml.max(ml.tensor([1, 5]), ml.tensor([3, 2])).tolist() == [3, 5]
    assert ml.min(ml.tensor([1, 5]), ml.tensor([3, 2])).tolist() == [1, 2]


def test_remainders_follow_the_divisor():
    a, b = ml.tensor([5.5, -5.5, 5.5, -5.5]), ml.tensor([2.0, 2.0, -2.0, -2.0])
    assert (a % b).tolist() == [1.5, 0.5, -0.5, -1.5]
    assert (5 % ml.tensor([3.0])).item() == 2
    assert (ml.tensor([5.0]) % float("inf")).item() == 5
    assert gradient(lambda a, b: a % b, 7.5, 2.0) == [1, -3]
    assert gradient(lambda a, b: a // b, 7.5, 2.0) == [0, 0]


# Bad operands ---------------------------------------------------------------------------------------------------------


def test_what_is_no_operand():
    for op in OPERATORS:
        for bad in (None, [1.0], 1j):
            with pytest.raises(ArgumentTypeError, match="expected a Tensor, an array or a real number, got"):
                op(ml.ones(2), bad)
            with pytest.raises(ArgumentTypeError, match="expected a Tensor, an array or a real number, got"):
                op(bad, ml.ones(2))
    with pytest.raises(ArgumentTypeError, match="add: expected at least one Tensor, got int and list"):
        ml.add(1, [2])
    with pytest.raises(DtypeError, match=r"sub: two boolean tensors cannot be subtracted; use \^ or ~"):
        ml.tensor([True]) - ml.tensor([False])


def test_numbers_that_do_not_fit():
    with pytest.raises(OutOfRangeError, match="-1 does not fit into a tensor of dtype uint8"):
        ml.tensor([1], dtype="uint8") + -1
