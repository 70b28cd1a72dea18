"""ResNets for images of 32 × 32 pixels, and plain networks to compare with: He et al. 2016, section 4.2."""

from __future__ import annotations

from .. import functional as F
from .. import nn
from ..autograd import Tensor
from ..errors import ArgumentError
from ..functional._shared import check_integer
from ._init import he_convolutions


class CifarBlock(nn.Module):
    """Two 3×3 convolutions, the first with the stride; with `residual`, what comes in is added before the last ReLU.

    Where the shape changes, the shortcut takes every second pixel and adds channels of zeros: option A, no parameters.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int, residual: bool):
        super().__init__()
        self.stride, self.new_channels, self.residual = stride, out_channels - in_channels, residual
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        out = F.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        return F.relu(out + self.shortcut(x) if self.residual else out)

    def shortcut(self, x: Tensor) -> Tensor:
        """x in the shape of the block's output."""
        if self.stride > 1:
            x = x[:, :, :: self.stride, :: self.stride]
        return F.pad(x, (0, 0, 0, 0, 0, self.new_channels)) if self.new_channels else x


class ResNetCifar(nn.Module):
    """6n + 2 layers: a convolution, three stages of n blocks of two, a dense layer.

    ===========  =========================  =============
    layer                                   output
    ===========  =========================  =============
    input                                   3 × 32 × 32
    conv1        3×3                        16 × 32 × 32
    layer1       n × [3×3, 16]²             16 × 32 × 32
    layer2       n × [3×3, 32]², stride 2   32 × 16 × 16
    layer3       n × [3×3, 64]², stride 2   64 × 8 × 8
    avgpool, fc  mean, dense                10 logits
    ===========  =========================  =============

    Parameters for 3 channels and 10 classes: 269,722 at depth 20, 464,154 at 32, 853,018 at 56, 1,727,962 at 110; a
    plain network has as many.

    Args:      depth: 6n + 2, so 8, 14, 20, 32, 44, 56, 110. num_classes: logits. in_channels: 1 for gray, 3 for RGB.
               width: channels of the first stage. residual: False for a plain network
    Raises:    ArgumentError: a depth that is not 6n + 2
    """

    def __init__(
        self, depth: int = 20, num_classes: int = 10, in_channels: int = 3, width: int = 16, residual: bool = True
    ):
        super().__init__()
        blocks, rest = divmod(check_integer(depth, "ResNetCifar", "depth") - 2, 6)
        if blocks < 1 or rest:
            raise ArgumentError(f"ResNetCifar: depth must be 6n + 2, such as 8, 14, 20, 32, 56 or 110; got {depth}")
        self.conv1 = nn.Conv2d(in_channels, width, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.layer1 = _stage(blocks, width, width, 1, residual)
        self.layer2 = _stage(blocks, width, 2 * width, 2, residual)
        self.layer3 = _stage(blocks, 2 * width, 4 * width, 2, residual)
        self.fc = nn.Linear(4 * width, num_classes)
        he_convolutions(self)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.fc(F.adaptive_avg_pool2d(x, 1).flatten(1))


def plain_cifar(depth: int = 20, num_classes: int = 10, in_channels: int = 3, width: int = 16) -> ResNetCifar:
    """:class:`ResNetCifar` without shortcuts: as many layers and parameters, but the deeper, the harder to train.

    Raises:    ArgumentError: a depth that is not 6n + 2
    """
    return ResNetCifar(depth, num_classes, in_channels, width, residual=False)


def _stage(blocks: int, in_channels: int, out_channels: int, stride: int, residual: bool) -> nn.Sequential:
    first = CifarBlock(in_channels, out_channels, stride, residual)
    return nn.Sequential(first, *[CifarBlock(out_channels, out_channels, 1, residual) for _ in range(1, blocks)])
