"""Sorting and counting: ties, NaN, tensors without dimensions, bad input."""

import numpy as np
import pytest

import minidl as ml
from minidl.errors import ArgumentError, DtypeError


def test_equal_elements_keep_their_order_both_ways():
    x = ml.tensor([2, 1, 2, 1])
    assert x.argsort().tolist() == [1, 3, 0, 2]
    assert x.argsort(descending=True).tolist() == [0, 2, 1, 3]


def test_nan_counts_as_the_largest():
    x = ml.tensor([1.0, float("nan"), -1.0])
    assert x.argsort().tolist() == [2, 0, 1]
    assert x.topk(2).indices.tolist() == [1, 0]


def test_unsigned_integers_sort_downwards():
    assert ml.sort(ml.tensor([0, 255, 7], dtype=ml.uint8), descending=True).values.tolist() == [255, 7, 0]


def test_a_tensor_without_dimensions_is_its_own_order():
    x = ml.tensor(3.0, requires_grad=True)
    values, indices = x.sort()
    assert values.shape == indices.shape == () and indices.dtype == np.int64
    assert x.topk(1).values.item() == 3.0
    values.backward()
    assert x.grad.item() == 1.0


def test_topk_needs_so_many_elements():
    with pytest.raises(
        ArgumentError, match=r"topk: k = 4 does not lie in \[0, 3\], the length of dimension 1 of \(2, 3\)"
    ):
        ml.zeros(2, 3).topk(4)


def test_bincount_takes_vectors_of_natural_numbers():
    with pytest.raises(DtypeError, match="bincount: x must be an integer tensor, got float32"):
        ml.bincount(ml.ones(3))
    with pytest.raises(ArgumentError, match=r"without negative numbers, got shape \(2,\)"):
        ml.bincount(ml.tensor([0, -1]))
    with pytest.raises(ArgumentError, match=r"weights have shape \(3,\) but x has \(2,\)"):
        ml.bincount(ml.tensor([0, 1]), ml.ones(3))
    with pytest.raises(ArgumentError, match="minlength must not be negative, got -1"):
        ml.bincount(ml.tensor([0, 1]), minlength=-1)
    assert ml.bincount(ml.tensor([0, 1]), ml.tensor([2, 3])).dtype == np.float64


def test_unique_alone_is_a_tensor():
    assert ml.unique(ml.tensor([[3, 1], [3, 2]])).tolist() == [1, 2, 3]
