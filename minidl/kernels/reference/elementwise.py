"""Element-wise operations: the definition."""

from __future__ import annotations

import math

import numpy as np


def add(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """a + b."""
    return binary("add", a, b)


def binary(name: str, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """NumPy's ufunc of that name."""
    return getattr(np, name)(a, b)


def contiguous(x: np.ndarray) -> np.ndarray:
    """x itself if its elements lie in row-major order, else a copy of which that is true."""
    return np.ascontiguousarray(x).reshape(x.shape)


def unary(name: str, x: np.ndarray) -> np.ndarray:
    """NumPy's ufunc of that name."""
    return getattr(np, name)(x)


def relu(x: np.ndarray) -> np.ndarray:
    """max(x, 0)."""
    return _each(lambda value: value if value > 0 or math.isnan(value) else 0.0, x)


def relu_backward(gy: np.ndarray, y: np.ndarray, plus: np.ndarray | None = None) -> np.ndarray:
    """gy where y > 0, else 0, for y = max(x, 0), plus another gradient of x; NaN in y lets gy through."""
    gx = _each(lambda g, value: 0.0 if value == 0 else g, gy, y)
    return gx if plus is None else gx + plus


def leaky_relu(x: np.ndarray, slope: float) -> np.ndarray:
    """x where x > 0, else slope · x."""
    return _each(lambda value: value if value > 0 else slope * value, x)


def leaky_relu_backward(gy: np.ndarray, x: np.ndarray, slope: float) -> np.ndarray:
    """gy where x > 0, else slope · gy."""
    return _each(lambda g, value: g if value > 0 else slope * g, gy, x)


def tanh_backward(gy: np.ndarray, y: np.ndarray) -> np.ndarray:
    """gy · (1 − y²), for y = tanh(x)."""
    return _each(lambda g, value: g * (1 - value * value), gy, y)


def _each(function, *arrays: np.ndarray) -> np.ndarray:
    y = np.empty_like(arrays[0])
    for index in np.ndindex(y.shape):
        y[index] = function(*(float(array[index]) for array in arrays))
    return y
