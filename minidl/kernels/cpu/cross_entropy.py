"""Softmax and cross-entropy in one, on blocks that stay in the cache.

In memory the axes before and after the classes merge: x is (before, C, after). NumPy takes maxima and sums along a
short last axis one row at a time; so where few classes lie innermost, as in (H, W, N, C) images, the exponentials and
the gradient lie in memory the other way round, as (1, C, before). A few thousand scores take up to four times as long
as in PyTorch: eight calls of NumPy's of one or more microseconds each.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...backend import empty, memory_order, share
from .elementwise import LARGE

BLOCK = 1 << 15
"""Scores that are treated at once."""

FEW = 64
"""Classes below which rows of scores are turned round."""


class _Scores:
    """x as `matrices` (before, C, after), copied only where it must be, and arrays of the labels' shape as `rows`."""

    def __init__(self, x: np.ndarray, dim: int):
        order = memory_order(x) or tuple(range(x.ndim))
        if not x.transpose(order).flags.c_contiguous:
            x, order = np.ascontiguousarray(x), tuple(range(x.ndim))
        position = order.index(dim)
        outer, inner = order[:position], order[position + 1 :]
        before, after = (math.prod([x.shape[axis] for axis in axes]) for axes in (outer, inner))
        self.matrices = x.transpose(order).reshape(before, x.shape[dim], after)
        if after == 1 and x.shape[dim] < FEW:
            self.matrices = self.matrices.transpose(2, 1, 0)
            order = dim, *outer, *inner
        self.order, self.lengths = order, [x.shape[axis] for axis in order]
        self.others = tuple([axis - (axis > dim) for axis in order if axis != dim])
        self.outer = [x.shape[axis] for axis in order if axis != dim]

    def rows(self, array: np.ndarray) -> np.ndarray:
        """An array of the labels' shape as (before, after)."""
        before, _, after = self.matrices.shape
        return np.ascontiguousarray(array.transpose(self.others)).reshape(before, after)

    def from_rows(self, rows: np.ndarray) -> np.ndarray:
        """An array (before, after) in the labels' shape."""
        return rows.reshape(self.outer).transpose(_inverse(self.others))

    def from_matrices(self, array: np.ndarray) -> np.ndarray:
        """An array (before, C, after) in x's shape."""
        return array.reshape(self.lengths).transpose(_inverse(self.order))

    def share(self, task: Any, outs: tuple, ins: tuple) -> None:
        """Do the task along the first axis, or the last where there is but one; on several cores if worth it."""
        before, classes, after = self.matrices.shape
        each, count = (classes * after, before) if before > 1 else (classes, after)
        step = max(BLOCK // each, 1)
        if self.matrices.size < LARGE:
            task(0, count, outs, ins, step)
        else:
            share(task, count, outs, ins, (step,), max(LARGE // 2 // each, 1))


def _inverse(order: tuple[int, ...]) -> tuple[int, ...]:
    return tuple([order.index(axis) for axis in range(len(order))])


def softmax_cross_entropy(x: np.ndarray, labels: np.ndarray, dim: int) -> tuple[np.ndarray, ...]:
    """−log softmax(x)[label] along `dim`: (losses, e = e^(x − m), Σ e), m the largest score; e has the shape of x."""
    if x.size == 0:
        return np.zeros(labels.shape, x.dtype), np.zeros_like(x), np.zeros(labels.shape, x.dtype)
    scores = _Scores(x, dim)
    before, classes, after = scores.matrices.shape
    shapes = (before, after), (before, classes, after), (before, after)
    losses, e, total = [empty(shape, x.dtype, shared=x.size >= LARGE) for shape in shapes]
    scores.share(_forward_part, (losses, e, total), (scores.matrices, scores.rows(labels)))
    return scores.from_rows(losses), scores.from_matrices(e), scores.from_rows(total)


def softmax_cross_entropy_backward(
    gy: np.ndarray, e: np.ndarray, total: np.ndarray, labels: np.ndarray, dim: int
) -> np.ndarray:
    """gx = gy · (e/Σ e − one_hot(label)), e/Σ e being the softmax; gy has the shape of labels, or none."""
    if e.size == 0:
        return np.zeros_like(e)
    scores = _Scores(e, dim)
    gx = empty(scores.matrices.shape, e.dtype, shared=e.size >= LARGE)
    grads = scores.rows(gy if gy.ndim else np.full(labels.shape, gy))
    scores.share(_backward_part, (gx,), (scores.matrices, grads, scores.rows(total), scores.rows(labels)))
    return scores.from_matrices(gx)


def _blocks(start: int, stop: int, step: int, outs: Any, ins: Any) -> Any:
    """The blocks of the arrays: of their first axis, or the last where there is but one."""
    for i in range(start, stop, step):
        part = slice(i, min(i + step, stop))
        yield [array[part] if len(array) > 1 else array[..., part] for array in (*outs, *ins)]


def _labelled(labels: np.ndarray) -> tuple[np.ndarray, ...]:
    """Where the labelled scores are in a block (n, C, after), for labels (n, after)."""
    return np.arange(len(labels))[:, None], labels, np.arange(labels.shape[1])


def _forward_part(start: int, stop: int, outs, ins, step: int) -> None:
    for losses, e, total, x, labels in _blocks(start, stop, step, outs, ins):
        if not x.flags.c_contiguous:  # rows that are turned round
            e[...] = x
            x = e
        np.subtract(x, np.maximum.reduce(x, axis=1, keepdims=True), out=e)
        picked = e[_labelled(labels)]
        np.exp(e, out=e)
        np.add.reduce(e, axis=1, out=total)
        np.subtract(np.log(total), picked, out=losses)


def _backward_part(start: int, stop: int, outs, ins, step: int) -> None:
    for gx, e, grads, total, labels in _blocks(start, stop, step, outs, ins):
        np.multiply(e, (grads / total)[:, None], out=gx)
        gx[_labelled(labels)] -= grads
