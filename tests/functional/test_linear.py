"""Fully connected layers and embeddings: corner cases and bad input. The numbers themselves are in tests/op_cases."""

import numpy as np
import pytest

import minidl as ml
import minidl.functional as F
from minidl.autograd import gradgradcheck
from minidl.errors import ArgumentError, ArgumentTypeError, DtypeError, OutOfRangeError, ShapeError


def test_linear_names_features_and_weight():
    with pytest.raises(ShapeError, match=r"linear: x has 5 features but weight \(10, 4\) expects 4 \(x \(8, 5\)\)"):
        F.linear(ml.ones(8, 5), ml.ones(10, 4))
    with pytest.raises(ShapeError, match="linear: x has no features"):
        F.linear(ml.tensor(1.0), ml.ones(10, 4))
    with pytest.raises(ShapeError, match=r"x has 5 features but weight \(1, 4\) expects 4"):
        F.linear(ml.ones(8, 5), ml.ones(4))


def test_linear_checks_its_parameters():
    x, w = ml.ones(8, 4), ml.ones(10, 4)
    with pytest.raises(ShapeError, match=r"bias has shape \(4,\) but weight \(10, 4\) makes 10 outputs"):
        F.linear(x, w, ml.ones(4))
    with pytest.raises(ShapeError, match=r"weight must have shape \(out, in\), got \(2, 10, 4\)"):
        F.linear(x, ml.ones(2, 10, 4))
    with pytest.raises(ArgumentTypeError, match="linear: x must be a Tensor, got ndarray"):
        F.linear(x.data, w)
    with pytest.raises(ArgumentTypeError, match="linear: weight must be a Tensor, got list"):
        F.linear(x, [[1.0]])
    with pytest.raises(ArgumentTypeError, match="linear: bias must be a Tensor, got float"):
        F.linear(x, w, 0.5)
    with pytest.raises(ArgumentTypeError, match="linear: bias must be a Tensor, got float"):
        F.linear(x, ml.ones(4), 0.5)
    with pytest.raises(DtypeError, match="x must be a floating-point tensor, got int64"):
        F.linear(ml.ones(8, 4, dtype=ml.int64), w)
    with pytest.raises(DtypeError, match="linear: inputs have different float dtypes"):
        F.linear(x, w.to(ml.float64))


def test_linear_of_an_empty_batch_has_gradients_of_zero():
    x, w, b = ml.zeros(0, 3, requires_grad=True), ml.ones(2, 3, requires_grad=True), ml.ones(2, requires_grad=True)
    gx, gw, gb = ml.grad(F.linear(x, w, b).sum(), [x, w, b])
    assert gx.shape == (0, 3)
    np.testing.assert_array_equal(gw.data, np.zeros((2, 3)))
    np.testing.assert_array_equal(gb.data, np.zeros(2))


def test_linear_leaves_its_inputs_alone_and_shares_no_gradient():
    x, w, b = ml.randn(4, 3, requires_grad=True), ml.randn(2, 3, requires_grad=True), ml.randn(2, requires_grad=True)
    before = [t.data.copy() for t in (x, w, b)]
    gy = ml.ones(4, 2)
    F.linear(x, w, b).backward(gy)
    F.linear(x, w, b).backward(gy)
    np.testing.assert_array_equal(gy.data, 1)
    for t, data in zip((x, w, b), before, strict=True):
        np.testing.assert_array_equal(t.data, data)
    np.testing.assert_allclose(b.grad.data, [8, 8])


def test_bilinear_checks_its_inputs():
    x1, x2, w = ml.ones(4, 3), ml.ones(4, 2), ml.ones(5, 3, 2)
    with pytest.raises(ShapeError, match=r"x1 \(4, 2\) and x2 \(4, 3\) do not fit weight \(5, 3, 2\)"):
        F.bilinear(x2, x1, w)
    with pytest.raises(ShapeError, match=r"must be \(..., 3\) and \(..., 2\) with equal leading dimensions"):
        F.bilinear(x1, ml.ones(6, 2), w)
    with pytest.raises(ShapeError, match=r"weight must have shape \(out, in1, in2\), got \(5, 3\)"):
        F.bilinear(x1, x2, ml.ones(5, 3))
    with pytest.raises(ShapeError, match=r"bias has shape \(3,\) but weight \(5, 3, 2\) makes 5 outputs"):
        F.bilinear(x1, x2, w, ml.ones(3))
    with pytest.raises(ArgumentTypeError, match="bilinear: x2 must be a Tensor"):
        F.bilinear(x1, [1.0], w)


# ---------------------------------------------------------------------------------------------------------------------
# Embedding


def test_embedding_adds_up_what_is_read_twice():
    table = ml.zeros(4, 2, requires_grad=True)
    F.embedding(ml.tensor([[1, 3], [1, 1]]), table).sum().backward()
    np.testing.assert_array_equal(table.grad.data, [[0, 0], [3, 3], [0, 0], [1, 1]])


@pytest.mark.parametrize("padding_idx", [1, -3])
def test_embedding_does_not_train_the_padding(padding_idx):
    table = ml.randn(4, 2, dtype=ml.float64, requires_grad=True)
    indices = ml.tensor([1, 3, 1])
    y = F.embedding(indices, table, padding_idx)
    np.testing.assert_array_equal(y.data, table.data[indices.data])
    (gtable,) = ml.grad((y * y).sum(), table, create_graph=True)
    np.testing.assert_array_equal(gtable.data[[0, 1, 2]], 0)
    np.testing.assert_array_equal(gtable.data[3], 2 * table.data[3])
    (second,) = ml.grad(gtable.sum(), table)
    np.testing.assert_array_equal(second.data, [[0, 0], [0, 0], [0, 0], [2, 2]])


def test_embedding_is_the_product_with_one_hot_vectors():
    table = ml.randn(5, 3)
    indices = ml.tensor([[0, 4], [2, 2]], dtype=ml.uint8)
    product = F.one_hot(indices, 5).to(ml.float32) @ table
    np.testing.assert_array_equal(F.embedding(indices, table).data, product.data)


def test_embedding_shapes():
    table = ml.ones(5, 3)
    assert F.embedding(ml.tensor(2), table).shape == (3,)
    assert F.embedding(ml.zeros(0, 4, dtype=ml.int64), table).shape == (0, 4, 3)
    table = ml.randn(3, 2, dtype=ml.float64, requires_grad=True)
    assert gradgradcheck(lambda w: F.embedding(ml.tensor(1), w) ** 3, [table])


def test_embedding_checks_its_inputs():
    table = ml.ones(5, 3)
    with pytest.raises(OutOfRangeError, match="embedding: index 7 is out of range for a table of 5 rows"):
        F.embedding(ml.tensor([0, 7]), table)
    with pytest.raises(IndexError, match="index -1 is out of range"):
        F.embedding(ml.tensor([-1]), table)
    with pytest.raises(DtypeError, match="indices must be integers, got float32"):
        F.embedding(ml.ones(2), table)
    with pytest.raises(ShapeError, match=r"weight must have shape \(rows, dimensions\), got \(5,\)"):
        F.embedding(ml.tensor([0]), ml.ones(5))
    with pytest.raises(OutOfRangeError, match="padding_idx 5 is out of range for a table of 5 rows"):
        F.embedding(ml.tensor([0]), table, padding_idx=5)
    with pytest.raises(ArgumentTypeError, match="indices must be a Tensor, got list"):
        F.embedding([0], table)
    with pytest.raises(ArgumentTypeError, match="weight must be a Tensor"):
        F.embedding(ml.tensor([0]), table.data)


def test_one_hot():
    y = F.one_hot(ml.tensor([2, 0]))
    assert y.dtype == ml.int64 and y.tolist() == [[0, 0, 1], [1, 0, 0]]
    assert F.one_hot(ml.tensor(1), 3).tolist() == [0, 1, 0]
    assert F.one_hot(ml.zeros(0, dtype=ml.int64), 3).shape == (0, 3)
    with pytest.raises(OutOfRangeError, match="one_hot: index 3 is out of range for 3 classes"):
        F.one_hot(ml.tensor([3]), 3)
    with pytest.raises(OutOfRangeError, match="one_hot: index -1 is out of range"):
        F.one_hot(ml.tensor([-1, 1]))
    with pytest.raises(ArgumentError, match=r"no indices \(shape \(0,\)\), so num_classes must be given"):
        F.one_hot(ml.zeros(0, dtype=ml.int64))
    with pytest.raises(ArgumentError, match="num_classes must be positive, or -1 to work it out, got 0"):
        F.one_hot(ml.tensor([0]), 0)
    with pytest.raises(DtypeError, match="indices must be integers, got float32"):
        F.one_hot(ml.ones(2))
