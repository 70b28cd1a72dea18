"""Group normalization and local response normalization.

Group norm measures rows that lie whole in memory, (samples·groups) of them, by the kernels that measure the channels of
a batch; see :mod:`.batch_norm`. For its gradient it needs two kinds of sums, over the values of each row and over all
samples for each channel, which are one pass each; then the gradient itself is a third.
"""

from __future__ import annotations

import math
from typing import Any

import cupy

from ._compile import elementwise, launch, launch_blocks
from ._half import in_single
from .batch_norm import inverse_std, moments, reduce_channels

_row_numbers = elementwise(
    "float64 mean, float64 var, float64 eps",
    "T origin, T rest, T inverse",
    "origin = mean; rest = mean - origin; inverse = 1 / sqrt(var + eps)",
    "group_norm_numbers",
)

_normalize = elementwise(
    "T x, T origin, T rest, T inverse, T weight, T bias",
    "T y",
    "y = ((x - origin) - rest) * inverse * weight + bias",
    "group_norm",
)

_row_gradient_numbers = elementwise(
    "float64 mean, float64 std_inverse, float64 sum_g, float64 sum_gx, float64 count",
    "T origin, T rest, T inverse, T mean_g, T mean_gx",
    """
    origin = mean;
    rest = mean - origin;
    inverse = std_inverse;
    mean_g = sum_g / count;
    mean_gx = sum_gx / count;
    """,
    "group_norm_gradient_numbers",
)

_gradient = elementwise(
    "T gy, T x, T weight, T origin, T rest, T inverse, T mean_g, T mean_gx",
    "T gx",
    "gx = (gy * weight - mean_g - ((x - origin) - rest) * inverse * mean_gx) * inverse",
    "group_norm_backward",
)


@in_single
def group_norm(x: Any, weight: Any, bias: Any, eps: float) -> Any:
    """Normalize each of the G groups of each sample of x (N, G, K, S): (y, mean (N, G), biased variance (N, G)).

    weight and bias are (G, K): one number for each of the K channels of a group.
    """
    samples, groups, per_group, inner = x.shape
    mean, var = moments(x, 1, samples * groups, per_group * inner)
    numbers = [cupy.empty((samples, groups, 1, 1), x.dtype) for _ in range(3)]
    _row_numbers(*(array.reshape(samples, groups, 1, 1) for array in (mean, var)), float(eps), *numbers)
    gamma = 1.0 if weight is None else weight[:, :, None]
    beta = 0.0 if bias is None else bias[:, :, None]
    y = _normalize(x, *numbers, gamma, beta)
    return y, mean.reshape(samples, groups), var.reshape(samples, groups)


@in_single
def group_norm_backward(gy: Any, x: Any, weight: Any, mean: Any, var: Any, eps: float) -> Any:
    """(gx, gweight, gbias) of :func:`group_norm`.

    Math:      gx = 1/σ · (g − mean(g) − x̂ · mean(g·x̂)), g = γ·gy, the means over the values of a group
    """
    samples, groups, per_group, inner = x.shape
    mean, inverse = cupy.ascontiguousarray(mean), inverse_std(var, eps)
    arrays = cupy.ascontiguousarray(gy), cupy.ascontiguousarray(x), mean, inverse

    partial = reduce_channels(
        "gradient_sums", 2, (*arrays, arrays[0], 0, per_group, groups), samples, groups * per_group, inner
    )
    gbias, gweight = partial.sum(axis=1).astype(x.dtype).reshape(2, groups, per_group)

    sums = cupy.empty((2, samples * groups))
    gamma = arrays[0] if weight is None else cupy.ascontiguousarray(weight)
    settings = int(weight is not None), groups, per_group, inner
    launch_blocks("moments", "group_gradient_sums", (sums.shape[1],), (sums, *arrays, gamma, *settings), x.dtype)

    numbers = [cupy.empty((samples, groups, 1, 1), x.dtype) for _ in range(5)]
    rows = (array.reshape(samples, groups, 1, 1) for array in (mean, inverse, sums[0], sums[1]))
    _row_gradient_numbers(*rows, float(per_group * inner), *numbers)
    return _gradient(gy, x, 1.0 if weight is None else weight[:, :, None], *numbers), gweight, gbias


@in_single
def local_response_norm(x: Any, size: int, alpha: float, beta: float, k: float) -> Any:
    """Divide x (N, C, ...) by a power of the energy of `size` neighbouring channels: (y, that energy)."""
    x = cupy.ascontiguousarray(x)
    y, energy = cupy.empty_like(x), cupy.empty_like(x)
    window = x.shape[1], math.prod(x.shape[2:]), size // 2, (size - 1) // 2
    settings = *window, alpha / size, float(beta), float(k)
    launch("local_response_norm", "local_response_norm", x.size, (y, energy, x, *settings), x.dtype)
    return y, energy


@in_single
def local_response_norm_backward(gy: Any, x: Any, energy: Any, size: int, alpha: float, beta: float) -> Any:
    """gx of :func:`local_response_norm`."""
    arrays = tuple(map(cupy.ascontiguousarray, (gy, x, energy)))
    gx = cupy.empty_like(arrays[1])
    window = x.shape[1], math.prod(x.shape[2:]), (size - 1) // 2, size // 2
    settings = *window, alpha / size, float(beta)
    launch("local_response_norm", "local_response_norm_backward", x.size, (gx, *arrays, *settings), x.dtype)
    return gx
