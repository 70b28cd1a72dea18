"""Softmax and cross-entropy in one, on blocks that stay in the cache, without the probabilities in memory.

In memory the axes before and after the classes merge: x is (before, C, after). NumPy takes maxima and sums along a
short last axis one row at a time; so where few classes lie innermost, as in an (H, W, N, C) image, a block of rows is
turned round first, and everything is done along its first axis.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...backend import empty, empty_like, memory_order, scratch, share
from .elementwise import LARGE

BLOCK = 1 << 15
"""Scores that are treated at once."""

FEW = 64
"""Classes below which rows of scores are turned round."""


class _Scores:
    """x as (before, C, after) in the order of memory, and how arrays of the labels' shape fit to it."""

    def __init__(self, x: np.ndarray, dim: int):
        order = memory_order(x) or tuple(range(x.ndim))
        if not x.transpose(order).flags.c_contiguous:
            x, order = np.ascontiguousarray(x), tuple(range(x.ndim))
        position = order.index(dim)
        lengths = [x.shape[axis] for axis in order]
        self.x, self.order, self.dim = x, order, dim
        self.shape = math.prod(lengths[:position]), x.shape[dim], math.prod(lengths[position + 1 :])
        self.others = tuple(axis - (axis > dim) for axis in order if axis != dim)
        self.outer = tuple(lengths[:position] + lengths[position + 1 :])

    def matrices(self, array: np.ndarray) -> np.ndarray:
        """An array that lies in memory as x does, as (before, C, after)."""
        return array.transpose(self.order).reshape(self.shape)

    def rows(self, array: np.ndarray) -> np.ndarray:
        """An array of the labels' shape as (before, after)."""
        return np.ascontiguousarray(array.transpose(self.others)).reshape(self.shape[0], self.shape[2])

    def back(self, rows: np.ndarray) -> np.ndarray:
        """What :meth:`rows` has made, in the labels' shape again."""
        return rows.reshape(self.outer).transpose(np.argsort(self.others))

    def share(self, task: Any, outs: tuple, ins: tuple) -> None:
        """Do the task for all of `before`, on several cores if it is worth it."""
        before, classes, after = self.shape
        share(task, before, outs, ins, (), max(LARGE // 4 // max(classes * after, 1), 1))


def softmax_cross_entropy(x: np.ndarray, labels: np.ndarray, dim: int) -> tuple[np.ndarray, ...]:
    """−log softmax(x)[label] along `dim`: (losses, largest score m, Σ e^(x − m)), all of the shape of labels."""
    if x.size == 0:
        return tuple(np.zeros((3, *labels.shape), x.dtype))
    scores = _Scores(x, dim)
    before, _, after = scores.shape
    outs = tuple(empty((before, after), x.dtype, shared=True) for _ in range(3))
    scores.share(_forward_part, outs, (scores.matrices(scores.x), scores.rows(labels)))
    return tuple(map(scores.back, outs))


def softmax_cross_entropy_backward(
    gy: np.ndarray, x: np.ndarray, labels: np.ndarray, top: np.ndarray, total: np.ndarray, dim: int
) -> np.ndarray:
    """gx = gy · (softmax(x) − one_hot(label)); gy has the shape of labels, or none."""
    if x.size == 0:
        return np.zeros_like(x)
    scores = _Scores(x, dim)
    gx = empty_like(scores.x)
    ins = (scores.matrices(scores.x), *map(scores.rows, (np.broadcast_to(gy, labels.shape), labels, top, total)))
    scores.share(_backward_part, (scores.matrices(gx),), ins)
    return gx


def _blocks(start: int, stop: int, shape: tuple[int, ...]) -> list[slice]:
    step = max(BLOCK // (shape[1] * shape[2]), 1)
    return [slice(i, min(i + step, stop)) for i in range(start, stop, step)]


def _classes_first(x: np.ndarray) -> bool:
    """Whether a block of x is turned round."""
    return x.shape[2] == 1 and x.shape[1] < FEW


def _places(labels: np.ndarray) -> tuple[Any, ...]:
    """Where the labelled scores are in a block (n, C, after), for labels (n, after)."""
    n, after = labels.shape
    return np.arange(n)[:, None], labels, np.arange(after)


def _forward_part(start: int, stop: int, outs, ins) -> None:
    x, labels = ins
    for block in _blocks(start, stop, x.shape):
        scores, where, results = x[block], labels[block], [out[block] for out in outs]
        if _classes_first(x):
            scores, where, *results = scores.transpose(2, 1, 0), where.T, *[result.T for result in results]
        loss, largest, summed = results
        z = scratch("cross_entropy.z", scores.shape, x.dtype)
        z[...] = scores
        np.maximum.reduce(z, axis=1, out=largest)
        z -= largest[:, None]
        picked = z[_places(where)]
        np.exp(z, out=z)
        np.add.reduce(z, axis=1, out=summed)
        np.subtract(np.log(summed), picked, out=loss)


def _backward_part(start: int, stop: int, outs, ins) -> None:
    (gx,), (x, gy, labels, top, total) = outs, ins
    for block in _blocks(start, stop, x.shape):
        gradient, scores, *rows = gx[block], x[block], *[row[block] for row in (gy, labels, top, total)]
        if _classes_first(x):
            gradient, scores, *rows = gradient.transpose(2, 1, 0), scores.transpose(2, 1, 0), *[row.T for row in rows]
        g, where, largest, summed = rows
        z = scratch("cross_entropy.z", scores.shape, x.dtype)
        z[...] = scores
        z -= largest[:, None]
        np.exp(z, out=z)
        z *= (g / summed)[:, None]
        z[_places(where)] -= g
        gradient[...] = z
