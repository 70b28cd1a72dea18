"""Softmax and cross-entropy in one: a kernel each way."""

from __future__ import annotations

import math
from typing import Any

import cupy
import numpy as np

from ._compile import THREADS, launch, launch_blocks
from ._half import in_single


@in_single
def softmax_cross_entropy(x: Any, labels: Any, dim: int) -> Any:
    """−log softmax(x)[label] along `dim`: (losses, e = e^(x − m), Σ e), m the largest score; e has the shape of x."""
    losses, e, total = (cupy.empty(shape, x.dtype) for shape in (labels.shape, x.shape, labels.shape))
    classes, after = x.shape[dim], math.prod(x.shape[dim + 1 :])
    width = 1 if after > 1 else min(1 << max(classes - 1, 1).bit_length() - 1, THREADS)
    grid = (-(-labels.size // (THREADS // width)),)
    arguments = (
        losses, e, total, cupy.ascontiguousarray(x), cupy.ascontiguousarray(labels), np.int64(labels.size), classes,
        after, width,
    )  # fmt: skip
    launch_blocks("cross_entropy", "softmax_cross_entropy", grid, arguments, x.dtype)
    return losses, e, total


@in_single
def softmax_cross_entropy_backward(gy: Any, e: Any, total: Any, labels: Any, dim: int) -> Any:
    """gx = gy · (e/Σ e − one_hot(label)), e/Σ e being the softmax; gy has the shape of labels, or none."""
    gx = cupy.empty(e.shape, e.dtype)
    every = int(gy.ndim > 0)
    gy, e, total, labels = map(cupy.ascontiguousarray, (gy, e, total, labels))
    arguments = (gx, gy, every, e, total, labels, e.shape[dim], math.prod(e.shape[dim + 1 :]))
    launch("cross_entropy", "softmax_cross_entropy_backward", e.size, arguments, e.dtype)
    return gx
