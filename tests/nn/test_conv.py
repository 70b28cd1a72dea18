"""Convolution layers: parameters, initial values, padding modes, output_size, names and errors."""

import math

import numpy as np
import pytest

import minidl as ml
import minidl.functional as F
import minidl.nn as nn
from minidl.errors import ArgumentError, ArgumentTypeError, ShapeError
from tests.tolerances import BACKWARD, assert_close

CONVS = [nn.Conv1d, nn.Conv2d, nn.Conv3d]
TRANSPOSED = [nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d]


def dims_of(layer):
    return int(layer.__name__[-2])


@pytest.mark.parametrize("layer", CONVS)
def test_convolution_applies_its_function_and_settings(layer):
    dims = dims_of(layer)
    module = layer(4, 6, 3, stride=2, padding=1, dilation=2, groups=2)
    x = ml.randn(2, 4, *(7,) * dims)
    expected = getattr(F, f"conv{dims}d")(x, module.weight, module.bias, 2, 1, 2, 2)
    assert module.weight.shape == (6, 2, *(3,) * dims) and module.bias.shape == (6,)
    np.testing.assert_array_equal(module(x).data, expected.data)
    assert module(x[0]).shape == expected.shape[1:]


@pytest.mark.parametrize("layer", TRANSPOSED)
def test_transposed_convolution_applies_its_function_and_settings(layer):
    dims = dims_of(layer)
    module = layer(4, 6, 3, stride=2, padding=1, output_padding=1, groups=2, dilation=2)
    x = ml.randn(2, 4, *(3,) * dims)
    expected = getattr(F, f"conv_transpose{dims}d")(x, module.weight, module.bias, 2, 1, 1, 2, 2)
    assert module.weight.shape == (4, 3, *(3,) * dims) and module.bias.shape == (6,)
    np.testing.assert_array_equal(module(x).data, expected.data)


def test_parameters_train():
    module = nn.Conv2d(2, 3, 3, padding="same")
    module(ml.randn(4, 2, 5, 5)).sum().backward()
    assert [name for name, _ in module.named_parameters()] == ["weight", "bias"]
    assert all(p.grad.shape == p.shape for p in module.parameters())


@pytest.mark.parametrize("layer", CONVS + TRANSPOSED)
def test_without_bias(layer):
    module = layer(2, 3, 3, bias=False)
    assert module.bias is None and list(module.state_dict()) == ["weight"]
    assert "bias=False" in repr(module)
    assert module(ml.zeros(1, 2, *(4,) * dims_of(layer))).data.sum() == 0


@pytest.mark.parametrize("module", [nn.Conv2d(16, 64, 3, groups=2), nn.ConvTranspose2d(64, 16, 3, groups=2)])
def test_initial_values_are_uniform_by_the_fan_in(module):
    bound = 1 / math.sqrt(8 * 9)
    for parameter in (module.weight, module.bias):
        assert np.abs(parameter.data).max() <= bound
    assert np.abs(module.weight.data).max() > 0.98 * bound
    assert module.weight.data.std() == pytest.approx(bound / math.sqrt(3), rel=0.05)


def test_initial_values_follow_the_seed_and_can_be_drawn_again():
    ml.manual_seed(3)
    module = nn.Conv2d(2, 2, 3)
    first = module.weight.data.copy()
    module.reset_parameters()
    assert not np.array_equal(module.weight.data, first)
    ml.manual_seed(3)
    np.testing.assert_array_equal(nn.Conv2d(2, 2, 3).weight.data, first)


def test_dtype_and_device():
    module = nn.Conv2d(1, 1, 1, dtype=ml.float64, device="cpu")
    assert module.weight.dtype == module.bias.dtype == ml.float64
    assert nn.ConvTranspose1d(1, 1, 1, dtype=ml.float64).weight.dtype == ml.float64


@pytest.mark.parametrize("mode, numpy_mode", [("reflect", "reflect"), ("replicate", "edge"), ("circular", "wrap")])
@pytest.mark.parametrize("kernel, padding, dilation, edges", [
    ((3, 4), (2, 1), 1, [(2, 2), (1, 1)]),
    ((3, 2), "same", (1, 3), [(1, 1), (1, 2)]),  # of three columns the odd one lies at the far end
    ((3, 4), "valid", 1, [(0, 0), (0, 0)]),
])  # fmt: skip
def test_padding_modes(mode, numpy_mode, kernel, padding, dilation, edges):
    module = nn.Conv2d(2, 3, kernel, padding=padding, dilation=dilation, padding_mode=mode)
    x = ml.randn(2, 2, 5, 6)
    padded = ml.tensor(np.pad(x.numpy(), [(0, 0), (0, 0), *edges], mode=numpy_mode))
    expected = F.conv2d(padded, module.weight, module.bias, dilation=dilation)
    assert_close(module(x).detach().numpy(), expected.detach().numpy())
    assert f"padding_mode={mode}" in repr(module)


@pytest.mark.parametrize("layer, shape", [(nn.Conv1d, (1, 2, 5)), (nn.Conv3d, (1, 2, 3, 4, 5))])
def test_padding_modes_in_other_dimensions(layer, shape):
    module = layer(2, 3, 3, padding=1, padding_mode="circular")
    edges = [(0, 0), (0, 0)] + [(1, 1)] * (len(shape) - 2)
    x = ml.randn(*shape)
    bare = layer(2, 3, 3)
    bare.load_state_dict(module.state_dict())
    expected = bare(ml.tensor(np.pad(x.numpy(), edges, mode="wrap")))
    assert_close(module(x).detach().numpy(), expected.detach().numpy())


@pytest.mark.parametrize("text", [
    "Conv2d(4, 6, kernel_size=(3, 2), stride=(1, 1))",
    "Conv1d(4, 6, kernel_size=(3,), stride=(2,), padding=(1,), dilation=(2,), groups=2)",
    "Conv3d(4, 6, kernel_size=(3, 3, 3), stride=(1, 1, 1), padding=same, bias=False, padding_mode=reflect)",
    "ConvTranspose2d(4, 6, kernel_size=(3, 3), stride=(2, 2), padding=(1, 1), output_padding=(1, 1))",
])  # fmt: skip
def test_repr_is_that_of_pytorch(text):
    call = text.replace("padding=same", "padding='same'").replace("=reflect", "='reflect'")
    assert repr(eval(f"nn.{call}")) == text


@pytest.mark.parametrize("size", [(7, 5), (8, 6), (2, 3, 8, 6), [7, 6]])
def test_output_size(size):
    module = nn.ConvTranspose2d(2, 3, 3, stride=2, padding=1)
    x = ml.randn(2, 2, 4, 3)
    assert module(x, output_size=size).shape == (2, 3, *tuple(size)[-2:])
    assert module(x[0], output_size=tuple(size)[-2:]).shape == (3, *tuple(size)[-2:])


def test_output_size_restores_what_a_convolution_has_reduced():
    down, up = nn.Conv2d(1, 2, 3, stride=3), nn.ConvTranspose2d(2, 1, 3, stride=3)
    x = ml.randn(1, 1, 10, 11)
    assert up(down(x), output_size=x.size()).shape == x.shape


def test_output_size_out_of_reach():
    module = nn.ConvTranspose2d(2, 3, 3, stride=2, padding=1)
    x = ml.randn(2, 2, 4, 3)
    with pytest.raises(ShapeError, match=r"output_size \(9, 6\) is out of reach .* it can be \(7, 5\) to \(8, 6\)"):
        module(x, output_size=(9, 6))
    with pytest.raises(ArgumentError, match="output_size must have 2 entries"):
        module(x, output_size=(7,))
    with pytest.raises(ArgumentTypeError, match="x must be a Tensor"):
        module([1.0], output_size=(7, 5))


@pytest.mark.parametrize("settings, message", [
    ({"groups": 3}, "Conv2d: groups 3 must divide both in_channels 4 and out_channels 6"),
    ({"groups": 4}, "groups 4 must divide both in_channels 4 and out_channels 6"),
    ({"groups": 0}, "groups must be at least 1"),
    ({"stride": 0}, "stride must be at least 1"),
    ({"stride": 2, "padding": "same"}, "padding 'same' needs stride 1"),
    ({"padding": "full"}, "padding must be an integer, a tuple, 'same' or 'valid', got 'full'"),
    ({"padding": -1}, "padding must be at least 0"),
    ({"padding_mode": "mirror"}, "padding_mode must be one of zeros, reflect, replicate, circular, got 'mirror'"),
    ({"in_channels": 0}, "in_channels must be at least 1"),
    ({"out_channels": -6}, "out_channels must be at least 1"),
    ({"kernel_size": 0}, "kernel_size must be at least 1"),
    ({"kernel_size": (3, 3, 3)}, "kernel_size must have 1 or 2 entries"),
])  # fmt: skip
def test_bad_settings_are_refused_at_once(settings, message):
    with pytest.raises(ArgumentError, match=message):
        nn.Conv2d(**{"in_channels": 4, "out_channels": 6, "kernel_size": 3} | settings)


def test_transposed_convolution_refuses():
    with pytest.raises(
        ArgumentError, match="ConvTranspose2d: only padding_mode 'zeros' has a meaning here, got 'reflect'"
    ):
        nn.ConvTranspose2d(1, 1, 3, padding_mode="reflect")
    with pytest.raises(ArgumentError, match="ConvTranspose1d: padding must be an integer or a tuple, got 'same'"):
        nn.ConvTranspose1d(1, 1, 3, padding="same")


def test_errors_name_the_layer():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(3, 4, 3))
    with pytest.raises(ShapeError, match=r"conv2d: x has 4 channels but weight expects 3 .* \[in layer 1\]"):
        model(ml.zeros(1, 3, 8, 8))


def test_unfold_and_fold():
    x = ml.randn(2, 3, 5, 6)
    columns = nn.Unfold((3, 2), dilation=1, padding=1, stride=2)(x)
    np.testing.assert_array_equal(columns.data, F.unfold(x, (3, 2), 1, 1, 2).data)
    image = nn.Fold((5, 6), (3, 2), padding=1, stride=2)(columns)
    np.testing.assert_array_equal(image.data, F.fold(columns, (5, 6), (3, 2), 1, 1, 2).data)
    assert repr(nn.Unfold(3)) == "Unfold(kernel_size=3, dilation=1, padding=0, stride=1)"
    assert repr(nn.Fold((4, 5), 2)) == "Fold(output_size=(4, 5), kernel_size=2, dilation=1, padding=0, stride=1)"


@pytest.mark.parametrize("call", [
    "Conv1d(4, 6, 3, 2, 1, 2, 2, False)",
    "Conv2d(4, 6, (3, 2), 1, 'same', 1, 2, True, 'circular')",
    "Conv3d(4, 6, 2, padding='valid')",
    "ConvTranspose1d(4, 6, 3, 2, 1, 1, 2, True, 2)",
    "ConvTranspose2d(4, 6, (3, 4), (2, 3), 1, 1)",
    "ConvTranspose3d(4, 6, 2, bias=False)",
])  # fmt: skip
@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")
def test_torch_agrees(call):
    torch = pytest.importorskip("torch")
    ours, theirs = eval(f"nn.{call}"), eval(f"torch.nn.{call}")
    assert repr(ours) == repr(theirs)
    state = {name: value.numpy() for name, value in theirs.state_dict().items()}
    ours.load_state_dict({name: ml.tensor(value) for name, value in state.items()})
    x = np.random.default_rng(0).standard_normal((2, 4, *(5,) * dims_of(type(ours)))).astype(np.float32)
    y, expected = ours(ml.tensor(x)), theirs(torch.tensor(x))
    assert_close(y.detach().numpy(), expected.detach().numpy())
    y.sum().backward()
    expected.sum().backward()
    for name, parameter in theirs.named_parameters():
        assert_close(dict(ours.named_parameters())[name].grad.numpy(), parameter.grad.numpy(), BACKWARD)
