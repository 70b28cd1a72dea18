"""Linear, Bilinear, Embedding, Flatten, Unflatten."""

import math

import numpy as np
import pytest

import minidl as ml
import minidl.functional as F
from minidl import nn
from minidl.errors import ArgumentError, ArgumentTypeError, DtypeError, OutOfRangeError, ShapeError


def test_linear():
    layer = nn.Linear(3, 5)
    x = ml.randn(2, 4, 3)
    np.testing.assert_array_equal(layer(x).data, F.linear(x, layer.weight, layer.bias).data)
    assert {name: tuple(p.shape) for name, p in layer.named_parameters()} == {"weight": (5, 3), "bias": (5,)}
    assert repr(layer) == "Linear(in_features=3, out_features=5, bias=True)"
    layer(x).sum().backward()
    assert layer.weight.grad.shape == (5, 3) and layer.bias.grad.shape == (5,)


def test_linear_without_bias():
    layer = nn.Linear(3, 5, bias=False, dtype=ml.float64)
    assert layer.bias is None and list(layer.state_dict()) == ["weight"]
    assert layer(ml.ones(2, 3, dtype=ml.float64)).dtype == ml.float64


def test_linear_starts_uniform_within_one_over_root_fan_in():
    layer = nn.Linear(400, 300)
    bound = 1 / math.sqrt(400)
    for parameter in (layer.weight, layer.bias):
        assert np.abs(parameter.data).max() <= bound
    assert abs(layer.weight.data.std() - bound / math.sqrt(3)) < 0.01 * bound
    first = layer.weight.data.copy()
    layer.reset_parameters()
    assert (layer.weight.data != first).any()


def test_linear_is_reproducible():
    ml.manual_seed(3)
    first = nn.Linear(4, 2)
    ml.manual_seed(3)
    np.testing.assert_array_equal(first.weight.data, nn.Linear(4, 2).weight.data)


def test_linear_of_no_features():
    assert nn.Linear(0, 2)(ml.zeros(3, 0)).shape == (3, 2)


def test_linear_errors():
    with pytest.raises(ShapeError, match=r"x has 5 features but weight \(10, 4\) expects 4.*\[in layer 1\]"):
        nn.Sequential(nn.Flatten(), nn.Linear(4, 10))(ml.ones(8, 5))
    with pytest.raises(ArgumentError, match="Linear: in_features must be at least 0, got -1"):
        nn.Linear(-1, 2)
    with pytest.raises(ArgumentTypeError, match="Linear: out_features must be"):
        nn.Linear(2, 2.5)
    with pytest.raises(DtypeError, match="float64"):
        nn.Linear(2, 2)(ml.ones(1, 2, dtype=ml.float64))


def test_bilinear():
    layer = nn.Bilinear(3, 2, 5)
    x1, x2 = ml.randn(4, 3), ml.randn(4, 2)
    np.testing.assert_array_equal(layer(x1, x2).data, F.bilinear(x1, x2, layer.weight, layer.bias).data)
    assert layer.weight.shape == (5, 3, 2) and np.abs(layer.weight.data).max() <= 1 / math.sqrt(3)
    assert repr(layer) == "Bilinear(in1_features=3, in2_features=2, out_features=5, bias=True)"
    assert nn.Bilinear(3, 2, 5, bias=False).bias is None


def test_embedding():
    layer = nn.Embedding(6, 3, padding_idx=-1)
    assert repr(layer) == "Embedding(6, 3, padding_idx=5)"
    np.testing.assert_array_equal(layer.weight.data[5], 0)
    assert (layer.weight.data[:5] != 0).all()
    layer(ml.tensor([[5, 1], [1, 2]])).sum().backward()
    np.testing.assert_array_equal(layer.weight.grad.data[:, 0], [0, 2, 1, 0, 0, 0])
    assert repr(nn.Embedding(6, 3)) == "Embedding(6, 3)"
    with pytest.raises(OutOfRangeError, match="padding_idx 6 is out of range for 6 rows"):
        nn.Embedding(6, 3, padding_idx=6)


def test_embedding_from_a_given_table():
    table = ml.randn(4, 2)
    frozen = nn.Embedding.from_pretrained(table)
    assert not frozen.weight.requires_grad and frozen.num_embeddings == 4 and frozen.embedding_dim == 2
    np.testing.assert_array_equal(frozen(ml.tensor([2])).data, table.data[[2]])
    trained = nn.Embedding.from_pretrained(table.to(ml.float64), freeze=False, padding_idx=0)
    assert trained.weight.requires_grad and trained.weight.dtype == ml.float64 and trained.padding_idx == 0
    np.testing.assert_array_equal(trained.weight.data[0], table.data[0].astype(np.float64))
    with pytest.raises(ShapeError, match=r"needs a \(rows, dimensions\) table, got \(4,\)"):
        nn.Embedding.from_pretrained(ml.ones(4))
    with pytest.raises(ArgumentTypeError, match="embeddings must be a Tensor, got list"):
        nn.Embedding.from_pretrained([[1.0]])


def test_flatten_and_unflatten():
    x = ml.randn(2, 3, 4, 5)
    assert nn.Flatten()(x).shape == (2, 60)
    assert nn.Flatten(0, 1)(x).shape == (6, 4, 5)
    assert nn.Unflatten(1, (3, -1))(nn.Flatten()(x)).shape == (2, 3, 20)
    assert repr(nn.Flatten()) == "Flatten(start_dim=1, end_dim=-1)"
    assert repr(nn.Unflatten(1, [3, 4])) == "Unflatten(dim=1, unflattened_size=(3, 4))"
