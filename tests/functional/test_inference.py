"""In inference a convolution waits for batch norm, sum and ReLU: the same numbers, never those of a later weight."""

import numpy as np
import pytest

import minidl as ml
from minidl import functional as F
from minidl import nn
from minidl.autograd.deferred import deferred_of, inference
from minidl.functional._conv_sum import ConvSum
from tests.tolerances import FORWARD, assert_close


class Block(nn.Module):
    """A residual block, whose shortcut is a convolution or nothing."""

    def __init__(self, channels_in, channels, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels, 3, stride, 1)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels, affine=False)
        self.shortcut = None
        if stride > 1 or channels_in != channels:
            self.shortcut = nn.Sequential(nn.Conv2d(channels_in, channels, 1, stride), nn.BatchNorm2d(channels))

    def forward(self, x):
        h = F.relu(self.bn1(self.conv1(x)))
        h = self.bn2(self.conv2(h))
        return F.relu(h + (x if self.shortcut is None else self.shortcut(x)))


def network(dtype="float64"):
    net = nn.Sequential(Block(3, 16, 1), Block(16, 16, 1), Block(16, 20, 2), nn.Conv2d(20, 20, 3, groups=20))
    for parameter in net.parameters():
        parameter.data[...] = np.random.default_rng(parameter.numel()).normal(0, 0.3, parameter.shape)
    for name, buffer in net.named_buffers():
        if buffer.dtype.kind == "f":
            buffer.data[...] = np.random.default_rng(len(name)).uniform(0.5, 2, buffer.shape)
    return net.eval().to(dtype)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_the_numbers_are_those_of_one_operation_after_the_other(rng, dtype):
    net, x = network(dtype), ml.tensor(rng.standard_normal((4, 3, 14, 18)).astype(dtype))
    recorded = net(x)  # grad mode: nothing waits
    with ml.no_grad():
        waited = net(x)
    assert waited.dtype == dtype
    assert_close(waited.data, recorded.data, FORWARD)


def test_what_is_held_is_computed_when_the_outermost_call_ends(rng):
    conv, x = nn.Conv2d(2, 3, 3), ml.tensor(rng.standard_normal((1, 2, 5, 5)))
    conv.to("float64")
    expected = F.conv2d(x, conv.weight, conv.bias).data.copy()
    with ml.no_grad():
        y = conv(x)
        assert deferred_of(y) is None
    conv.weight.data[...] = 0
    np.testing.assert_array_equal(y.data, expected)


def test_what_a_module_keeps_aside_is_computed_too(rng):
    class Keeper(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(2, 3, 3)

        def forward(self, x):
            self.features = self.conv(x)
            assert isinstance(deferred_of(self.features), ConvSum)
            return F.relu(self.features)

    net, x = Keeper(), ml.tensor(rng.standard_normal((1, 2, 5, 5)).astype("f4"))
    with ml.no_grad():
        y = net(x)
    x.data[...] = 0
    assert deferred_of(net.features) is None
    np.testing.assert_allclose(y.data, np.maximum(net.features.data, 0), rtol=1e-6, atol=1e-7)


def test_an_operator_that_writes_in_place_finds_nothing_waiting(rng):
    class Writer(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(2, 3, 3)

        def forward(self, x):
            y = self.conv(x)
            weight = self.conv.weight
            weight *= 0.0
            return y

    net, x = Writer(), ml.tensor(rng.standard_normal((1, 2, 5, 5)).astype("f4"))
    expected = F.conv2d(x, net.conv.weight, net.conv.bias).data.copy()
    with ml.no_grad():
        np.testing.assert_array_equal(net(x).data, expected)


def test_features_found_without_grad_train_what_follows(rng):
    class Frozen(nn.Module):
        def __init__(self):
            super().__init__()
            self.trunk, self.bn, self.scale = nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.Parameter(ml.ones(3, 1, 1))

        def forward(self, x):
            with ml.no_grad():
                features = self.trunk(x)
            return self.bn(features) + features + self.scale

    net, x = Frozen().eval(), ml.tensor(rng.standard_normal((1, 2, 5, 5)).astype("f4"))
    net(x).sum().backward()
    assert net.trunk.weight.grad is None
    assert net.bn.weight.grad is not None and net.bn.bias.grad.data[0] == pytest.approx(9)
    assert net.scale.grad.data[0, 0, 0] == pytest.approx(9)


def test_nothing_waits_outside_of_a_module_or_in_grad_mode(rng):
    x, w = ml.tensor(rng.standard_normal((1, 2, 5, 5))), ml.tensor(rng.standard_normal((3, 2, 3, 3)))
    with ml.no_grad():
        assert deferred_of(F.conv2d(x, w)) is None
    with inference:
        assert deferred_of(F.conv2d(x, w)) is None


def test_after_an_error_nothing_is_left_waiting(rng):
    class Broken(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(2, 3, 3)

        def forward(self, x):
            y = self.conv(x)
            return y.reshape(7)

    with ml.no_grad(), pytest.raises(ml.errors.ShapeError):
        Broken()(ml.tensor(rng.standard_normal((1, 2, 5, 5)).astype("f4")))
    assert inference.depth == 0 and not inference._waiting


def test_shapes_and_types_are_known_while_it_waits(rng):
    class Asking(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(2, 3, (3, 2), stride=(2, 1), padding=(0, 1), dilation=(1, 2))

        def forward(self, x):
            y = self.conv(x)
            assert deferred_of(y) is not None
            seen = y.shape, y.dtype, y.ndim
            assert deferred_of(y) is not None
            assert seen == (y.data.shape, y.data.dtype, y.data.ndim)
            return y

    with ml.no_grad():
        Asking()(ml.tensor(rng.standard_normal((2, 2, 9, 8)).astype("f4")))
