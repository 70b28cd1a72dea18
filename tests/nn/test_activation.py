"""Activation layers: each is its function with the settings that it was given."""

import numpy as np
import pytest

import minidl as ml
import minidl.functional as F
from minidl import nn
from minidl.errors import ArgumentTypeError, DtypeError, ShapeError

LAYERS = [
    (nn.ReLU(), F.relu, "ReLU()"),
    (nn.ReLU(inplace=True), F.relu, "ReLU(inplace=True)"),
    (nn.ReLU6(), F.relu6, "ReLU6()"),
    (nn.LeakyReLU(), F.leaky_relu, "LeakyReLU(negative_slope=0.01)"),
    (nn.LeakyReLU(0.2, True), lambda x: F.leaky_relu(x, 0.2), "LeakyReLU(negative_slope=0.2, inplace=True)"),
    (nn.ELU(0.5), lambda x: F.elu(x, 0.5), "ELU(alpha=0.5)"),
    (nn.SELU(), F.selu, "SELU()"),
    (nn.CELU(0.5), lambda x: F.celu(x, 0.5), "CELU(alpha=0.5)"),
    (nn.GELU(), F.gelu, "GELU(approximate='none')"),
    (nn.GELU("tanh"), lambda x: F.gelu(x, "tanh"), "GELU(approximate='tanh')"),
    (nn.SiLU(), F.silu, "SiLU()"),
    (nn.Hardswish(), F.hardswish, "Hardswish()"),
    (nn.Hardsigmoid(), F.hardsigmoid, "Hardsigmoid()"),
    (nn.Hardtanh(-0.5, 2), lambda x: F.hardtanh(x, -0.5, 2), "Hardtanh(min_val=-0.5, max_val=2)"),
    (nn.Mish(), F.mish, "Mish()"),
    (nn.Softplus(2), lambda x: F.softplus(x, 2), "Softplus(beta=2, threshold=20.0)"),
    (nn.Softsign(), F.softsign, "Softsign()"),
    (nn.Sigmoid(), F.sigmoid, "Sigmoid()"),
    (nn.Tanh(), F.tanh, "Tanh()"),
    (nn.LogSigmoid(), F.logsigmoid, "LogSigmoid()"),
    (nn.Threshold(0.1, 3.0), lambda x: F.threshold(x, 0.1, 3.0), "Threshold(threshold=0.1, value=3.0)"),
    (nn.Softmax(1), lambda x: F.softmax(x, 1), "Softmax(dim=1)"),
    (nn.LogSoftmax(dim=0), lambda x: F.log_softmax(x, 0), "LogSoftmax(dim=0)"),
    (nn.Softmin(1), lambda x: F.softmin(x, 1), "Softmin(dim=1)"),
]


@pytest.mark.parametrize(("layer", "function", "text"), LAYERS, ids=[text for *_, text in LAYERS])
def test_layer_is_its_function(layer, function, text):
    x = ml.randn(3, 4) * 3
    before = x.data.copy()
    np.testing.assert_array_equal(layer(x).data, function(x).data)
    np.testing.assert_array_equal(x.data, before)
    assert repr(layer) == text
    assert not layer.state_dict()


def test_softmax_layers_need_a_dim():
    with pytest.raises(ArgumentTypeError, match="softmax: dim must be an integer, got None"):
        nn.Softmax()(ml.ones(2, 3))


def test_prelu_learns_its_slopes():
    layer = nn.PReLU(3, init=0.1)
    assert repr(layer) == "PReLU(num_parameters=3)"
    x = -ml.ones(2, 3)
    layer(x).sum().backward()
    np.testing.assert_allclose(layer(x).data, np.full((2, 3), -0.1), rtol=1e-6)
    np.testing.assert_array_equal(layer.weight.grad.data, [-2, -2, -2])
    assert list(layer.state_dict()) == ["weight"] and layer.weight.dtype == ml.float32
    assert nn.PReLU(init=1, dtype=ml.float64).weight.dtype == ml.float64
    with pytest.raises(ShapeError, match=r"weight of shape \(3,\) does not fit x \(2, 4\).*\[in layer 0\]"):
        nn.Sequential(layer)(ml.ones(2, 4))


def test_errors_name_the_layer():
    with pytest.raises(DtypeError, match=r"gelu: x must be a floating-point tensor, got int64.*\[in layer 1\]"):
        nn.Sequential(nn.Identity(), nn.GELU())(ml.tensor([1]))
