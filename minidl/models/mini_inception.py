"""A small Inception: Zhang et al. 2017, "Understanding deep learning requires rethinking generalization", figure 3."""

from __future__ import annotations

from .. import functional as F
from .. import nn
from ..autograd import Tensor
from ..errors import ArgumentError
from ._init import he_convolutions
from .googlenet import BasicConv2d


class TwoBranches(nn.Module):
    """1×1 and 3×3 convolutions of the same input, side by side."""

    def __init__(self, in_channels: int, ch1x1: int, ch3x3: int):
        super().__init__()
        self.branch1x1 = BasicConv2d(in_channels, ch1x1, kernel_size=1)
        self.branch3x3 = BasicConv2d(in_channels, ch3x3, kernel_size=3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return F.cat([self.branch1x1(x), self.branch3x3(x)], 1)


class Downsample(nn.Module):
    """Half the size: a 3×3 convolution and a 3×3 maximum, both with stride 2, side by side."""

    def __init__(self, in_channels: int, ch3x3: int):
        super().__init__()
        self.branch3x3 = BasicConv2d(in_channels, ch3x3, kernel_size=3, stride=2, padding=1)
        self.pool = nn.MaxPool2d(3, stride=2, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return F.cat([self.branch3x3(x), self.pool(x)], 1)


class MiniInception(nn.Module):
    """Inception for images of about 32 × 32 pixels.

    ===========  ==========================  =============
    layer        1×1, 3×3                    output
    ===========  ==========================  =============
    input                                    3 × 32 × 32
    conv1        3×3                         96 × 32 × 32
    blocks.0-1   32, 32;  32, 48             80 × 32 × 32
    blocks.2     3×3 to 80, and a maximum    160 × 16 × 16
    blocks.3-6   112, 48;  96, 64;
    ..           80, 80;  48, 96             144 × 16 × 16
    blocks.7     3×3 to 96, and a maximum    240 × 8 × 8
    blocks.8-9   176, 160;  176, 160         336 × 8 × 8
    fc           mean, dense                 10 logits
    ===========  ==========================  =============

    1,651,114 parameters: the paper's 1,649,402 and the γ of batch norm, which its authors left out. The mean is over
    the whole map, whatever the image's size; the paper's images are 28 × 28.

    Args:      num_classes: logits. in_channels: 1 for gray, 3 for RGB. width_mult: times the channels of every layer;
               ½ trains four times as fast
    Raises:    ArgumentError: a width_mult that leaves a layer without channels
    """

    def __init__(self, num_classes: int = 10, in_channels: int = 3, width_mult: float = 1.0):
        super().__init__()

        def wide(channels: int) -> int:
            return round(channels * width_mult)

        if not width_mult > 0 or wide(32) < 1:
            raise ArgumentError(f"MiniInception: width_mult={width_mult} leaves no channels; choose 1/32 or more")
        self.conv1 = BasicConv2d(in_channels, wide(96), kernel_size=3, padding=1)
        channels = wide(96)
        blocks: list[nn.Module] = []
        for step in (32, 32), (32, 48), 80, (112, 48), (96, 64), (80, 80), (48, 96), 96, (176, 160), (176, 160):
            if isinstance(step, tuple):
                blocks.append(TwoBranches(channels, wide(step[0]), wide(step[1])))
                channels = wide(step[0]) + wide(step[1])
            else:
                blocks.append(Downsample(channels, wide(step)))
                channels += wide(step)
        self.blocks = nn.Sequential(*blocks)
        self.fc = nn.Linear(channels, num_classes)
        he_convolutions(self)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(F.adaptive_avg_pool2d(self.blocks(self.conv1(x)), 1).flatten(1))
