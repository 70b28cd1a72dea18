"""Diagonals and triangles: bad input."""

import pytest

import minidl as ml
from minidl.errors import ArgumentError, OutOfRangeError, ShapeError


def test_ranks_that_have_no_diagonal():
    with pytest.raises(ShapeError, match=r"diag: expects a vector or a matrix, got shape \(1, 2, 3\)"):
        ml.diag(ml.zeros(1, 2, 3))
    with pytest.raises(ShapeError, match=r"diagonal: expects at least 2 dimensions, got shape \(3,\)"):
        ml.diagonal(ml.zeros(3))
    with pytest.raises(ShapeError, match=r"tril: expects at least 2 dimensions, got shape \(3,\)"):
        ml.tril(ml.zeros(3))
    with pytest.raises(ShapeError, match=r"trace: expects a matrix, got shape \(3,\)"):
        ml.trace(ml.zeros(3))


def test_the_two_dimensions_must_differ_and_exist():
    with pytest.raises(ArgumentError, match="dim1 and dim2 are both 1"):
        ml.diagonal(ml.zeros(2, 3), dim1=1, dim2=-1)
    with pytest.raises(OutOfRangeError, match="dim 2 is out of range"):
        ml.diagonal(ml.zeros(2, 3), dim2=2)


def test_a_diagonal_beyond_the_matrix_is_empty():
    assert ml.diag(ml.zeros(2, 3), 5).shape == (0,)


def test_triangles_of_integers_and_booleans_keep_their_dtype():
    assert ml.tril(ml.ones(2, 2, dtype=ml.int64)).tolist() == [[1, 0], [1, 1]]
    assert ml.triu(ml.ones(2, 2, dtype=ml.bool), 1).tolist() == [[False, True], [False, False]]
