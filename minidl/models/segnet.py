"""SegNet: Badrinarayanan, Kendall & Cipolla 2017, "SegNet: a deep convolutional encoder-decoder architecture"."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import ClassVar

from .. import nn
from ..autograd import Tensor
from ..errors import ArgumentError
from ._init import he_convolutions


class EncoderDecoder(nn.Module):
    """Maxima on the way down, unpooling to where they were found on the way up: SegNet and DeconvNet.

    Stage i of the encoder has depths[i] convolutions to widths[i] maps and halves the size. Its mirror image in the
    decoder unpools, and the last of its as many convolutions leads to the maps of the stage above.
    """

    _decoding: ClassVar[type[nn.Conv2d | nn.ConvTranspose2d]] = nn.Conv2d

    def __init__(self, num_classes: int, in_channels: int, widths: Sequence[int], depths: Sequence[int]):
        super().__init__()
        if not widths or len(widths) != len(depths) or min(depths) < 1:
            raise ArgumentError(
                f"{type(self).__name__}: needs one width and one depth, at least 1, for each stage, got "
                f"widths={tuple(widths)}, depths={tuple(depths)}"
            )
        down = zip([in_channels, *widths], widths, depths, strict=False)
        self.encoder = nn.ModuleList([_stage([above, *[width] * depth]) for above, width, depth in down])
        self.pool = nn.MaxPool2d(2, return_indices=True)
        self.unpool = nn.MaxUnpool2d(2)
        up = list(zip([widths[0], *widths], widths, depths, strict=False))[::-1]
        self.decoder = nn.ModuleList([_stage([*[width] * depth, above], self._decoding) for above, width, depth in up])
        self.score = nn.Conv2d(widths[0], num_classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        switches = []
        for stage in self.encoder:
            x = stage(x)
            size = x.shape[-2:]
            x, indices = self.pool(x)
            switches.append((indices, size))
        x = self.bottom(x)
        for stage in self.decoder:
            indices, size = switches.pop()
            x = stage(self.unpool(x, indices, output_size=size))
        return self.score(x)

    def bottom(self, x: Tensor) -> Tensor:
        """What lies between the last maximum and the first unpooling."""
        return x


def _stage(channels: Sequence[int], layer: type[nn.Conv2d | nn.ConvTranspose2d] = nn.Conv2d) -> nn.Sequential:
    return nn.Sequential(*(part for c, o in pairwise(channels) for part in conv_norm_relu(c, o, layer, 3, 1)))


def conv_norm_relu(
    in_channels: int, out_channels: int, layer: type[nn.Conv2d | nn.ConvTranspose2d], kernel_size: int, padding: int = 0
) -> list[nn.Module]:
    """A convolution or its transpose, batch norm, ReLU."""
    convolution = layer(in_channels, out_channels, kernel_size, padding=padding, bias=False)
    return [convolution, nn.BatchNorm2d(out_channels), nn.ReLU()]


class SegNet(EncoderDecoder):
    """The convolutions of VGG-16, and their mirror image, which puts every maximum back where it was found.

    ===========  ==========================  ================  ===========  ===================  ================
    stage        encoder, then max 2×2       output            stage        unpool, then conv3   output
    ===========  ==========================  ================  ===========  ===================  ================
    encoder.0    2 × conv3-64                64 × H/2 × W/2    decoder.4    64                   64 × H × W
    encoder.1    2 × conv3-128               128 × H/4 × W/4   decoder.3    128, 64              64 × H/2 × W/2
    encoder.2    3 × conv3-256               256 × H/8 × W/8   decoder.2    256, 256, 128        128 × H/4 × W/4
    encoder.3    3 × conv3-512               512 × H/16        decoder.1    512, 512, 256        256 × H/8 × W/8
    encoder.4    3 × conv3-512               512 × H/32        decoder.0    512, 512, 512        512 × H/16
    score                                                                   conv3                K × H × W
    ===========  ==========================  ================  ===========  ===================  ================

    Batch norm and ReLU after every convolution but the last. What goes from encoder to decoder is two bits for each
    maximum, where U-Net hands over whole maps; between unpooled values lie zeros, which the convolutions fill.
    29,447,189 parameters for 21 classes. Deviation: no bias before batch norm, which would take it away.

    Args:      num_classes: K. in_channels: 1 for gray, 3 for RGB. widths: maps of each stage. depths: convolutions of
               each stage, in the encoder and again in the decoder
    Returns:   forward: scores (N, K, H, W) of images (N, C, H, W) of any size that survives the halvings
    Raises:    ArgumentError: widths and depths of different lengths, or none. ShapeError: in forward, an image that is
               too small
    Source:    section 3, figure 2
    """

    def __init__(
        self,
        num_classes: int = 21,
        in_channels: int = 3,
        widths: Sequence[int] = (64, 128, 256, 512, 512),
        depths: Sequence[int] = (2, 2, 3, 3, 3),
    ):
        super().__init__(num_classes, in_channels, widths, depths)
        self.decoder[-1] = self.decoder[-1][:-3]  # its last convolution gives the scores
        self.score = nn.Conv2d(widths[0], num_classes, 3, padding=1)
        he_convolutions(self)
