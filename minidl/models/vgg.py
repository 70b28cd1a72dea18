"""VGG: Simonyan & Zisserman 2015, "Very deep convolutional networks for large-scale image recognition"."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .. import nn
from ..autograd import Tensor
from ._init import he_convolutions, small_dense
from ._pretrained import build

# The columns of table 1: the maps of each 3×3 convolution, "M" for a maximum over 2×2.
CONFIGURATIONS: dict[str, tuple[int | str, ...]] = {
    "A": (64, "M", 128, "M", 256, 256, "M", 512, 512, "M", 512, 512, "M"),
    "D": (64, 64, "M", 128, 128, "M", 256, 256, 256, "M", 512, 512, 512, "M", 512, 512, 512, "M"),
}


def make_layers(plan: Sequence[int | str], batch_norm: bool = False, in_channels: int = 3) -> nn.Sequential:
    """3×3 convolutions with ReLU, and with batch norm between the two if wanted, and maxima, as `plan` says."""
    layers: list[nn.Module] = []
    for step in plan:
        if isinstance(step, str):
            layers.append(nn.MaxPool2d(2))
        else:
            layers.append(nn.Conv2d(in_channels, step, 3, padding=1))
            layers += [nn.BatchNorm2d(step), nn.ReLU()] if batch_norm else [nn.ReLU()]
            in_channels = step
    return nn.Sequential(*layers)


class VGG(nn.Module):
    """Only 3×3 convolutions: two see as much as one of 5×5, three as one of 7×7, with fewer weights and more ReLUs.

    Names, shapes and arithmetic are torchvision's. Configurations of table 1:

    ===========  ==============  ==============  ===============
    stage        A: vgg11        D: vgg16        output
    ===========  ==============  ==============  ===============
    input                                        3 × 224 × 224
    features     1 × conv3-64    2 × conv3-64    64 × 224 × 224
    ..           max 2×2         max 2×2         64 × 112 × 112
    ..           1 × conv3-128   2 × conv3-128   128 × 112 × 112
    ..           max 2×2         max 2×2         128 × 56 × 56
    ..           2 × conv3-256   3 × conv3-256   256 × 56 × 56
    ..           max 2×2         max 2×2         256 × 28 × 28
    ..           2 × conv3-512   3 × conv3-512   512 × 28 × 28
    ..           max 2×2         max 2×2         512 × 14 × 14
    ..           2 × conv3-512   3 × conv3-512   512 × 14 × 14
    ..           max 2×2         max 2×2         512 × 7 × 7
    avgpool      adaptive mean                   512 × 7 × 7
    classifier   dense, ReLU, dropout            4096
    ..           dense, ReLU, dropout            4096
    ..           dense                           1000 logits
    parameters   132,863,336     138,357,544
    ===========  ==============  ==============  ===============

    vgg16_bn has 138,365,992. The paper trained A first and gave some of its layers to D to begin with; the
    initialization of He et al. 2015, as here, or batch norm makes that unnecessary.

    Args:      features: what :func:`make_layers` gives, ending in 512 maps. num_classes: logits. init_weights: draw
               convolutions as He et al. 2015 and dense layers from N(0, 0.01²). dropout: probability
    Raises:    ShapeError: in forward, an image of fewer than 32 × 32 pixels
    """

    def __init__(self, features: nn.Module, num_classes: int = 1000, init_weights: bool = True, dropout: float = 0.5):
        super().__init__()
        self.features = features
        self.avgpool = nn.AdaptiveAvgPool2d((7, 7))
        self.classifier = nn.Sequential(
            nn.Linear(512 * 7 * 7, 4096),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(4096, 4096),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(4096, num_classes),
        )
        if init_weights:
            he_convolutions(self)
            small_dense(self)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.avgpool(self.features(x)).flatten(1))


def vgg11(pretrained: bool = False, **settings: Any) -> VGG:
    """Configuration A of :class:`VGG`; `settings` are its arguments. For `pretrained` see :mod:`minidl.models`."""
    return build("vgg11", pretrained, _vgg, "A", False, **settings)


def vgg16(pretrained: bool = False, **settings: Any) -> VGG:
    """Configuration D of :class:`VGG`; `settings` are its arguments. For `pretrained` see :mod:`minidl.models`."""
    return build("vgg16", pretrained, _vgg, "D", False, **settings)


def vgg16_bn(pretrained: bool = False, **settings: Any) -> VGG:
    """:func:`vgg16` with batch norm after each convolution."""
    return build("vgg16_bn", pretrained, _vgg, "D", True, **settings)


def _vgg(configuration: str, batch_norm: bool, **settings: Any) -> VGG:
    return VGG(make_layers(CONFIGURATIONS[configuration], batch_norm), **settings)


class MiniVGG(nn.Module):
    """A VGG for images of about 32 × 32 pixels: pairs of 3×3 convolutions, a maximum after each pair.

    ===========  ====================  =============
    stage                              output
    ===========  ====================  =============
    input                              3 × 32 × 32
    features     2 × conv3-32, max     32 × 16 × 16
    ..           2 × conv3-64, max     64 × 8 × 8
    ..           2 × conv3-128, max    128 × 4 × 4
    avgpool      adaptive mean         128 × 2 × 2
    classifier   dense, ReLU, dropout  256
    ..           dense                 10 logits
    ===========  ====================  =============

    421,802 parameters with batch norm. As in :class:`VGG` the mean lets images of any size in, from 8 × 8 on.

    Args:      num_classes: logits. in_channels: 1 for gray, 3 for RGB. widths: maps of each pair. batch_norm: after
               each convolution. dropout: probability before the last layer
    """

    def __init__(
        self,
        num_classes: int = 10,
        in_channels: int = 3,
        widths: Sequence[int] = (32, 64, 128),
        batch_norm: bool = True,
        dropout: float = 0.5,
    ):
        super().__init__()
        plan = [step for width in widths for step in (width, width, "M")]
        self.features = make_layers(plan, batch_norm, in_channels)
        self.avgpool = nn.AdaptiveAvgPool2d((2, 2))
        self.classifier = nn.Sequential(
            nn.Linear(widths[-1] * 2 * 2, 256),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(256, num_classes),
        )
        he_convolutions(self)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.avgpool(self.features(x)).flatten(1))
