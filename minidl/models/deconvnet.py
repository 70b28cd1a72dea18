"""DeconvNet: Noh, Hong & Han 2015, "Learning deconvolution network for semantic segmentation"."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from .. import nn
from ..autograd import Tensor
from ..errors import ArgumentError
from ..nn import init
from ._init import he_convolutions
from .segnet import EncoderDecoder, conv_norm_relu


class DeconvNet(EncoderDecoder):
    """VGG-16 with its dense layers, and the mirror image of all of it: unpooling, and convolutions transposed.

    Table 2, for images of 224 × 224:

    ============  =======================  ================  ============  ===================  ================
    stage         convolution              output            stage         deconvolution        output
    ============  =======================  ================  ============  ===================  ================
    encoder.0     2 × conv3-64, max 2×2    64 × 112 × 112    decoder.4     unpool, 64, 64       64 × 224 × 224
    encoder.1     2 × conv3-128, max 2×2   128 × 56 × 56     decoder.3     unpool, 128, 64      64 × 112 × 112
    encoder.2     3 × conv3-256, max 2×2   256 × 28 × 28     decoder.2     unpool, 256,         128 × 56 × 56
    ..                                                       ..            256, 128
    encoder.3     3 × conv3-512, max 2×2   512 × 14 × 14     decoder.1     unpool, 512,         256 × 28 × 28
    ..                                                       ..            512, 256
    encoder.4     3 × conv3-512, max 2×2   512 × 7 × 7       decoder.0     unpool, 512,         512 × 14 × 14
    ..                                                       ..            512, 512
    dense         7×7, 4096                4096 × 1 × 1      dense         7×7 transposed       512 × 7 × 7
    ..            1×1, 4096                4096 × 1 × 1
    score                                                                  1×1                  K × 224 × 224
    ============  =======================  ================  ============  ===================  ================

    Batch norm and ReLU after every convolution and transposed convolution but the last. 251,788,949 parameters for 21
    classes, nearly all in `dense`, through which the whole image passes. Deviation: no bias before batch norm, which
    would take it away.

    Args:      num_classes: K. in_channels: 1 for gray, 3 for RGB. widths, depths: maps and convolutions of each stage.
               hidden: maps of the dense part. side: its kernel, the size of the last map; 7 for images of 224 pixels
               and five stages, 2 for 64 pixels
    Returns:   forward: scores (N, K, H, W) of images (N, C, H, W) whose last map has at least `side` rows and columns
    Raises:    ArgumentError: widths and depths of different lengths, or none; no positive side. ShapeError: in forward,
               an image that is too small
    Source:    section 3
    """

    _decoding: ClassVar = nn.ConvTranspose2d

    def __init__(
        self,
        num_classes: int = 21,
        in_channels: int = 3,
        widths: Sequence[int] = (64, 128, 256, 512, 512),
        depths: Sequence[int] = (2, 2, 3, 3, 3),
        hidden: int = 4096,
        side: int = 7,
    ):
        super().__init__(num_classes, in_channels, widths, depths)
        if side < 1:
            raise ArgumentError(f"DeconvNet: side must be positive, the size of the last map, got {side}")
        self.dense = nn.Sequential(
            *conv_norm_relu(widths[-1], hidden, nn.Conv2d, side),
            *conv_norm_relu(hidden, hidden, nn.Conv2d, 1),
            *conv_norm_relu(hidden, widths[-1], nn.ConvTranspose2d, side),
        )
        he_convolutions(self)
        for layer in self.modules():
            if isinstance(layer, nn.ConvTranspose2d):
                init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")

    def bottom(self, x: Tensor) -> Tensor:
        return self.dense(x)
