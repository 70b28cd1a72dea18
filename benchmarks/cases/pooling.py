"""Pooling: forward and backward."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import minidl as ml
from minidl import functional as F

from ._case import Case, Cases

SETTINGS = [  # kind, batch, channels, size, kernel, stride, padding
    ("max", 64, 32, 32, 2, 2, 0),
    ("max", 64, 16, 32, 3, 2, 1),
    ("avg", 64, 32, 32, 2, 2, 0),
    ("avg", 64, 16, 32, 3, 2, 1),
]


def cases(libraries: dict[str, Any]) -> Cases:
    """Each kind of pooling forward and backward, against PyTorch and DeZero."""
    rng = np.random.default_rng(0)
    for kind, n, c, size, k, stride, padding in SETTINGS:
        x = rng.standard_normal((n, c, size, size), "f4")
        tx = ml.tensor(x, requires_grad=True)
        pool = F.max_pool2d if kind == "max" else F.avg_pool2d
        forward: dict[str, Callable[[], Any]] = {"minidl": lambda pool=pool: pool(tx, k, stride, padding)}
        y = forward["minidl"]()
        gy = rng.standard_normal(y.shape, "f4")
        backward: dict[str, Callable[[], object]] = {
            "minidl": lambda y=y, g=ml.tensor(gy), x=tx: ml.grad(y, x, g, retain_graph=True)
        }
        if torch := libraries.get("torch"):
            px = torch.tensor(x, requires_grad=True)
            their_pool = getattr(torch.nn.functional, f"{kind}_pool2d")
            forward["torch"] = lambda pool=their_pool, x=px: pool(x, k, stride, padding)
            py = forward["torch"]()
            backward["torch"] = lambda y=py, g=torch.tensor(gy), x=px: torch.autograd.grad(y, x, g, retain_graph=True)
        if (dezero := libraries.get("dezero")) and kind == "max":
            dx = dezero.Variable(x)
            forward["dezero"] = lambda x=dx: dezero.functions.pooling_simple(x, k, stride, padding)
            dy = forward["dezero"]()
            backward["dezero"] = lambda y=dy, x=dx, g=dezero.Variable(gy): _dezero_backward(x, y, g)
        name = f"{kind}_pool {k}x{k}/{stride} {c}@{size}"
        yield Case(f"{name} forward", forward)
        yield Case(f"{name} backward", backward)


def _dezero_backward(x: Any, y: Any, gy: Any) -> None:
    x.cleargrad()
    y.grad = gy
    y.backward(retain_grad=True)
