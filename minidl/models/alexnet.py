"""AlexNet: Krizhevsky, Sutskever & Hinton 2012, "ImageNet classification with deep convolutional neural networks".

In the form with one column of Krizhevsky 2014, "One weird trick for parallelizing convolutional neural networks".
"""

from __future__ import annotations

from typing import Any

from .. import nn
from ..autograd import Tensor
from ._pretrained import build


class AlexNet(nn.Module):
    """Five convolutions, three dense layers; names, shapes and arithmetic are torchvision's.

    ==============  =============================  =================
    layer                                          output
    ==============  =============================  =================
    input                                          3 × 224 × 224
    features.0      11×11, stride 4, padding 2     64 × 55 × 55
    features.2      max 3×3, stride 2              64 × 27 × 27
    features.3      5×5                            192 × 27 × 27
    features.5      max 3×3, stride 2              192 × 13 × 13
    features.6      3×3                            384 × 13 × 13
    features.8      3×3                            256 × 13 × 13
    features.10     3×3                            256 × 13 × 13
    features.12     max 3×3, stride 2              256 × 6 × 6
    avgpool         adaptive mean                  256 × 6 × 6
    classifier.1    dropout, dense                 4096
    classifier.4    dropout, dense                 4096
    classifier.6    dense                          1000 logits
    ==============  =============================  =================

    ReLU after every convolution and dense layer but the last. All but 2.5 million of the 61,100,840 parameters are in
    the dense layers. Deviations from the paper of 2012: one column, not two halves on two GPUs; no local response
    normalization; fewer maps.

    Args:      num_classes: logits. dropout: probability before each of the first two dense layers
    Raises:    ShapeError: in forward, an image of fewer than 63 × 63 pixels
    """

    def __init__(self, num_classes: int = 1000, dropout: float = 0.5):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 64, 11, stride=4, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(3, stride=2),
            nn.Conv2d(64, 192, 5, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(3, stride=2),
            nn.Conv2d(192, 384, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(384, 256, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(256, 256, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(3, stride=2),
        )
        self.avgpool = nn.AdaptiveAvgPool2d((6, 6))
        self.classifier = nn.Sequential(
            nn.Dropout(dropout),
            nn.Linear(256 * 6 * 6, 4096),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(4096, 4096),
            nn.ReLU(),
            nn.Linear(4096, num_classes),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.avgpool(self.features(x)).flatten(1))


def alexnet(pretrained: bool = False, **settings: Any) -> AlexNet:
    """:class:`AlexNet`; `settings` are its arguments. For `pretrained` see :mod:`minidl.models`."""
    return build("alexnet", pretrained, AlexNet, **settings)
