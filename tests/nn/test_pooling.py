"""Pooling layers: PyTorch's arguments, attributes and repr, and the same results as the functions."""

import numpy as np
import pytest

import minidl.functional as F
from minidl import nn
from minidl.autograd import Tensor
from minidl.errors import ArgumentError, ShapeError


def sample(dims):
    return Tensor(np.random.default_rng(0).standard_normal((2, 3, *(6, 7, 5)[:dims])))


LAYERS = [
    (nn.MaxPool1d(3, 2, 1), lambda x: F.max_pool1d(x, 3, 2, 1), 1),
    (nn.MaxPool2d((2, 3), dilation=2, ceil_mode=True), lambda x: F.max_pool2d(x, (2, 3), None, 0, 2, True), 2),
    (nn.MaxPool3d(2, stride=(1, 2, 1)), lambda x: F.max_pool3d(x, 2, (1, 2, 1)), 3),
    (nn.AvgPool1d(3, 2, 1, True, False), lambda x: F.avg_pool1d(x, 3, 2, 1, True, False), 1),
    (nn.AvgPool1d(3), lambda x: F.avg_pool1d(x, 3), 1),
    (nn.AvgPool2d(3, padding=1, count_include_pad=False), lambda x: F.avg_pool2d(x, 3, None, 1, False, False), 2),
    (nn.AvgPool3d(2, 1, divisor_override=3), lambda x: F.avg_pool3d(x, 2, 1, divisor_override=3), 3),
    (nn.LPPool1d(2, 3), lambda x: F.lp_pool1d(x, 2, 3), 1),
    (nn.LPPool2d(2, (2, 3), 2, True), lambda x: F.lp_pool2d(x, 2, (2, 3), 2, True), 2),
    (nn.LPPool3d(2, 2), lambda x: F.lp_pool3d(x, 2, 2), 3),
    (nn.AdaptiveAvgPool1d(4), lambda x: F.adaptive_avg_pool1d(x, 4), 1),
    (nn.AdaptiveAvgPool2d((None, 3)), lambda x: F.adaptive_avg_pool2d(x, (None, 3)), 2),
    (nn.AdaptiveAvgPool3d(2), lambda x: F.adaptive_avg_pool3d(x, 2), 3),
    (nn.AdaptiveMaxPool1d(4), lambda x: F.adaptive_max_pool1d(x, 4), 1),
    (nn.AdaptiveMaxPool2d((2, 3)), lambda x: F.adaptive_max_pool2d(x, (2, 3)), 2),
    (nn.AdaptiveMaxPool3d(2), lambda x: F.adaptive_max_pool3d(x, 2), 3),
]


@pytest.mark.parametrize(("layer", "function", "dims"), LAYERS, ids=lambda value: type(value).__name__)
def test_a_layer_is_its_function(layer, function, dims):
    np.testing.assert_array_equal(layer(sample(dims)).data, function(sample(dims)).data)


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_unpooling_takes_what_pooling_returned(dims):
    pool = getattr(nn, f"MaxPool{dims}d")(2, return_indices=True)
    unpool = getattr(nn, f"MaxUnpool{dims}d")(2)
    x = sample(dims)
    y, indices = pool(x)
    back = unpool(y, indices, output_size=x.shape)
    assert back.shape == x.shape
    np.testing.assert_array_equal(np.sort(back.data[back.data != 0]), np.sort(y.data.ravel()))


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_adaptive_max_pool_returns_indices(dims):
    pool = getattr(nn, f"AdaptiveMaxPool{dims}d")(2, return_indices=True)
    x = sample(dims)
    y, indices = pool(x)
    flat = x.data.reshape(2, 3, -1)
    np.testing.assert_array_equal(np.take_along_axis(flat, indices.data.reshape(2, 3, -1), 2).reshape(y.shape), y.data)


@pytest.mark.parametrize(
    ("layer", "text"),
    [
        (nn.MaxPool2d((2, 3)), "MaxPool2d(kernel_size=(2, 3), stride=(2, 3), padding=0, dilation=1, ceil_mode=False)"),
        (nn.AvgPool1d(3, 2, 1), "AvgPool1d(kernel_size=(3,), stride=(2,), padding=(1,))"),
        (nn.AvgPool2d(3, divisor_override=2), "AvgPool2d(kernel_size=3, stride=3, padding=0)"),
        (nn.LPPool2d(2, 3, ceil_mode=True), "LPPool2d(norm_type=2, kernel_size=3, stride=None, ceil_mode=True)"),
        (nn.AdaptiveAvgPool2d((None, 3)), "AdaptiveAvgPool2d(output_size=(None, 3))"),
        (nn.AdaptiveMaxPool2d(3, True), "AdaptiveMaxPool2d(output_size=3)"),
        (nn.MaxUnpool2d(2), "MaxUnpool2d(kernel_size=(2, 2), stride=(2, 2), padding=(0, 0))"),
    ],
)
def test_repr_is_pytorchs(layer, text):
    assert repr(layer) == text


def test_layers_have_no_state():
    assert not nn.MaxPool2d(2).state_dict() and not list(nn.AdaptiveAvgPool2d(1).parameters())


def test_errors_name_the_layer():
    net = nn.Sequential(nn.AvgPool2d(2), nn.MaxPool2d(4))
    with pytest.raises(ShapeError, match=r"max_pool2d: a window spans 4 .* \[in layer 1\]"):
        net(Tensor(np.ones((1, 1, 6, 6))))
    with pytest.raises(ArgumentError, match="MaxUnpool2d: stride must be at least 1, got 0"):
        nn.MaxUnpool2d(2, 0)
