"""Batch normalization: blocks that stay in the cache, few passes, sums that keep their digits.

The sums of x and x² are taken in one pass, block by block in the array's precision and over the blocks in float64.
That is accurate while the mean is not large beside the deviation; where it is, a second pass sums over x − mean (the
corrected two-pass algorithm of Chan, Golub & LeVeque 1983). Numbers per channel are kept in float64; they cost nothing.

A ReLU that follows, and a sum with other arrays before it (a residual connection), are done in the same pass that
normalizes; and the backward pass takes the gradient of such a ReLU. Alone, without a ReLU to take along, backward takes
three times as long as PyTorch's: two sums and a linear form of two arrays are six calls of NumPy's, each of which reads
and writes the cache, where a compiled loop keeps the numbers in registers.
"""

from __future__ import annotations

import math
from functools import cached_property

import numpy as np

from ...backend import empty, get_num_threads, memory_order, scratch, share
from ._layout import arranged, rectify
from .elementwise import LARGE, mask

BLOCK = 1 << 17
"""Elements that a block of rows may have: a few arrays of that size fit into the second-level cache."""

ROW = 8192
"""Elements from which on a row is long: NumPy then loses no time between rows."""

LONG_CHANNEL = 32
"""Values of a channel that lie side by side, from which on a row for each channel is fast."""

FAR = 16.0
"""Squared mean over variance, above which the sums are taken again, around the mean."""


class Channels:
    """An (N, C, ...) array seen as a matrix in which arithmetic per channel is fast, whatever its order in memory.

    In memory the axes before and after the channel merge: (before, C, after). With a long `after` (NCHW images, or
    (C, H, W, N)) each (before, channel) pair becomes a row. With a short one ((H, W, N, C) images, (N, C) features)
    rows are made of whole periods of C·after values, and each column belongs to one channel.
    """

    def __init__(self, x: np.ndarray):
        order = memory_order(x) or tuple(range(x.ndim))
        if not x.transpose(order).flags.c_contiguous:
            order = tuple(range(x.ndim))
        position = order.index(1)
        sizes = [x.shape[axis] for axis in order]
        self.order, self.x = order, x
        self.channels = x.shape[1]
        self.before, self.after = math.prod(sizes[:position]), math.prod(sizes[position + 1 :])
        self.count = self.before * self.after  # values per channel
        self.by_row = self.after >= LONG_CHANNEL
        if self.by_row:
            self.rows, self.columns = self.before * self.channels, self.after
        else:
            self.rows, self.columns = self.before, self.channels * self.after
            while self.rows % 2 == 0 and self.columns < ROW:
                self.rows, self.columns = self.rows // 2, self.columns * 2
        self.parts = max(1, min(get_num_threads(), x.size // LARGE, self.rows))

    @cached_property
    def values(self) -> np.ndarray:
        return self.matrix(self.x)

    def matrix(self, array: np.ndarray) -> np.ndarray:
        """An array of the shape of x as the matrix: a view if it lies in memory as x does, else a copy."""
        return arranged(array, self.order).reshape(self.rows, self.columns)

    def new(self) -> np.ndarray:
        """An array of undefined contents like x."""
        return empty(self.x.shape, self.x.dtype, None if self.order == tuple(range(self.x.ndim)) else self.order)

    def spread(self, per_channel: np.ndarray) -> np.ndarray:
        """Numbers per channel: one for each row of the matrix, as a column, or one for each column, as a row."""
        repeated = np.repeat(per_channel, self.after) if self.after > 1 and not self.by_row else per_channel
        times = self.before if self.by_row else self.columns // len(repeated)
        spread = np.empty((times, len(repeated)), self.x.dtype)
        spread[...] = repeated
        return spread.reshape(-1, 1) if self.by_row else spread.reshape(1, -1)

    def sums(self, task, terms: int, outs: tuple, ins: tuple) -> np.ndarray:
        """Sums per channel, (terms, C), of what ``task`` adds up for its rows into the first of its outs.

        The order of additions depends only on the number of parts, not on who does them.
        """
        if self.by_row:
            partial = empty((terms, self.rows), np.float64, shared=self.parts > 1)
            share(task, self.rows, (partial, *outs), ins, (True, self.rows, self.rows), -(-self.rows // self.parts))
            return partial.reshape(terms, self.before, self.channels).sum(1)
        period = self.channels * self.after
        partial = empty((self.parts, terms, period), np.float64, shared=self.parts > 1)
        share(task, self.parts, (partial, *outs), ins, (False, self.rows, self.parts))
        total = partial[0] if self.parts == 1 else partial.sum(0)
        return total if self.after == 1 else total.reshape(terms, self.channels, self.after).sum(2)

    def for_rows(self, task, outs: tuple, ins: tuple, settings: tuple = ()) -> None:
        """``task`` on all rows."""
        share(task, self.rows, outs, ins, (self.by_row, *settings), -(-self.rows // self.parts))


def batch_norm(x, weight, bias, eps):
    """Normalize every channel of x (N, C, ...) by its own mean and variance: (y, mean (C,), biased variance (C,))."""
    mean, var = batch_norm_statistics(x)
    return batch_norm_eval(x, weight, bias, mean, var, eps), mean, var


def batch_norm_statistics(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(mean, biased variance) of every channel of x (N, C, ...), both (C,) float64."""
    if x.size == 0:
        return np.zeros(x.shape[1]), np.zeros(x.shape[1])
    channels = Channels(_at_least_single(x))
    total, squares = channels.sums(_moments_part, 2, (), (channels.values, None))
    mean = total / channels.count
    var = np.maximum(squares / channels.count - mean * mean, 0.0)
    if (mean * mean <= FAR * var).all():
        return mean, var
    origin = mean.astype(channels.x.dtype)
    total, squares = channels.sums(_moments_part, 2, (), (channels.values, channels.spread(origin)))
    rest = total / channels.count
    return origin + rest, np.maximum(squares / channels.count - rest * rest, 0.0)


def _scale_and_shift(weight, bias, mean, var, eps) -> tuple[np.ndarray, np.ndarray]:
    """Batch norm as one multiplication and one addition: γ/σ and β − μ·γ/σ, (C,) float64."""
    scale = (1.0 if weight is None else weight) / np.sqrt(var.astype(np.float64) + eps)
    return scale, (0.0 if bias is None else bias) - mean * scale


def batch_norm_eval(x, weight, bias, mean, var, eps):
    """Normalize every channel of x (N, C, ...) by the given mean and variance."""
    return normalized_sum([(x, weight, bias, mean, var, eps)], [], relu=False)


def normalized_sum(normalized, others, relu):
    """The sum of some batch norms (the arguments of :func:`batch_norm_eval`) and of `others`; maybe its ReLU."""
    x = normalized[0][0]
    if x.size == 0:
        return np.empty_like(x)
    if x.dtype == np.float16:
        single = [(_at_least_single(values), *rest) for values, *rest in normalized]
        return normalized_sum(single, [_at_least_single(other) for other in others], relu).astype(x.dtype)
    channels = Channels(x)
    ins: list[np.ndarray | None] = []
    kinds = []
    for values, weight, bias, mean, var, eps in normalized:
        mean = mean.astype(np.float64)
        scale, shift = _scale_and_shift(weight, bias, mean, var, eps)
        far = not (mean * mean <= FAR * var).all()
        if far:  # subtract the rounded mean first, or its digits are lost
            origin = mean.astype(x.dtype)
            shift = (0.0 if bias is None else bias) - (mean - origin) * scale
        ins += [channels.matrix(values), channels.spread(scale), channels.spread(np.broadcast_to(shift, mean.shape))]
        ins.append(channels.spread(origin) if far else None)
        kinds.append(True)
    for other in others:
        ins.append(channels.matrix(other))
        kinds.append(False)
    y = channels.new()
    channels.for_rows(_normalized_sum_part, (channels.matrix(y),), tuple(ins), (tuple(kinds), relu))
    return y


def batch_norm_backward(gy, x, weight, mean, var, eps, relu_output=None):
    """(gx, gweight, gbias) of batch norm by the statistics of x. With relu_output, gy counts only where that is > 0."""
    return _backward(gy, x, weight, mean, var, eps, relu_output, constant=False)


def batch_norm_eval_backward(gy, x, weight, mean, var, eps, relu_output=None):
    """(gx, gweight, gbias) of :func:`batch_norm_eval`, whose statistics are constants."""
    return _backward(gy, x, weight, mean, var, eps, relu_output, constant=True)


def _backward(gy, x, weight, mean, var, eps, relu_output, constant):
    if x.size == 0:
        return np.empty_like(x), np.zeros(x.shape[1], x.dtype), np.zeros(x.shape[1], x.dtype)
    if x.dtype == np.float16:
        gy, values, weight, relu_output = map(_at_least_single, (gy, x, weight, relu_output))
        gradients = _backward(gy, values, weight, mean, var, eps, relu_output, constant)
        return tuple(gradient.astype(x.dtype) for gradient in gradients)
    channels = Channels(x)
    gx = channels.new()
    origin, rest = _origin(mean, var, x.dtype)
    grads, sum_g, sum_gd = _gradient_sums(channels, gy, origin, rest, relu_output, gx)
    a, _ = _scale_and_shift(weight, None, mean, var, eps)
    outs = (channels.matrix(gx),)
    if constant:  # gx = γ/σ · g
        channels.for_rows(_scale_part, outs, (grads, channels.spread(a)))
    else:  # gx = γ/σ · (g − mean(g) − x̂ · mean(g·x̂)) as one linear form a·g + b·(x − origin) + c
        b = -a * sum_gd / (var + eps) / channels.count
        c = -a * sum_g / channels.count - b * rest
        around = None if origin is None else channels.spread(origin)
        channels.for_rows(_combine_part, outs, (grads, channels.values, *map(channels.spread, (a, b, c)), around))
    return gx, (sum_gd / np.sqrt(var + eps)).astype(x.dtype), sum_g.astype(x.dtype)


def channel_sum(x):
    """Σ x over all but the channels of x (N, C, ...): (C,)."""
    if x.size == 0:
        return np.zeros(x.shape[1], x.dtype)
    channels = Channels(_at_least_single(x))
    return channels.sums(_sum_part, 1, (), (channels.values,))[0].astype(x.dtype)


def _at_least_single(x):
    """Half precision as single precision, in which sums are taken; everything else as it is."""
    return x.astype(np.float32) if x is not None and x.dtype == np.float16 else x


def _origin(mean, var, dtype):
    """Where to measure x from, as numbers of its dtype, and what then is left of the mean.

    It is the rounded mean if some channel lies far from 0 for its width. Else it is 0, given as None: subtracting would
    cost a pass and save no digits.
    """
    mean = mean.astype(np.float64)
    if (mean * mean <= FAR * var).all():
        return None, mean
    origin = mean.astype(dtype)
    return origin, mean - origin


def _gradient_sums(channels, gy, origin, rest, relu_output, gx):
    """The gradient to go on with, as a matrix, and its sums Σ g and Σ g·(x − mean) for each channel."""
    grads = channels.matrix(gy)
    around = None if origin is None else channels.spread(origin)
    if relu_output is None:
        sum_g, sum_gd = channels.sums(_gradient_sums_part, 2, (None,), (grads, channels.values, around, None))
    else:
        masked = channels.matrix(gx)  # the masked gradient is kept where gx will be
        ins = (grads, channels.values, around, channels.matrix(relu_output))
        sum_g, sum_gd = channels.sums(_gradient_sums_part, 2, (masked,), ins)
        grads = masked
    return grads, sum_g, sum_gd - rest * sum_g


# What the parts do. Each goes through its rows in blocks, and finds them in the cache after the first pass.


def _row_blocks(start: int, stop: int, columns: int):
    step = max(BLOCK // max(columns, 1), 1)
    return [slice(i, min(i + step, stop)) for i in range(start, stop, step)]


def _part_rows(start: int, stop: int, by_row: bool, rows: int, parts: int):
    """(where the sums go, first row, last row) of each part of a reduction."""
    if by_row:
        return [(None, start, stop)]
    return [(part, rows * part // parts, rows * (part + 1) // parts) for part in range(start, stop)]


def _of(vector, block: slice, by_row: bool):
    """The numbers of :meth:`Channels.spread` for a block of rows."""
    return vector[block] if by_row else vector


def _sum(block, by_row: bool):
    """Sums of a block along its rows or columns, whichever belong to one channel."""
    if by_row:
        return block @ np.ones(block.shape[1], block.dtype)
    return np.ones(block.shape[0], block.dtype) @ block


def _dot(a, b, by_row: bool):
    return np.vecdot(a, b) if by_row else np.einsum("ij,ij->j", a, b)


class _Sums:
    """Adds up what the blocks of a part find, in float64; by columns, all periods of the channels come together."""

    def __init__(self, target: np.ndarray, part: int | None, columns: int):
        self.target, self.part = target, part
        if part is not None:
            self.total = np.zeros((target.shape[1], columns))

    def add(self, block: slice, *terms: np.ndarray) -> None:
        for i, term in enumerate(terms):
            if self.part is None:
                self.target[i, block] = term
            else:
                self.total[i] += term

    def finish(self) -> None:
        if self.part is not None:
            _, terms, period = self.target.shape
            np.add.reduce(self.total.reshape(terms, -1, period), axis=1, out=self.target[self.part])


def _moments_part(start, stop, outs, ins, by_row, rows, parts):
    (target,), (values, origin) = outs, ins
    for part, first, last in _part_rows(start, stop, by_row, rows, parts):
        sums = _Sums(target, part, values.shape[1])
        for block in _row_blocks(first, last, values.shape[1]):
            d = values[block]
            if origin is not None:
                d = np.subtract(d, _of(origin, block, by_row), out=scratch("norm.centered", d.shape, d.dtype))
            sums.add(block, _sum(d, by_row), _dot(d, d, by_row))
        sums.finish()


def _sum_part(start, stop, outs, ins, by_row, rows, parts):
    (target,), (values,) = outs, ins
    for part, first, last in _part_rows(start, stop, by_row, rows, parts):
        sums = _Sums(target, part, values.shape[1])
        for block in _row_blocks(first, last, values.shape[1]):
            sums.add(block, _sum(values[block], by_row))
        sums.finish()


def _gradient_sums_part(start, stop, outs, ins, by_row, rows, parts):
    (target, masked), (grads, values, origin, relu_output) = outs, ins
    for part, first, last in _part_rows(start, stop, by_row, rows, parts):
        sums = _Sums(target, part, values.shape[1])
        for block in _row_blocks(first, last, values.shape[1]):
            g, d = grads[block], values[block]
            if relu_output is not None:
                mask(g, relu_output[block], masked[block])
                g = masked[block]
            if origin is not None:
                d = np.subtract(d, _of(origin, block, by_row), out=scratch("norm.centered", d.shape, d.dtype))
            sums.add(block, _sum(g, by_row), _dot(g, d, by_row))
        sums.finish()


def _normalized_sum_part(start, stop, outs, ins, by_row, kinds, relu):
    (y,) = outs
    for block in _row_blocks(start, stop, y.shape[1]):
        target, rest, first = y[block], iter(ins), True
        for normalized in kinds:
            term = next(rest)[block]
            if normalized:
                scale, shift, origin = next(rest), next(rest), next(rest)
                into = target if first else scratch("norm.term", target.shape, target.dtype)
                if origin is not None:
                    term = np.subtract(term, _of(origin, block, by_row), out=into)
                np.multiply(term, _of(scale, block, by_row), out=into)
                term = np.add(into, _of(shift, block, by_row), out=into)
            if not first:
                np.add(target, term, out=target)
            first = False
        if relu:
            rectify(target, target)


def _combine_part(start, stop, outs, ins, by_row):
    (gx,), (grads, values, a, b, c, origin) = outs, ins
    for block in _row_blocks(start, stop, gx.shape[1]):
        d, target = values[block], gx[block]
        linear = scratch("norm.linear", d.shape, d.dtype)
        if origin is not None:
            d = np.subtract(d, _of(origin, block, by_row), out=linear)
        np.multiply(d, _of(b, block, by_row), out=linear)
        np.add(linear, _of(c, block, by_row), out=linear)
        np.multiply(grads[block], _of(a, block, by_row), out=target)
        np.add(target, linear, out=target)


def _scale_part(start, stop, outs, ins, by_row):
    (gx,), (grads, scale) = outs, ins
    for block in _row_blocks(start, stop, gx.shape[1]):
        np.multiply(grads[block], _of(scale, block, by_row), out=gx[block])
