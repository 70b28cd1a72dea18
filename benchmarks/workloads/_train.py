"""The usual loop around a classifier, for minidl and PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..libraries import Target

BATCH = 64


def images(channels: int, size: int, batch: int = BATCH) -> tuple[np.ndarray, np.ndarray]:
    """Random images, and labels of 10 classes."""
    rng = np.random.default_rng(0)
    return rng.standard_normal((batch, channels, size, size), "f4"), rng.integers(0, 10, batch)


def training(target: Target, model: Any, x: np.ndarray, labels: np.ndarray) -> Callable[[], object]:
    """A step of SGD with momentum on the cross-entropy."""
    nn, optim = target.library.nn, target.library.optim
    model = target.module(model)
    inputs, wanted = target.tensor(x), target.tensor(labels)
    loss_fn = nn.CrossEntropyLoss()
    optimizer = optim.SGD(model.parameters(), lr=0.01, momentum=0.9)

    def step() -> float:
        optimizer.zero_grad()
        loss = loss_fn(model(inputs), wanted)
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def inference(target: Target, model: Any, x: np.ndarray) -> Callable[[], object]:
    """Evaluation of a batch, with batch norm folded into the convolutions where the column says so."""
    library = target.library
    model = target.module(model).eval()
    if fold := target.fold():
        model = fold(model)
    inputs = target.tensor(x)

    def step() -> object:
        with library.no_grad():
            return model(inputs).data

    return step
