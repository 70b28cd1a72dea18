"""Convolution: forward, and both gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import minidl as ml
from minidl import functional as F

from ._case import Case, Cases

SHAPES = [  # name, batch, channels, height and width, output channels, kernel, stride, padding
    ("3->32@32 3x3", 64, 3, 32, 32, 3, 1, 1),
    ("16->16@32 3x3", 64, 16, 32, 16, 3, 1, 1),
    ("64->64@32 3x3", 64, 64, 32, 64, 3, 1, 1),
    ("128->128@16 3x3", 64, 128, 16, 128, 3, 1, 1),
    ("256->64@14 1x1", 64, 256, 14, 64, 1, 1, 0),
    ("32->64@32 3x3/2", 64, 32, 32, 64, 3, 2, 1),
]


def _forward_backward(forward: Callable[[], Any], backward: Callable[[Any], object]) -> dict[str, Callable[[], object]]:
    y = forward()
    return {"forward": forward, "backward": lambda: backward(y)}


def _minidl(x: np.ndarray, w: np.ndarray, gy: np.ndarray, stride: int, padding: int) -> dict[str, Callable[[], object]]:
    tx, tw, tg = ml.tensor(x, requires_grad=True), ml.tensor(w, requires_grad=True), ml.tensor(gy)
    return _forward_backward(
        lambda: F.conv2d(tx, tw, stride=stride, padding=padding),
        lambda y: ml.grad(y, [tx, tw], [tg], retain_graph=True),
    )


def _torch(torch: Any, x: np.ndarray, w: np.ndarray, gy: np.ndarray, stride: int, padding: int, last: bool) -> Any:
    layout = torch.channels_last if last else torch.contiguous_format
    tx, tw, tg = (torch.tensor(a).contiguous(memory_format=layout) for a in (x, w, gy))
    tx.requires_grad_(), tw.requires_grad_()
    return _forward_backward(
        lambda: torch.nn.functional.conv2d(tx, tw, stride=stride, padding=padding),
        lambda y: torch.autograd.grad(y, [tx, tw], [tg], retain_graph=True),
    )


def _dezero(dezero: Any, x: np.ndarray, w: np.ndarray, gy: np.ndarray, stride: int, padding: int) -> Any:
    vx, vw = dezero.Variable(x), dezero.Variable(w)

    def backward(y: Any) -> None:
        vx.cleargrad(), vw.cleargrad()
        y.grad = dezero.Variable(gy)
        y.backward(retain_grad=True)

    return _forward_backward(lambda: dezero.functions.conv2d_simple(vx, vw, None, stride, padding), backward)


def cases(libraries: dict[str, Any]) -> Cases:
    """Each shape forward and backward, against PyTorch in both layouts and DeZero."""
    rng = np.random.default_rng(0)
    for name, n, c, size, o, k, stride, padding in SHAPES:
        out = (size + 2 * padding - k) // stride + 1
        x, w = rng.standard_normal((n, c, size, size), "f4"), rng.standard_normal((o, c, k, k), "f4")
        gy = rng.standard_normal((n, o, out, out), "f4")
        rows = {"minidl": _minidl(x, w, gy, stride, padding)}
        if torch := libraries.get("torch"):
            rows["torch"] = _torch(torch, x, w, gy, stride, padding, last=False)
            rows["torch channels_last"] = _torch(torch, x, w, gy, stride, padding, last=True)
        if dezero := libraries.get("dezero"):
            rows["dezero"] = _dezero(dezero, x, w, gy, stride, padding)
        flops = 2.0 * n * o * out * out * c * k * k
        for direction, factor in (("forward", 1), ("backward", 2)):
            functions = {library: row[direction] for library, row in rows.items()}
            yield Case(f"conv {name} {direction}", functions, flops * factor)
