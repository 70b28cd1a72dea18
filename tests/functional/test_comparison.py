"""Comparisons, logic and choosing: boolean results, no gradient, PyTorch's dtype rules."""

import operator

import numpy as np
import pytest

import minidl as ml
from minidl.errors import ArgumentTypeError, DtypeError, OutOfRangeError, ShapeError

COMPARISONS = {
    "eq": operator.eq,
    "ne": operator.ne,
    "lt": operator.lt,
    "le": operator.le,
    "gt": operator.gt,
    "ge": operator.ge,
}


@pytest.mark.parametrize("name", COMPARISONS)
def test_forms(name):
    op = COMPARISONS[name]
    a, b = ml.tensor([1.0, 2.0, 3.0], requires_grad=True), ml.tensor([2.0, 2.0, 2.0])
    expected = op(a.data, b.data).tolist()
    for y in (op(a, b), getattr(ml, name)(a, b), getattr(a, name)(b), op(a, 2), op(a, 2.0), op(a, np.float64(2))):
        assert y.dtype == np.bool_ and not y.requires_grad and y.is_leaf
        assert y.tolist() == expected
    assert op(2, a).tolist() == op(2, a.data).tolist()
    assert op(b.data, a).tolist() == op(b.data, a.data).tolist()
    assert op(ml.tensor(1), ml.tensor(1)).shape == ()
    with pytest.raises(ShapeError, match=rf"{name}: shapes \(3,\) and \(2,\)"):
        op(a, ml.ones(2))


def test_integers_beside_floats():
    assert (ml.tensor([1, 2]) == ml.tensor([1.0, 2.5])).tolist() == [True, False]
    assert (ml.tensor([1, 2]) < 1.5).tolist() == [True, False]
    assert (ml.tensor([True, False]) == 1).tolist() == [True, False]


def test_logic():
    a, b = ml.tensor([True, True, False]), ml.tensor([True, False, False])
    assert (a & b).tolist() == [True, False, False]
    assert (a | b).tolist() == [True, True, False]
    assert (a ^ b).tolist() == [False, True, False]
    assert (~a).tolist() == [False, False, True] and (~ml.tensor(True)).shape == ()
    assert (a & True).tolist() == (True & a).tolist() == [True, True, False]
    assert (True ^ a).tolist() == [False, False, True] and (False | b).tolist() == [True, False, False]
    assert (ml.tensor([6]) & 3).item() == 2 and (~ml.tensor([0])).item() == -1
    assert ml.bitwise_and(a, b).tolist() == a.bitwise_and(b).tolist() == (a & b).tolist()
    for op in (operator.and_, operator.or_, operator.xor):
        with pytest.raises(DtypeError, match="needs boolean or integer operands, not floating-point ones"):
            op(a, ml.ones(3))
        with pytest.raises(DtypeError, match="write a comparison first"):
            op(a, 1.0)
    with pytest.raises(DtypeError, match="bitwise_not: needs a boolean or integer tensor"):
        ~ml.ones(2)


def test_special_values():
    x = ml.tensor([1.0, np.nan, np.inf, -np.inf])
    assert x.isnan().tolist() == [False, True, False, False]
    assert ml.isinf(x).tolist() == [False, False, True, True]
    assert ml.isfinite(x).tolist() == [True, False, False, False]
    assert ml.isfinite(ml.tensor([1])).tolist() == [True] and ml.isnan(ml.tensor(np.nan)).item() is True
    for name in ("isnan", "isinf", "isfinite"):
        with pytest.raises(ArgumentTypeError, match=f"{name}: x must be a Tensor, got list"):
            getattr(ml, name)([1.0])


def test_equal_and_allclose():
    a = ml.tensor([1.0, 2.0])
    assert ml.equal(a, a.clone()) is True and not a.equal(a + 1) and not ml.equal(a, ml.ones(3))
    assert ml.allclose(a, a + 1e-6) is True and not a.allclose(a + 1e-3)
    assert ml.allclose(a, a + 1e-3, atol=1e-2) and ml.allclose(a, ml.tensor([1.0, 2.1]), rtol=0.1)
    nan = ml.tensor([np.nan])
    assert not ml.allclose(nan, nan) and ml.allclose(nan, nan, equal_nan=True)
    with pytest.raises(ShapeError, match=r"\(2,\) and \(3,\) cannot be broadcast"):
        ml.allclose(a, ml.ones(3))
    with pytest.raises(ArgumentTypeError, match="equal: b must be a Tensor, got list"):
        ml.equal(a, [1.0, 2.0])


# where and masked_fill ------------------------------------------------------------------------------------------------


def test_where_forms():
    x = ml.tensor([-1.0, 2.0])
    for y in (ml.where(x > 0, x, 0.0), x.where(x > 0, 0.0), ml.where(x > 0, x, ml.zeros(1))):
        assert y.tolist() == [0, 2] and y.dtype == np.float32
    assert ml.where(x > 0, 1.0, 0.0).dtype == np.float32
    assert ml.where(x > 0, 1, 0).dtype == np.int64 and ml.where(x > 0, 1, 2.5).dtype == np.float32
    assert ml.where(x > 0, True, False).dtype == np.bool_
    assert ml.where(x > 0, x, np.float64(1)).dtype == np.float32
    assert ml.where(ml.tensor([[True], [False]]), x, 0.0).tolist() == [[-1, 2], [0, 0]]


def test_where_keeps_nan_out_of_the_other_branch():
    x = ml.tensor([0.0, 4.0], dtype="float64", requires_grad=True)
    safe = ml.where(x > 0, x, 1.0)
    ml.where(x > 0, safe.log(), 0.0).sum().backward()
    assert x.grad.tolist() == [0, 0.25]


def test_where_refuses():
    x = ml.ones(2)
    with pytest.raises(DtypeError, match="where: condition must be a boolean tensor, got float32; write a comparison"):
        ml.where(x, x, x)
    with pytest.raises(ArgumentTypeError, match="where: condition must be a Tensor, got bool"):
        ml.where(True, x, x)
    with pytest.raises(ShapeError, match=r"where: shapes \(2,\) and \(3,\) and \(2,\)"):
        ml.where(x > 0, ml.ones(3), x)
    with pytest.raises(DtypeError, match="different float dtypes"):
        ml.where(x > 0, x, x.double())


def test_masked_fill():
    x = ml.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    y = x.masked_fill(x > 2, -1)
    assert y.tolist() == [[1, 2], [-1, -1]]
    y.sum().backward()
    assert x.grad.tolist() == [[1, 1], [0, 0]]
    assert ml.masked_fill(x, ml.tensor([True, False]), 9.0).tolist() == [[9, 2], [9, 4]]
    fill = ml.tensor(5.0, requires_grad=True)
    x.masked_fill(x > 2, fill).sum().backward()
    assert fill.grad.item() == 2
    assert x.masked_fill(x > 2, -np.inf).data.min() == -np.inf
    assert x.masked_fill(x > 2, 1e39).data.max() == np.inf
    assert x.masked_fill(x > 2, np.float64(3)).dtype == np.float32
    assert ml.tensor([1, 2]).masked_fill(ml.tensor([True, False]), 7).tolist() == [7, 2]


def test_masked_fill_refuses():
    x = ml.ones(3)
    with pytest.raises(DtypeError, match="masked_fill: mask must be a boolean tensor, got int64"):
        x.masked_fill(ml.tensor([1, 0, 1]), 0.0)
    with pytest.raises(ShapeError, match=r"masked_fill: .*\(2,\)"):
        x.masked_fill(ml.tensor([True, False]), 0.0)
    with pytest.raises(ArgumentTypeError, match=r"masked_fill: value must be a number or a Tensor, got \[1\]"):
        x.masked_fill(x > 0, [1])
    with pytest.raises(OutOfRangeError, match="masked_fill: inf does not fit into a tensor of dtype int64"):
        ml.tensor([1]).masked_fill(ml.tensor([True]), float("inf"))


def test_logic_of_numbers():
    a, b = ml.tensor([0.0, 2.0, 3.0]), ml.tensor([1, 0, 5])
    assert a.logical_and(b).tolist() == [False, False, True] and ml.logical_or(a, b).tolist() == [True, True, True]
    assert ml.logical_xor(a, b).tolist() == [True, True, False] and a.logical_not().tolist() == [True, False, False]
    assert ml.isclose(a, a + 1e-7).tolist() == [False, True, True]


def test_nonzero():
    x = ml.tensor([[0.0, 2.0], [3.0, 0.0]])
    assert x.nonzero().tolist() == [[0, 1], [1, 0]]
    rows, columns = ml.where(x > 0)
    assert rows.tolist() == [0, 1] and columns.tolist() == [1, 0] and x[rows, columns].tolist() == [2, 3]
    assert ml.nonzero(ml.tensor(0.0), as_tuple=True)[0].shape == (0,)
