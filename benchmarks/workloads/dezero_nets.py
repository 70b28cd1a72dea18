"""The steps that DeZero takes too."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ._train import images
from .vgg import LAYERS


def mlp(dezero: Any) -> Callable[[], object]:
    F, L = dezero.functions, dezero.layers
    x, labels = images(1, 28)
    return _training(dezero, [L.Linear(256), F.relu, L.Linear(10)], x.reshape(len(x), -1), labels)


def lenet(dezero: Any) -> Callable[[], object]:
    F, L = dezero.functions, dezero.layers
    layers = [
        L.Conv2d(6, 5, pad=2), F.relu, _pool(F), L.Conv2d(16, 5), F.relu, _pool(F),
        F.flatten, L.Linear(120), F.relu, L.Linear(84), F.relu, L.Linear(10),
    ]  # fmt: skip
    return _training(dezero, layers, *images(1, 28))


def vgg(dezero: Any) -> Callable[[], object]:
    F, L = dezero.functions, dezero.layers
    layers: list[Any] = []
    for layer in LAYERS:
        if layer == "pool":
            layers.append(_pool(F))
        else:
            layers += [L.Conv2d(layer, 3, pad=1, nobias=True), L.BatchNorm(), F.relu]
    return _training(dezero, [*layers, F.flatten, L.Linear(10)], *images(3, 32))


def _pool(F: Any) -> Callable[[Any], Any]:
    return lambda x: F.pooling_simple(x, 2, 2)


def _training(dezero: Any, layers: list[Any], x: np.ndarray, labels: np.ndarray) -> Callable[[], object]:
    model = dezero.models.Sequential(*layers)
    optimizer = dezero.optimizers.MomentumSGD(lr=0.01, momentum=0.9).setup(model)

    def step() -> float:
        loss = dezero.functions.softmax_cross_entropy(model(x), labels)
        model.cleargrads()
        loss.backward()
        optimizer.update()
        return float(loss.data)

    return step
