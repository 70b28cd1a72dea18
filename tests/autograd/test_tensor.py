"""What a tensor is, as an array, a number, a container and a key; and what it refuses, always with advice."""

import copy
import operator
import pickle

import numpy as np
import pytest

import minidl as ml
from minidl import nn
from minidl.autograd import Tensor, as_tensor
from minidl.errors import (
    ArgumentTypeError,
    DeviceError,
    DtypeError,
    GradientError,
    InPlaceError,
    MinidlError,
    MissingAttributeError,
    OutOfRangeError,
    ShapeError,
)


@pytest.fixture
def x():
    return ml.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])


def leaf(*values):
    return ml.tensor(values, requires_grad=True)


def test_attributes(x):
    assert (x.shape, x.ndim, x.dim(), x.numel(), len(x)) == ((2, 3), 2, 2, 6, 2)
    assert x.size() == (2, 3) and x.size(0) == 2 and x.size(-1) == 3 and x.size(np.int64(1)) == 3
    assert x.dtype == ml.float32 and x.device == "cpu" and x.device == ml.device("cpu")
    assert (x.itemsize, x.nbytes) == (4, 24)
    assert x.is_floating_point() and not ml.tensor([1]).is_floating_point()
    assert x.is_contiguous() and not x.T.is_contiguous()
    assert x.grad is None and x.grad_fn is None and x.is_leaf and not x.requires_grad


@pytest.mark.parametrize("dim", [2, -3])
def test_size_out_of_range(x, dim):
    with pytest.raises(OutOfRangeError, match=rf"size: dim {dim} is out of range for a tensor of shape \(2, 3\)"):
        x.size(dim)


def test_size_of_no_dimension(x):
    with pytest.raises(ArgumentTypeError, match="size: dim must be an integer, got 'a'"):
        x.size("a")


def test_construction_takes_arrays_only():
    with pytest.raises(ArgumentTypeError, match=r"Tensor: expected a NumPy or CuPy array, got list; use minidl.tensor"):
        Tensor([1.0])
    for array in (np.zeros(2, np.complex64), np.array(["a"]), np.zeros(2, np.uint16), np.zeros(2, ">f4")):
        with pytest.raises(DtypeError, match="is not supported; minidl has float32, float64"):
            Tensor(array)
    array = np.zeros(3)
    assert Tensor(array).data is array


def test_requires_grad():
    x = leaf(1.0, 2.0)
    y = x * 2
    assert x.requires_grad and x.is_leaf and y.requires_grad and not y.is_leaf
    assert x.requires_grad_(False) is x and not x.requires_grad
    assert x.requires_grad_().requires_grad
    with pytest.raises(DtypeError, match="only floating-point tensors can require gradients, this one is int64"):
        ml.tensor([1], requires_grad=True)
    with pytest.raises(DtypeError, match="this one is bool"):
        ml.tensor([True]).requires_grad_()
    with pytest.raises(GradientError, match="cannot be switched off for the result of mul; use x.detach"):
        y.requires_grad = False


def test_detach_shares_memory_but_no_history():
    x = leaf(1.0, 2.0)
    y = (x * 2).detach()
    assert y.is_leaf and not y.requires_grad
    assert x.detach().data is x.data
    assert type(nn.Parameter(np.ones(2)).detach()) is Tensor


# Leaving --------------------------------------------------------------------------------------------------------------


def test_item():
    assert ml.tensor(1.5).item() == 1.5 and type(ml.tensor([[2]]).item()) is int
    assert type(ml.tensor(True).item()) is bool
    assert leaf(3.0).item() == 3.0
    with pytest.raises(ShapeError, match=r"item: needs a tensor of one element, this one has 6 \(shape \(2, 3\)\)"):
        ml.ones(2, 3).item()


def test_numpy():
    x = ml.tensor([1.0, 2.0])
    assert x.numpy() is x.data
    with pytest.raises(GradientError, match=r"requires a gradient.*use x.detach\(\).numpy\(\)"):
        leaf(1.0).numpy()
    with pytest.raises(RuntimeError, match="detach"):
        np.asarray(leaf(1.0))


def test_numpy_functions_take_tensors(x):
    assert np.asarray(x) is x.data
    assert np.array(x, dtype=np.float64).dtype == np.float64
    assert not np.shares_memory(np.array(x), x.data)
    assert np.array(x, copy=None) is x.data
    np.testing.assert_array_equal(np.stack([x, x]), np.stack([x.data, x.data]))
    with pytest.raises(ValueError, match="copy"):
        np.array(x, dtype=np.float64, copy=False)


def test_a_tensor_on_a_gpu_does_not_come_to_the_host_by_itself(stand_in):
    x = Tensor(stand_in.asarray(np.ones(2, np.float32)))
    assert x.device == "cuda" and x.device == ml.device("cuda:0")
    with pytest.raises(DeviceError, match=r"numpy: the tensor is on cuda:0; call .cpu\(\) first"):
        x.numpy()
    with pytest.raises(DeviceError, match="call .cpu"):
        np.asarray(x)
    assert x.tolist() == [1, 1] and repr(x) == "tensor([1., 1.], device='cuda:0')"
    assert x.cpu().device == "cpu" and x.cpu().numpy().tolist() == [1, 1]
    assert x.cuda() is x and x.to("cuda:0") is x
    assert x.cuda(1).device == "cuda:1"
    assert ml.ones(2).cuda().device == "cuda:0"


def test_gradients_are_moved_back(stand_in):
    x = ml.ones(2, requires_grad=True)
    y = x.cuda("cuda:1")
    assert y.requires_grad and y.device == "cuda:1"
    y.backward(ml.tensor([2.0, 3.0]).cuda(1))
    assert x.grad.device == "cpu" and x.grad.tolist() == [2, 3]


def test_tolist(x):
    assert x.tolist() == [[1, 2, 3], [4, 5, 6]]
    assert ml.tensor(2).tolist() == 2
    assert leaf(1.0).tolist() == [1.0]


def test_numbers():
    assert float(ml.tensor([1.5])) == 1.5 and int(ml.tensor(2.9)) == 2
    assert [10, 20, 30][ml.tensor(1)] == 20 and list(range(ml.tensor([3]))) == [0, 1, 2]
    with pytest.raises(TypeError, match="only an integer tensor of one element can be an index, this one is float32"):
        [1, 2][ml.tensor(1.0)]
    for convert in (float, int):
        with pytest.raises(ShapeError, match="item: needs a tensor of one element"):
            convert(ml.ones(2))


def test_truth():
    assert ml.tensor(1.0) and not ml.tensor([0]) and not ml.tensor([[False]])
    for shape in ((2,), (0,)):
        with pytest.raises(ShapeError, match=rf"truth value of a tensor of shape \({shape[0]},\) is ambiguous"):
            bool(ml.ones(*shape))
    with pytest.raises(ValueError, match="ambiguous"):
        if ml.ones(2) > 0:
            pass


def test_format():
    loss = ml.tensor(2.345)
    assert f"{loss:.2f}" == "2.35" or f"{loss:.2f}" == "2.34"
    assert f"{ml.tensor(3):04d}" == "0003" and f"{ml.tensor([1.5]):.1f}" == "1.5"
    assert f"{ml.tensor(1.5)}" == "1.5" and f"{ml.tensor([1.5])}" == "tensor([1.5])"
    with pytest.raises(ShapeError, match="item: needs a tensor of one element"):
        f"{ml.ones(2):.2f}"


def test_repr():
    assert repr(ml.tensor([1.0, 2.0])) == "tensor([1., 2.])"
    assert repr(ml.tensor([1, 2])) == "tensor([1, 2])"
    assert repr(ml.tensor(True)) == "tensor(True)"
    assert repr(ml.tensor([1], dtype="uint8")) == "tensor([1], dtype=uint8)"
    assert repr(leaf(1.0)) == "tensor([1.], requires_grad=True)"
    assert repr(leaf(1.0) * 2) == "tensor([2.], grad_fn=<mul>)"
    assert repr(nn.Parameter(np.ones(1))) == "parameter([1.], dtype=float64, requires_grad=True)"
    assert "..." in repr(ml.zeros(1000)) and len(repr(ml.zeros(1000))) < 200
    assert str(ml.tensor([[1.0], [2.0]])) == "tensor([[1.],\n        [2.]])"


# As a container -------------------------------------------------------------------------------------------------------


def test_length_and_iteration(x):
    assert [row.tolist() for row in x] == x.tolist()
    first, second = x
    assert second.tolist() == [4, 5, 6]
    y = leaf(1.0, 2.0)
    a, b = y
    (a * 3 + b).backward()
    assert y.grad.tolist() == [3, 1]
    assert list(ml.ones(0, 3)) == []
    with pytest.raises(TypeError, match="iteration over a tensor without dimensions"):
        iter(ml.tensor(1.0))
    with pytest.raises(TypeError, match="len.. of a tensor without dimensions"):
        len(ml.tensor(1.0))


def test_contains(x):
    assert 3 in x and 3.0 in x and 7 not in x
    assert ml.tensor(3.0) in x and np.float64(3) in x
    assert ml.tensor([1.0, 2.0, 3.0]) in x
    with pytest.raises(TypeError, match="got NoneType"):
        None in x  # noqa: B015
    with pytest.raises(ShapeError, match="cannot be broadcast"):
        ml.ones(2) in x  # noqa: B015


def test_tensors_cannot_be_assigned_into(x):
    for index in (0, slice(None), (0, 1), x > 2, [0, 1]):
        with pytest.raises(
            InPlaceError, match=r"cannot be assigned into.*where\(mask, a, b\), scatter_add, pad or cat"
        ):
            x[index] = 0.0
    with pytest.raises(TypeError, match="x.data"):
        leaf(1.0)[0] = 2.0
    assert x.tolist() == [[1, 2, 3], [4, 5, 6]]


def test_augmented_assignment_makes_a_new_tensor():
    x = leaf(1.0, 2.0)
    first = y = x * 1
    y += 1
    y *= 2
    y -= 1
    y /= 2
    assert y is not first and first.tolist() == [1, 2] and y.tolist() == [1.5, 2.5]
    y.sum().backward()
    assert x.grad.tolist() == [1, 1]


def test_augmented_assignment_to_a_leaf_that_requires_grad():
    """An optimizer's loop over parameters must not silently change nothing."""
    x = leaf(1.0, 2.0)
    for change in (operator.iadd, operator.isub, operator.imul, operator.itruediv):
        with pytest.raises(InPlaceError, match=r"x .= y: x, of shape \(2,\), is a leaf .* within no_grad\(\)"):
            change(x, 1.0)
    saved = (x * x).sum()
    with ml.no_grad():
        for parameter in [x]:
            parameter -= 0.5 * ml.ones(2)
        with pytest.raises(ShapeError, match=r"x has shape \(2,\), but x \+ y has shape \(3, 2\)"):
            x += ml.ones(3, 1)
    assert parameter is x and x.requires_grad and x.tolist() == [0.5, 1.5]
    with pytest.raises(InPlaceError, match="changed in place"):
        saved.backward()


@pytest.mark.parametrize("name", ["add_", "zero_", "copy_", "clamp_"])
def test_methods_that_write_in_place_are_refused_with_advice(name):
    with pytest.raises(MissingAttributeError, match=f"no attribute '{name}'; tensors are not changed in place"):
        getattr(ml.ones(2), name)
    assert not hasattr(ml.ones(2), name)


def test_unknown_attributes():
    with pytest.raises(AttributeError, match="a Tensor has no attribute 'colour'$"):
        ml.ones(2).colour  # noqa: B018
    with pytest.raises(AttributeError, match="'colour'"):
        ml.ones(2).colour = 1


# As a key -------------------------------------------------------------------------------------------------------------


def test_tensors_are_keys_by_identity():
    a, b = ml.ones(2), ml.ones(2)
    table = {a: "a", b: "b"}
    assert table[a] == "a" and table[b] == "b" and len({a, b, a}) == 2
    assert hash(a) != hash(b)


def test_comparison_with_what_is_no_number(x):
    for other in (None, "a", [1, 2], object(), {}, (1,)):
        assert (x == other) is False
        assert (x != other) is True
    for compare in (lambda a, b: a < b, lambda a, b: a >= b):
        with pytest.raises(ArgumentTypeError, match="got NoneType"):
            compare(x, None)
    assert (None == x) is False  # noqa: E711
    assert x.eq(1).tolist()[0] == [True, False, False]
    with pytest.raises(TypeError, match="got NoneType"):
        x.eq(None)


# Copies ---------------------------------------------------------------------------------------------------------------


def test_deepcopy():
    x = leaf(1.0, 2.0)
    (x * 2).sum().backward()
    y = copy.deepcopy(x)
    assert y is not x and y.requires_grad and y.grad is not x.grad
    assert not np.shares_memory(y.data, x.data) and not np.shares_memory(y.grad.data, x.grad.data)
    assert y.grad.tolist() == [2, 2] and y.tolist() == [1, 2]
    a, b = copy.deepcopy([x, x])
    assert a is b
    p = copy.deepcopy(nn.Parameter(np.ones((2, 3)).T, requires_grad=False))
    assert type(p) is nn.Parameter and not p.requires_grad and p.data.strides == (8, 24)
    with pytest.raises(GradientError, match="deepcopy: only leaf tensors can be copied, this one was made by mul"):
        copy.deepcopy(x * 2)


def test_pickle():
    x = leaf(1.0, 2.0)
    y = pickle.loads(pickle.dumps(x))
    assert y.tolist() == [1, 2] and y.requires_grad and y.is_leaf
    assert (y * 2).requires_grad


def test_clone_keeps_the_gradient_flowing():
    x = leaf(1.0, 2.0)
    y = x.clone()
    assert not np.shares_memory(x.data, y.data)
    y.sum().backward()
    assert x.grad.tolist() == [1, 1]
    with pytest.raises(ArgumentTypeError, match="clone: input 0 must be a Tensor"):
        ml.clone([1.0])


# Operands -------------------------------------------------------------------------------------------------------------


def test_as_tensor():
    like = ml.ones(2)
    assert as_tensor(like, like) is like
    assert as_tensor(2, like).dtype == np.float32 and as_tensor(np.float64(2), like).dtype == np.float32
    assert as_tensor(np.ones(2), like).dtype == np.float64
    assert as_tensor(2.5, ml.tensor([1])).dtype == np.float32
    assert as_tensor(2, ml.tensor([True])).dtype == np.int64
    assert as_tensor(True, ml.tensor([1])).dtype == np.int64
    with pytest.raises(OutOfRangeError, match="300 does not fit into a tensor of dtype uint8"):
        as_tensor(300, ml.tensor([1], dtype="uint8"))
    for value in ("1", 1j, [1], None):
        with pytest.raises(ArgumentTypeError, match="expected a Tensor, an array or a real number, got"):
            as_tensor(value, like)


def test_every_refusal_is_an_error_of_minidl(x):
    for call in (
        lambda: x + "a",
        lambda: x + None,
        lambda: [1] * x,
        lambda: x @ 2,
        lambda: x**None,
        lambda: x["a"],
        lambda: x[1.5],
        lambda: x[5],
        lambda: x.sum(7),
        lambda: x.sum("a"),
        lambda: x.reshape(7),
        lambda: x.reshape("a"),
        lambda: x.to("nowhere"),
        lambda: ~x,
        lambda: x & 1,
        lambda: -ml.tensor([True]),
    ):
        with pytest.raises(MinidlError, match="."):
            call()
