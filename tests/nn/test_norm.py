"""Normalization layers: settings, running statistics, state dicts, agreement with PyTorch, bad input."""

import numpy as np
import pytest

import minidl.functional as F
from minidl import nn
from minidl.autograd import Tensor
from minidl.errors import ArgumentError, ArgumentTypeError, ShapeError
from tests.tolerances import BACKWARD, assert_close


def make(*shape, seed=0, dtype=np.float32):
    return Tensor(np.random.default_rng(seed).standard_normal(shape).astype(dtype))


LAYERS = [  # name, arguments, settings, shape of x
    ("BatchNorm1d", (3,), {}, (4, 3)),
    ("BatchNorm1d", (3,), {"momentum": None}, (4, 3, 5)),
    ("BatchNorm2d", (3,), {"eps": 0.1, "momentum": 0.3}, (4, 3, 2, 2)),
    ("BatchNorm2d", (3,), {"affine": False}, (4, 3, 2, 2)),
    ("BatchNorm2d", (3,), {"track_running_stats": False}, (4, 3, 2, 2)),
    ("BatchNorm3d", (2,), {}, (3, 2, 2, 2, 2)),
    ("InstanceNorm1d", (3,), {}, (4, 3, 5)),
    ("InstanceNorm1d", (3,), {"affine": True}, (3, 5)),
    ("InstanceNorm2d", (3,), {"affine": True, "track_running_stats": True}, (4, 3, 2, 2)),
    ("InstanceNorm3d", (2,), {"track_running_stats": True, "momentum": None}, (3, 2, 2, 2, 2)),
    ("LayerNorm", (5,), {}, (4, 3, 5)),
    ("LayerNorm", ((3, 5),), {"eps": 0.1, "bias": False}, (4, 3, 5)),
    ("LayerNorm", ([5],), {"elementwise_affine": False}, (4, 3, 5)),
    ("RMSNorm", (5,), {}, (4, 3, 5)),
    ("RMSNorm", ((3, 5),), {"eps": 0.1, "elementwise_affine": False}, (4, 3, 5)),
    ("GroupNorm", (2, 4), {}, (3, 4, 2, 2)),
    ("GroupNorm", (4, 4), {"affine": False}, (3, 4, 5)),
    ("LocalResponseNorm", (3,), {"alpha": 0.5}, (2, 5, 3, 3)),
]


@pytest.mark.parametrize("name, arguments, settings, shape", LAYERS)
def test_as_in_pytorch(name, arguments, settings, shape):
    """State-dict keys, results in training and evaluation, running statistics and gradients."""
    torch = pytest.importorskip("torch")
    ours, theirs = getattr(nn, name)(*arguments, **settings), getattr(torch.nn, name)(*arguments, **settings)
    assert {key: value.shape for key, value in ours.state_dict().items()} == {
        key: tuple(value.shape) for key, value in theirs.state_dict().items()
    }
    rng = np.random.default_rng(0)
    for (_, our), (_, their) in zip(ours.named_parameters(), theirs.named_parameters(), strict=True):
        values = rng.standard_normal(our.shape).astype(np.float32)
        our.data[...] = values
        their.data = torch.tensor(values)
    for step in range(3):
        x = make(*shape, seed=step)
        our, their = ours(x), theirs(torch.tensor(x.data))
        assert_close(our.data, their.detach().numpy())
    if list(ours.parameters()):
        our.sum().backward()
        their.sum().backward()
    for (_, our), (_, their) in zip(ours.named_parameters(), theirs.named_parameters(), strict=True):
        assert_close(our.grad.data, their.grad.numpy(), BACKWARD)
    ours.eval(), theirs.eval()
    assert_close(ours(x).data, theirs(torch.tensor(x.data)).detach().numpy())
    for key, value in theirs.state_dict().items():
        assert_close(ours.state_dict()[key].data, value.numpy())


@pytest.mark.parametrize(
    "layer, expected",
    [
        (
            nn.BatchNorm2d(3),
            "BatchNorm2d(3, eps=1e-05, momentum=0.1, affine=True, bias=True, track_running_stats=True)",
        ),
        (
            nn.InstanceNorm1d(3),
            "InstanceNorm1d(3, eps=1e-05, momentum=0.1, affine=False, bias=False, track_running_stats=False)",
        ),
        (nn.LayerNorm(3), "LayerNorm((3,), eps=1e-05, elementwise_affine=True, bias=True)"),
        (nn.RMSNorm([3]), "RMSNorm((3,), eps=None, elementwise_affine=True)"),
        (nn.GroupNorm(2, 4), "GroupNorm(2, 4, eps=1e-05, affine=True, bias=True)"),
        (nn.LocalResponseNorm(2), "LocalResponseNorm(2, alpha=0.0001, beta=0.75, k=1.0)"),
    ],
)
def test_repr(layer, expected):
    assert repr(layer) == expected


def test_state_dict_keys_and_dtypes_of_batch_norm():
    state = nn.BatchNorm2d(3).state_dict()
    assert list(state) == ["weight", "bias", "running_mean", "running_var", "num_batches_tracked"]
    assert state["num_batches_tracked"].dtype == np.int64 and state["num_batches_tracked"].shape == ()
    assert list(nn.BatchNorm2d(3, affine=False, track_running_stats=False).state_dict()) == []
    assert list(nn.BatchNorm2d(3, bias=False, track_running_stats=False).state_dict()) == ["weight"]


def test_dtype_of_the_parameters():
    layer = nn.BatchNorm1d(3, dtype=np.float64)
    assert layer(make(4, 3, dtype=np.float64)).dtype == np.float64
    assert all(tensor.dtype == np.float64 for tensor in [*layer.parameters(), layer.running_mean, layer.running_var])
    assert nn.LayerNorm(3, dtype=np.float64).weight.dtype == np.float64


def test_batches_are_counted_in_training_only():
    layer = nn.BatchNorm1d(3)
    layer(make(4, 3)), layer(make(4, 3))
    assert layer.num_batches_tracked.item() == 2
    layer.eval()(make(4, 3))
    assert layer.num_batches_tracked.item() == 2
    assert layer.num_batches_tracked.dtype == np.int64


def test_momentum_none_averages_all_batches():
    layer = nn.BatchNorm1d(3, momentum=None)
    batches = [make(4, 3, seed=seed) for seed in range(5)]
    for batch in batches:
        layer(batch)
    np.testing.assert_allclose(layer.running_mean.data, np.mean([x.data.mean(0) for x in batches], 0), atol=1e-6)
    np.testing.assert_allclose(layer.running_var.data, np.mean([x.data.var(0, ddof=1) for x in batches], 0), rtol=1e-5)


def test_no_forward_overwrites_the_running_arrays():
    """Who holds an array of the statistics, such as an earlier state dict, keeps its values."""
    layer = nn.BatchNorm1d(3)
    state = layer.state_dict()
    layer(make(4, 3))
    np.testing.assert_array_equal(state["running_mean"].data, np.zeros(3))
    np.testing.assert_array_equal(state["num_batches_tracked"].data, 0)
    assert (layer.running_mean.data != 0).all()


def test_a_training_forward_between_eval_forward_and_backward():
    layer = nn.BatchNorm1d(3).eval()
    x = make(4, 3)
    x.requires_grad_()
    y = layer(x)
    layer.train()(make(4, 3, seed=1))
    y.sum().backward()
    np.testing.assert_allclose(x.grad.data, np.full((4, 3), 1 / np.sqrt(1 + 1e-5)), rtol=1e-6)


def test_without_statistics_evaluation_uses_the_batch():
    layer = nn.BatchNorm1d(3, track_running_stats=False)
    x = make(4, 3)
    np.testing.assert_array_equal(layer.train()(x).data, layer.eval()(x).data)


def test_statistics_kept_but_not_tracked_any_more():
    layer = nn.BatchNorm1d(3)
    layer.track_running_stats = False
    layer(make(4, 3))
    np.testing.assert_array_equal(layer.running_mean.data, np.zeros(3))
    assert layer.num_batches_tracked.item() == 0


def test_tracking_without_a_counter():
    layer = nn.BatchNorm1d(3)
    layer.num_batches_tracked = None
    layer(make(4, 3))
    assert (layer.running_mean.data != 0).all()


def test_reset():
    layer = nn.BatchNorm1d(3)
    layer(make(4, 3))
    layer.weight.data[...] = 5
    layer.reset_parameters()
    expected = {"weight": 1, "bias": 0, "running_mean": 0, "running_var": 1, "num_batches_tracked": 0}
    for name, tensor in layer.state_dict().items():
        assert (tensor.data == expected[name]).all(), name
        assert tensor.dtype == nn.BatchNorm1d(3).state_dict()[name].dtype
    nn.InstanceNorm1d(3).reset_parameters()
    for other in (nn.LayerNorm(3), nn.GroupNorm(1, 3), nn.RMSNorm(3)):
        other.weight.data[...] = 5
        other.reset_parameters()
        assert (other.weight.data == 1).all()
    nn.RMSNorm(3, elementwise_affine=False).reset_parameters()


def test_instance_norm_without_parameters_takes_any_number_of_channels():
    assert nn.InstanceNorm2d(3)(make(2, 5, 4, 4)).shape == (2, 5, 4, 4)


@pytest.mark.parametrize(
    "layer, x, error, message",
    [
        (nn.BatchNorm1d(3), make(2, 3, 4, 4), ShapeError, r"BatchNorm1d: expected 2D or 3D input, got 4D input"),
        (nn.BatchNorm2d(3), make(2, 3), ShapeError, r"BatchNorm2d: expected 4D input, got 2D input \(x \(2, 3\)\)"),
        (nn.BatchNorm3d(3), make(2, 3, 4, 4), ShapeError, "BatchNorm3d: expected 5D input, got 4D input"),
        (nn.BatchNorm2d(3), make(2, 4, 2, 2), ShapeError, "x has 4 channels but num_features is 3"),
        (nn.BatchNorm1d(3), make(1, 3), ShapeError, "Expected more than 1 value per channel"),
        (nn.BatchNorm1d(3), [[1.0, 2.0, 3.0]], ArgumentTypeError, "BatchNorm1d: x must be a Tensor, got list"),
        (nn.InstanceNorm1d(3), make(2, 3, 4, 4), ShapeError, "InstanceNorm1d: expected 2D or 3D input, got 4D input"),
        (nn.InstanceNorm2d(3), "x", ArgumentTypeError, "InstanceNorm2d: x must be a Tensor, got str"),
        (nn.InstanceNorm2d(3, affine=True), make(4, 2, 2), ShapeError, "x has 4 channels but num_features is 3"),
        (nn.InstanceNorm3d(3), make(3, 1, 1, 1), ShapeError, "Expected more than 1 spatial element"),
        (nn.LayerNorm(3), make(2, 4), ShapeError, r"normalized_shape \(3,\) must name"),
        (nn.GroupNorm(2, 4), make(2, 6, 2), ShapeError, "weight has shape"),
    ],
)
def test_bad_input(layer, x, error, message):
    with pytest.raises(error, match=message):
        layer(x)


def test_an_error_names_the_layer():
    model = nn.Sequential(nn.BatchNorm2d(3), nn.BatchNorm2d(4))
    with pytest.raises(ShapeError, match=r"x has 3 channels but num_features is 4.*\[in layer 1\]"):
        model(make(2, 3, 2, 2))


@pytest.mark.parametrize("layer", [nn.BatchNorm1d, nn.InstanceNorm2d])
def test_bad_num_features(layer):
    with pytest.raises(ArgumentError, match=f"{layer.__name__}: num_features must be at least 0, got -1"):
        layer(-1)
    with pytest.raises(ArgumentTypeError, match=f"{layer.__name__}: num_features must be an integer .* got 2.5"):
        layer(2.5)


@pytest.mark.parametrize(
    "groups, channels, message",
    [(3, 4, "num_channels 4 must be divisible by num_groups 3"), (0, 4, "num_groups must be at least 1, got 0")],
)
def test_bad_groups(groups, channels, message):
    with pytest.raises(ArgumentError, match=f"GroupNorm: {message}"):
        nn.GroupNorm(groups, channels)


@pytest.mark.parametrize(
    "layer, function, shape",
    [
        (nn.LayerNorm(4), lambda x: F.layer_norm(x, 4), (2, 4)),
        (nn.RMSNorm(4), lambda x: F.rms_norm(x, 4), (2, 4)),
        (nn.GroupNorm(2, 4), lambda x: F.group_norm(x, 2), (2, 4, 3)),
        (nn.InstanceNorm1d(4), F.instance_norm, (2, 4, 3)),
        (nn.BatchNorm1d(4), lambda x: F.batch_norm(x, None, None, training=True), (2, 4, 3)),
        (nn.LocalResponseNorm(3), lambda x: F.local_response_norm(x, 3), (2, 4, 3)),
    ],
)
def test_a_new_layer_is_its_function(layer, function, shape):
    np.testing.assert_array_equal(layer(make(*shape)).data, function(make(*shape)).data)
