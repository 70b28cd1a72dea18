"""GoogLeNet: Szegedy et al. 2015, "Going deeper with convolutions", with the batch norm of Ioffe & Szegedy 2015."""

from __future__ import annotations

from typing import Any, NamedTuple

from .. import functional as F
from .. import nn
from ..autograd import Tensor
from ..nn import init
from ._pretrained import build


class BasicConv2d(nn.Module):
    """Convolution without bias, batch norm with ε = 0.001, ReLU. `settings` are those of Conv2d."""

    def __init__(self, in_channels: int, out_channels: int, **settings: Any):
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, bias=False, **settings)
        self.bn = nn.BatchNorm2d(out_channels, eps=0.001)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn(self.conv(x)))


class Inception(nn.Module):
    """Four views of the same input side by side, figure 2(b): 1×1; 1×1 and 3×3; 1×1 and "5×5"; maximum and 1×1.

    The 1×1 convolutions in front make the input thinner before the larger ones see it, which is what makes the module
    affordable. The "5×5" is 3×3, as in torchvision, whose weights were trained so.

    Args:      in_channels, then the columns of table 1: maps of the 1×1, of the 1×1 before the 3×3 and of the 3×3, of
               the 1×1 before the 5×5 and of the 5×5, of the 1×1 after the maximum
    """

    def __init__(
        self, in_channels: int, ch1x1: int, ch3x3red: int, ch3x3: int, ch5x5red: int, ch5x5: int, pool_proj: int
    ):
        super().__init__()
        self.branch1 = BasicConv2d(in_channels, ch1x1, kernel_size=1)
        self.branch2 = nn.Sequential(
            BasicConv2d(in_channels, ch3x3red, kernel_size=1),
            BasicConv2d(ch3x3red, ch3x3, kernel_size=3, padding=1),
        )
        self.branch3 = nn.Sequential(
            BasicConv2d(in_channels, ch5x5red, kernel_size=1),
            BasicConv2d(ch5x5red, ch5x5, kernel_size=3, padding=1),
        )
        self.branch4 = nn.Sequential(
            nn.MaxPool2d(3, stride=1, padding=1, ceil_mode=True),
            BasicConv2d(in_channels, pool_proj, kernel_size=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        return F.cat([self.branch1(x), self.branch2(x), self.branch3(x), self.branch4(x)], 1)


class InceptionAux(nn.Module):
    """A classifier half way up, whose loss brings gradients to the lower half in training (section 5)."""

    def __init__(self, in_channels: int, num_classes: int, dropout: float = 0.7):
        super().__init__()
        self.conv = BasicConv2d(in_channels, 128, kernel_size=1)
        self.fc1 = nn.Linear(128 * 4 * 4, 1024)
        self.fc2 = nn.Linear(1024, num_classes)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(F.adaptive_avg_pool2d(x, 4)).flatten(1)
        return self.fc2(self.dropout(F.relu(self.fc1(x))))


class GoogLeNetOutputs(NamedTuple):
    """What :class:`GoogLeNet` gives in training; to the loss of the logits the paper adds 0.3 times the two others'."""

    logits: Tensor
    aux_logits2: Tensor
    aux_logits1: Tensor


class GoogLeNet(nn.Module):
    """22 layers deep, with nine :class:`Inception` modules and one dense layer. Names and arithmetic are torchvision's.

    =============  ====================================  ===============
    layer                                                output
    =============  ====================================  ===============
    input                                                3 × 224 × 224
    conv1          7×7, stride 2                         64 × 112 × 112
    maxpool1       max 3×3, stride 2                     64 × 56 × 56
    conv2, conv3   1×1, 3×3                              192 × 56 × 56
    maxpool2       max 3×3, stride 2                     192 × 28 × 28
    inception3a    64, 96→128, 16→32, 32                 256 × 28 × 28
    inception3b    128, 128→192, 32→96, 64               480 × 28 × 28
    maxpool3       max 3×3, stride 2                     480 × 14 × 14
    inception4a    192, 96→208, 16→48, 64; here aux1     512 × 14 × 14
    inception4b    160, 112→224, 24→64, 64               512 × 14 × 14
    inception4c    128, 128→256, 24→64, 64               512 × 14 × 14
    inception4d    112, 144→288, 32→64, 64; here aux2    528 × 14 × 14
    inception4e    256, 160→320, 32→128, 128             832 × 14 × 14
    maxpool4       max 2×2, stride 2                     832 × 7 × 7
    inception5a    256, 160→320, 32→128, 128             832 × 7 × 7
    inception5b    384, 192→384, 48→128, 128             1024 × 7 × 7
    avgpool, fc    mean, dropout, dense                  1000 logits
    =============  ====================================  ===============

    6,624,904 parameters, 13,004,888 with the auxiliary classifiers. Deviations: batch norm instead of local response
    normalization; 3×3 for 5×5; maxpool4 is 2×2.

    torchvision's file holds the auxiliary classifiers and expects ``transform_input=True``.

    Args:      num_classes: logits. aux_logits: have the auxiliary classifiers, and return :class:`GoogLeNetOutputs` in
               training. transform_input: turn images normalized as usual for ImageNet into (x − ½)/½ ones.
               init_weights: draw weights from N(0, 0.01²). dropout, dropout_aux: probability before fc, and in the
               auxiliary classifiers
    Raises:    ShapeError: in forward, an image of fewer than 15 × 15 pixels
    """

    def __init__(
        self,
        num_classes: int = 1000,
        aux_logits: bool = True,
        transform_input: bool = False,
        init_weights: bool = True,
        dropout: float = 0.2,
        dropout_aux: float = 0.7,
    ):
        super().__init__()
        self.aux_logits, self.transform_input = aux_logits, transform_input

        self.conv1 = BasicConv2d(3, 64, kernel_size=7, stride=2, padding=3)
        self.maxpool1 = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        self.conv2 = BasicConv2d(64, 64, kernel_size=1)
        self.conv3 = BasicConv2d(64, 192, kernel_size=3, padding=1)
        self.maxpool2 = nn.MaxPool2d(3, stride=2, ceil_mode=True)

        self.inception3a = Inception(192, 64, 96, 128, 16, 32, 32)
        self.inception3b = Inception(256, 128, 128, 192, 32, 96, 64)
        self.maxpool3 = nn.MaxPool2d(3, stride=2, ceil_mode=True)

        self.inception4a = Inception(480, 192, 96, 208, 16, 48, 64)
        self.inception4b = Inception(512, 160, 112, 224, 24, 64, 64)
        self.inception4c = Inception(512, 128, 128, 256, 24, 64, 64)
        self.inception4d = Inception(512, 112, 144, 288, 32, 64, 64)
        self.inception4e = Inception(528, 256, 160, 320, 32, 128, 128)
        self.maxpool4 = nn.MaxPool2d(2, stride=2, ceil_mode=True)

        self.inception5a = Inception(832, 256, 160, 320, 32, 128, 128)
        self.inception5b = Inception(832, 384, 192, 384, 48, 128, 128)

        self.aux1 = InceptionAux(512, num_classes, dropout_aux) if aux_logits else None
        self.aux2 = InceptionAux(528, num_classes, dropout_aux) if aux_logits else None

        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(1024, num_classes)

        if init_weights:
            for layer in self.modules():
                if isinstance(layer, nn.Conv2d | nn.Linear):
                    init.trunc_normal_(layer.weight, 0.0, 0.01, -2, 2)

    def forward(self, x: Tensor) -> Any:
        if self.transform_input:
            x = from_imagenet_normalization(x)
        x = self.maxpool1(self.conv1(x))
        x = self.maxpool2(self.conv3(self.conv2(x)))
        x = self.maxpool3(self.inception3b(self.inception3a(x)))
        x = lower = self.inception4a(x)
        x = upper = self.inception4d(self.inception4c(self.inception4b(x)))
        x = self.maxpool4(self.inception4e(x))
        x = self.inception5b(self.inception5a(x))
        logits = self.fc(self.dropout(self.avgpool(x).flatten(1)))
        if self.training and self.aux1 is not None and self.aux2 is not None:
            return GoogLeNetOutputs(logits, self.aux2(upper), self.aux1(lower))
        return logits


def from_imagenet_normalization(x: Tensor) -> Tensor:
    """Images normalized by ImageNet's mean and std of each channel, as if they had been by ½ and ½.

    Math:      y[:, c] = (x[:, c] · std[c] + mean[c] − ½) / ½
    """
    statistics = ((0.485, 0.229), (0.456, 0.224), (0.406, 0.225))
    return F.cat([x[:, c : c + 1] * (std / 0.5) + (mean - 0.5) / 0.5 for c, (mean, std) in enumerate(statistics)], 1)


def googlenet(pretrained: bool = False, **settings: Any) -> GoogLeNet:
    """:class:`GoogLeNet`; `settings` are its arguments. For `pretrained` see :mod:`minidl.models`."""
    return build("googlenet", pretrained, GoogLeNet, **settings)
