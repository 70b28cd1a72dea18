"""Element by element, on the activations of a small network."""

from __future__ import annotations

from collections.abc import Iterator

from ._case import Kernel, normal


def kernels() -> Iterator[Kernel]:
    x = normal(64, 32, 32, 32)
    yield Kernel(
        "relu 32@32",
        (x,),
        lambda ml, x: ml.nn.functional.relu(x),
        chainer=lambda F, x: F.relu(x),
        dezero=lambda F, x: F.relu(x),
    )
    yield Kernel(
        "add 32@32",
        (x, x[::-1].copy()),
        lambda ml, x, y: x + y,
        chainer=lambda F, x, y: x + y,
        dezero=lambda F, x, y: x + y,
        batched=(0, 1),
    )
    yield Kernel(
        "dropout 32@32",
        (x,),
        lambda ml, x: ml.nn.functional.dropout(x, 0.5, training=True),
        chainer=lambda F, x: F.dropout(x, 0.5),
        dezero=lambda F, x: F.dropout(x, 0.5),
    )
