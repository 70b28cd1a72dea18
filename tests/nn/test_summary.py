"""The table of layers."""

import numpy as np
import pytest

from minidl import nn
from minidl.autograd import Tensor
from minidl.errors import ArgumentError, ArgumentTypeError, ShapeError
from minidl.nn.summary import summarize
from tests.nn._layers import Affine


def row(layer, *shape):
    return summarize(layer, shape).rows[0]


@pytest.mark.parametrize(
    "layer, shape, flops",
    [
        (nn.Linear(5, 7), (2, 5), 2 * 7 * (2 * 5 + 1)),
        (nn.Linear(5, 7, bias=False), (2, 3, 5), 6 * 7 * 2 * 5),
        (nn.Conv2d(3, 8, 3, padding=1), (2, 3, 6, 5), 2 * 8 * 30 * (2 * 27 + 1)),
        (nn.Conv2d(4, 8, (3, 1), stride=2, groups=2, bias=False), (1, 4, 7, 5), 8 * 3 * 3 * 2 * 2 * 3),
        (nn.Conv1d(2, 3, 4, bias=False), (1, 2, 10), 3 * 7 * 2 * 2 * 4),
        (nn.ConvTranspose2d(3, 4, 2, stride=2), (1, 3, 5, 5), 3 * 25 * 2 * 4 * 4 + 4 * 100),
        (nn.MaxPool2d(2), (1, 3, 8, 8), 3 * 16 * 4),
        (nn.MaxPool2d(2, return_indices=True), (1, 3, 8, 8), 3 * 16 * 4),
        (nn.AvgPool2d((3, 1), stride=1), (1, 2, 5, 5), 2 * 15 * 3),
        (nn.MaxPool1d(3), (1, 2, 9), 2 * 3 * 3),
        (type("Downsample", (nn.MaxPool2d,), {})(2), (1, 3, 8, 8), 3 * 16 * 4),
        (nn.AdaptiveAvgPool2d(1), (2, 3, 4, 4), 96),
        (nn.BatchNorm2d(3), (2, 3, 4, 4), 4 * 96),
        (nn.BatchNorm2d(3, affine=False), (2, 3, 4, 4), 2 * 96),
        (nn.LayerNorm(8), (2, 8), 8 * 16),
        (nn.GroupNorm(2, 4, affine=False), (1, 4, 3), 6 * 12),
        (nn.ReLU(), (2, 3), 6),
        (nn.Softmax(dim=1), (2, 3), 18),
        (nn.Flatten(), (2, 3, 4), 0),
        (nn.Dropout(), (2, 3), 0),
        (nn.ZeroPad2d(1), (1, 1, 2, 2), 0),
        (nn.Sequential(), (2, 3), None),
    ],
    ids=lambda value: repr(value) if isinstance(value, nn.Module) else "",
)
def test_flops(layer, shape, flops):
    assert row(layer, *shape).flops == flops


def test_rows():
    net = nn.Sequential(nn.Linear(4, 3), nn.Sequential(nn.ReLU(), Affine()))
    summary = summarize(net, (2, 4))
    assert [(r.path, r.kind, r.depth) for r in summary.rows] == [
        ("", "Sequential", 0),
        ("0", "Linear", 1),
        ("1", "Sequential", 1),
        ("1.0", "ReLU", 2),
        ("1.1", "Affine", 2),
    ]
    assert [r.output_shapes for r in summary.rows] == [[(2, 3)]] * 5
    assert [r.parameters for r in summary.rows] == [0, 15, 0, 0, 6]
    assert summary.parameters == summary.trainable_parameters == 21
    assert summary.flops == 2 * 3 * 9 + 6 and summary.rows[4].flops is None


def test_table(capsys):
    net = nn.Sequential({"body": nn.Linear(400, 3), "act": nn.ReLU(), "own": Affine()})
    net.body.requires_grad_(False)
    summary = net.summary((2, 400))
    text = capsys.readouterr().out
    assert text.splitlines() == [
        "layer           output shape  parameters  FLOPs",
        "-----------------------------------------------",
        "Sequential      (2, 3)                 -      -",
        "  body: Linear  (2, 3)             1,203  4,806",
        "  act: ReLU     (2, 3)                 -      6",
        "  own: Affine   (2, 3)                 6      ?",
        "-----------------------------------------------",
        "parameters: 1,209 (6 trainable)",
        "FLOPs of one forward pass: 4,812 (a multiplication and an addition count as two)",
    ]
    assert repr(summary) == "Summary(4 modules, 1,209 parameters, 4,812 FLOPs)"


def test_shared_layers_and_parameters():
    layer = nn.Linear(3, 3)
    assert summarize(nn.Sequential(layer, layer), (1, 3)).flops == 2 * 3 * 7
    twin = nn.Linear(3, 3)
    twin.weight = layer.weight
    net = nn.Sequential(layer, twin)
    assert summarize(net, (1, 3)).parameters == 15 == sum(p.numel() for p in net.parameters())


def test_layers_that_are_not_called():
    class Half(nn.Module):
        def __init__(self):
            super().__init__()
            self.used, self.unused = nn.ReLU(), nn.Linear(2, 2)

        def forward(self, x):
            return self.used(x)

    summary = summarize(Half(), (1, 2))
    assert summary.parameters == 6 and summary.flops == 2 and "not called" in str(summary)


def test_several_inputs_and_outputs():
    class Two(nn.Module):
        def forward(self, x, y):
            return x + y, x - y

    assert summarize(Two(), [(2, 3), (3,)]).rows[0].output_shapes == [(2, 3), (2, 3)]


def test_dtypes():
    assert summarize(nn.Linear(3, 2).double(), (1, 3)).parameters == 8
    assert summarize(nn.Embedding(5, 2), (3,), dtype="int64").rows[0].output_shapes == [(3, 2)]


def test_leaves_the_model_as_it_was():
    net = nn.Sequential(nn.BatchNorm1d(3), nn.Dropout(), nn.ReLU())
    net[1].eval()
    net.summary((4, 3))
    assert [module.training for module in net.modules()] == [True, True, False, True]
    assert net[0].num_batches_tracked.item() == 0 and not any(module._forward_hooks for module in net.modules())
    assert net(Tensor(np.ones((2, 3), np.float32))).requires_grad


def test_wrong_shape_is_explained_and_leaves_nothing_behind():
    net = nn.Sequential(Affine())
    with pytest.raises(
        ShapeError, match=r"inputs of shape \[\(1, 4\)\], batch included: check input_shape \[in layer 0\]"
    ):
        net.summary((1, 4))
    with pytest.raises(ArgumentTypeError, match=r"input_shape is a shape such as \(1, 3, 224, 224\), got 3"):
        net.summary(3)
    with pytest.raises(ArgumentError, match=r"summary: sizes must not be negative, got \(-1, 3\)"):
        net.summary((-1, 3))
    assert net.training and not net[0]._forward_hooks
