"""MLP 784-256-10."""

from __future__ import annotations

from collections.abc import Callable

from ..libraries import Target
from ._train import images, training


def step(target: Target) -> Callable[[], object]:
    nn = target.library.nn
    x, labels = images(1, 28)
    model = nn.Sequential(nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 10))
    return training(target, model, x.reshape(len(x), -1), labels)
