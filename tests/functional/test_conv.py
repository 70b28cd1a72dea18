"""Convolution, transposed convolution, unfold and fold: bad input, corner cases, faults of peers.

What they compute, and their gradients, is checked through tests/op_cases/conv.py.
"""

import numpy as np
import pytest

import minidl as ml
import minidl.functional as F
from minidl.autograd import gradcheck, gradgradcheck
from minidl.errors import ArgumentError, ArgumentTypeError, DtypeError, ShapeError
from tests.tolerances import assert_close

CONVOLUTIONS = [F.conv1d, F.conv2d, F.conv3d, F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d]


def dims_of(op):
    return int(op.__name__[-2])


def operands(op, channels=4, filters=6, groups=1):
    """x, weight and bias that fit each other."""
    dims = dims_of(op)
    transposed = "transpose" in op.__name__
    weight = (channels, filters // groups) if transposed else (filters, channels // groups)
    return ml.randn(2, channels, *(5,) * dims), ml.randn(*weight, *(3,) * dims), ml.randn(filters)


@pytest.fixture(params=CONVOLUTIONS, ids=lambda op: op.__name__)
def op(request):
    return request.param


# What all of them do ------------------------------------------------------------------------------


def test_second_derivative_with_respect_to_the_weight():
    """DeZero crashes here: the backward of its weight gradient takes a weak reference to its output for a gradient."""
    x, w = ml.randn(2, 3, 5, 5, dtype=ml.float64), ml.randn(4, 3, 3, 3, dtype=ml.float64, requires_grad=True)
    y = F.conv2d(x, w, stride=2, padding=1)
    (gw,) = ml.grad((y**3).sum(), [w], create_graph=True)
    (gw**2).sum().backward()
    assert w.grad.shape == w.shape
    assert gradgradcheck(lambda w: F.conv2d(x, w, stride=2, padding=1) ** 3, [w])


def test_third_derivative():
    x = ml.randn(1, 2, 3, 3, dtype=ml.float64)
    w = ml.randn(2, 2, 2, 2, dtype=ml.float64, requires_grad=True)

    def gradient(w):
        return ml.grad((F.conv2d(x, w) ** 4).sum(), [w], create_graph=True)[0]

    assert gradgradcheck(gradient, [w])


def test_operands_that_share_a_tensor():
    """x convolved with itself: both gradients reach the same leaf."""
    x = ml.randn(1, 1, 4, 4, dtype=ml.float64, requires_grad=True)
    assert gradcheck(lambda x: F.conv2d(x, x, padding=2), [x])


def test_frozen_weight_and_bias_get_no_gradient(op):
    x, w, b = operands(op)
    x.requires_grad = True
    op(x, w, b).sum().backward()
    assert x.grad.shape == x.shape and w.grad is None and b.grad is None


def test_numpy_integers_are_settings_too(op):
    x, w, _ = operands(op)
    assert op(x, w, stride=np.int64(2), groups=np.int32(1)).shape == op(x, w, stride=2).shape


def test_one_entry_serves_all_dimensions(op):
    x, w, _ = operands(op)
    assert op(x, w, stride=(2,), padding=[1]).shape == op(x, w, stride=2, padding=1).shape


def test_float32_stays_float32(op):
    assert op(*operands(op)).dtype == ml.float32


def test_dimensions_of_length_zero(op):
    """No samples give no output, but gradients of the parameters: zeros."""
    x, w, b = operands(op)
    w.requires_grad = b.requires_grad = True
    y = op(x[:0], w, b)
    assert y.shape == (0, *op(x, w, b).shape[1:])
    y.sum().backward()
    assert not w.grad.data.any() and not b.grad.data.any()


def test_pixels_out_of_padding_alone():
    y = F.conv2d(ml.zeros(1, 1, 0, 3), ml.ones(1, 1, 2, 2), ml.tensor([7.0]), padding=1)
    assert y.tolist() == [[[[7.0] * 4]]]


def test_the_transposed_convolution_is_the_adjoint(rng):
    """⟨conv(x), y⟩ = ⟨x, convᵀ(y)⟩, for a size that the stride does not divide."""
    x, y, w = (ml.tensor(rng.standard_normal(shape)) for shape in ((2, 3, 8, 7), (2, 4, 4, 3), (4, 3, 3, 3)))
    forwards = (F.conv2d(x, w, stride=2, padding=(1, 0)) * y).sum()
    backwards = (F.conv_transpose2d(y, w, stride=2, padding=(1, 0), output_padding=(1, 0)) * x).sum()
    assert_close(forwards.numpy(), backwards.numpy())


def test_output_padding_beyond_the_stride_where_the_dilation_allows_it():
    x, w = ml.ones(1, 1, 2), ml.ones(1, 1, 2)
    assert F.conv_transpose1d(x, w, dilation=3, output_padding=2).tolist() == [[[1, 1, 0, 1, 1, 0, 0]]]


def test_depthwise_convolution_keeps_channels_apart():
    x = ml.tensor(np.array([1.0, 10.0, 100.0]).reshape(1, 3, 1, 1) * np.ones((1, 3, 2, 2)))
    w = ml.tensor(np.array([1.0, 2.0, 3.0]).reshape(3, 1, 1, 1) * np.ones((3, 1, 2, 2)))
    assert F.conv2d(x, w, groups=3).flatten().tolist() == [4, 80, 1200]


def test_same_padding_puts_the_odd_row_at_the_far_end():
    x, w = ml.tensor([[[1.0, 2.0, 3.0]]]), ml.tensor([[[1.0, 10.0]]])
    assert F.conv1d(x, w, padding="same").tolist() == [[[21.0, 32.0, 3.0]]]


def test_names_in_the_graph():
    x, w, _ = operands(F.conv2d)
    w.requires_grad = True
    assert F.conv2d(x, w).grad_fn.name == "conv2d"
    x, w, _ = operands(F.conv_transpose3d)
    w.requires_grad = True
    assert F.conv_transpose3d(x, w).grad_fn.name == "conv_transpose3d"


def test_inputs_are_not_written_to(op):
    x, w, b = operands(op)
    before = [t.data.copy() for t in (x, w, b)]
    for t in (x, w, b):
        t.data.flags.writeable = False
    op(x, w, b)
    for t, kept in zip((x, w, b), before, strict=True):
        np.testing.assert_array_equal(t.data, kept)


def test_results_do_not_share_scratch_memory(op):
    """A kernel's working memory is used again by the next call; its results must not lie in it."""
    x, w, b = operands(op)
    first = op(x, w, b)
    kept = first.data.copy()
    op(x * 2, w * 3, b)
    np.testing.assert_array_equal(first.data, kept)


# Bad input ----------------------------------------------------------------------------------------


def test_wrong_channels_say_both_numbers():
    with pytest.raises(ShapeError, match=r"conv2d: x has 3 channels but weight expects 4 \(x \(8, 3, 9, 9\), weight"):
        F.conv2d(ml.zeros(8, 3, 9, 9), ml.zeros(16, 4, 3, 3))
    with pytest.raises(ShapeError, match=r"expects 8 .* = 4 · 2: change one of them"):
        F.conv2d(ml.zeros(8, 4, 9, 9), ml.zeros(16, 4, 3, 3), groups=2)
    with pytest.raises(ShapeError, match="conv_transpose2d: x has 3 channels but weight expects 4"):
        F.conv_transpose2d(ml.zeros(8, 3, 9, 9), ml.zeros(4, 16, 3, 3))


def test_wrong_rank_of_x(op):
    x, w, _ = operands(op)
    with pytest.raises(ShapeError, match=rf"{op.__name__}: x must have the shape \(N, C, .*\) or \(C, .*\), got"):
        op(x[0, 0], w)
    with pytest.raises(ShapeError, match="reshape or unsqueeze it"):
        op(x.unsqueeze(0), w)


def test_wrong_rank_of_weight(op):
    x, w, _ = operands(op)
    with pytest.raises(ShapeError, match=rf"{op.__name__}: weight must have {dims_of(op) + 2} dimensions"):
        op(x, w[0])
    with pytest.raises(ShapeError, match="none of length 0"):
        op(x, w[..., :0])


def test_wrong_bias(op):
    x, w, _ = operands(op)
    with pytest.raises(
        ShapeError, match=r"bias has the shape \(5,\) but there are 6 output channels; it must be \(6,\)"
    ):
        op(x, w, ml.zeros(5))
    with pytest.raises(ShapeError, match=r"bias has the shape \(6, 1\)"):
        op(x, w, ml.zeros(6, 1))


def test_kernel_larger_than_the_padded_input():
    with pytest.raises(
        ShapeError, match=r"the kernel spans 5 elements but the padded input has only 4 \(x \(1, 1, 2, 9\)"
    ):
        F.conv2d(ml.zeros(1, 1, 2, 9), ml.zeros(1, 1, 3, 3), padding=1, dilation=2)
    with pytest.raises(ShapeError, match=r"size \+ 2·padding must be at least dilation·\(kernel − 1\) \+ 1"):
        F.conv1d(ml.zeros(1, 1, 2), ml.zeros(1, 1, 3))


def test_groups_that_do_not_divide():
    with pytest.raises(ArgumentError, match="conv2d: groups 4 does not divide the 6 output channels"):
        F.conv2d(ml.zeros(1, 8, 3, 3), ml.zeros(6, 2, 3, 3), groups=4)
    with pytest.raises(ArgumentError, match="conv_transpose2d: groups 4 does not divide the 6 input channels"):
        F.conv_transpose2d(ml.zeros(1, 6, 3, 3), ml.zeros(6, 2, 3, 3), groups=4)


@pytest.mark.parametrize("groups, error, message", [
    (0, ArgumentError, "groups must be at least 1, got 0"),
    (-1, ArgumentError, "groups must be at least 1, got -1"),
    (1.0, ArgumentTypeError, "groups must be an integer, got 1.0"),
    (True, ArgumentTypeError, "groups must be an integer, got True"),
])  # fmt: skip
def test_groups_that_are_no_number_of_groups(op, groups, error, message):
    x, w, _ = operands(op)
    with pytest.raises(error, match=f"{op.__name__}: {message}"):
        op(x, w, groups=groups)


@pytest.mark.parametrize("settings, message", [
    ({"stride": 0}, "stride must be at least 1, got 0"),
    ({"stride": -2}, "stride must be at least 1, got -2"),
    ({"dilation": 0}, "dilation must be at least 1, got 0"),
    ({"padding": -1}, "padding must be at least 0, got -1"),
    ({"stride": (1, 1, 1, 1)}, "stride must have"),
    ({"padding": ()}, "padding must have"),
])  # fmt: skip
def test_settings_out_of_range(op, settings, message):
    x, w, _ = operands(op)
    with pytest.raises(ArgumentError, match=message):
        op(x, w, **settings)


@pytest.mark.parametrize("settings", [{"stride": 1.5}, {"dilation": "2"}, {"stride": None}, {"padding": (0.5,)}])
def test_settings_of_a_wrong_type(op, settings):
    x, w, _ = operands(op)
    with pytest.raises(ArgumentTypeError, match=next(iter(settings))):
        op(x, w, **settings)


def test_padding_in_words():
    x, w, _ = operands(F.conv2d)
    with pytest.raises(ArgumentError, match=r"conv2d: padding 'same' needs stride 1, got stride \(2, 1\)"):
        F.conv2d(x, w, stride=(2, 1), padding="same")
    with pytest.raises(ArgumentError, match="padding must be an integer, a tuple, 'same' or 'valid', got 'full'"):
        F.conv2d(x, w, padding="full")
    with pytest.raises(
        ArgumentTypeError, match="conv_transpose2d: padding must be an integer or a tuple of 2, got 'same'"
    ):
        F.conv_transpose2d(*operands(F.conv_transpose2d), padding="same")


def test_output_padding_too_large():
    x, w, _ = operands(F.conv_transpose2d)
    with pytest.raises(
        ArgumentError, match=r"output_padding \(2, 2\) must be smaller than stride \(2, 2\) or dilation"
    ):
        F.conv_transpose2d(x, w, stride=2, output_padding=2)
    with pytest.raises(ArgumentError, match="output_padding must be at least 0, got -1"):
        F.conv_transpose2d(x, w, stride=2, output_padding=-1)


def test_transposed_convolution_without_output():
    with pytest.raises(ShapeError, match=r"the output would have the size \(-1, 1\) .* use less padding"):
        F.conv_transpose2d(ml.zeros(1, 1, 1, 3), ml.zeros(1, 1, 1, 1), padding=1)


def test_integers_are_refused(op):
    x, w, b = operands(op)
    with pytest.raises(DtypeError, match=f"{op.__name__}: x must be a floating-point tensor, got int64"):
        op(x.to(ml.int64), w)
    with pytest.raises(DtypeError, match="weight must be a floating-point tensor"):
        op(x, w.to(ml.int64))
    with pytest.raises(DtypeError, match="bias must be a floating-point tensor"):
        op(x, w, b.to(ml.int64))


def test_mixed_float_dtypes_are_refused(op):
    x, w, b = operands(op)
    with pytest.raises(DtypeError, match=f"{op.__name__}: inputs have different float dtypes"):
        op(x, w.to(ml.float64))
    with pytest.raises(DtypeError, match=f"{op.__name__}: inputs have different float dtypes"):
        op(x, w, b.to(ml.float64))


def test_arrays_are_refused(op):
    x, w, b = operands(op)
    for bad in ((x.data, w, b), (x, w.data, b), (x, w, b.data)):
        with pytest.raises(ArgumentTypeError, match=f"{op.__name__}: .* must be a Tensor, got ndarray"):
            op(*bad)


# Unfold and fold ----------------------------------------------------------------------------------


def test_convolution_is_a_matrix_product_of_columns():
    x, w = ml.randn(2, 3, 6, 5, dtype=ml.float64), ml.randn(4, 3, 3, 2, dtype=ml.float64)
    y = w.reshape(4, -1) @ F.unfold(x, (3, 2), padding=1, stride=2)
    assert_close(y.reshape(2, 4, 3, 3).numpy(), F.conv2d(x, w, padding=1, stride=2).numpy())


def test_fold_undoes_unfold_up_to_the_number_of_windows():
    x = ml.randn(1, 2, 5, 6)
    windows = F.fold(F.unfold(ml.ones(1, 2, 5, 6), 3), (5, 6), 3)
    assert_close((F.fold(F.unfold(x, 3), (5, 6), 3) / windows).numpy(), x.numpy())


def test_unfold_refuses():
    x = ml.zeros(1, 2, 4, 4)
    with pytest.raises(ShapeError, match=r"unfold: x must have the shape \(N, C, H, W\) or \(C, H, W\), got \(4, 4\)"):
        F.unfold(x[0, 0], 2)
    with pytest.raises(
        ShapeError, match=r"unfold: a window spans \(5, 5\) elements but the padded image has only \(4, 4\)"
    ):
        F.unfold(x, 3, dilation=2)
    with pytest.raises(ArgumentError, match="unfold: kernel_size must be at least 1, got 0"):
        F.unfold(x, 0)
    with pytest.raises(ArgumentError, match="unfold: stride must be at least 1"):
        F.unfold(x, 2, stride=0)
    with pytest.raises(DtypeError, match="unfold: x must be a floating-point tensor"):
        F.unfold(x.to(ml.int64), 2)
    with pytest.raises(ArgumentTypeError, match="unfold: x must be a Tensor, got list"):
        F.unfold([[1.0]], 1)


def test_fold_refuses():
    x = ml.zeros(1, 8, 9)
    with pytest.raises(
        ShapeError, match=r"fold: x must have the shape \(N, C·kh·kw, L\) or \(C·kh·kw, L\), got \(1, 1, 8, 9\)"
    ):
        F.fold(x.unsqueeze(0), 4, 2)
    with pytest.raises(ShapeError, match=r"fold: x \(1, 8, 9\) has 8 rows, which is no multiple of 9"):
        F.fold(x, 5, 3)
    with pytest.raises(
        ShapeError, match=r"fold: x \(1, 8, 9\) has 9 columns but output_size \(5, 4\) has 4 × 3 windows"
    ):
        F.fold(x, (5, 4), 2)
    with pytest.raises(
        ShapeError, match=r"fold: a window spans \(2, 2\) elements but the padded image has only \(1, 1\)"
    ):
        F.fold(x, 1, 2)
    with pytest.raises(ArgumentError, match="fold: padding must be at least 0"):
        F.fold(x, 4, 2, padding=-1)
    with pytest.raises(DtypeError, match="fold: x must be a floating-point tensor"):
        F.fold(x.to(ml.int64), 4, 2)
