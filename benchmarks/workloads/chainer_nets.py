"""The steps that Chainer takes too."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from ._train import images
from .vgg import LAYERS


def mlp(chainer: Any) -> Callable[[], object]:
    F, L = chainer.functions, chainer.links
    model = chainer.Sequential(L.Linear(784, 256), F.relu, L.Linear(256, 10))
    x, labels = images(1, 28)
    return _training(chainer, model, x.reshape(len(x), -1), labels)


def lenet(chainer: Any) -> Callable[[], object]:
    F, L = chainer.functions, chainer.links
    pool = partial(F.max_pooling_2d, ksize=2, stride=2)
    model = chainer.Sequential(
        L.Convolution2D(1, 6, 5, pad=2), F.relu, pool, L.Convolution2D(6, 16, 5), F.relu, pool,
        L.Linear(400, 120), F.relu, L.Linear(120, 84), F.relu, L.Linear(84, 10),
    )  # fmt: skip
    return _training(chainer, model, *images(1, 28))


def vgg(chainer: Any) -> Callable[[], object]:
    F, L = chainer.functions, chainer.links
    layers: list[Any] = []
    channels = 3
    for layer in LAYERS:
        if layer == "pool":
            layers.append(partial(F.max_pooling_2d, ksize=2, stride=2))
        else:
            layers += [L.Convolution2D(channels, layer, 3, pad=1, nobias=True), L.BatchNormalization(layer), F.relu]
            channels = layer
    return _training(chainer, chainer.Sequential(*layers, L.Linear(2048, 10)), *images(3, 32))


def _training(chainer: Any, model: Any, x: np.ndarray, labels: np.ndarray) -> Callable[[], object]:
    optimizer = chainer.optimizers.MomentumSGD(lr=0.01, momentum=0.9).setup(model)
    labels = labels.astype("i4")

    def step() -> float:
        loss = chainer.functions.softmax_cross_entropy(model(x), labels)
        model.cleargrads()
        loss.backward()
        optimizer.update()
        return float(loss.data)

    return step
