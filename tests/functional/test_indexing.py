"""Indexing with everything, and its refusals; gather, scatter_add and their kin."""

import numpy as np
import pytest

import minidl as ml
from minidl.errors import ArgumentError, ArgumentTypeError, DtypeError, MinidlError, OutOfRangeError, ShapeError

INDICES = [
    0,
    -1,
    np.int64(1),
    np.s_[1:3],
    np.s_[::2],
    np.s_[::-1],
    np.s_[5:2],
    np.s_[...],
    None,
    np.s_[..., None],
    np.s_[None, 1],
    (),
    np.s_[1, 2],
    np.s_[1, 2, 0],
    np.s_[:, 1],
    np.s_[:, -1:],
    np.s_[..., 0],
    np.s_[0, ..., 1],
    [0, 2, 0],
    [],
    (slice(None), [0, 0]),
    ([0, 1], [1, 1]),
    ([0, 1], slice(None), [1, 0]),
    ([[0, 1], [2, 3]],),
    (np.array([[0], [1]]), np.array([0, 2])),
    np.array([True, False, True, True]),
    [True, False, True, True],
    (slice(None), np.array([True, False, True])),
    (np.array([True, False, True, True]), 0),
    True,
    range(2),
]


def as_numpy(index):
    if isinstance(index, tuple):
        return tuple(as_numpy(i) for i in index)
    if isinstance(index, list | range):
        return np.asarray(index, dtype=None if len(index) else np.int64)
    return index


@pytest.mark.parametrize("index", INDICES, ids=lambda i: str(i).replace("\n", ""))
def test_indexing_reads_as_numpy_and_its_gradient_counts_the_readings(index):
    array = np.arange(24.0).reshape(4, 3, 2)
    x = ml.tensor(array, requires_grad=True)
    y = x[index]
    expected = array[as_numpy(index)]
    np.testing.assert_array_equal(y.data, expected)
    weights = np.arange(1.0, 1 + expected.size).reshape(expected.shape)
    (y * ml.tensor(weights)).sum().backward()
    counted = np.zeros_like(array)
    np.add.at(counted, as_numpy(index), weights)
    np.testing.assert_array_equal(x.grad.data, counted)


def test_tensors_as_indices():
    x = ml.arange(12.0).reshape(4, 3)
    assert x[ml.tensor(2)].tolist() == [6, 7, 8] and x[ml.tensor([2, -1])].shape == (2, 3)
    assert x[ml.tensor([0, 1]), ml.tensor([2, 2])].tolist() == [2, 5] and x[x > 9].tolist() == [10, 11]
    assert x[ml.tensor(1) :].shape == (3, 3) and x[[ml.tensor(1), ml.tensor(0)]].shape == (2, 3)
    assert x[x.sum(1) > 10, 0].tolist() == [3, 6, 9] and x[ml.tensor([1], dtype="int32")].tolist() == [[3, 4, 5]]


@pytest.mark.parametrize("dtype", ["int8", "int16", "int32", "int64"])
def test_small_integers_do_not_overflow(dtype):
    """Places are computed in int64, whatever the index came in: 2 · 200 is not 144."""
    x = ml.ones(300, 200, requires_grad=True)
    index = ml.tensor([2, 2, 5], dtype=dtype)
    x[index].sum().backward()
    assert x.grad.data[2].tolist() == [2] * 200 and x.grad.data.sum() == 600
    scattered = ml.zeros(300, 200).scatter_add(0, index.reshape(3, 1), ml.ones(3, 1))
    assert scattered[2, 0].item() == 2 and scattered.data.sum() == 3
    y = ml.arange(600.0).reshape(300, 2)
    assert y.gather(0, index.reshape(3, 1)).tolist() == [[4], [4], [10]]
    assert y.index_select(0, index).tolist() == [[4, 5], [4, 5], [10, 11]]


@pytest.mark.parametrize(
    "index, error, message",
    [
        (4, OutOfRangeError, r"index 4 is out of bounds .*\(tensor of shape \(4, 3\)\)"),
        ((0, -4), OutOfRangeError, "out of bounds"),
        ([0, 9], OutOfRangeError, "out of bounds"),
        ((0, 0, 0), OutOfRangeError, "too many indices"),
        ((..., ...), OutOfRangeError, "ellipsis"),
        (np.array([True, False]), OutOfRangeError, "boolean"),
        (([0, 1], [0, 1, 2]), OutOfRangeError, "broadcast"),
        (1.5, MinidlError, "an index is made of integers, slices, None, ... and tensors, got float 1.5"),
        ("a", MinidlError, "got str 'a'"),
        ({0}, MinidlError, "got set"),
        ([1.0], MinidlError, "an index must be of integers or booleans"),
        ([[0], [1, 2]], ArgumentError, "is ragged, so it is no index"),
        (slice(1.5, None), ArgumentTypeError, "slice indices must be integers"),
        (slice(None, None, 0), ArgumentError, "slice step cannot be zero"),
    ],
    ids=str,
)
def test_bad_indices(index, error, message):
    with pytest.raises(error, match=message):
        ml.zeros(4, 3)[index]


def test_indexing_a_tensor_without_dimensions():
    x = ml.tensor(5.0, requires_grad=True)
    assert x[()].item() == 5 and x[None].shape == (1,) and x[...].shape == ()
    with pytest.raises(IndexError, match="too many indices"):
        x[0]


def test_rows_of_no_width():
    x = ml.ones(3, 0, requires_grad=True)
    x[[0, 1]].sum().backward()
    assert x.grad.shape == (3, 0)


def test_second_derivatives_through_indexing():
    x = ml.tensor(np.arange(1.0, 5.0), requires_grad=True)
    (first,) = ml.grad((x[[0, 0, 3]] ** 3).sum(), x, create_graph=True)
    (second,) = ml.grad(first.sum(), x)
    assert second.tolist() == [12, 0, 0, 24]


# gather and its kin ---------------------------------------------------------------------------------------------------


def test_gather():
    x = ml.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    y = x.gather(1, ml.tensor([[0, 0], [1, 0]]))
    assert y.tolist() == [[1, 1], [4, 3]]
    y.sum().backward()
    assert x.grad.tolist() == [[2, 0], [1, 1]]
    assert ml.gather(x, 0, ml.tensor([[1]])).tolist() == [[3]] and x.gather(
        -1, ml.zeros(0, 2, dtype="int64")
    ).shape == (0, 2)
    assert ml.tensor(5.0).gather(0, ml.tensor(0)).item() == 5


def test_scatter_add():
    x, src = ml.zeros(3, requires_grad=True), ml.tensor([1.0, 2.0, 4.0], requires_grad=True)
    y = x.scatter_add(0, ml.tensor([0, 2, 2]), src)
    assert y.tolist() == [1, 0, 6] and x.tolist() == [0, 0, 0]
    (y * ml.tensor([1.0, 10.0, 100.0])).sum().backward()
    assert x.grad.tolist() == [1, 10, 100] and src.grad.tolist() == [1, 100, 100]
    assert x.scatter_add(0, ml.tensor([1]), src).tolist() == [0, 1, 0]
    assert ml.tensor(1.0).scatter_add(0, ml.tensor(0), ml.tensor(2.0)).item() == 3
    assert x.scatter_add(0, ml.tensor([], dtype="int64"), src).tolist() == [0, 0, 0]


def test_index_select_and_take_along_dim():
    x = ml.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    assert x.index_select(1, ml.tensor([2, 0])).tolist() == [[3, 1], [6, 4]]
    assert (
        x.index_select(0, ml.tensor(1)).tolist() == [[4, 5, 6]]
        and ml.tensor(1.0).index_select(0, ml.tensor([0])).item() == 1
    )
    order = ml.tensor(np.argsort(-x.data, 1))
    assert x.take_along_dim(order, 1).tolist() == [[3, 2, 1], [6, 5, 4]]
    assert x.take_along_dim(x.argmax(1, keepdim=True), 1).tolist() == [[3], [6]]
    assert ml.take_along_dim(x, ml.tensor([[5, 0]])).tolist() == [6, 1]
    with pytest.raises(ShapeError, match=r"take_along_dim: indices of shape \(1,\) need as many dimensions"):
        x.take_along_dim(ml.tensor([0]), 1)
    with pytest.raises(ShapeError, match="take_along_dim: shapes"):
        x.take_along_dim(ml.tensor([[0], [0], [0]]), 1)


@pytest.mark.parametrize("name", ["gather", "scatter_add", "index_select"])
def test_bad_arguments(name):
    x, source = ml.zeros(2, 3), () if name != "scatter_add" else (ml.ones(2, 3),)
    good = ml.tensor([1]) if name == "index_select" else ml.tensor([[1]])
    call = getattr(x, name)
    with pytest.raises(OutOfRangeError, match=f"{name}: index 3 is out of range for length 3"):
        call(1, good + 2, *source)
    with pytest.raises(OutOfRangeError, match=f"{name}: index -1 is out of range"):
        call(1, good - 2, *source)
    with pytest.raises(DtypeError, match=f"{name}: index must be an integer tensor, got float32"):
        call(1, good.float(), *source)
    with pytest.raises(ArgumentTypeError, match=f"{name}: index must be a Tensor, got list"):
        call(1, [0], *source)
    with pytest.raises(OutOfRangeError, match=f"{name}: dim 2"):
        call(2, good, *source)
    wrong = ml.zeros(2, 2, dtype="int64") if name == "index_select" else ml.zeros(3, 1, dtype="int64")
    with pytest.raises(ShapeError, match=f"{name}: index"):
        call(1, wrong, *source)


def test_sources_must_cover_the_index():
    with pytest.raises(
        ShapeError, match=r"scatter_add: index of shape \(2, 2\) does not fit within src of shape \(2, 1\)"
    ):
        ml.zeros(2, 3).scatter_add(1, ml.zeros(2, 2, dtype="int64"), ml.ones(2, 1))
    with pytest.raises(ArgumentTypeError, match="scatter_add: src must be a Tensor, got float"):
        ml.zeros(2).scatter_add(0, ml.tensor([0]), 1.0)
    with pytest.raises(ShapeError, match=r"gather: index of shape \(1,\)"):
        ml.zeros(2, 3).gather(1, ml.tensor([0]))


def test_masked_select():
    x = ml.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    y = x.masked_select(ml.tensor([True, False]))
    assert y.tolist() == [1, 3]
    y.sum().backward()
    assert x.grad.tolist() == [[1, 0], [1, 0]]
    with pytest.raises(DtypeError, match="masked_select: mask must be a boolean tensor, got int64"):
        x.masked_select(ml.tensor([1, 0]))
