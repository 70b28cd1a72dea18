"""Batch normalization: one pass to measure the channels, one to normalize, and for the gradient likewise.

The sums over a channel are those of ``source/moments.cu``, in double precision and in a fixed order. From them follow a
few numbers for each channel, found on the device too, so that nothing waits for it. What is left is one pass over the
elements in their own precision: the normalized sum with a residual and its ReLU, or the gradient as a linear form. x is
measured from its rounded mean, or a mean that is large beside the deviation would cost digits.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import cupy
import numpy as np

from ._compile import elementwise, launch, launch_blocks
from ._half import in_single
from .elementwise import relu_backward, sum_of

PART = 4096
"""Values of a channel that make a block worth its while."""

MOST_BLOCKS = 1024
"""Blocks that keep a device busy."""

SHORT = 8
"""Values that lie side by side, below which threads are better neighbours by channel."""

_inverse_std = elementwise(
    "float64 var, float64 eps", "float64 inverse", "inverse = 1 / sqrt(var + eps)", "inverse_std"
)

_scale_and_shift = elementwise(
    "float64 mean, float64 var, float64 eps, T weight, T bias",
    "T origin, T scale, T shift",
    """
    double factor = weight / sqrt(var + eps);
    origin = mean;
    scale = factor;
    shift = bias - (mean - origin) * factor;
    """,
    "scale_and_shift",
)

_linear_form = elementwise(
    "float64 sum_g, float64 sum_gx, float64 mean, float64 inverse, float64 count, T weight",
    "T origin, T a, T b, T c",
    """
    double factor = weight * inverse, slope = -factor * inverse * sum_gx / count;
    origin = mean;
    a = factor;
    b = slope;
    c = -factor * sum_g / count - slope * (mean - origin);
    """,
    "linear_form",
)

_combine = elementwise(
    "T gy, T x, T origin, T a, T b, T c", "T gx", "gx = a * gy + b * (x - origin) + c", "batch_norm_backward"
)

_combine_masked = elementwise(
    "T gy, T relu_output, T x, T origin, T a, T b, T c",
    "T gx",
    "gx = (relu_output == T(0) ? T(0) : T(a * gy)) + b * (x - origin) + c",
    "batch_norm_relu_backward",
)


@in_single
def batch_norm(x: Any, weight: Any, bias: Any, eps: float) -> Any:
    """Normalize every channel of x (N, C, ...) by its own mean and variance: (y, mean (C,), biased variance (C,))."""
    mean, var = batch_norm_statistics(x)
    return batch_norm_eval(x, weight, bias, mean, var, eps), mean, var


@in_single
def batch_norm_statistics(x: Any) -> Any:
    """(mean, biased variance) of every channel of x (N, C, ...), both (C,) float64."""
    return moments(x, len(x), x.shape[1], math.prod(x.shape[2:]))


def batch_norm_eval(x: Any, weight: Any, bias: Any, mean: Any, var: Any, eps: float) -> Any:
    """Normalize every channel of x (N, C, ...) by the given mean and variance."""
    return normalized_sum([(x, weight, bias, mean, var, eps)], [], relu=False)


@in_single
def normalized_sum(normalized: Any, others: Any, relu: bool) -> Any:
    """The sum of some batch norms (the arguments of :func:`batch_norm_eval`) and of `others`; maybe its ReLU."""
    operands = []
    for x, weight, bias, mean, var, eps in normalized:
        statistics = _in_double(mean), _in_double(var), float(eps)
        numbers = _new(3, x)
        _scale_and_shift(*statistics, 1.0 if weight is None else weight, 0.0 if bias is None else bias, *numbers)
        operands += [x, *_along_channels(numbers, x)]
    return sum_kernel(len(normalized), len(others), bool(relu))(*operands, *others)


@cache
def sum_kernel(norms: int, others: int, relu: bool) -> Any:
    """One pass that adds so many batch norms and other arrays, and takes the ReLU of the sum."""
    parameters = [f"T x{i}, T origin{i}, T scale{i}, T shift{i}" for i in range(norms)]
    terms = [f"(x{i} - origin{i}) * scale{i} + shift{i}" for i in range(norms)]
    parameters += [f"T other{i}" for i in range(others)]
    terms += [f"other{i}" for i in range(others)]
    return sum_of(parameters, terms, relu, f"normalized_sum_{norms}_{others}")


@in_single
def batch_norm_backward(gy: Any, x: Any, weight: Any, mean: Any, var: Any, eps: float, relu_output: Any = None) -> Any:
    """(gx, gweight, gbias) of batch norm by the statistics of x. With relu_output, gy counts only where that is > 0.

    Math:      gx = γ/σ · (g − mean(g) − x̂ · mean(g·x̂)), as one linear form a·g + b·(x − origin) + c
    """
    sum_g, sum_gx, mean, inverse = _gradient_sums(gy, x, mean, var, eps, relu_output)
    numbers = _new(4, x)
    count = float(len(x) * math.prod(x.shape[2:]))
    _linear_form(sum_g, sum_gx, mean, inverse, count, 1.0 if weight is None else weight, *numbers)
    numbers = _along_channels(numbers, x)
    gx = _combine(gy, x, *numbers) if relu_output is None else _combine_masked(gy, relu_output, x, *numbers)
    return gx, sum_gx.astype(x.dtype), sum_g.astype(x.dtype)


@in_single
def batch_norm_eval_backward(
    gy: Any, x: Any, weight: Any, mean: Any, var: Any, eps: float, relu_output: Any = None
) -> Any:
    """(gx, gweight, gbias) of :func:`batch_norm_eval`, whose statistics are constants."""
    sum_g, sum_gx, _, inverse = _gradient_sums(gy, x, mean, var, eps, relu_output)
    scale = (inverse if weight is None else weight * inverse).astype(x.dtype)
    grads = gy if relu_output is None else relu_backward(gy, relu_output)
    return grads * _along_channels([scale], x)[0], sum_gx.astype(x.dtype), sum_g.astype(x.dtype)


@in_single
def channel_sum(x: Any) -> Any:
    """Σ x over all but the channels of x (N, C, ...): (C,)."""
    sizes = len(x), x.shape[1], math.prod(x.shape[2:])
    return reduce_channels("sums", 1, (cupy.ascontiguousarray(x),), *sizes)[0].sum(axis=0).astype(x.dtype)


def moments(x: Any, before: int, channels: int, after: int) -> tuple[Any, Any]:
    """Mean and biased variance, (channels,) float64, of the channels of x seen as (before, channels, after)."""
    partial = reduce_channels("moments", 3, (cupy.ascontiguousarray(x),), before, channels, after)
    mean, var = cupy.empty(channels), cupy.empty(channels)
    launch("moments", "add_parts", channels, (mean, var, partial, partial.shape[1]), x.dtype)
    return mean, var


def reduce_channels(name: str, terms: int, arguments: tuple, before: int, channels: int, after: int) -> Any:
    """What a kernel of ``moments.cu`` finds in the parts: (terms, parts, channels)."""
    values, width = before * after, 32 if after < SHORT else 1
    blocks = -(-channels // width)
    parts = max(1, min(values * width // PART, MOST_BLOCKS // max(blocks, 1)))
    partial = cupy.empty((terms, parts, channels))
    settings = np.int64(values), channels, after, width, parts
    launch_blocks("moments", name, (blocks, parts), (partial, *arguments, *settings), arguments[0].dtype)
    return partial


def inverse_std(var: Any, eps: float) -> Any:
    """1/√(σ² + ε), float64."""
    return _inverse_std(_in_double(var), float(eps))


def _gradient_sums(gy: Any, x: Any, mean: Any, var: Any, eps: float, relu_output: Any) -> tuple[Any, Any, Any, Any]:
    """Σ g and Σ g·x̂ of each channel, its mean and 1/σ: all (C,) float64."""
    mean, inverse = _in_double(mean), inverse_std(var, eps)
    masked = relu_output is not None
    gy = cupy.ascontiguousarray(gy)
    relu_output = cupy.ascontiguousarray(relu_output) if masked else gy
    arguments = gy, cupy.ascontiguousarray(x), mean, inverse, relu_output, int(masked), 1, 0
    partial = reduce_channels("gradient_sums", 2, arguments, len(x), x.shape[1], math.prod(x.shape[2:]))
    sum_g, sum_gx = partial.sum(axis=1)
    return sum_g, sum_gx, mean, inverse


def _in_double(statistics: Any) -> Any:
    return cupy.ascontiguousarray(statistics, np.float64)


def _new(count: int, x: Any) -> list[Any]:
    """So many arrays of one number for each channel."""
    return [cupy.empty(x.shape[1], x.dtype) for _ in range(count)]


def _along_channels(numbers: list[Any], x: Any) -> list[Any]:
    """Numbers per channel, such that they broadcast against x."""
    return [array.reshape(-1, *(1,) * (x.ndim - 2)) for array in numbers]
