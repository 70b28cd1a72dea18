"""Inception v3: Szegedy et al. 2016, "Rethinking the Inception architecture for computer vision"."""

from __future__ import annotations

from typing import Any, NamedTuple

from .. import functional as F
from .. import nn
from ..autograd import Tensor
from ..nn import init
from ._pretrained import build
from .googlenet import BasicConv2d, from_imagenet_normalization


def _average(x: Tensor) -> Tensor:
    return F.avg_pool2d(x, 3, stride=1, padding=1)


def _row(in_channels: int, out_channels: int, length: int) -> BasicConv2d:
    """1×length, the size kept."""
    return BasicConv2d(in_channels, out_channels, kernel_size=(1, length), padding=(0, length // 2))


def _column(in_channels: int, out_channels: int, length: int) -> BasicConv2d:
    """length×1, the size kept."""
    return BasicConv2d(in_channels, out_channels, kernel_size=(length, 1), padding=(length // 2, 0))


class InceptionA(nn.Module):
    """Figure 5, with the 5×5 of the authors' code for a 3×3: two 3×3 see what a 5×5 does. 224 + pool_features maps."""

    def __init__(self, in_channels: int, pool_features: int):
        super().__init__()
        self.branch1x1 = BasicConv2d(in_channels, 64, kernel_size=1)

        self.branch5x5_1 = BasicConv2d(in_channels, 48, kernel_size=1)
        self.branch5x5_2 = BasicConv2d(48, 64, kernel_size=5, padding=2)

        self.branch3x3dbl_1 = BasicConv2d(in_channels, 64, kernel_size=1)
        self.branch3x3dbl_2 = BasicConv2d(64, 96, kernel_size=3, padding=1)
        self.branch3x3dbl_3 = BasicConv2d(96, 96, kernel_size=3, padding=1)

        self.branch_pool = BasicConv2d(in_channels, pool_features, kernel_size=1)

    def forward(self, x: Tensor) -> Tensor:
        five = self.branch5x5_2(self.branch5x5_1(x))
        double = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        return F.cat([self.branch1x1(x), five, double, self.branch_pool(_average(x))], 1)


class InceptionB(nn.Module):
    """Figure 10: halve the size with convolutions and a maximum side by side. in_channels + 480 maps."""

    def __init__(self, in_channels: int):
        super().__init__()
        self.branch3x3 = BasicConv2d(in_channels, 384, kernel_size=3, stride=2)

        self.branch3x3dbl_1 = BasicConv2d(in_channels, 64, kernel_size=1)
        self.branch3x3dbl_2 = BasicConv2d(64, 96, kernel_size=3, padding=1)
        self.branch3x3dbl_3 = BasicConv2d(96, 96, kernel_size=3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        double = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        return F.cat([self.branch3x3(x), double, F.max_pool2d(x, 3, stride=2)], 1)


class InceptionC(nn.Module):
    """Figure 6 with n = 7: a 7×7 becomes 1×7 and 7×1, two sevenths of the weights. 768 maps."""

    def __init__(self, in_channels: int, channels_7x7: int):
        super().__init__()
        c7 = channels_7x7
        self.branch1x1 = BasicConv2d(in_channels, 192, kernel_size=1)

        self.branch7x7_1 = BasicConv2d(in_channels, c7, kernel_size=1)
        self.branch7x7_2 = _row(c7, c7, 7)
        self.branch7x7_3 = _column(c7, 192, 7)

        self.branch7x7dbl_1 = BasicConv2d(in_channels, c7, kernel_size=1)
        self.branch7x7dbl_2 = _column(c7, c7, 7)
        self.branch7x7dbl_3 = _row(c7, c7, 7)
        self.branch7x7dbl_4 = _column(c7, c7, 7)
        self.branch7x7dbl_5 = _row(c7, 192, 7)

        self.branch_pool = BasicConv2d(in_channels, 192, kernel_size=1)

    def forward(self, x: Tensor) -> Tensor:
        seven = self.branch7x7_3(self.branch7x7_2(self.branch7x7_1(x)))
        double = self.branch7x7dbl_3(self.branch7x7dbl_2(self.branch7x7dbl_1(x)))
        double = self.branch7x7dbl_5(self.branch7x7dbl_4(double))
        return F.cat([self.branch1x1(x), seven, double, self.branch_pool(_average(x))], 1)


class InceptionD(nn.Module):
    """Halve the size, as :class:`InceptionB` with a 7×7 in the second branch. in_channels + 512 maps."""

    def __init__(self, in_channels: int):
        super().__init__()
        self.branch3x3_1 = BasicConv2d(in_channels, 192, kernel_size=1)
        self.branch3x3_2 = BasicConv2d(192, 320, kernel_size=3, stride=2)

        self.branch7x7x3_1 = BasicConv2d(in_channels, 192, kernel_size=1)
        self.branch7x7x3_2 = _row(192, 192, 7)
        self.branch7x7x3_3 = _column(192, 192, 7)
        self.branch7x7x3_4 = BasicConv2d(192, 192, kernel_size=3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        seven = self.branch7x7x3_3(self.branch7x7x3_2(self.branch7x7x3_1(x)))
        return F.cat(
            [self.branch3x3_2(self.branch3x3_1(x)), self.branch7x7x3_4(seven), F.max_pool2d(x, 3, stride=2)], 1
        )


class InceptionE(nn.Module):
    """Figure 7: the 3×3 split into 1×3 and 3×1 side by side, for wide and small maps. 2048 maps."""

    def __init__(self, in_channels: int):
        super().__init__()
        self.branch1x1 = BasicConv2d(in_channels, 320, kernel_size=1)

        self.branch3x3_1 = BasicConv2d(in_channels, 384, kernel_size=1)
        self.branch3x3_2a = _row(384, 384, 3)
        self.branch3x3_2b = _column(384, 384, 3)

        self.branch3x3dbl_1 = BasicConv2d(in_channels, 448, kernel_size=1)
        self.branch3x3dbl_2 = BasicConv2d(448, 384, kernel_size=3, padding=1)
        self.branch3x3dbl_3a = _row(384, 384, 3)
        self.branch3x3dbl_3b = _column(384, 384, 3)

        self.branch_pool = BasicConv2d(in_channels, 192, kernel_size=1)

    def forward(self, x: Tensor) -> Tensor:
        three = self.branch3x3_1(x)
        double = self.branch3x3dbl_2(self.branch3x3dbl_1(x))
        return F.cat(
            [
                self.branch1x1(x),
                self.branch3x3_2a(three),
                self.branch3x3_2b(three),
                self.branch3x3dbl_3a(double),
                self.branch3x3dbl_3b(double),
                self.branch_pool(_average(x)),
            ],
            1,
        )


class InceptionAux(nn.Module):
    """The auxiliary classifier, figure 8. It needs maps of at least 17 × 17."""

    def __init__(self, in_channels: int, num_classes: int):
        super().__init__()
        self.conv0 = BasicConv2d(in_channels, 128, kernel_size=1)
        self.conv1 = BasicConv2d(128, 768, kernel_size=5)
        self.fc = nn.Linear(768, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv1(self.conv0(F.avg_pool2d(x, 5, stride=3)))
        return self.fc(F.adaptive_avg_pool2d(x, 1).flatten(1))


class InceptionOutputs(NamedTuple):
    """What :class:`Inception3` gives in training."""

    logits: Tensor
    aux_logits: Tensor


class Inception3(nn.Module):
    """Inception modules whose larger convolutions are factorized. Names, shapes and arithmetic are torchvision's.

    ====================  =======================  ================
    layer                                          output
    ====================  =======================  ================
    input                                          3 × 299 × 299
    Conv2d_1a_3x3         3×3, stride 2            32 × 149 × 149
    Conv2d_2a_3x3         3×3                      32 × 147 × 147
    Conv2d_2b_3x3         3×3, padding 1           64 × 147 × 147
    maxpool1              max 3×3, stride 2        64 × 73 × 73
    Conv2d_3b_1x1         1×1                      80 × 73 × 73
    Conv2d_4a_3x3         3×3                      192 × 71 × 71
    maxpool2              max 3×3, stride 2        192 × 35 × 35
    Mixed_5b              A, 32 pool features      256 × 35 × 35
    Mixed_5c, 5d          A, 64 pool features      288 × 35 × 35
    Mixed_6a              B                        768 × 17 × 17
    Mixed_6b              C, 128 in the 7×7        768 × 17 × 17
    Mixed_6c, 6d          C, 160 in the 7×7        768 × 17 × 17
    Mixed_6e              C, 192 in the 7×7; aux   768 × 17 × 17
    Mixed_7a              D                        1280 × 8 × 8
    Mixed_7b, 7c          E                        2048 × 8 × 8
    avgpool, fc           mean, dropout, dense     1000 logits
    ====================  =======================  ================

    27,161,264 parameters with the auxiliary classifier, 23,834,568 without. Stem and A are those of the authors' code,
    not of the paper's table 1.

    torchvision's file holds the auxiliary classifier and expects ``transform_input=True``.

    Args:      as :class:`~minidl.models.googlenet.GoogLeNet`; in training with aux_logits it gives
               :class:`InceptionOutputs`. init_weights: draw weights from N(0, 0.1²) cut at ±2, in the auxiliary
               classifier's last layers with 0.01 and 0.001 for 0.1
    Raises:    ShapeError: in forward, an image of fewer than 75 × 75 pixels, or in training with aux_logits one that
               leaves the auxiliary classifier fewer than 17 × 17
    """

    def __init__(
        self,
        num_classes: int = 1000,
        aux_logits: bool = True,
        transform_input: bool = False,
        init_weights: bool = True,
        dropout: float = 0.5,
    ):
        super().__init__()
        self.aux_logits, self.transform_input = aux_logits, transform_input

        self.Conv2d_1a_3x3 = BasicConv2d(3, 32, kernel_size=3, stride=2)
        self.Conv2d_2a_3x3 = BasicConv2d(32, 32, kernel_size=3)
        self.Conv2d_2b_3x3 = BasicConv2d(32, 64, kernel_size=3, padding=1)
        self.maxpool1 = nn.MaxPool2d(3, stride=2)
        self.Conv2d_3b_1x1 = BasicConv2d(64, 80, kernel_size=1)
        self.Conv2d_4a_3x3 = BasicConv2d(80, 192, kernel_size=3)
        self.maxpool2 = nn.MaxPool2d(3, stride=2)

        self.Mixed_5b = InceptionA(192, pool_features=32)
        self.Mixed_5c = InceptionA(256, pool_features=64)
        self.Mixed_5d = InceptionA(288, pool_features=64)
        self.Mixed_6a = InceptionB(288)
        self.Mixed_6b = InceptionC(768, channels_7x7=128)
        self.Mixed_6c = InceptionC(768, channels_7x7=160)
        self.Mixed_6d = InceptionC(768, channels_7x7=160)
        self.Mixed_6e = InceptionC(768, channels_7x7=192)
        self.AuxLogits = InceptionAux(768, num_classes) if aux_logits else None
        self.Mixed_7a = InceptionD(768)
        self.Mixed_7b = InceptionE(1280)
        self.Mixed_7c = InceptionE(2048)

        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(2048, num_classes)
        if init_weights:
            self._init_weights()

    def _init_weights(self) -> None:
        narrower = {"AuxLogits.conv1.conv": 0.01, "AuxLogits.fc": 0.001}
        for name, layer in self.named_modules():
            if isinstance(layer, nn.Conv2d | nn.Linear):
                init.trunc_normal_(layer.weight, 0.0, narrower.get(name, 0.1), -2, 2)

    def forward(self, x: Tensor) -> Any:
        if self.transform_input:
            x = from_imagenet_normalization(x)
        x = self.maxpool1(self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(x))))
        x = self.maxpool2(self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(x)))
        x = self.Mixed_5d(self.Mixed_5c(self.Mixed_5b(x)))
        x = middle = self.Mixed_6e(self.Mixed_6d(self.Mixed_6c(self.Mixed_6b(self.Mixed_6a(x)))))
        x = self.Mixed_7c(self.Mixed_7b(self.Mixed_7a(x)))
        logits = self.fc(self.dropout(self.avgpool(x)).flatten(1))
        if self.training and self.AuxLogits is not None:
            return InceptionOutputs(logits, self.AuxLogits(middle))
        return logits


def inception_v3(pretrained: bool = False, **settings: Any) -> Inception3:
    """:class:`Inception3`; `settings` are its arguments. For `pretrained` see :mod:`minidl.models`."""
    return build("inception_v3", pretrained, Inception3, **settings)
