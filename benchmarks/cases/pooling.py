"""Pooling."""

from __future__ import annotations

from collections.abc import Iterator

from ._case import Kernel, normal

SETTINGS = [  # channels, height and width, (kernel, stride, padding)
    (32, 32, (2, 2, 0)),
    (16, 32, (3, 2, 1)),
]


def kernels() -> Iterator[Kernel]:
    for row in SETTINGS:
        yield max_pool(*row)
        yield avg_pool(*row)


def max_pool(c: int, size: int, window: tuple[int, int, int]) -> Kernel:
    return Kernel(
        f"max_pool {c}@{size} {window[0]}x{window[0]}/{window[1]}",
        (normal(64, c, size, size),),
        lambda ml, x: ml.nn.functional.max_pool2d(x, *window),
        chainer=lambda F, x: F.max_pooling_2d(x, *window, cover_all=False),
        dezero=lambda F, x: F.pooling_simple(x, *window),
    )


def avg_pool(c: int, size: int, window: tuple[int, int, int]) -> Kernel:
    return Kernel(
        f"avg_pool {c}@{size} {window[0]}x{window[0]}/{window[1]}",
        (normal(64, c, size, size),),
        lambda ml, x: ml.nn.functional.avg_pool2d(x, *window),
        chainer=lambda F, x: F.average_pooling_2d(x, *window),
    )
