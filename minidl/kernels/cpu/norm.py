"""Group normalization and local response normalization: blocks that stay in the cache, sums that keep their digits.

Variances come from the two-pass algorithm: a mean first, then the sum of d² for d = x − mean. Where a mean lies far
from 0 for its width, its rounding counts, and the mean of d corrects both (Chan, Golub, LeVeque 1983). Numbers per
channel or per group are kept in float64; they cost nothing, and a mean of 10⁴ rounded to float32 would be wrong by
5·10⁻⁴.
"""

from __future__ import annotations

import math

import numpy as np

from ...backend import empty, scratch, share
from .batch_norm import FAR, LONG_CHANNEL, _origin
from .elementwise import LARGE

_BLOCK = 1 << 16  # elements that a block of samples may have: a few arrays of that size fit into the L2 cache


def _blocks(start: int, stop: int, step: int) -> list[slice]:
    return [slice(i, min(i + step, stop)) for i in range(start, stop, step)]


def _samples_at_once(sample: np.ndarray) -> int:
    """So many that they stay in the cache."""
    return max(_BLOCK // sample.size, 1)


def group_norm(x, weight, bias, eps):
    """Normalize each of the G groups of each sample of x (N, G, K, S): (y, mean (N, G), biased variance (N, G)).

    weight and bias are (G, K): one number for each of the K channels of a group. Layer normalization over few features
    is some five times slower than a single loop would be: NumPy needs seven passes, each by rows of that length.
    """
    samples, groups, _, inner = x.shape
    if x.size == 0:
        return np.empty_like(x), np.zeros((samples, groups)), np.zeros((samples, groups))
    values = np.ascontiguousarray(x).reshape(samples, groups, math.prod(x.shape[2:]))
    y = empty(values.shape, x.dtype, shared=True)
    mean, var = (empty((samples, groups), np.float64, shared=True) for _ in range(2))
    grain = max(LARGE // 2 // values[0].size, 1)
    share(
        _normalize_part,
        samples,
        (y, mean, var),
        (values, _per_value(weight, inner), _per_value(bias, inner)),
        (eps,),
        grain,
    )
    return y.reshape(x.shape), mean, var


def _normalize_part(start: int, stop: int, outs, ins, eps: float) -> None:
    (y, mean, var), (values, gamma, beta) = outs, ins
    for block in _blocks(start, stop, _samples_at_once(values[0])):
        rough = _row_mean(values[block])
        d = np.subtract(values[block], rough, out=y[block])
        var[block] = np.vecdot(d, d) / d.dtype.type(d.shape[2])
        mean[block] = rough[..., 0]
        if not (mean[block] ** 2 <= FAR * var[block]).all():
            residual = _row_mean(d)
            d -= residual
            mean[block] += residual[..., 0]
            var[block] = np.vecdot(d, d) / d.dtype.type(d.shape[2])
        d *= _inverse_std(var[block], eps, d.dtype)
        if gamma is not None:
            d *= gamma
        if beta is not None:
            d += beta


def group_norm_backward(gy, x, weight, mean, var, eps):
    """(gx, gweight, gbias) of :func:`group_norm`."""
    samples, groups, per_group, inner = x.shape
    if x.size == 0:
        return np.empty_like(x), *np.zeros((2, groups, per_group), x.dtype)
    values = np.ascontiguousarray(x).reshape(samples, groups, per_group * inner)
    grads = np.ascontiguousarray(gy).reshape(values.shape)
    origin, rest = _origin(mean, var, x.dtype)
    step = _samples_at_once(values[0])
    blocks = -(-samples // step)
    gx = empty(values.shape, x.dtype, shared=True)
    partial = empty((2, blocks, groups, per_group), x.dtype, shared=True)
    ins = (grads, values, _per_value(weight, inner), var, origin, rest)
    grain = max(LARGE // 2 // (step * values[0].size), 1)
    share(_group_norm_backward_part, blocks, (gx, partial), ins, (eps, step), grain)
    gweight, gbias = partial.sum(1, dtype=np.float64).astype(x.dtype)
    return gx.reshape(x.shape), gweight, gbias


def _group_norm_backward_part(start: int, stop: int, outs, ins, eps: float, step: int) -> None:
    """Blocks start … stop − 1, of `step` samples each."""
    (gx, partial), (grads, values, gamma, var, origin, rest) = outs, ins
    dtype, channels = values.dtype, partial.shape[2:]
    for i, block in enumerate(_blocks(start * step, min(stop * step, len(values)), step), start):
        inverse_std = _inverse_std(var[block], eps, dtype)
        g, x_hat = grads[block], scratch("x_hat", values[block].shape, dtype)
        centered = values[block] if origin is None else np.subtract(values[block], origin[block, :, None], out=x_hat)
        np.multiply(centered, inverse_std, out=x_hat)
        x_hat -= (rest[block, :, None] * inverse_std).astype(dtype)
        partial[:, i] = _channel_dot(g, x_hat, channels), _channel_sum(g, channels)
        # gx = 1/σ · (g − mean(g) − x̂ · mean(g·x̂)) with g = γ·gy
        g = np.multiply(g, gamma, out=gx[block]) if gamma is not None else g
        x_hat *= (np.vecdot(g, x_hat) / dtype.type(g.shape[2]))[..., None]
        x_hat += _row_mean(g)
        np.subtract(g, x_hat, out=gx[block])
        gx[block] *= inverse_std


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
