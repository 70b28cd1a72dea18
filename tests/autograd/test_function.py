"""Functions made by users: every spelling of apply, settings, what backward may read."""

import numpy as np
import pytest

import minidl as ml
from minidl.autograd import Alias, Function, Tensor, gradcheck, gradgradcheck
from minidl.errors import ArgumentTypeError, DeviceError, DtypeError, GradientError, NotTwiceDifferentiable


def leaf(*values, dtype="float64"):
    return ml.tensor(np.array(values if len(values) != 1 else values[0], dtype), requires_grad=True)


class ScaledSquare(ml.autograd.Function):
    """scale · x², as a user would write it."""

    def __init__(self, *, scale=1.0):
        self.scale = scale

    def forward(self, x):
        return self.scale * x * x

    def backward(self, gy):
        (x,) = self.inputs
        return gy * (2 * self.scale) * x  # a bare Tensor


class Exponential(Function):
    def forward(self, x):
        return np.exp(x)

    def backward(self, gy):
        return gy * self.output(0)


class WithSave(Function):
    saves_inputs = ()
    saves_outputs = ()

    def forward(self, x):
        mask = x > 0
        self.save(mask, 3.0)
        return np.where(mask, x, 0)

    def backward(self, gy):
        mask, factor = self.saved
        assert factor == 3.0
        return (gy * Tensor(mask.astype(gy.dtype)),)


def test_all_spellings_of_apply():
    x = leaf(3.0)
    for y, expected in (
        (ScaledSquare()(x), 9),
        (ScaledSquare(scale=2.0)(x), 18),
        (ScaledSquare.apply(x), 9),
        (ScaledSquare.apply(x, scale=2.0), 18),
        (ScaledSquare().apply(x), 9),
        (ScaledSquare(scale=2.0).apply(x), 18),
    ):
        assert y.item() == expected
        x.grad = None
        y.backward()
        assert x.grad.item() == 2 * expected / 3


def test_functions_of_users_pass_the_checks():
    x = leaf(0.3, -1.2, 2.0)
    for function in (
        ScaledSquare.apply,
        lambda x: ScaledSquare.apply(x, scale=-0.5),
        Exponential.apply,
        WithSave.apply,
    ):
        assert gradcheck(function, x)
        assert gradgradcheck(function, x)


def test_settings_go_by_keyword():
    with pytest.raises(ArgumentTypeError, match="scaled_square: input 1 must be a Tensor, got float; .*by keyword"):
        ScaledSquare.apply(leaf(1.0), 2.0)


def test_inputs_must_be_tensors():
    with pytest.raises(ArgumentTypeError, match="exponential: input 0 must be a Tensor, got list"):
        Exponential.apply([1.0])
    with pytest.raises(TypeError, match="got ndarray; wrap data with minidl.tensor"):
        Exponential()(np.ones(2))


def test_an_instance_is_one_application():
    function = Exponential()
    function(leaf(1.0))
    with pytest.raises(GradientError, match="exponential: this instance was already applied"):
        function(leaf(1.0))


def test_names():
    class LayerNorm2dOfHTMLPages(Function):
        pass

    class _Private(Function):
        pass

    class Named(Function):
        name = "own name"

    class Child(Named):
        pass

    assert LayerNorm2dOfHTMLPages.name == "layer_norm2d_of_htmlpages"
    assert _Private.name == "private"
    assert Named.name == "own name" and Child.name == "child"
    assert repr(Named()) == "<own name>"
    assert repr(Exponential.apply(leaf(1.0)).grad_fn) == "<exponential>"


def test_a_function_without_forward_or_backward():
    class Empty(Function):
        pass

    class Forward(Function):
        def forward(self, x):
            return x + 1

    with pytest.raises(NotTwiceDifferentiable, match="empty: the Function defines no forward"):
        Empty()(leaf(1.0))
    y = Forward()(leaf(1.0))
    with pytest.raises(GradientError, match="forward: the Function defines no backward"):
        y.backward()
    assert Forward()(ml.ones(2)).tolist() == [2, 2]


@pytest.mark.parametrize("value", [3.0, [1.0], None, Tensor(np.ones(2))], ids=["float", "list", "None", "Tensor"])
def test_forward_must_return_arrays(value):
    class Careless(Function):
        def forward(self, x):
            return value

    class Second(Function):
        def forward(self, x):
            return x, value

    kind = type(value).__name__
    with pytest.raises(ArgumentTypeError, match=f"careless: must return NumPy or CuPy arrays, got {kind}"):
        Careless()(leaf(1.0))
    with pytest.raises(ArgumentTypeError, match=f"second: must return NumPy or CuPy arrays, got {kind}"):
        Second()(leaf(1.0))


def test_numpy_scalars_of_forward_become_arrays():
    class Total(Function):
        def forward(self, x):
            return x.sum()

        def backward(self, gy):
            return gy.expand(self.input_shapes[0])

    y = Total.apply(ml.ones(3, requires_grad=True))
    assert type(y.data) is np.ndarray and y.shape == () and y.dtype == np.float32
    assert gradcheck(Total.apply, leaf(1.0, 2.0))


def test_one_float_dtype_in_one_operation():
    class Add(Function):
        def forward(self, a, b, index):
            return a + b

    ints = ml.tensor([1])
    with pytest.raises(DtypeError, match=r"add: inputs have different float dtypes \(float32, float64, int64\)"):
        Add()(ml.ones(1), ml.ones(1, dtype="float64"), ints)
    assert Add()(ml.ones(1), ml.ones(1), ints).dtype == np.float32
    assert Add()(ints, ints, ml.ones(1)).dtype == np.int64


def test_two_devices_in_one_operation(stand_in):
    here, there = ml.ones(2), Tensor(stand_in.asarray(np.ones(2, np.float32)))
    with pytest.raises(DeviceError, match=r"mul: inputs are on different devices \(cpu, cuda:0\); move them with .to"):
        here * there
    with pytest.raises(DeviceError, match="backward: the gradient is on cuda:0 but the tensor on cpu"):
        ml.ones(2, requires_grad=True).backward(there)


def test_a_gradient_on_another_device(stand_in):
    class Moves(Function):
        def forward(self, x):
            return x * 1.0

        def backward(self, gy):
            return Tensor(stand_in.asarray(gy.data))

    with pytest.raises(GradientError, match="moves: backward returned a gradient on cuda:0 for input 0 on cpu"):
        Moves()(leaf(1.0)).backward()


def test_unsaved_positions_cannot_be_read():
    seen = []

    class Second(Function):
        saves_inputs = (1,)
        saves_outputs = (1,)

        def forward(self, a, b):
            return a * b, a + b

        def backward(self, g0, g1):
            seen.extend(self.inputs)
            seen.append(self.output(1))
            assert self.output_arrays[0] is None
            return g1, g1

    a, b = leaf(1.0), leaf(2.0)
    Second()(a, b)[1].backward()
    assert seen[0] is None
    assert (seen[1].item(), seen[2].item()) == (2, 3)
    assert not seen[1].requires_grad and not seen[2].requires_grad


def test_what_backward_reads_is_connected_under_create_graph():
    seen = []

    class Product(Function):
        def forward(self, a, b, c):
            return a * b * c

        def backward(self, gy):
            a, b, c = self.inputs
            seen.append((a, b, c, self.output(0)))
            return gy * b * c, gy * a * c, None

    x, c = leaf(2.0), leaf(5.0).detach()
    inner = x * 3.0
    y = Product()(x, inner, c)
    ml.grad(y, x, create_graph=True)
    a, b, constant, output = seen[0]
    assert a is x
    assert b.grad_fn is inner.grad_fn and b.requires_grad
    assert not constant.requires_grad
    assert output.grad_fn is y.grad_fn


def test_non_contiguous_and_read_only_arrays_reach_forward_as_they_are():
    class Look(Function):
        def forward(self, x):
            assert not x.flags.writeable and not x.flags.c_contiguous
            return x + 0

    array = np.ones((3, 4)).T
    array.flags.writeable = False
    Look()(Tensor(array))


def test_alias():
    x = leaf(1.0, 2.0)
    y = Alias()(x)
    assert y.data is x.data and y.grad_fn.name == "alias"
    assert gradgradcheck(lambda x: Alias()(x) ** 2, x)
