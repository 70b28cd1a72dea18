"""Softmax and cross-entropy in one: a kernel each way, without the probabilities in memory."""

from __future__ import annotations

import math
from typing import Any

import cupy
import numpy as np

from ._compile import THREADS, launch, launch_blocks
from ._half import in_single


@in_single
def softmax_cross_entropy(x: Any, labels: Any, dim: int) -> Any:
    """−log softmax(x)[label] along `dim`: (losses, largest score m, Σ e^(x − m)), all of the shape of labels."""
    losses, top, total = (cupy.empty(labels.shape, x.dtype) for _ in range(3))
    classes, after = x.shape[dim], math.prod(x.shape[dim + 1 :])
    width = 1 if after > 1 else min(1 << max(classes - 1, 1).bit_length() - 1, THREADS)
    grid = (-(-labels.size // (THREADS // width)),)
    arguments = (
        losses, top, total, cupy.ascontiguousarray(x), cupy.ascontiguousarray(labels), np.int64(labels.size), classes,
        after, width,
    )  # fmt: skip
    launch_blocks("cross_entropy", "softmax_cross_entropy", grid, arguments, x.dtype)
    return losses, top, total


@in_single
def softmax_cross_entropy_backward(gy: Any, x: Any, labels: Any, top: Any, total: Any, dim: int) -> Any:
    """gx = gy · (softmax(x) − one_hot(label)); gy has the shape of labels, or none."""
    gx = cupy.empty(x.shape, x.dtype)
    every = int(gy.ndim > 0)
    scores, labels, gy = map(cupy.ascontiguousarray, (x, labels, gy))
    arguments = (gx, gy, every, scores, labels, top, total, x.shape[dim], math.prod(x.shape[dim + 1 :]))
    launch("cross_entropy", "softmax_cross_entropy_backward", x.size, arguments, x.dtype)
    return gx
