"""Element-wise operations: where CuPy has one that is a single pass, that one; else a pass of our own.

Such a pass is bound by memory: what counts is that each array is read once and nothing is written in between.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cupy

from ._compile import elementwise

_relu_backward = elementwise("T gy, T y", "T gx", "gx = y == T(0) ? T(0) : gy", "relu_backward")
_relu_backward_plus = elementwise(
    "T gy, T y, T plus", "T gx", "gx = (y == T(0) ? T(0) : gy) + plus", "relu_backward_plus"
)
_leaky_relu = elementwise("T x, T slope", "T y", "y = x > T(0) ? x : T(slope * x)", "leaky_relu")
_leaky_relu_backward = elementwise(
    "T gy, T x, T slope", "T gx", "gx = x > T(0) ? gy : T(slope * gy)", "leaky_relu_backward"
)
_tanh_backward = elementwise("T gy, T y", "T gx", "gx = gy * (T(1) - y * y)", "tanh_backward")


def add(a: Any, b: Any) -> Any:
    """a + b."""
    return a + b


def binary(name: str, a: Any, b: Any) -> Any:
    """CuPy's ufunc of that name."""
    return getattr(cupy, name)(a, b)


def contiguous(x: Any) -> Any:
    """x itself if its elements lie in row-major order, else a copy of which that is true."""
    return cupy.ascontiguousarray(x).reshape(x.shape)


def unary(name: str, x: Any) -> Any:
    """CuPy's ufunc of that name."""
    return getattr(cupy, name)(x)


def relu(x: Any) -> Any:
    """max(x, 0)."""
    return cupy.maximum(x, 0)


def relu_backward(gy: Any, y: Any, plus: Any = None) -> Any:
    """gy where y > 0, else 0, for y = max(x, 0), plus another gradient of x; NaN in y lets gy through."""
    return _relu_backward(gy, y) if plus is None else _relu_backward_plus(gy, y, plus)


def leaky_relu(x: Any, slope: float) -> Any:
    """x where x > 0, else slope · x."""
    return _leaky_relu(x, slope)


def leaky_relu_backward(gy: Any, x: Any, slope: float) -> Any:
    """gy where x > 0, else slope · gy."""
    return _leaky_relu_backward(gy, x, slope)


def tanh_backward(gy: Any, y: Any) -> Any:
    """gy · (1 − y²), for y = tanh(x)."""
    return _tanh_backward(gy, y)


def sum_of(parameters: Sequence[str], terms: Sequence[str], relu: bool, name: str) -> Any:
    """A kernel that adds so many terms in one pass, and takes the ReLU of their sum."""
    result = "sum > T(0) || sum != sum ? sum : T(0)" if relu else "sum"  # NaN stays NaN
    operation = f"T sum = {' + '.join(terms)}; y = {result}"
    return elementwise(", ".join(parameters), "T y", operation, f"{name}_relu" if relu else name)
