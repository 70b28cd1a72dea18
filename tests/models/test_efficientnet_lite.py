"""EfficientNet-Lite0: the padding at every size, the names of the published file, and the whole against plain torch."""

import math

import numpy as np
import pytest

import minidl as ml
from minidl import models
from minidl.errors import ShapeError
from minidl.kernels import reference
from minidl.models.efficientnet_lite import SameConv2d
from tests.models._torchvision import fill, images, listing


@pytest.mark.parametrize("kernel", [1, 3, 5, (3, 5)])
@pytest.mark.parametrize("stride", [1, 2, 3, (2, 1)])
def test_padding_at_every_size(kernel, stride, rng):
    """Against the definition: the windows are centred as well as they can be, and what is odd comes at the end."""
    conv = SameConv2d(2, 4, kernel, stride, groups=2)
    for height, width in [(1, 1), (2, 7), (7, 2), (8, 8), (9, 8), (10, 11)]:
        x = rng.standard_normal((1, 2, height, width), dtype=np.float32)
        widths = []
        for size, k, s in zip((height, width), conv.kernel_size, conv.stride, strict=True):
            missing = max((math.ceil(size / s) - 1) * s + k - size, 0)
            widths.append((missing // 2, math.ceil(missing / 2)))
        expected = reference.conv(
            x,
            conv.weight.data,
            conv.bias.data,
            stride=conv.stride,
            padding=tuple(widths),
            dilation=(1, 1),
            groups=2,
        )
        y = conv(ml.tensor(x)).detach().numpy()
        assert y.shape == (1, 4, math.ceil(height / conv.stride[0]), math.ceil(width / conv.stride[1]))
        np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-5)


def test_an_even_image_is_padded_at_the_end_only():
    conv = SameConv2d(1, 1, 3, stride=2, bias=False)
    conv.weight.data[...] = 1
    y = conv(ml.ones(1, 1, 4, 4)).detach().numpy()
    np.testing.assert_array_equal(y[0, 0], [[9, 6], [6, 4]])  # a symmetric padding would give [[4, 6], [6, 9]]


def test_names_and_shapes_are_those_of_the_published_file():
    model = models.efficientnet_lite0()
    state = {key: value.shape for key, value in model.state_dict().items()}
    assert sum(parameter.numel() for parameter in model.parameters()) == 4_652_008
    assert len(state) == SIZE_OF_FILE and listing(state) == NAMES_OF_FILE


SIZE_OF_FILE = 296
NAMES_OF_FILE = "d63e09ac5f58f58fbd1f49a8c4882ee68a0bcb5ebde23f8e18df6312083e91af"


@pytest.mark.parametrize("side", [64, 75])
def test_logits_of_the_same_network_written_in_torch(side):
    """Torch's functions on the state dict, the padding by TensorFlow's formula."""
    torch = pytest.importorskip("torch")
    F = torch.nn.functional
    model = models.efficientnet_lite0().eval()
    fill({key: value.data for key, value in model.state_dict().items()})
    state = {key: torch.from_numpy(value.data) for key, value in model.state_dict().items()}

    def conv(x, name, stride=1):
        weight = state[name + ".weight"]
        size, k = x.shape[-1], weight.shape[-1]
        total = max((math.ceil(size / stride) - 1) * stride + k - size, 0)
        x = F.pad(x, [total // 2, total - total // 2] * 2)
        return F.conv2d(x, weight, stride=stride, groups=x.shape[1] // weight.shape[1])

    def norm(x, name):
        statistics = [state[f"{name}.{key}"] for key in ("running_mean", "running_var", "weight", "bias")]
        return F.batch_norm(x, *statistics, eps=1e-3)

    x = F.relu6(norm(conv(torch.from_numpy(images(side)), "_conv_stem", 2), "_bn0"))
    strides = {1: 2, 3: 2, 5: 2, 11: 2}  # of the first block of stages 2, 3, 4 and 6
    for i in range(16):
        block, before = f"_blocks.{i}.", x
        if i > 0:
            x = F.relu6(norm(conv(x, block + "_expand_conv"), block + "_bn0"))
        x = F.relu6(norm(conv(x, block + "_depthwise_conv", strides.get(i, 1)), block + "_bn1"))
        x = norm(conv(x, block + "_project_conv"), block + "_bn2")
        x = x + before if x.shape == before.shape else x
    x = F.relu6(norm(conv(x, "_conv_head"), "_bn1")).mean((2, 3))
    expected = F.linear(x, state["_fc.weight"], state["_fc.bias"]).numpy()
    with ml.no_grad():
        actual = model(ml.tensor(images(side))).numpy()
    assert np.abs(actual - expected).max() < 1e-4 * np.abs(expected).max()


def test_a_gray_image_is_refused_by_name():
    with pytest.raises(ShapeError, match=r"channels.*\[in layer _conv_stem\]"):
        models.efficientnet_lite0()(ml.zeros(1, 1, 32, 32))
