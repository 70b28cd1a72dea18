"""torchvision's FCN: Long et al. 2015 on the dilated ResNet of Yu, Koltun & Funkhouser 2017."""

from __future__ import annotations

from typing import Any

from .. import functional as F
from .. import nn
from ..autograd import Tensor
from ._pretrained import build
from .resnet import Bottleneck, ResNet


class DilatedResNet50(ResNet):
    """ResNet-50 without its classifier; its last two layers stay at an eighth of the image's size and dilate instead.

    Returns:   forward: the maps of layer3, (N, 1024, H/8, W/8), and of layer4, (N, 2048, H/8, W/8)
    Source:    Yu, Koltun & Funkhouser 2017, "Dilated residual networks", section 2
    """

    def __init__(self) -> None:
        super().__init__(Bottleneck, (3, 4, 6, 3), replace_stride_with_dilation=(False, True, True))
        del self.avgpool, self.fc

    def forward(self, x: Tensor) -> Any:
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        middle = self.layer3(self.layer2(self.layer1(x)))
        return middle, self.layer4(middle)


class FCNHead(nn.Sequential):
    """Scores of each position: 3×3 to a quarter of the channels, batch norm, ReLU, dropout, 1×1."""

    def __init__(self, in_channels: int, num_classes: int):
        super().__init__(
            nn.Conv2d(in_channels, in_channels // 4, 3, padding=1, bias=False),
            nn.BatchNorm2d(in_channels // 4),
            nn.ReLU(),
            nn.Dropout(0.1),
            nn.Conv2d(in_channels // 4, num_classes, 1),
        )


class FCNResNet50(nn.Module):
    """Scores at every eighth pixel, from dilation and without skips, enlarged to the image by bilinear interpolation.

    Names, shapes and arithmetic are torchvision's.

    ==============  ===================================  ==================
    layer                                                output
    ==============  ===================================  ==================
    input                                                3 × H × W
    backbone        :class:`DilatedResNet50`: layer3     1024 × H/8 × W/8
    ..              layer4                               2048 × H/8 × W/8
    classifier      :class:`FCNHead` of layer4           K × H/8 × W/8
    aux_classifier  :class:`FCNHead` of layer3           K × H/8 × W/8
    ..              both enlarged                        K × H × W
    ==============  ===================================  ==================

    32,957,013 parameters for the 21 classes of VOC, 35,322,218 with the auxiliary classifier.

    torchvision's file has the auxiliary classifier::

        model = fcn_resnet50(aux_loss=True)
        model.load_state_dict(minidl.load("fcn_resnet50_coco-1167a1af.pth"))

    Args:      num_classes: K, the background included. aux_loss: have the auxiliary classifier, whose loss torchvision
               adds, times a half, in training
    Returns:   forward: {"out": scores (N, K, H, W)} of images (N, 3, H, W), and with aux_loss {"aux": the same}
    """

    def __init__(self, num_classes: int = 21, aux_loss: bool = False):
        super().__init__()
        self.backbone = DilatedResNet50()
        self.classifier = FCNHead(2048, num_classes)
        self.aux_classifier = FCNHead(1024, num_classes) if aux_loss else None

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        middle, last = self.backbone(x)
        scores = {"out": self.classifier(last)}
        if self.aux_classifier is not None:
            scores["aux"] = self.aux_classifier(middle)
        return {key: F.interpolate(y, x.shape[-2:], mode="bilinear") for key, y in scores.items()}


def fcn_resnet50(pretrained: bool = False, **settings: Any) -> FCNResNet50:
    """:class:`FCNResNet50`; `settings` are its arguments. For `pretrained` see :mod:`minidl.models`."""
    return build("fcn_resnet50", pretrained, FCNResNet50, **settings)
