"""pad: bad input, and the corners of PyTorch's semantics."""

import numpy as np
import pytest

import minidl.functional as F
from minidl.autograd import Tensor, grad
from minidl.errors import ArgumentError, ArgumentTypeError, ShapeError


def row(*values):
    return Tensor(np.array([[values]], dtype=np.float32))


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("constant", [0, 0, 1, 2, 3, 0]),
        ("reflect", [3, 2, 1, 2, 3, 2]),
        ("replicate", [1, 1, 1, 2, 3, 3]),
        ("circular", [2, 3, 1, 2, 3, 1]),
    ],
)
def test_the_modes(mode, expected):
    y = F.pad(row(1, 2, 3), (2, 1), mode)
    assert y.dtype == np.float32
    np.testing.assert_array_equal(y.data, [[expected]])


def test_the_gradient_counts_the_copies():
    x = Tensor(np.zeros((1, 1, 4)), requires_grad=True)
    for mode, copies in {"reflect": [1, 3, 2, 1], "replicate": [2, 1, 1, 3], "circular": [2, 2, 1, 2]}.items():
        y = F.pad(x, (1, 2), mode)
        (gx,) = grad(y.sum(), x)
        np.testing.assert_array_equal(gx.data, [[copies]])


def test_bad_input():
    x = Tensor(np.zeros((1, 2, 3, 4)))
    with pytest.raises(ArgumentTypeError, match="pad: x must be a Tensor, got ndarray"):
        F.pad(x.data, (1, 1))
    with pytest.raises(ArgumentError, match="pad: mode must be one of constant, .*; got 'symmetric'"):
        F.pad(x, (1, 1), "symmetric")
    with pytest.raises(ArgumentError, match="pad: mode 'reflect' takes no value, got 1.0"):
        F.pad(x, (1, 1), "reflect", 1.0)
    with pytest.raises(ArgumentTypeError, match=r"pad: pad must be a sequence of integers .*, got 3"):
        F.pad(x, 3)
    with pytest.raises(ArgumentTypeError, match=r"pad: pad must be a sequence of integers .*, got \(1.5, 1\)"):
        F.pad(x, (1.5, 1))
    with pytest.raises(ShapeError, match=r"pad: got 3 widths \(1, 1, 1\) for x \(1, 2, 3, 4\)"):
        F.pad(x, (1, 1, 1))
    with pytest.raises(ShapeError, match=r"pad: got 10 widths .* at most 8"):
        F.pad(x, (1,) * 10)


def test_widths_that_do_not_fit():
    x = Tensor(np.zeros((1, 2, 3, 4)))
    with pytest.raises(ShapeError, match=r"pad: reflect needs widths below the size, got \(0, 3\) for size 3"):
        F.pad(x, (1, 1, 0, 3), "reflect")
    with pytest.raises(ShapeError, match=r"pad: reflect needs widths below the size, got \(-2, 2\) for size 2"):
        F.pad(x, (-2, 2), "reflect")
    with pytest.raises(ShapeError, match=r"pad: circular needs widths up to the size, got \(5, 0\) for size 4"):
        F.pad(x, (5, 0), "circular")
    with pytest.raises(ShapeError, match=r"pad: widths \(-3, -2\) leave -1 of size 4"):
        F.pad(x, (-3, -2))
    with pytest.raises(ShapeError, match=r"pad: widths \(1, 1\) leave 0 of size 0"):
        F.pad(Tensor(np.zeros((2, 0))), (1, 1), "replicate")


def test_edges_of_what_fits():
    x = Tensor(np.arange(4.0).reshape(1, 4))
    assert F.pad(x, (3, 3), "reflect").shape == (1, 10)
    assert F.pad(x, (4, 4), "circular").shape == (1, 12)
    assert F.pad(x, (9, 9), "replicate").shape == (1, 22)
    assert F.pad(x, (-2, -2)).shape == (1, 0)
    assert F.pad(Tensor(np.zeros((2, 0))), (1, 1)).shape == (2, 2)
    assert F.pad(Tensor(np.zeros((0, 3))), (1, 1, 0, 0), "reflect").shape == (0, 5)
    np.testing.assert_array_equal(F.pad(x, ()).data, x.data)
    np.testing.assert_array_equal(F.pad(x, [1, 0], value=7).data, [[7, 0, 1, 2, 3]])


def test_integers_can_be_padded():
    y = F.pad(Tensor(np.array([1, 2])), (1, 1), value=-1)
    assert y.dtype == np.int64
    np.testing.assert_array_equal(y.data, [-1, 1, 2, -1])


def test_reflect_with_a_value_of_zero_is_allowed_as_in_pytorch():
    np.testing.assert_array_equal(F.pad(row(1, 2), (1, 0), "reflect", 0).data, [[[2, 1, 2]]])
