"""Normalization in NumPy: blocks that stay in the cache, few passes, sums that keep their digits.

Variances come from the corrected two-pass algorithm (Chan, Golub, LeVeque 1983): a rough mean first, then the sums of d
and d² for d = x − rough mean, whose residual mean corrects both. Numbers per channel or per group are kept in float64;
they cost nothing, and a mean of 10⁴ rounded to float32 would be wrong by 5·10⁻⁴.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from ...backend import parallel_for, scratch

_BLOCK = 1 << 16  # elements that a block of rows may have: a few arrays of that size fit into the L2 cache
_GRAIN = 4  # blocks that make a thread worth its while
_LONG_ROW = 32  # values of a channel that lie side by side, from which on a row for each channel is fast


class _Channels:
    """An (N, C, ...) array seen as a matrix in which arithmetic per channel is fast, whatever its memory layout.

    In memory the axes before and after the channel merge: (before, C, after). With a long `after` (NCHW images) each
    (before, channel) pair becomes a row. With a short one (NHWC storage, (N, C) features, tiny maps) rows are made
    of whole periods of C·after values, and each column belongs to one channel.
    """

    def __init__(self, x: np.ndarray):
        order = sorted(range(x.ndim), key=lambda axis: -x.strides[axis])
        if not x.transpose(order).flags.c_contiguous:
            order = list(range(x.ndim))
        position = order.index(1)
        sizes = [x.shape[axis] for axis in order]
        self.order, self.sizes, self.dtype = order, sizes, x.dtype
        self.channels = x.shape[1]
        self.before, self.after = math.prod(sizes[:position]), math.prod(sizes[position + 1 :])
        self.count = self.before * self.after  # values per channel
        self.by_row = self.after >= _LONG_ROW
        if self.by_row:
            self.shape = (self.before * self.channels, self.after)
        else:
            rows, columns = self.before, self.channels * self.after
            while rows % 2 == 0 and columns < 1024:
                rows, columns = rows // 2, columns * 2
            self.shape = (rows, columns)
        self.blocks = _blocks(*self.shape)

    def matrix(self, array: np.ndarray) -> np.ndarray:
        """The array, which has the shape of x, as the matrix."""
        return np.ascontiguousarray(array.transpose(self.order)).reshape(self.shape)

    def restore(self, matrix: np.ndarray) -> np.ndarray:
        """The matrix in the shape, and in the memory layout, of x."""
        return matrix.reshape(self.sizes).transpose(np.argsort(self.order))

    def spread(self, per_channel: np.ndarray) -> np.ndarray:
        """Numbers per channel, such that row i of the result broadcasts against row i of the matrix."""
        per_channel = per_channel.astype(self.dtype)
        if self.by_row:
            return np.tile(per_channel, self.before)[:, None]
        row = np.tile(np.repeat(per_channel, self.after), self.shape[1] // (self.channels * self.after))
        return np.broadcast_to(row, self.shape)

    def centered(self, matrix: np.ndarray, origin: np.ndarray | None) -> Callable[[slice], np.ndarray]:
        """A function from rows to that block of ``matrix − origin`` (C,), in scratch memory; None stands for 0."""
        if origin is None:
            return lambda rows: matrix[rows]
        spread = self.spread(origin)
        return lambda rows: np.subtract(
            matrix[rows], spread[rows], out=scratch("centered", matrix[rows].shape, self.dtype)
        )

    def for_blocks(self, work: Callable[[int, slice], None]) -> None:
        """Call ``work(i, rows)`` for each block of rows."""
        _for_each(self.blocks, work)

    def reduce(self, terms: int, work: Callable[[slice], tuple]) -> np.ndarray:
        """Add up what ``work(rows)`` finds for each block (`terms` results of :meth:`sum` or :meth:`dot`): (terms, C).

        The order of additions depends neither on the number of threads nor on which one is faster.
        """
        rows, columns = self.shape
        partial = np.empty((terms, rows) if self.by_row else (terms, len(self.blocks), columns), self.dtype)

        def store(i: int, block: slice) -> None:
            for term, value in enumerate(work(block)):
                partial[term, block if self.by_row else i] = value

        self.for_blocks(store)
        if self.by_row:
            return partial.reshape(terms, self.before, self.channels).sum(1, dtype=np.float64)
        total = partial.sum(1, dtype=np.float64)
        return total.reshape(terms, -1, self.channels, self.after).sum((1, 3))

    def sum(self, block: np.ndarray) -> np.ndarray:
        """Sums of a block of the matrix along its rows or columns, whichever belong to one channel."""
        if self.by_row:
            return block @ np.ones(block.shape[1], block.dtype)
        return np.ones(block.shape[0], block.dtype) @ block

    def dot(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Sums of a·b likewise."""
        return np.vecdot(a, b) if self.by_row else np.einsum("ij,ij->j", a, b)


def _blocks(rows: int, columns: int) -> list[slice]:
    """Slices of so many rows that they stay in the cache."""
    step = max(_BLOCK // columns, 1)
    return [slice(start, start + step) for start in range(0, rows, step)]


def _for_each(blocks: list[slice], work: Callable[[int, slice], None]) -> None:
    """Call ``work(i, blocks[i])`` for each block, on all cores if there are enough of them."""

    def part(start: int, stop: int) -> None:
        for i in range(start, stop):
            work(i, blocks[i])

    parallel_for(part, len(blocks), _GRAIN)


def batch_norm(x, weight, bias, eps):
    """Normalize every channel of x (N, C, ...) by its own mean and variance: (y, mean (C,), biased variance (C,))."""
    if x.size == 0:
        return np.empty_like(x), np.zeros(x.shape[1]), np.zeros(x.shape[1])
    channels = _Channels(x)
    values = channels.matrix(x)
    rough = (channels.reduce(1, lambda rows: (channels.sum(values[rows]),))[0] / channels.count).astype(x.dtype)
    centered = channels.centered(values, rough)

    def moments(rows: slice) -> tuple:
        d = centered(rows)
        return channels.sum(d), channels.dot(d, d)

    residual, mean_square = channels.reduce(2, moments) / channels.count
    mean, var = rough + residual, np.maximum(mean_square - residual**2, 0.0)
    return batch_norm_eval(x, weight, bias, mean, var, eps), mean, var


def batch_norm_eval(x, weight, bias, mean, var, eps):
    """Normalize every channel of x (N, C, ...) by the given mean and variance."""
    if x.size == 0:
        return np.empty_like(x)
    channels = _Channels(x)
    values, y = channels.matrix(x), np.empty(channels.shape, x.dtype)
    origin, rest = _origin(mean, var, x.dtype)
    scale = _scale(weight, var, eps)
    shift = channels.spread((0.0 if bias is None else bias) - rest * scale)
    scale, centered = channels.spread(scale), channels.centered(values, origin)

    def normalize(_: int, rows: slice) -> None:
        np.multiply(centered(rows), scale[rows], out=y[rows])
        y[rows] += shift[rows]

    channels.for_blocks(normalize)
    return channels.restore(y)


def batch_norm_backward(gy, x, weight, mean, var, eps):
    """(gx, gweight, gbias) of :func:`batch_norm`, whose statistics depend on x."""
    if x.size == 0:
        return np.empty_like(x), np.zeros(x.shape[1], x.dtype), np.zeros(x.shape[1], x.dtype)
    channels = _Channels(x)
    values, grads, gx = channels.matrix(x), channels.matrix(gy), np.empty(channels.shape, x.dtype)
    sum_g, sum_gd = _gradient_sums(channels, grads, values, mean, var)
    # gx = γ/σ · (g − mean(g) − x̂ · mean(g·x̂)) as one linear form a·g + b·(x − origin) + c
    origin, rest = _origin(mean, var, x.dtype)
    a = _scale(weight, var, eps)
    b = -a * sum_gd / (var + eps) / channels.count
    c = -a * sum_g / channels.count - b * rest
    a, b, c = map(channels.spread, (a, b, c))
    centered = channels.centered(values, origin)

    def combine(_: int, rows: slice) -> None:
        product = np.multiply(grads[rows], a[rows], out=scratch("product", grads[rows].shape, x.dtype))
        np.multiply(centered(rows), b[rows], out=gx[rows])
        gx[rows] += c[rows]
        gx[rows] += product

    channels.for_blocks(combine)
    return channels.restore(gx), (sum_gd / np.sqrt(var + eps)).astype(x.dtype), sum_g.astype(x.dtype)


def batch_norm_eval_backward(gy, x, weight, mean, var, eps):
    """(gx, gweight, gbias) of :func:`batch_norm_eval`, whose statistics are constants."""
    if x.size == 0:
        return np.empty_like(x), np.zeros(x.shape[1], x.dtype), np.zeros(x.shape[1], x.dtype)
    channels = _Channels(x)
    grads, gx = channels.matrix(gy), np.empty(channels.shape, x.dtype)
    sum_g, sum_gd = _gradient_sums(channels, grads, channels.matrix(x), mean, var)
    scale = channels.spread(_scale(weight, var, eps))
    channels.for_blocks(lambda _, rows: np.multiply(grads[rows], scale[rows], out=gx[rows]))
    return channels.restore(gx), (sum_gd / np.sqrt(var + eps)).astype(x.dtype), sum_g.astype(x.dtype)


def _scale(weight, var, eps):
    """γ/σ in float64."""
    return (1.0 if weight is None else weight) / np.sqrt(var.astype(np.float64) + eps)


def _origin(mean, var, dtype):
    """Where to measure x from, as numbers of its dtype, and what then is left of the mean.

    It is the rounded mean if some channel lies far from 0 for its width. Else it is 0, given as None: subtracting would
    cost a pass and save no digits.
    """
    mean = mean.astype(np.float64)
    if (mean * mean <= 16.0 * var).all():
        return None, mean
    origin = mean.astype(dtype)
    return origin, mean - origin


def _gradient_sums(channels, grads, values, mean, var):
    """Σ g and Σ g·(x − mean) for each channel."""
    origin, rest = _origin(mean, var, channels.dtype)
    centered = channels.centered(values, origin)
    sum_g, sum_gd = channels.reduce(
        2, lambda rows: (channels.sum(grads[rows]), channels.dot(grads[rows], centered(rows)))
    )
    return sum_g, sum_gd - rest * sum_g


def group_norm(x, weight, bias, eps):
    """Normalize each of the G groups of each sample of x (N, G, K, S): (y, mean (N, G), biased variance (N, G)).

    weight and bias are (G, K): one number for each of the K channels of a group.
    """
    samples, groups, _, inner = x.shape
    if x.size == 0:
        return np.empty_like(x), np.zeros((samples, groups)), np.zeros((samples, groups))
    values = np.ascontiguousarray(x).reshape(samples, groups, math.prod(x.shape[2:]))
    y = np.empty_like(values)
    mean, var = np.empty((samples, groups)), np.empty((samples, groups))
    gamma, beta = _per_value(weight, inner), _per_value(bias, inner)

    def normalize(_: int, block: slice) -> None:
        rough = _row_mean(values[block])
        d = np.subtract(values[block], rough, out=y[block])
        residual = _row_mean(d)
        d -= residual
        mean[block] = (rough.astype(np.float64) + residual)[..., 0]
        var[block] = np.vecdot(d, d) / d.dtype.type(d.shape[2])
        d *= _inverse_std(var[block], eps, x.dtype)
        if weight is not None:
            d *= gamma
        if bias is not None:
            d += beta

    _for_each(_blocks(samples, values[0].size), normalize)
    return y.reshape(x.shape), mean, var


def group_norm_backward(gy, x, weight, mean, var, eps):
    """(gx, gweight, gbias) of :func:`group_norm`."""
    samples, groups, per_group, inner = x.shape
    if x.size == 0:
        return np.empty_like(x), *np.zeros((2, groups, per_group), x.dtype)
    values = np.ascontiguousarray(x).reshape(samples, groups, per_group * inner)
    grads = np.ascontiguousarray(gy).reshape(values.shape)
    gx, gamma = np.empty_like(values), _per_value(weight, inner)
    origin, rest = _origin(mean, var, x.dtype)
    blocks = _blocks(samples, values[0].size)
    partial = np.empty((2, len(blocks), groups, per_group), x.dtype)

    def combine(i: int, block: slice) -> None:
        inverse_std = _inverse_std(var[block], eps, x.dtype)
        g, x_hat = grads[block], scratch("x_hat", values[block].shape, x.dtype)
        centered = values[block] if origin is None else np.subtract(values[block], origin[block, :, None], out=x_hat)
        np.multiply(centered, inverse_std, out=x_hat)
        x_hat -= (rest[block, :, None] * inverse_std).astype(x.dtype)
        partial[:, i] = _channel_dot(g, x_hat, partial.shape[2:]), _channel_sum(g, partial.shape[2:])
        # gx = 1/σ · (g − mean(g) − x̂ · mean(g·x̂)) with g = γ·gy
        g = np.multiply(g, gamma, out=gx[block]) if weight is not None else g
        x_hat *= (np.vecdot(g, x_hat) / x.dtype.type(g.shape[2]))[..., None]
        x_hat += _row_mean(g)
        np.subtract(g, x_hat, out=gx[block])
        gx[block] *= inverse_std

    _for_each(blocks, combine)
    gweight, gbias = partial.sum(1, dtype=np.float64).astype(x.dtype)
    return gx.reshape(x.shape), gweight, gbias


def _per_value(parameter, inner):
    """A (G, K) parameter as (G, K·S), one number for each value of a sample."""
    return None if parameter is None else np.repeat(parameter, inner, axis=1)


def _row_mean(block):
    """Means along the last axis, which stays, by one product with a vector of 1/n."""
    length = block.shape[2]
    return (block.reshape(-1, length) @ np.full(length, 1.0 / length, block.dtype)).reshape(*block.shape[:2], 1)


def _inverse_std(var, eps, dtype):
    """1/√(σ² + ε), such that it broadcasts along the last axis."""
    return (1.0 / np.sqrt(var + eps)).astype(dtype)[..., None]


def _channel_sum(a, shape):
    """Σ a over the samples and positions of an (n, G, K·S) block, for each of the (G, K) channels."""
    inner = a[0].size // math.prod(shape)
    if inner >= _LONG_ROW:
        return (a.reshape(-1, inner) @ np.ones(inner, a.dtype)).reshape(-1, *shape).sum(0)
    return (np.ones(len(a), a.dtype) @ a.reshape(len(a), -1)).reshape(*shape, inner).sum(-1)


def _channel_dot(a, b, shape):
    """Σ a·b likewise."""
    inner = a[0].size // math.prod(shape)
    if inner >= _LONG_ROW:
        return np.vecdot(a.reshape(-1, *shape, inner), b.reshape(-1, *shape, inner)).sum(0)
    return np.einsum("ij,ij->j", a.reshape(len(a), -1), b.reshape(len(a), -1)).reshape(*shape, inner).sum(-1)


def local_response_norm(x, size, alpha, beta, k):
    """Divide x (N, C, ...) by a power of the energy of `size` neighbouring channels: (y, that energy)."""
    energy = _window_sum(x * x, size // 2, (size - 1) // 2)
    energy *= alpha / size
    energy += k
    return x * energy**-beta, energy


def local_response_norm_backward(gy, x, energy, size, alpha, beta):
    """gx of :func:`local_response_norm`."""
    direct = gy * energy**-beta
    total = _window_sum(direct * x / energy, (size - 1) // 2, size // 2)
    total *= x
    total *= 2 * alpha * beta / size
    direct -= total
    return direct


def _window_sum(a, before, after):
    """Sum of the channels c − before … c + after of a (N, C, ...), those outside counting as 0."""
    total = a.copy()
    channels = a.shape[1]
    for offset in range(1, max(before, after) + 1):
        if offset <= before:
            total[:, offset:] += a[:, : max(channels - offset, 0)]
        if offset <= after:
            total[:, : max(channels - offset, 0)] += a[:, offset:]
    return total
