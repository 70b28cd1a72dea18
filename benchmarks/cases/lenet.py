"""A whole training step of LeNet-5 on 28 x 28 images, batch 64: forward, loss, backward, SGD with momentum."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import minidl as ml
from minidl import nn, optim

from ._case import Case, Cases

BATCH = 64


def _minidl(x: np.ndarray, labels: np.ndarray) -> Callable[[], object]:
    ml.manual_seed(0)
    return _step(ml, nn, optim, ml.tensor(x), ml.tensor(labels))


def _torch(torch: Any, x: np.ndarray, labels: np.ndarray) -> Callable[[], object]:
    torch.manual_seed(0)
    return _step(torch, torch.nn, torch.optim, torch.tensor(x), torch.tensor(labels))


def _step(library: Any, nn: Any, optim: Any, x: Any, labels: Any) -> Callable[[], object]:
    """The same lines run on minidl and on PyTorch."""
    model = nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10),
    )  # fmt: skip
    loss_fn = nn.CrossEntropyLoss()
    optimizer = optim.SGD(model.parameters(), lr=0.01, momentum=0.9)

    def step() -> float:
        optimizer.zero_grad()
        loss = loss_fn(model(x), labels)
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def _dezero(dezero: Any, x: np.ndarray, labels: np.ndarray) -> Callable[[], object]:
    F, L = dezero.functions, dezero.layers

    class LeNet(dezero.Model):
        def __init__(self) -> None:
            super().__init__()
            self.conv1, self.conv2 = L.Conv2d(6, 5, pad=2), L.Conv2d(16, 5)
            self.fc1, self.fc2, self.fc3 = L.Linear(120), L.Linear(84), L.Linear(10)

        def forward(self, x: Any) -> Any:
            x = F.pooling_simple(F.relu(self.conv1(x)), 2, 2)
            x = F.pooling_simple(F.relu(self.conv2(x)), 2, 2)
            x = F.reshape(x, (x.shape[0], -1))
            return self.fc3(F.relu(self.fc2(F.relu(self.fc1(x)))))

    model = LeNet()
    optimizer = dezero.optimizers.MomentumSGD(lr=0.01, momentum=0.9).setup(model)

    def step() -> float:
        loss = F.softmax_cross_entropy(model(x), labels)
        model.cleargrads()
        loss.backward()
        optimizer.update()
        return float(loss.data)

    return step


def cases(libraries: dict[str, Any]) -> Cases:
    """One row: the step in every library."""
    rng = np.random.default_rng(0)
    x, labels = rng.standard_normal((BATCH, 1, 28, 28), "f4"), rng.integers(0, 10, BATCH)
    functions = {"minidl": _minidl(x, labels)}
    if torch := libraries.get("torch"):
        functions["torch"] = _torch(torch, x, labels)
    if dezero := libraries.get("dezero"):
        functions["dezero"] = _dezero(dezero, x, labels)
    yield Case(f"LeNet-5 training step, batch {BATCH}", functions)
