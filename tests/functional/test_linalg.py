"""Products of matrices: shapes, dtypes, refusals; einsum."""

import numpy as np
import pytest

import minidl as ml
from minidl.errors import ArgumentError, ArgumentTypeError, DtypeError, ShapeError


def normal(*shape, dtype="float32"):
    return ml.tensor(np.random.default_rng(0).standard_normal(shape).astype(dtype), requires_grad=True)


@pytest.mark.parametrize(
    "a, b, out",
    [
        ((3,), (3,), ()),
        ((2, 3), (3,), (2,)),
        ((3,), (3, 2), (2,)),
        ((2, 3), (3, 4), (2, 4)),
        ((5, 2, 3), (3, 4), (5, 2, 4)),
        ((5, 2, 3), (3,), (5, 2)),
        ((3,), (5, 3, 4), (5, 4)),
        ((2, 3), (5, 3, 4), (5, 2, 4)),
        ((6, 1, 2, 3), (5, 3, 4), (6, 5, 2, 4)),
        ((0, 3), (3, 4), (0, 4)),
        ((2, 0), (0, 4), (2, 4)),
        ((0, 2, 3), (3, 4), (0, 2, 4)),
        ((5, 0, 3), (3,), (5, 0)),
        ((1, 1), (1, 1), (1, 1)),
        ((5, 1, 3), (5, 3, 1), (5, 1, 1)),
    ],
)
def test_matmul_shapes(a, b, out):
    x, y = normal(*a), normal(*b)
    for product in (x @ y, ml.matmul(x, y), x.matmul(y)):
        assert product.shape == out and product.dtype == np.float32 and type(product.data) is np.ndarray
        np.testing.assert_allclose(product.data, np.matmul(x.data, y.data), rtol=1e-5, atol=1e-6)
    product.sum().backward()
    assert x.grad.shape == a and y.grad.shape == b


@pytest.mark.parametrize(
    "a, b, message",
    [
        ((2, 3), (4, 5), r"matmul: a has 3 columns but b has 4 rows \(a \(2, 3\), b \(4, 5\)\)"),
        ((2, 3), (4,), "a has 3 columns but b has 4 rows"),
        ((), (3,), r"matmul: needs at least 1 dimension in each operand .*use a \* b"),
        ((2, 2, 3), (3, 3, 4), r"matmul: shapes \(2,\) and \(3,\) cannot be broadcast"),
    ],
)
def test_matmul_refuses(a, b, message):
    with pytest.raises(ShapeError, match=message):
        ml.ones(a) @ ml.ones(b)


def test_operands_of_matmul():
    x = normal(2, 3)
    eye = np.eye(3, dtype=np.float32)
    assert type(eye @ x.T) is type(x) and (x @ eye).tolist() == x.tolist() and (eye @ x.T).requires_grad
    assert (x @ ml.eye(3, dtype="int64")).dtype == np.float32
    assert (ml.tensor([[1, 2]]) @ ml.tensor([[3], [4]])).tolist() == [[11]]
    with pytest.raises(DtypeError, match="mat_mul: inputs have different float dtypes"):
        x @ ml.eye(3, dtype="float64")
    with pytest.raises(ShapeError, match="use a . b"):
        x @ 2
    with pytest.raises(ArgumentTypeError, match="got list"):
        x @ [1]


def test_products_of_fixed_rank():
    a, b = normal(2, 3), normal(3, 4)
    assert a.mm(b).shape == (2, 4) and ml.mm(a, b).shape == (2, 4)
    assert normal(5, 2, 3).bmm(normal(5, 3, 4)).shape == (5, 2, 4)
    assert ml.tensor([1.0, 2.0]).dot(ml.tensor([3.0, 4.0])).item() == 11
    assert ml.outer(ml.tensor([1.0, 2.0]), ml.tensor([3.0, 4.0, 5.0])).tolist() == [[3, 4, 5], [6, 8, 10]]
    with pytest.raises(ShapeError, match=r"mm: b must have 2 dimensions, got shape \(3,\); see matmul"):
        a.mm(normal(3))
    with pytest.raises(ShapeError, match="bmm: a must have 3 dimensions"):
        ml.bmm(a, b)
    with pytest.raises(ShapeError, match="bmm: 2 matrices in a but 1 in b"):
        ml.bmm(normal(2, 2, 3), normal(1, 3, 4))
    with pytest.raises(ShapeError, match=r"dot: b must have 1 dimension, got shape \(2, 3\)"):
        ml.dot(normal(3), a)
    with pytest.raises(ShapeError, match="outer: a must have 1 dimension,"):
        ml.outer(a, normal(3))
    with pytest.raises(ArgumentTypeError, match="mm: b must be a Tensor, got list"):
        a.mm([1])


def test_einsum_dtypes_and_forms():
    a, b = normal(2, 3), normal(3, 2)
    assert ml.einsum("ij,jk->ik", a, b).dtype == np.float32
    assert ml.einsum(" i j , jk -> ik ", [a, b]).shape == (2, 2)
    assert ml.einsum("i,i->", ml.tensor([1, 2]), ml.tensor([0.5, 1.0])).dtype == np.float32
    assert ml.einsum("i,i->", ml.tensor([1, 2]), ml.tensor([3, 4])).item() == 11
    assert (
        ml.einsum("ij->", a).shape == () and ml.einsum("ij", a).shape == (2, 3) and ml.einsum("ba", a).shape == (3, 2)
    )
    assert ml.einsum("...i->...", a).shape == (2,) and ml.einsum("i...", a).shape == (3, 2)
    assert ml.einsum("...,...", a, a).shape == (2, 3) and ml.einsum("IJ->JI", a).shape == (3, 2)
    with pytest.raises(DtypeError, match="einsum: inputs have different float dtypes"):
        ml.einsum("ij,jk->ik", a, b.double())


def test_einsum_gradients_of_letters_that_only_one_operand_has():
    a, b = normal(2, 3, dtype="float64"), normal(4, dtype="float64")
    ml.einsum("ij,k->k", a, b).sum().backward()
    np.testing.assert_allclose(a.grad.data, np.full((2, 3), b.data.sum()))
    np.testing.assert_allclose(b.grad.data, np.full(4, a.data.sum()))


@pytest.mark.parametrize(
    "equation, message",
    [
        ("ij", "has 1 operands but 2 tensors were given"),
        ("ij,jk,kl->il", "has 3 operands but 2 tensors"),
        ("ijk,jk->ik", r"'ijk' of 'ijk,jk->ik' does not fit operand 0 of shape \(2, 3\)"),
        ("i,jk->ik", "'i' of .* does not fit operand 0"),
        ("ij,jk->iz", "must name letters of the operands, each once"),
        ("ij,jk->ii", "each once"),
        ("i1,jk->ik", "'i1' of .* does not fit"),
        ("ij,jk->->ik", "must name letters"),
        ("......ij,jk->ik", "does not fit operand 0"),
    ],
)
def test_bad_equations(equation, message):
    with pytest.raises(ArgumentError, match=f"einsum: .*{message}"):
        ml.einsum(equation, ml.ones(2, 3), ml.ones(3, 4))


def test_bad_operands_of_einsum():
    with pytest.raises(ShapeError, match="einsum: 'j' of 'ij,jk->ik' has lengths 3 and 4"):
        ml.einsum("ij,jk->ik", ml.ones(2, 3), ml.ones(4, 5))
    with pytest.raises(ShapeError, match=r"einsum: 'i' has lengths 2 and 3 in one operand \(2, 3\)"):
        ml.einsum("ii->i", ml.ones(2, 3))
    with pytest.raises(ArgumentTypeError, match="einsum: the equation must be a string, got Tensor"):
        ml.einsum(ml.ones(2), ml.ones(2))
    with pytest.raises(ArgumentTypeError, match="einsum: operand 1 must be a Tensor, got list"):
        ml.einsum("i,i->", ml.ones(2), [1.0, 2.0])


def test_matrix_times_vector_and_sum():
    a, b, c = ml.tensor([[1.0, 2.0], [3.0, 4.0]]), ml.tensor([1.0, 1.0]), ml.tensor([10.0, 20.0])
    assert a.mv(b).tolist() == [3, 7]
    assert ml.addmm(c, a, a).tolist() == [[17, 30], [25, 42]]
    assert ml.addmm(c, a, a, beta=2, alpha=0).tolist() == [[20, 40], [20, 40]]
    with pytest.raises(ShapeError, match="addmm: x of shape"):
        ml.addmm(ml.ones(3, 1, 1), a, a)
    with pytest.raises(ShapeError, match="mv: b must have 1 dimension"):
        a.mv(a)
