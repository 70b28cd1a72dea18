"""A small VGG with batch norm on 32 x 32 images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..libraries import Target
from ._train import images, inference, training

LAYERS = (32, 32, "pool", 64, 64, "pool", 128, 128, "pool")


def model(nn: Any, plan: Sequence[int | str] = LAYERS, channels: int = 3, features: int = 2048) -> Any:
    """Convolutions with so many outputs, and poolings, in the order of the plan; then one layer from the features."""
    layers: list[Any] = []
    for layer in plan:
        if layer == "pool":
            layers.append(nn.MaxPool2d(2))
        else:
            convolution = nn.Conv2d(channels, layer, 3, padding=1, bias=False)
            layers += [convolution, nn.BatchNorm2d(layer), nn.ReLU(inplace=True)]
            channels = layer
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(features, 10))


def step(target: Target) -> Callable[[], object]:
    return training(target, model(target.library.nn), *images(3, 32))


def evaluation(target: Target) -> Callable[[], object]:
    return inference(target, model(target.library.nn), images(3, 32)[0])
