"""Group normalization and local response normalization: blocks that stay in the cache, sums that keep their digits.

Variances come from the two-pass algorithm: a mean first, then the sum of d² for d = x − mean. Where a mean lies far
from 0 for its width, its rounding counts, and the mean of d corrects both (Chan, Golub, LeVeque 1983). Numbers per
channel or per group are kept in float64; they cost nothing, and a mean of 10⁴ rounded to float32 would be wrong by
5·10⁻⁴.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from ...backend import parallel_for, scratch
from .batch_norm import FAR, LONG_CHANNEL, _origin

_BLOCK = 1 << 16  # elements that a block of rows may have: a few arrays of that size fit into the L2 cache
_GRAIN = 4  # blocks that make a thread worth its while


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
        var[block] = np.vecdot(d, d) / d.dtype.type(d.shape[2])
        mean[block] = rough[..., 0]
        if not (mean[block] ** 2 <= FAR * var[block]).all():
            residual = _row_mean(d)
            d -= residual
            mean[block] += residual[..., 0]
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
    if inner >= LONG_CHANNEL:
        return (a.reshape(-1, inner) @ np.ones(inner, a.dtype)).reshape(-1, *shape).sum(0)
    return (np.ones(len(a), a.dtype) @ a.reshape(len(a), -1)).reshape(*shape, inner).sum(-1)


def _channel_dot(a, b, shape):
    """Σ a·b likewise."""
    inner = a[0].size // math.prod(shape)
    if inner >= LONG_CHANNEL:
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
