"""The layers that resize and pad."""

import numpy as np
import pytest

import minidl.functional as F
from minidl import nn
from minidl.autograd import Tensor
from minidl.errors import ArgumentError, ShapeError


def image(*shape):
    return Tensor(np.random.default_rng(0).standard_normal(shape).astype(np.float32))


LAYERS = [
    (nn.Upsample(scale_factor=2), lambda x: F.interpolate(x, scale_factor=2)),
    (nn.Upsample(5, mode="bilinear"), lambda x: F.interpolate(x, 5, mode="bilinear")),
    (
        nn.Upsample(None, 1.3, "bicubic", True, True),
        lambda x: F.interpolate(x, scale_factor=1.3, mode="bicubic", align_corners=True, recompute_scale_factor=True),
    ),
    (nn.UpsamplingNearest2d(scale_factor=3), lambda x: F.interpolate(x, scale_factor=3)),
    (nn.UpsamplingBilinear2d((7, 5)), lambda x: F.interpolate(x, (7, 5), mode="bilinear", align_corners=True)),
    (nn.PixelShuffle(2), lambda x: F.pixel_shuffle(x, 2)),
    (nn.PixelUnshuffle(2), lambda x: F.pixel_unshuffle(x, 2)),
]


@pytest.mark.parametrize(("layer", "function"), LAYERS, ids=lambda value: type(value).__name__)
def test_layers_call_their_functions(layer, function):
    x = image(2, 4, 4, 6)
    np.testing.assert_array_equal(layer(x).data, function(x).data)


@pytest.mark.parametrize("dims", [1, 2, 3])
@pytest.mark.parametrize(
    ("kind", "mode"),
    [("Zero", "constant"), ("Reflection", "reflect"), ("Replication", "replicate"), ("Circular", "circular")],
)
def test_pads(kind, mode, dims):
    layer_class = getattr(nn, f"{kind}Pad{dims}d")
    x = image(2, 3, *(4, 5, 3)[:dims])
    np.testing.assert_array_equal(layer_class(2)(x).data, F.pad(x, (2,) * 2 * dims, mode).data)
    widths = (1, 2, 0, 1, 2, 1)[: 2 * dims]
    np.testing.assert_array_equal(layer_class(widths)(x).data, F.pad(x, widths, mode).data)


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_constant_pads(dims):
    x = image(2, 3, *(4, 5, 3)[:dims])
    layer = getattr(nn, f"ConstantPad{dims}d")(1, 3.5)
    np.testing.assert_array_equal(layer(x).data, F.pad(x, (1,) * 2 * dims, value=3.5).data)


def test_unbatched_images_and_negative_widths():
    assert nn.ReflectionPad2d((1, 2, 0, 1))(image(3, 4, 5)).shape == (3, 5, 8)
    assert nn.ZeroPad2d(-1)(image(1, 3, 4, 5)).shape == (1, 3, 2, 3)


def test_bad_settings_and_the_path_of_the_layer():
    with pytest.raises(ArgumentError, match=r"ZeroPad2d: padding must have 1 or 4 entries, got \(1, 2\)"):
        nn.ZeroPad2d((1, 2))
    model = nn.Sequential(nn.PixelUnshuffle(2), nn.ReflectionPad2d(3))
    with pytest.raises(ShapeError, match=r"pad: reflect needs widths below the size.*\[in layer 1\]"):
        model(image(1, 1, 4, 4))


def test_representations():
    assert repr(nn.Upsample(scale_factor=2, mode="bilinear")) == "Upsample(scale_factor=2.0, mode='bilinear')"
    assert repr(nn.Upsample((3, 4))) == "Upsample(size=(3, 4), mode='nearest')"
    assert repr(nn.PixelShuffle(3)) == "PixelShuffle(upscale_factor=3)"
    assert repr(nn.PixelUnshuffle(3)) == "PixelUnshuffle(downscale_factor=3)"
    assert repr(nn.ZeroPad2d(1)) == "ZeroPad2d((1, 1, 1, 1))"
    assert repr(nn.ConstantPad1d((1, 2), 0.5)) == "ConstantPad1d(padding=(1, 2), value=0.5)"
