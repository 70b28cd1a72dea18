"""Composed rearrangements: bad input, keyword forms."""

import pytest

import minidl as ml
from minidl.errors import ArgumentError, ArgumentTypeError, OutOfRangeError, ShapeError

x = ml.arange(6).reshape(2, 3)


def test_movedim_needs_as_many_places_as_dimensions():
    with pytest.raises(ArgumentError, match=r"source 0 and destination \(0, 1\) must name as many"):
        ml.movedim(x, 0, (0, 1))
    assert ml.movedim(x, (), ()).shape == (2, 3)


def test_select_checks_its_index():
    with pytest.raises(OutOfRangeError, match=r"index 3 is out of range for dimension 1 of shape \(2, 3\)"):
        x.select(1, 3)
    with pytest.raises(IndexError, match="without dimensions has no slices"):
        ml.tensor(1.0).select(0, 0)


@pytest.mark.parametrize("repeats", [ml.tensor([1, 2]), -1, 1.5, ml.tensor([[1, 1, 1]])])
def test_repeat_interleave_checks_its_counts(repeats):
    with pytest.raises(ArgumentError, match="repeats must be 1 or 3 integers"):
        x.repeat_interleave(repeats, dim=1)


def test_meshgrid_checks_its_vectors():
    with pytest.raises(ArgumentError, match="indexing must be 'ij' or 'xy', got 'zz'"):
        ml.meshgrid(x[0], indexing="zz")
    with pytest.raises(ShapeError, match=r"expects vectors, got shape \(2, 3\)"):
        ml.meshgrid(x)
    with pytest.raises(ArgumentError, match="at least one Tensor"):
        ml.meshgrid()
    assert ml.meshgrid(x[0], indexing="xy")[0].tolist() == [0, 1, 2]


def test_stacks_take_sequences_of_tensors():
    with pytest.raises(ArgumentError, match="hstack: expects at least one Tensor"):
        ml.hstack([])
    with pytest.raises(ArgumentTypeError, match=r"vstack: tensors\[1\] must be a Tensor, got int"):
        ml.vstack([x, 3])


def test_shapes_may_be_given_by_keyword_as_in_torch():
    assert x.reshape(shape=(3, 2)).shape == x.view(size=(3, 2)).shape == (3, 2)
    assert x.permute(dims=(1, 0)).shape == (3, 2)
    assert x[:1].expand(size=(4, 3)).shape == (4, 3)
    assert x.repeat(repeats=(2, 1)).shape == (4, 3)
    for make in (ml.zeros, ml.ones, ml.empty, ml.rand, ml.randn):
        assert make(size=(2, 3)).shape == (2, 3)
