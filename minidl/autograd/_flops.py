"""How many floating-point operations an operation takes, by its shapes, and how many this machine can do at best.

Counted is what the definition takes, whichever algorithm computes it. A multiplication and an addition are two
operations; a comparison, a root or an exponential is one; moving numbers about is none.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import cache
from math import prod
from typing import Any

import numpy as np

from ..backend import get_num_threads, one_blas_thread
from ..errors import ArgumentTypeError
from .function import Function

Shapes = tuple[tuple[int, ...], ...]

LATER, ELSEWHERE = object(), object()
"""Settings of an operation that left its result to be computed later, or was done together with the one before it."""

_PACKAGE = __name__.partition(".")[0] + "."
_PEAK_SIZE, _PEAK_SECONDS = 1024, 0.1


def kept_setting(function: Function, shapes: Sequence[Any], outputs: Sequence[Any]) -> Any:
    """What the formula of this operation needs beside the shapes, to be kept when the operation itself is gone.

    Of a Function with a method ``flops(input_shapes, output_shapes)``, as users may give theirs, its result. `outputs`
    has (shape, dtype) of each.

    Raises:    ArgumentTypeError: the method returned neither an integer nor None
    """
    if getattr(type(function), "flops", None) is None:
        attribute = _SETTINGS.get(function.name)
        return None if attribute is None else getattr(function, attribute, None)
    flops = function.flops(tuple(shapes), tuple([shape for shape, _ in outputs]))  # type: ignore[attr-defined]
    if flops is not None and (isinstance(flops, bool) or not isinstance(flops, int | np.integer)):
        raise ArgumentTypeError(f"{function.name}: flops() must return an integer or None, got {flops!r}")
    return None if flops is None else int(flops)


def forward_flops(kind: type[Function], setting: Any, inputs: Shapes, outputs: Shapes) -> int | None:
    """FLOPs of one application of an operation of this class; None where neither it nor the table below knows."""
    if setting is LATER or setting is ELSEWHERE:
        return None
    if getattr(kind, "flops", None) is not None:
        return setting
    if not kind.__module__.startswith(_PACKAGE):  # a user's own "linear" may be another one
        return None
    formula = _FORMULAS.get(kind.name)
    return None if formula is None else formula(setting, inputs, outputs)


def fused_backward_flops(kind: type[Function], needs: tuple[bool, ...], inputs: Shapes, outputs: Shapes) -> int | None:
    """FLOPs of a backward that calls no other operations; None where there is no formula.

    Math:      y = x wᵀ + b: one product of the size of the forward's for each of gx and gw that is needed, Σ gy for gb;
               y = a b: one for each of ga and gb
    """
    if kind.name not in ("linear", "mat_mul") or not kind.__module__.startswith(_PACKAGE):
        return None
    product = _product(None, inputs, outputs)
    return product * sum(needs[:2]) + prod(outputs[0]) * sum(needs[2:])


def matmul_peak() -> float:
    """FLOP/s of NumPy's product of two float32 matrices of 1024 x 1024, the best of several, measured once.

    With one thread where :func:`minidl.get_num_threads` says so, else with as many as NumPy's BLAS uses.
    """
    return _measured_peak(get_num_threads() == 1)


@cache
def _measured_peak(one_thread: bool) -> float:
    a = np.random.default_rng(0).standard_normal((_PEAK_SIZE, _PEAK_SIZE), np.float32)
    out = np.empty_like(a)
    best, until = float("inf"), 0.0
    with one_blas_thread() if one_thread else nullcontext():
        np.matmul(a, a, out=out)  # the first call wakes the threads
        while until == 0.0 or time.perf_counter() < until:
            start = time.perf_counter()
            until = until or start + _PEAK_SECONDS
            np.matmul(a, a, out=out)
            best = min(best, time.perf_counter() - start)
    return 2 * _PEAK_SIZE**3 / best


# Formulas: (setting, input shapes, output shapes) -> FLOPs -----------------------------------------------------------

Formula = Callable[[Any, Any, Any], int]


def _per_input(operations: int) -> Formula:
    return lambda setting, inputs, outputs: operations * prod(inputs[0])


def _per_output(operations: int) -> Formula:
    return lambda setting, inputs, outputs: operations * prod(outputs[0])


def _bias(inputs: Any, outputs: Any) -> int:
    return prod(outputs[0]) if len(inputs) > 2 else 0


def _conv(setting: Any, inputs: Any, outputs: Any) -> int:
    """Each output sums over its window: w is (out, in / groups, *kernel)."""
    return 2 * prod(outputs[0]) * prod(inputs[1][1:]) + _bias(inputs, outputs)


def _conv_input_grad(setting: Any, inputs: Any, outputs: Any) -> int:
    """Each element of gy is spread over its window."""
    return 2 * prod(inputs[0]) * prod(inputs[1][1:]) + _bias(inputs, outputs)


def _conv_weight_grad(setting: Any, inputs: Any, outputs: Any) -> int:
    """Each element of gy meets its window of x."""
    return 2 * prod(inputs[1]) * prod(outputs[0][1:])


def _product(setting: Any, inputs: Any, outputs: Any) -> int:
    """a (…, i, k) times b (…, k, j)."""
    return 2 * prod(outputs[0]) * inputs[0][-1]


def _linear(setting: Any, inputs: Any, outputs: Any) -> int:
    return _product(setting, inputs, outputs) + _bias(inputs, outputs)


def _einsum(setting: Any, inputs: Any, outputs: Any) -> int | None:
    """One multiplication and one addition for each combination of the letters; with more operands it is the order of
    the products that decides, which is NumPy's to choose."""
    if len(inputs) > 2:
        return None
    lengths: dict[str, int] = {}
    for term, shape in zip(setting, inputs, strict=True):
        lengths.update(zip(term, shape, strict=True))
    return len(inputs) * prod(lengths.values())


def _pool(setting: Any, inputs: Any, outputs: Any) -> int:
    """One comparison or addition for each element of each window."""
    return prod(outputs[0]) * prod(setting["kernel"])


def _pool_input_grad(setting: Any, inputs: Any, outputs: Any) -> int:
    return prod(inputs[0]) * prod(setting["kernel"])


def _normalization(setting: Any, inputs: Any, outputs: Any) -> int:
    """Four for mean and variance, two to subtract and divide, two for scale and shift."""
    return (6 + 2 * (len(inputs) > 1)) * prod(inputs[0])


def _fixed_normalization(setting: Any, inputs: Any, outputs: Any) -> int:
    """Inputs 1 and 2 are the statistics."""
    return (2 + 2 * (len(inputs) > 3)) * prod(inputs[0])


_SETTINGS = {"einsum": "terms", **dict.fromkeys(["max_pool", "avg_pool", "avg_pool_input_grad"], "window")}
"""Attributes of operations that their formulas need."""

_FORMULAS: dict[str, Any] = {
    "conv": _conv, "conv_input_grad": _conv_input_grad, "conv_transpose": _conv_input_grad,
    "conv_weight_grad": _conv_weight_grad, "mat_mul": _product, "linear": _linear, "einsum": _einsum,
    "max_pool": _pool, "avg_pool": _pool, "avg_pool_input_grad": _pool_input_grad,
    "adaptive_max_pool": _per_input(1), "adaptive_avg_pool": _per_input(1),
    "adaptive_avg_pool_input_grad": _per_output(1),
    "batch_norm": _normalization, "group_norm": _normalization, "layer_norm": _normalization,
    "instance_norm": _normalization, "batch_norm_eval": _fixed_normalization,
    "softmax": _per_input(3), "log_softmax": _per_input(3), "softmax_cross_entropy": _per_input(3),
    "logsumexp": _per_input(3), "var": _per_input(4), "std": _per_input(4),
}  # fmt: skip
_FORMULAS |= dict.fromkeys(
    """add sub mul div pow maximum minimum floor_divide remainder abs log log1p sin cos erf clamp hardtanh leaky_relu
    elu softplus logsigmoid exp expm1 sqrt rsqrt tanh sigmoid relu sign floor ceil round trunc neg gelu silu mish
    dropout where masked_fill""".split(),
    _per_output(1),
)
_FORMULAS |= dict.fromkeys(
    """sum mean prod cumsum extreme extreme_along sum_to channel_sum index_put_add scatter_add plane_scatter
    fold""".split(),
    _per_input(1),
)
_FORMULAS |= dict.fromkeys(
    """reshape permute flip roll cat narrow embed expand clone contiguous cast to_device getitem gather alias pad
    plane_gather max_unpool embedding pixel_shuffle pixel_unshuffle unfold backward_hook""".split(),
    _per_output(0),
)
