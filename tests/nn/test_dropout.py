"""Dropout layers."""

import numpy as np
import pytest

from minidl import nn
from minidl.autograd import Tensor
from minidl.errors import ArgumentError

LAYERS = [
    (nn.Dropout, (40, 3)),
    (nn.Dropout1d, (10, 9, 2)),
    (nn.Dropout2d, (10, 9, 2, 2)),
    (nn.Dropout3d, (10, 9, 2, 2, 2)),
    (nn.AlphaDropout, (40, 3)),
    (nn.FeatureAlphaDropout, (10, 9, 2)),
]


@pytest.mark.parametrize("layer, shape", LAYERS)
def test_active_in_training_only(layer, shape):
    dropout, x = layer(0.5), Tensor(np.ones(shape, np.float32))
    assert len(np.unique(dropout(x).data)) == 2
    assert dropout.eval()(x) is x
    assert len(np.unique(dropout.train()(x).data)) == 2


@pytest.mark.parametrize("layer, shape", LAYERS)
def test_settings(layer, shape):
    assert repr(layer()) == f"{layer.__name__}(p=0.5, inplace=False)"
    assert repr(layer(0.25, inplace=True)) == f"{layer.__name__}(p=0.25, inplace=True)"
    assert list(layer().state_dict()) == []


@pytest.mark.parametrize("layer, shape", LAYERS)
@pytest.mark.parametrize("p", [-0.5, 2, float("nan")])
def test_bad_probability(layer, shape, p):
    with pytest.raises(ArgumentError, match=f"{layer.__name__}: dropout probability .* 0 and 1, but got {p}"):
        layer(p)
