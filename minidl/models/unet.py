"""U-Net: Ronneberger, Fischer & Brox 2015, "U-Net: convolutional networks for biomedical image segmentation"."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from .. import functional as F
from .. import nn
from ..autograd import Tensor
from ..errors import ArgumentError
from ._init import he_convolutions


class DoubleConv(nn.Sequential):
    """Twice a 3×3 convolution, batch norm if wanted, and ReLU."""

    def __init__(self, in_channels: int, out_channels: int, padding: int, batch_norm: bool):
        layers: list[nn.Module] = []
        for channels in (in_channels, out_channels):
            layers.append(nn.Conv2d(channels, out_channels, 3, padding=padding, bias=not batch_norm))
            layers += [nn.BatchNorm2d(out_channels), nn.ReLU()] if batch_norm else [nn.ReLU()]
        super().__init__(*layers)


class UNet(nn.Module):
    """Down to see much and up to see precisely: each level above hands its maps across, where they are concatenated.

    Figure 1, with the sizes of an image of 572 × 572 and no padding, as in the paper:

    ===========  ==========================  =================  =============================  ================
    level        down: 2 × conv3             output             up                             output
    ===========  ==========================  =================  =============================  ================
    0            down.0                      64 × 568 × 568     up.3, cat, conv.3              64 × 388 × 388
    1            max 2×2, down.1             128 × 280 × 280    up.2, cat, conv.2              128 × 196 × 196
    2            max 2×2, down.2             256 × 136 × 136    up.1, cat, conv.1              256 × 100 × 100
    3            max 2×2, down.3             512 × 64 × 64      up.0 2×2, cat, conv.0 2×conv3  512 × 52 × 52
    4            max 2×2, down.4, dropout    1024 × 28 × 28
    score        1×1                                                                           K × 388 × 388
    ===========  ==========================  =================  =============================  ================

    31,030,658 parameters for gray images and two classes, without batch norm.

    Args:      num_classes: K. in_channels: 1 for gray, 3 for RGB. widths: maps of each level; one level fewer is one
               less halving. padding: 1 keeps the image's size, of any size that survives the halvings; 0 is the paper,
               which labels only pixels whose surroundings are in the image. batch_norm: after each convolution, which
               the paper does not have. dropout: probability at the end of the way down
    Returns:   forward: scores (N, K, H, W) of images (N, C, H, W); with padding 0 those of the pixels in the middle
    Raises:    ArgumentError: fewer than two levels, or another padding. ShapeError: in forward, an image too small
    Source:    section 2; section 3 for the initialization, that of He et al.
    """

    def __init__(
        self,
        num_classes: int = 2,
        in_channels: int = 1,
        widths: Sequence[int] = (64, 128, 256, 512, 1024),
        padding: int = 1,
        batch_norm: bool = True,
        dropout: float = 0.0,
    ):
        super().__init__()
        if len(widths) < 2 or padding not in (0, 1):
            raise ArgumentError(
                f"UNet: needs the widths of two levels or more and padding 0 or 1, got widths={tuple(widths)}, "
                f"padding={padding}"
            )
        self.padding = padding
        self.down = nn.ModuleList([DoubleConv(c, o, padding, batch_norm) for c, o in pairwise([in_channels, *widths])])
        self.pool = nn.MaxPool2d(2)
        self.dropout = nn.Dropout(dropout)
        upwards = list(pairwise(widths[::-1]))
        self.up = nn.ModuleList([nn.ConvTranspose2d(c, o, 2, stride=2) for c, o in upwards])
        self.conv = nn.ModuleList([DoubleConv(2 * o, o, padding, batch_norm) for _, o in upwards])
        self.score = nn.Conv2d(widths[0], num_classes, 1)
        he_convolutions(self)

    def forward(self, x: Tensor) -> Tensor:
        levels: list[Tensor] = []
        for block in self.down:
            x = block(self.pool(x) if levels else x)
            levels.append(x)
        x = self.dropout(levels.pop())
        for up, conv in zip(self.up, self.conv, strict=True):
            across = levels.pop()
            if self.padding:
                x = up(x, output_size=across.shape[-2:])  # an odd row that the maximum left out comes back
            else:
                x = up(x)
                across = _middle(across, x)
            x = conv(F.cat([across, x], 1))
        return self.score(x)


def _middle(x: Tensor, of: Tensor) -> Tensor:
    """The middle of x, as large as `of`."""
    (h, w), (out_h, out_w) = x.shape[-2:], of.shape[-2:]
    top, left = (h - out_h) // 2, (w - out_w) // 2
    return x[..., top : top + out_h, left : left + out_w]
