"""Pooling: errors, PyTorch's corner cases, and the faults of peers."""

import numpy as np
import pytest

import minidl.functional as F
from minidl.autograd import Tensor, grad, no_grad
from minidl.errors import ArgumentError, ArgumentTypeError, DtypeError, OutOfRangeError, ShapeError

nan, inf = np.nan, np.inf


def tensor(values, requires_grad=False):
    return Tensor(np.asarray(values, np.float64), requires_grad=requires_grad)


def ones(*shape):
    return Tensor(np.ones(shape, np.float32))


def image(*rows):
    return tensor([[rows]])


# Faults of peers ---------------------------------------------------------------------------------------------------


def test_max_pool_pads_with_minus_infinity_not_zero():
    """DeZero and numpy-ml pad with 0, which wins over an all-negative input."""
    x = -1 - np.arange(16.0).reshape(1, 1, 4, 4)
    y = F.max_pool2d(tensor(x), 3, stride=2, padding=1)
    np.testing.assert_array_equal(y.data, [[[[-1, -2], [-5, -6]]]])


def test_max_pool_backward_counts_a_tie_once():
    """CS231n's mask of equal elements hands the gradient to each of them; only the first one gets it."""
    x = tensor(np.zeros((1, 1, 4, 4)), requires_grad=True)
    (gx,) = grad(F.max_pool2d(x, 2).sum(), x)
    np.testing.assert_array_equal(gx.data[0, 0], [[1, 0, 1, 0], [0, 0, 0, 0], [1, 0, 1, 0], [0, 0, 0, 0]])


def test_avg_pool_takes_rectangular_windows():
    """DeZero's backward divides by the square of one side, and unfolds square windows."""
    x = tensor(np.arange(12.0).reshape(1, 1, 2, 6), requires_grad=True)
    y = F.avg_pool2d(x, (1, 3), stride=(1, 3))
    np.testing.assert_allclose(y.data, [[[[1, 4], [7, 10]]]])
    (gx,) = grad(y.sum(), x)
    np.testing.assert_allclose(gx.data, np.full((1, 1, 2, 6), 1 / 3))


def test_overlapping_windows_add_their_gradients():
    x = tensor([[[1.0, 5.0, 2.0]]], requires_grad=True)
    (gx,) = grad(F.max_pool1d(x, 2, stride=1), x, tensor([[[10.0, 1.0]]]))
    np.testing.assert_array_equal(gx.data, [[[0, 11, 0]]])


def test_pooling_keeps_float32():
    x = Tensor(np.random.default_rng(0).standard_normal((2, 3, 6, 6)).astype(np.float32), requires_grad=True)
    pools = [
        lambda x: F.max_pool2d(x, 3, 2, 1),
        lambda x: F.avg_pool2d(x, 3, 2, 1),
        lambda x: F.adaptive_avg_pool2d(x, 4),
        lambda x: F.adaptive_max_pool2d(x, 4),
        lambda x: F.lp_pool2d(x, 2, 2),
    ]
    for pool in pools:
        y = pool(x)
        assert y.dtype == np.float32
        assert grad(y.sum(), x)[0].dtype == np.float32


# Corner cases of PyTorch -------------------------------------------------------------------------------------------


def test_indices_count_the_flattened_plane_and_need_no_gradient():
    x = tensor(np.arange(16.0).reshape(1, 1, 4, 4), requires_grad=True)
    y, indices = F.max_pool2d(x, 2, return_indices=True)
    np.testing.assert_array_equal(indices.data, [[[[5, 7], [13, 15]]]])
    assert indices.dtype == np.int64 and not indices.requires_grad and y.requires_grad
    np.testing.assert_array_equal(np.take(x.data, indices.data), y.data)


def test_nan_wins_and_the_last_one_is_the_index():
    x = tensor([[[1, nan, 3, nan, 5, 2]]])
    for y, indices in (F.max_pool1d(x, 4, 1, return_indices=True), F.adaptive_max_pool1d(x, 1, return_indices=True)):
        assert np.isnan(y.data).all()
        np.testing.assert_array_equal(indices.data, np.full(indices.shape, 3))


def test_a_window_of_minus_infinities_takes_its_first_element_not_the_padding():
    y, indices = F.max_pool2d(tensor(np.full((1, 1, 3, 3), -inf)), 3, 1, 1, return_indices=True)
    assert (y.data == -inf).all()
    np.testing.assert_array_equal(indices.data[0, 0], [[0, 0, 1], [0, 0, 1], [3, 3, 4]])


def test_max_pool_takes_integers():
    y = F.max_pool2d(Tensor(np.array([[[-4, -3], [-2, -9]]])), 2)
    assert y.dtype == np.int64 and y.tolist() == [[[-2]]]


def test_ceil_mode_drops_a_window_that_would_start_in_the_right_padding():
    x = ones(1, 1, 5, 6)
    assert F.max_pool2d(x, 3, 2, 1, ceil_mode=True).shape == (1, 1, 3, 4)
    assert F.max_pool2d(x, (3, 3), 3, 1, ceil_mode=True).shape == (1, 1, 2, 3)
    assert F.max_pool2d(x, 2, 2, ceil_mode=True).shape == (1, 1, 3, 3)
    assert F.max_pool1d(ones(1, 1, 2), 3, 2, ceil_mode=True).shape == (1, 1, 1)  # larger than the input


def test_average_divisors():
    x = ones(1, 1, 4)
    settings = dict(kernel_size=3, stride=2, padding=1)
    np.testing.assert_allclose(F.avg_pool1d(x, **settings).data, [[[2 / 3, 1]]], rtol=1e-6)
    np.testing.assert_allclose(F.avg_pool1d(x, **settings, count_include_pad=False).data, [[[1, 1]]])
    ceil = F.avg_pool1d(x, **settings, ceil_mode=True)  # the last window has 2 cells: the last element and the padding
    np.testing.assert_allclose(ceil.data, [[[2 / 3, 1, 1 / 2]]], rtol=1e-6)
    np.testing.assert_allclose(F.avg_pool2d(ones(1, 2, 2), 2, divisor_override=-2).data, [[[-2]]])


def test_settings_may_be_tuples_of_one():
    assert F.max_pool2d(ones(1, 1, 4, 6), (2,), (1,), [1]).shape == (1, 1, 5, 7)


def test_adaptive_output_sizes():
    x = ones(2, 3, 4, 5)
    assert F.adaptive_avg_pool2d(x, (None, 2)).shape == (2, 3, 4, 2)
    assert F.adaptive_max_pool2d(x, [None, None]).shape == x.shape
    assert F.adaptive_avg_pool2d(x, 0).shape == (2, 3, 0, 0)
    assert F.adaptive_max_pool2d(x, (0, 2)).shape == (2, 3, 0, 2)
    assert F.adaptive_avg_pool1d(ones(3, 4), None).shape == (3, 4)


def test_unpooling_inverts_pooling_up_to_the_zeros():
    x = tensor(np.random.default_rng(0).permutation(2 * 30).reshape(1, 2, 5, 6) + 1.0)
    y, indices = F.max_pool2d(x, 2, return_indices=True)
    back = F.max_unpool2d(y, indices, 2, output_size=(1, 2, 5, 6))
    np.testing.assert_array_equal(back.data, np.where(np.isin(x.data, y.data), x.data, 0))
    assert F.max_unpool2d(y, indices, 2, output_size=x.shape[-2:]).shape == x.shape
    assert F.max_unpool2d(tensor(y.data[0]), Tensor(indices.data[0]), 2, output_size=x.shape[1:]).shape == x.shape[1:]


def test_unpooling_a_repeated_index_keeps_the_last_value_and_gives_it_the_whole_gradient():
    x = tensor([[[1.0, 2.0, 3.0]]], requires_grad=True)
    y = F.max_unpool1d(x, Tensor(np.array([[[4, 4, 0]]])), 2)
    np.testing.assert_array_equal(y.data, [[[3, 0, 0, 0, 2, 0]]])
    (gx,) = grad(y, x, tensor([[[10.0, 0, 0, 0, 20.0, 0]]]))
    np.testing.assert_array_equal(gx.data, [[[0, 20, 10]]])


def test_unpooling_an_empty_batch():
    assert F.max_unpool2d(ones(0, 2, 3, 3), Tensor(np.zeros((0, 2, 3, 3), np.int64)), 2).shape == (0, 2, 6, 6)


def test_lp_pool_has_gradient_zero_where_the_sum_is_zero():
    x = tensor(np.zeros((1, 2, 2)), requires_grad=True)
    y = F.lp_pool2d(x, 2, 2)
    assert y.tolist() == [[[0.0]]]
    np.testing.assert_array_equal(grad(y.sum(), x)[0].data, np.zeros((1, 2, 2)))


def test_lp_pool_scales_a_window_that_sticks_out():
    np.testing.assert_allclose(F.lp_pool2d(ones(1, 3, 3), 2, 2, ceil_mode=True).data, np.full((1, 2, 2), 2.0))


def test_pooling_without_grad_mode_records_nothing():
    x = Tensor(np.ones((1, 1, 4, 4)), requires_grad=True)
    with no_grad():
        assert F.max_pool2d(x, 2).grad_fn is None


def test_pytorch_agrees_on_shapes_values_and_indices_of_many_settings():
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    for _ in range(60):
        kernel, stride = rng.integers(1, 5, 2).tolist(), rng.integers(1, 5, 2).tolist()
        padding, dilation = [int(rng.integers(0, k // 2 + 1)) for k in kernel], rng.integers(1, 3, 2).tolist()
        x = rng.standard_normal((1, 2, *rng.integers(8, 12, 2)))
        setting = dict(kernel_size=kernel, stride=stride, padding=padding, ceil_mode=bool(rng.integers(2)))
        pairs = zip(
            (*F.max_pool2d(tensor(x), **setting, dilation=dilation, return_indices=True),
             F.avg_pool2d(tensor(x), **setting, count_include_pad=False)),
            (*torch.nn.functional.max_pool2d(torch.tensor(x), **setting, dilation=dilation, return_indices=True),
             torch.nn.functional.avg_pool2d(torch.tensor(x), **setting, count_include_pad=False)),
            strict=True,
        )  # fmt: skip
        for ours, theirs in pairs:
            np.testing.assert_allclose(ours.data, theirs.numpy(), rtol=1e-12, atol=1e-12, err_msg=str(setting))


# Bad input ---------------------------------------------------------------------------------------------------------

IMAGE = ones(1, 2, 4, 4)
INDICES = Tensor(np.zeros((1, 2, 4, 4), np.int64))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: F.max_pool2d(np.ones((1, 1, 2, 2)), 2), ArgumentTypeError, "max_pool2d: x must be a Tensor, got ndar"),
        (lambda: F.avg_pool2d([[1.0]], 2), ArgumentTypeError, "avg_pool2d: x must be a Tensor, got list"),
        (lambda: F.max_pool2d(ones(2, 2), 2), ShapeError, r"x must have .* \(C, H, W\), got \(2, 2\)"),
        (lambda: F.max_pool1d(IMAGE, 2), ShapeError, r"x must have .* \(C, W\), got \(1, 2, 4, 4\)"),
        (lambda: F.avg_pool3d(ones(4, 4, 4), 2), ShapeError, r"avg_pool3d: x must have the shape \(N, C, D, H, W\)"),
        (lambda: F.max_pool2d(IMAGE, 3, padding=2), ArgumentError, r"padding \(2, 2\) is .* kernel_size \(3, 3\)"),
        (lambda: F.avg_pool2d(IMAGE, (4, 1), padding=1), ArgumentError, r"padding \(1, 1\) is more than half"),
        (lambda: F.max_pool2d(IMAGE, 5), ShapeError, r"spans 5 .* has only 4 .* smaller kernel"),
        (lambda: F.max_pool2d(IMAGE, 3, dilation=2), ShapeError, r"spans 5 elements .* dilation \(2, 2\)"),
        (lambda: F.avg_pool2d(ones(1, 2, 0, 4), 2), ShapeError, "padded input has only 0"),
        (lambda: F.max_pool1d(ones(1, 1, 2), 2, 3, 1, 3), ShapeError, "starts at -1 reads nothing but padding"),
        (lambda: F.max_pool2d(IMAGE, 2, stride=0), ArgumentError, "max_pool2d: stride must be at least 1, got 0"),
        (lambda: F.max_pool2d(IMAGE, 0), ArgumentError, "max_pool2d: kernel_size must be at least 1, got 0"),
        (lambda: F.max_pool2d(IMAGE, 2, padding=-1), ArgumentError, "max_pool2d: padding must be at least 0, got -1"),
        (lambda: F.max_pool2d(IMAGE, 2, dilation=0), ArgumentError, "max_pool2d: dilation must be at least 1, got 0"),
        (lambda: F.max_pool2d(IMAGE, (2, 2, 2)), ArgumentError, r"must have 1 or 2 entries, got \(2, 2, 2\)"),
        (lambda: F.max_pool2d(IMAGE, 2.5), ArgumentTypeError, "max_pool2d: kernel_size must be an integer"),
        (lambda: F.avg_pool2d(IMAGE, 2, divisor_override=0), ArgumentError, "divisor_override must not be 0"),
        (lambda: F.avg_pool2d(Tensor(np.ones((1, 4, 4), int)), 2), DtypeError, "avg_pool2d: x must be a float"),
        (lambda: F.lp_pool2d(IMAGE, 0, 2), ArgumentError, "lp_pool2d: norm_type must be finite and not 0, got 0"),
        (lambda: F.lp_pool1d(ones(2, 4), inf, 2), ArgumentError, "got inf; for p → ∞ use max_pool1d"),
        (lambda: F.adaptive_avg_pool2d(ones(2, 2), 1), ShapeError, r"adaptive_avg_pool2d: x must have the shape"),
        (lambda: F.adaptive_max_pool2d(ones(1, 2, 0, 4), 1), ShapeError, r"\(1, 2, 0, 4\) has nothing to pool"),
        (lambda: F.adaptive_avg_pool2d(IMAGE, -1), ArgumentError, r"output_size must be at least 0, got \(-1, -1\)"),
        (lambda: F.adaptive_max_pool2d(IMAGE, (1, 2, 3)), ArgumentError, "output_size must have 1 or 2 entries"),
        (lambda: F.adaptive_avg_pool2d(IMAGE, "44"), ArgumentTypeError, "output_size must be made of integers"),
        (lambda: F.max_unpool2d(IMAGE, np.zeros(4), 2), ArgumentTypeError, "max_unpool2d: indices must be a Tensor"),
        (lambda: F.max_unpool2d(IMAGE, IMAGE, 2), DtypeError, "max_unpool2d: indices must be int64, got float32"),
        (lambda: F.max_unpool2d(IMAGE, Tensor(INDICES.data[..., :1]), 2), ShapeError,
         r"indices \(1, 2, 4, 1\) must have the shape of x \(1, 2, 4, 4\)"),
        (lambda: F.max_unpool2d(IMAGE, Tensor(INDICES.data + 64), 2), OutOfRangeError,
         r"index 64 is outside the output of size \(8, 8\), whose indices are 0 to 63"),
        (lambda: F.max_unpool2d(IMAGE, Tensor(INDICES.data - 1), 2), OutOfRangeError, "index -1 is outside the output"),
        (lambda: F.max_unpool2d(IMAGE, INDICES, 2, output_size=(10, 8)), ShapeError,
         r"output_size \(10, 8\) cannot have been pooled to \(4, 4\) .* = \(8, 8\)"),
        (lambda: F.max_unpool2d(IMAGE, INDICES, 2, output_size=(8, 8, 8)), ArgumentError, "output_size must have 1"),
        (lambda: F.max_unpool2d(ones(2, 2), INDICES, 2), ShapeError, "max_unpool2d: x must have the shape"),
        (lambda: F.max_unpool1d(ones(1, 1, 1), Tensor(np.zeros((1, 1, 1), int)), 2, padding=1), ShapeError,
         r"the output size would be \(0,\)"),
    ],
)  # fmt: skip
def test_bad_input(call, error, message):
    with pytest.raises(error, match=message):
        call()
