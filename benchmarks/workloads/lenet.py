"""LeNet-5 on 28 x 28 images."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..libraries import Target
from ._train import images, training


def model(nn: Any) -> Any:
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10),
    )  # fmt: skip


def step(target: Target) -> Callable[[], object]:
    return training(target, model(target.library.nn), *images(1, 28))
