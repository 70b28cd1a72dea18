"""MobileNetV2: Sandler et al. 2018, "MobileNetV2: inverted residuals and linear bottlenecks"."""

from __future__ import annotations

from typing import Any

from .. import functional as F
from .. import nn
from ..autograd import Tensor
from ..errors import ArgumentError
from ._init import he_convolutions, small_dense
from ._pretrained import build

# Table 2: expansion t, channels c, repetitions n, stride s of the first
SETTING = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


def round_channels(channels: float, divisor: int = 8) -> int:
    """The nearest multiple of `divisor`, at least `divisor`, and the next one where that would lose over a tenth."""
    rounded = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * channels else rounded


def _conv_norm_relu6(in_channels: int, out_channels: int, kernel_size: int, stride: int = 1, groups: int = 1) -> Any:
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, kernel_size, stride, padding=kernel_size // 2, groups=groups, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU6(),
    )


class InvertedResidual(nn.Module):
    """Wide in the middle, thin at the ends: 1×1 to t times the channels, 3×3 for each channel by itself, 1×1 to few.

    The last 1×1 has no ReLU, which would lose too much of so few channels (section 3.2). The input is added if it has
    the shape of the output.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int, expand_ratio: int):
        super().__init__()
        hidden = in_channels * expand_ratio
        self.use_res_connect = stride == 1 and in_channels == out_channels
        self.conv = nn.Sequential(
            *([_conv_norm_relu6(in_channels, hidden, 1)] if expand_ratio != 1 else []),
            _conv_norm_relu6(hidden, hidden, 3, stride, groups=hidden),
            nn.Conv2d(hidden, out_channels, 1, bias=False),
            nn.BatchNorm2d(out_channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv(x) if self.use_res_connect else self.conv(x)


class MobileNetV2(nn.Module):
    """Few parameters and operations, by depthwise convolutions. Names, shapes and arithmetic are torchvision's.

    ================  ===========================  ==============
    layer                                          output
    ================  ===========================  ==============
    input                                          3 × 224 × 224
    features.0        3×3, stride 2                32 × 112 × 112
    features.1        t = 1                        16 × 112 × 112
    features.2-3      2 × t = 6, stride 2          24 × 56 × 56
    features.4-6      3 × t = 6, stride 2          32 × 28 × 28
    features.7-10     4 × t = 6, stride 2          64 × 14 × 14
    features.11-13    3 × t = 6                    96 × 14 × 14
    features.14-16    3 × t = 6, stride 2          160 × 7 × 7
    features.17       t = 6                        320 × 7 × 7
    features.18       1×1                          1280 × 7 × 7
    classifier        mean, dropout, dense         1000 logits
    ================  ===========================  ==============

    3,504,872 parameters.

    Args:      num_classes: logits. width_mult: times the channels of every layer, rounded to multiples of 8 (the last
               layer is not made narrower than 1280). dropout: probability before the dense layer
    Raises:    ArgumentError: a width_mult that is not positive
    """

    def __init__(self, num_classes: int = 1000, width_mult: float = 1.0, dropout: float = 0.2):
        super().__init__()
        if not width_mult > 0:
            raise ArgumentError(f"MobileNetV2: width_mult must be positive, got {width_mult}")
        channels = round_channels(32 * width_mult)
        self.last_channel = round_channels(1280 * max(1.0, width_mult))
        features: list[nn.Module] = [_conv_norm_relu6(3, channels, 3, stride=2)]
        for t, c, n, s in SETTING:
            for i in range(n):
                features.append(InvertedResidual(channels, round_channels(c * width_mult), s if i == 0 else 1, t))
                channels = round_channels(c * width_mult)
        features.append(_conv_norm_relu6(channels, self.last_channel, 1))
        self.features = nn.Sequential(*features)
        self.classifier = nn.Sequential(nn.Dropout(dropout), nn.Linear(self.last_channel, num_classes))
        he_convolutions(self)
        small_dense(self)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(F.adaptive_avg_pool2d(self.features(x), 1).flatten(1))


def mobilenet_v2(pretrained: bool = False, **settings: Any) -> MobileNetV2:
    """:class:`MobileNetV2`; `settings` are its arguments. For `pretrained` see :mod:`minidl.models`."""
    return build("mobilenet_v2", pretrained, MobileNetV2, **settings)
