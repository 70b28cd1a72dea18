"""FCN-8s-like segmentation of 64 x 64 images into 6 classes, batch 16 (Long et al. 2015: skips at strides 8 and 4)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..libraries import Target
from ._train import images, training

BATCH, CLASSES = 16, 6
STAGES = ((32, 2), (64, 2), (128, 2), (128, 1))  # channels, convolutions before the pooling


def model(nn: Any) -> Any:
    class FCN(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.stages = nn.ModuleList()
            inputs = 3
            for outputs, count in STAGES:
                layers = []
                for _ in range(count):
                    layers += [nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.ReLU(inplace=True)]
                    inputs = outputs
                self.stages.append(nn.Sequential(*layers, nn.MaxPool2d(2)))
            self.score16 = nn.Conv2d(128, CLASSES, 1, bias=False)
            self.score8 = nn.Conv2d(128, CLASSES, 1, bias=False)
            self.score4 = nn.Conv2d(64, CLASSES, 1, bias=False)
            self.up16 = nn.ConvTranspose2d(CLASSES, CLASSES, 4, 2, 1, bias=False)
            self.up8 = nn.ConvTranspose2d(CLASSES, CLASSES, 4, 2, 1, bias=False)
            self.up4 = nn.ConvTranspose2d(CLASSES, CLASSES, 8, 4, 2, bias=False)

        def forward(self, x: Any) -> Any:
            at4 = self.stages[1](self.stages[0](x))
            at8 = self.stages[2](at4)
            at16 = self.stages[3](at8)
            scores = self.up16(self.score16(at16)) + self.score8(at8)
            return self.up4(self.up8(scores) + self.score4(at4))

    return FCN()


def step(target: Target) -> Callable[[], object]:
    x, _ = images(3, 64, BATCH)
    labels = np.random.default_rng(1).integers(0, CLASSES, (BATCH, 64, 64))
    return training(target, model(target.library.nn), x, labels)
