"""Shapes: views where they can be, PyTorch's corner cases, bad sizes and dimensions."""

import numpy as np
import pytest

import minidl as ml
from minidl import functional as F
from minidl.errors import ArgumentError, ArgumentTypeError, DtypeError, MinidlError, OutOfRangeError, ShapeError


@pytest.fixture
def x():
    return ml.arange(24.0).reshape(2, 3, 4)


def test_reshape_forms(x):
    for y in (x.reshape(6, 4), x.reshape((6, 4)), x.reshape([6, -1]), x.view(-1, 4), ml.reshape(x, (6, 4))):
        assert y.shape == (6, 4)
    assert x.reshape(-1).shape == (24,) and ml.tensor(1.0).reshape(1, 1).shape == (1, 1)
    assert ml.ones(1).reshape(()).shape == () and x.reshape(np.int64(6), 4).shape == (6, 4)
    assert ml.ones(0, 3).reshape(3, -1).shape == (3, 0) and ml.ones(2, 0).reshape(0).shape == (0,)


@pytest.mark.parametrize(
    "shape, message",
    [
        ((5, 5), r"reshape: shape \(5, 5\) does not fit 24 elements \(tensor of shape \(2, 3, 4\)\)"),
        ((-1, 7), r"does not fit 24 elements"),
        ((-1, -1), r"\(-1, -1\) is not a shape"),
        ((-2, 12), r"\(-2, 12\) is not a shape"),
        ((0, -1), r"does not fit 24 elements"),
    ],
)
def test_shapes_that_do_not_fit(x, shape, message):
    with pytest.raises(ShapeError, match=message):
        x.reshape(shape)


@pytest.mark.parametrize("size", [2.0, None, "2", True])
def test_sizes_are_integers(x, size):
    with pytest.raises(ArgumentTypeError, match="sizes must be integers"):
        x.reshape(size, -1)


def test_views_share_memory(x):
    for y in (x.reshape(6, 4), x.T, x.mT, x.permute(2, 0, 1), x[0], x[:, 1:], x.unsqueeze(0), x.expand(5, -1, -1, -1)):
        assert np.shares_memory(x.data, y.data)
    assert not np.shares_memory(x.data, x.permute(2, 0, 1).contiguous().data)
    assert x.contiguous() is x
    y = x.permute(2, 0, 1).contiguous()
    assert y.is_contiguous()
    with pytest.raises(ArgumentTypeError, match="contiguous: x must be a Tensor"):
        F.contiguous([1])


def test_flatten_and_unflatten(x):
    assert x.flatten().shape == (24,) and x.flatten(1).shape == (2, 12) and x.flatten(0, 1).shape == (6, 4)
    assert x.flatten(-2, -1).shape == (2, 12) and x.flatten(1, 1).shape == x.shape
    assert ml.tensor(3.0).flatten().shape == (1,)
    assert x.unflatten(2, (2, -1)).shape == (2, 3, 2, 2) and x.unflatten(-2, (3, 1)).shape == (2, 3, 1, 4)
    with pytest.raises(ArgumentError, match="flatten: start_dim 2 lies behind end_dim 1"):
        x.flatten(2, 1)
    with pytest.raises(OutOfRangeError, match="flatten: dim 3 is out of range for a tensor of 3 dimensions"):
        x.flatten(3)
    with pytest.raises(ShapeError, match="unflatten: shape .* does not fit 4 elements"):
        x.unflatten(2, (3, -1))


def test_squeeze_and_unsqueeze():
    x = ml.ones(1, 2, 1, 3)
    assert x.squeeze().shape == (2, 3) and x.squeeze(0).shape == (2, 1, 3) and x.squeeze(1).shape == x.shape
    assert x.squeeze((0, 2)).shape == (2, 3) and x.squeeze(-2).shape == (1, 2, 3)
    assert x.unsqueeze(0).shape == (1, 1, 2, 1, 3) and x.unsqueeze(-1).shape == (1, 2, 1, 3, 1)
    assert ml.tensor(1.0).unsqueeze(0).shape == (1,) and ml.tensor(1.0).squeeze().shape == ()
    with pytest.raises(OutOfRangeError, match="unsqueeze: dim 5 is out of range"):
        x.unsqueeze(5)


def test_permute_and_transposes(x):
    assert x.permute(2, 0, 1).shape == x.permute((2, 0, 1)).shape == x.permute(-1, 0, 1).shape == (4, 2, 3)
    assert x.transpose(0, 2).shape == (4, 3, 2) and x.mT.shape == (2, 4, 3) and x.T.shape == (4, 3, 2)
    assert ml.ones(2, 3).t().shape == (3, 2) and ml.ones(2).t().shape == (2,) and ml.tensor(1.0).T.shape == ()
    assert ml.tensor(1.0).transpose(0, -1).shape == ()
    for bad in ((0, 1), (0, 1, 2, 0)):
        with pytest.raises(MinidlError, match="permute: .*(does not name each of the 3 dimensions|twice)"):
            x.permute(*bad)
    with pytest.raises(ArgumentError, match="names a dimension twice"):
        x.permute(0, 0, 1)
    with pytest.raises(OutOfRangeError, match="transpose: dim 3"):
        x.transpose(0, 3)
    with pytest.raises(ShapeError, match=r"t: expects at most 2 dimensions, got shape \(2, 3, 4\); use x.mT"):
        x.t()
    with pytest.raises(ShapeError, match="mT: expects at least 2 dimensions"):
        _ = ml.ones(2).mT
    with pytest.raises(ShapeError, match="permute"):
        x.permute(())


def test_expand():
    x = ml.tensor([[1.0], [2.0]], requires_grad=True)
    assert x.expand(2, 3).tolist() == [[1, 1, 1], [2, 2, 2]]
    assert x.expand(4, -1, 3).shape == x.expand((4, -1, 3)).shape == (4, 2, 3)
    assert x.expand(2, 0).shape == (2, 0) and x.expand(-1, -1).shape == (2, 1)
    assert ml.broadcast_to(x, (2, 3)).shape == (2, 3)
    x.expand(4, 2, 3).sum().backward()
    assert x.grad.tolist() == [[12], [12]]
    with pytest.raises(ShapeError, match=r"expand: \(2,\) has fewer dimensions than the tensor's shape \(2, 1\)"):
        x.expand(2)
    for bad in ((3, 3), (-1, 2, 3), (2, -2)):
        with pytest.raises(ShapeError, match=r"expand: shape \(2, 1\) cannot become"):
            x.expand(bad)
    with pytest.raises(ArgumentTypeError, match="expand: sizes must be integers"):
        x.expand(2, 1.5)


def test_repeat():
    x = ml.tensor([1.0, 2.0])
    assert x.repeat(2).tolist() == [1, 2, 1, 2] and x.repeat(2, 1).tolist() == [[1, 2], [1, 2]]
    assert x.repeat((2, 2)).shape == (2, 4) and x.repeat(0).shape == (0,)
    with pytest.raises(ShapeError, match=r"repeat: \(2,\) must give a count ≥ 0 for each of the 2 dimensions"):
        ml.ones(2, 2).repeat(2)
    with pytest.raises(ShapeError, match="repeat"):
        x.repeat(-1)


def test_flip_and_roll():
    x = ml.tensor([[1, 2], [3, 4]])
    assert x.flip(0).tolist() == [[3, 4], [1, 2]] and x.flip(0, 1).tolist() == x.flip((0, 1)).tolist() == [
        [4, 3],
        [2, 1],
    ]
    assert x.flip([-1]).tolist() == [[2, 1], [4, 3]] and x.flip(()).tolist() == x.tolist()
    assert x.roll(1).tolist() == [[4, 1], [2, 3]] and x.roll(1, 0).tolist() == [[3, 4], [1, 2]]
    assert x.roll((1, 1), (0, 1)).tolist() == [[4, 3], [2, 1]] and x.roll(np.int64(1), np.int64(0)).tolist() == [
        [3, 4],
        [1, 2],
    ]
    with pytest.raises(ArgumentError, match="roll: 2 shifts .* need as many dims"):
        x.roll((1, 1))
    with pytest.raises(ArgumentError, match="roll: 2 shifts .* but 1 dims"):
        x.roll((1, 1), 0)
    with pytest.raises(OutOfRangeError, match="flip: dim 2"):
        x.flip(2)


def test_cat_and_stack():
    a, b = ml.ones(2, 3), ml.zeros(2, 1)
    assert ml.cat([a, b], 1).shape == ml.cat((a, b), dim=-1).shape == (2, 4)
    assert ml.stack([a, a]).shape == (2, 2, 3) and ml.stack([a, a], -1).shape == (2, 3, 2)
    assert ml.stack([ml.tensor(1.0), ml.tensor(2.0)]).tolist() == [1, 2]
    assert ml.cat([ml.tensor([]), a]).shape == (2, 3)  # the start of a loop that gathers
    assert ml.cat([ml.tensor([]), ml.tensor([])]).shape == (0,)
    with pytest.raises(ShapeError, match=r"cat: shapes \(2, 3\), \(2, 1\) differ outside dimension 0"):
        ml.cat([a, b])
    with pytest.raises(ShapeError, match="cat: expects at least 1 dimension"):
        ml.cat([ml.tensor(1.0), ml.tensor(2.0)])
    with pytest.raises(ShapeError, match=r"stack: shapes must be equal, got \(2, 3\), \(2, 1\)"):
        ml.stack([a, b])
    for join in (ml.cat, ml.stack):
        with pytest.raises(ArgumentTypeError, match="expects a sequence of Tensors, got Tensor"):
            join(a)
        with pytest.raises(ArgumentError, match="expects at least one Tensor, got an empty sequence"):
            join([])
        with pytest.raises(ArgumentTypeError, match=r"tensors\[1\] must be a Tensor, got list"):
            join([a, [1.0]])
        with pytest.raises(OutOfRangeError, match="dim 3"):
            join([a, a], 3)


def test_cat_dtypes():
    ints, floats = ml.tensor([1]), ml.tensor([2.0])
    assert ml.cat([ints, floats]).dtype == ml.cat([floats, ints]).dtype == np.float32
    assert ml.cat([ints, ml.tensor([True])]).dtype == np.int64
    assert ml.cat([ints.int(), ints]).dtype == np.int64
    with pytest.raises(DtypeError, match="cat: inputs have different float dtypes"):
        ml.cat([floats, floats.double()])


def test_pieces():
    x = ml.arange(7)
    assert [p.tolist() for p in x.split(3)] == [[0, 1, 2], [3, 4, 5], [6]]
    assert [p.tolist() for p in x.split([1, 0, 6])] == [[0], [], [1, 2, 3, 4, 5, 6]]
    assert [len(p) for p in x.chunk(3)] == [3, 3, 1] and [len(p) for p in x.chunk(10)] == [1] * 7
    assert len(x.unbind()) == 7 and x.unbind()[2].item() == 2 and ml.ones(0, 2).unbind() == ()
    assert x.narrow(0, 2, 3).tolist() == [2, 3, 4] and x.narrow(0, -2, 2).tolist() == [5, 6]
    assert x.narrow(0, 7, 0).shape == (0,) and ml.ones(0).split(2)[0].shape == (0,)
    with pytest.raises(ArgumentError, match="split: the size of a piece must be at least 1, got 0"):
        x.split(0)
    with pytest.raises(ShapeError, match=r"split: sizes \[1, 2\] do not add up to 7"):
        x.split([1, 2])
    with pytest.raises(ArgumentError, match="chunk: chunks must be at least 1, got 0"):
        x.chunk(0)
    for start, length in ((5, 3), (-8, 1), (0, -1)):
        with pytest.raises(ArgumentError, match="narrow: .* does not lie in dimension 0"):
            x.narrow(0, start, length)


@pytest.mark.parametrize(
    "call",
    [
        lambda x: x.split(1),
        lambda x: x.chunk(1),
        lambda x: x.unbind(),
        lambda x: x.narrow(0, 0, 1),
        lambda x: x.unflatten(0, (1, 1)),
    ],
)
def test_pieces_of_a_tensor_without_dimensions(call):
    with pytest.raises(ShapeError, match="expects at least 1 dimension, got a tensor without any"):
        call(ml.tensor(1.0))


@pytest.mark.parametrize("dim", [1.0, "0", None, True])
def test_dimensions_are_integers(x, dim):
    for call in (x.unsqueeze, x.unbind, lambda d: x.split(1, d), lambda d: ml.cat([x], d), lambda d: x.transpose(0, d)):
        with pytest.raises(ArgumentTypeError, match="dim must be an integer, got"):
            call(dim)


def test_pieces_that_go_unused_get_zeros():
    x = ml.arange(4.0, requires_grad=True)
    first, *_ = x.split(1)
    first.sum().backward()
    assert x.grad.tolist() == [1, 0, 0, 0]
