"""EfficientNet: Tan & Le 2019, "EfficientNet: rethinking model scaling for convolutional neural networks", table 1.

In the Lite form for phones (Google, 2020), which leaves out squeeze-and-excitation and has ReLU6 for swish.
"""

from __future__ import annotations

from typing import Any

from .. import functional as F
from .. import nn
from ..autograd import Tensor
from ._init import he_convolutions
from ._pretrained import build

# Repetitions n, kernel size k, stride s of the first, expansion e, channels c
STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)


class SameConv2d(nn.Conv2d):
    """A convolution that gives ⌈size / stride⌉ pixels, as TensorFlow's "same": if the padding is odd, more at the end.

    Math:      total = max((⌈n/s⌉ − 1)·s + k − n, 0) along each dimension, ⌊total/2⌋ of it before, the rest after
    Args:      as Conv2d, without padding and dilation
    """

    def forward(self, x: Tensor) -> Tensor:
        borders: list[int] = []
        for n, k, s in zip(reversed(x.shape[-2:]), reversed(self.kernel_size), reversed(self.stride), strict=True):
            total = max((-(-n // s) - 1) * s + k - n, 0)
            borders += [total // 2, total - total // 2]
        return super().forward(F.pad(x, borders) if any(borders) else x)


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3, momentum=0.01)


class MBConv(nn.Module):
    """1×1 to e times the channels, k×k for each channel by itself, 1×1 to few, as MobileNetV2's inverted residual.

    The input is added if it has the shape of the output.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, stride: int, expand_ratio: int):
        super().__init__()
        hidden = in_channels * expand_ratio
        self.expands = expand_ratio != 1
        self.adds = stride == 1 and in_channels == out_channels
        if self.expands:
            self._expand_conv = nn.Conv2d(in_channels, hidden, 1, bias=False)
            self._bn0 = _norm(hidden)
        self._depthwise_conv = SameConv2d(hidden, hidden, kernel_size, stride, groups=hidden, bias=False)
        self._bn1 = _norm(hidden)
        self._project_conv = nn.Conv2d(hidden, out_channels, 1, bias=False)
        self._bn2 = _norm(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        out = F.relu6(self._bn0(self._expand_conv(x))) if self.expands else x
        out = F.relu6(self._bn1(self._depthwise_conv(out)))
        out = self._bn2(self._project_conv(out))
        return out + x if self.adds else out


class EfficientNetLite0(nn.Module):
    """Found by search for accuracy at a given cost. Names and shapes are those of ``efficientnet-lite0-57934424.pth``.

    ==============  ===========================  ==============
    layer                                        output
    ==============  ===========================  ==============
    input                                        3 × 224 × 224
    _conv_stem      3×3, stride 2                32 × 112 × 112
    _blocks.0       k = 3, e = 1                 16 × 112 × 112
    _blocks.1-2     2 × k = 3, e = 6, stride 2   24 × 56 × 56
    _blocks.3-4     2 × k = 5, e = 6, stride 2   40 × 28 × 28
    _blocks.5-7     3 × k = 3, e = 6, stride 2   80 × 14 × 14
    _blocks.8-10    3 × k = 5, e = 6             112 × 14 × 14
    _blocks.11-14   4 × k = 5, e = 6, stride 2   192 × 7 × 7
    _blocks.15      k = 3, e = 6                 320 × 7 × 7
    _conv_head      1×1                          1280 × 7 × 7
    _fc             mean, dropout, dense         1000 logits
    ==============  ===========================  ==============

    4,652,008 parameters. Batch norm has ε = 0.001. Padding is "same", asymmetric where the stride is 2 and the size
    even. Deviation: in training the paper also drops whole blocks at random (drop connect); this one does not.

    Args:      num_classes: logits. dropout: probability before the dense layer
    """

    def __init__(self, num_classes: int = 1000, dropout: float = 0.2):
        super().__init__()
        self._conv_stem = SameConv2d(3, 32, 3, stride=2, bias=False)
        self._bn0 = _norm(32)
        blocks: list[nn.Module] = []
        in_channels = 32
        for n, k, s, e, c in STAGES:
            for i in range(n):
                blocks.append(MBConv(in_channels, c, k, s if i == 0 else 1, e))
                in_channels = c
        self._blocks = nn.Sequential(*blocks)
        self._conv_head = nn.Conv2d(in_channels, 1280, 1, bias=False)
        self._bn1 = _norm(1280)
        self._dropout = nn.Dropout(dropout)
        self._fc = nn.Linear(1280, num_classes)
        he_convolutions(self)

    def forward(self, x: Tensor) -> Tensor:
        x = self._blocks(F.relu6(self._bn0(self._conv_stem(x))))
        x = F.relu6(self._bn1(self._conv_head(x)))
        return self._fc(self._dropout(F.adaptive_avg_pool2d(x, 1).flatten(1)))


def efficientnet_lite0(pretrained: bool = False, **settings: Any) -> EfficientNetLite0:
    """:class:`EfficientNetLite0`; `settings` are its arguments. For `pretrained` see :mod:`minidl.models`."""
    return build("efficientnet_lite0", pretrained, EfficientNetLite0, **settings)
