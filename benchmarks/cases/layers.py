"""Linear layers, normalization, embedding, resizing and the loss."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ._case import Kernel, normal


def kernels() -> Iterator[Kernel]:
    yield linear(784, 256)
    yield linear(1024, 1024)
    yield batch_norm(32, 32)
    yield batch_norm(128, 8)
    yield Kernel(
        "layer_norm 64x128x256",
        (normal(64, 128, 256), normal(256), normal(256)),
        lambda ml, x, w, b: ml.nn.functional.layer_norm(x, (256,), w, b),
    )
    yield Kernel(
        "embedding 10000x128, 64x128 words",
        (normal(10000, 128), _integers(10000, (64, 128))),
        lambda ml, table, words: ml.nn.functional.embedding(words, table),
        chainer=lambda F, table, words: F.embed_id(words, table),
        batched=(1,),
    )
    yield Kernel(
        "interpolate bilinear x2 32@16",
        (normal(64, 32, 16, 16),),
        lambda ml, x: ml.nn.functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False),
        chainer=lambda F, x: F.resize_images(x, (32, 32), align_corners=False),
    )
    yield cross_entropy("64x1000", (64, 1000))
    yield cross_entropy("6 classes@64", (64, 6, 64, 64))


def linear(i: int, o: int) -> Kernel:
    return Kernel(
        f"linear {i}->{o}",
        (normal(64, i), normal(o, i), normal(o)),
        lambda ml, x, w, b: ml.nn.functional.linear(x, w, b),
        flops=2.0 * 64 * i * o,
        chainer=lambda F, x, w, b: F.linear(x, w, b),
        dezero=lambda F, x, w, b: F.linear(x, F.transpose(w), b),
    )


def batch_norm(c: int, size: int) -> Kernel:
    mean, var = np.zeros(c, "f4"), np.ones(c, "f4")
    return Kernel(
        f"batch_norm {c}@{size}",
        (normal(64, c, size, size), normal(c), normal(c)),
        lambda ml, x, w, b: ml.nn.functional.batch_norm(x, None, None, w, b, training=True),
        chainer=lambda F, x, w, b: F.batch_normalization(x, w, b),
        dezero=lambda F, x, w, b: F.batch_nrom(x, w, b, mean, var),
    )


def cross_entropy(name: str, shape: tuple[int, ...]) -> Kernel:
    return Kernel(
        f"softmax cross-entropy {name}",
        (normal(*shape), _integers(shape[1], (shape[0], *shape[2:]))),
        lambda ml, x, labels: ml.nn.functional.cross_entropy(x, labels),
        chainer=lambda F, x, labels: F.softmax_cross_entropy(x, labels),
        dezero=(lambda F, x, labels: F.softmax_cross_entropy(x, labels)) if len(shape) == 2 else None,
        batched=(0, 1),
    )


def _integers(bound: int, shape: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(0).integers(0, bound, shape)
