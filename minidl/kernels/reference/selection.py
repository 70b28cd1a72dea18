"""Choosing between two arrays by a condition, one element at a time."""

from __future__ import annotations

import numpy as np


def choose(condition: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """a where the condition holds, b elsewhere, with broadcasting."""
    condition, a, b = np.broadcast_arrays(condition, a, b)
    y = np.empty(a.shape, np.result_type(a, b))
    for place in np.ndindex(y.shape):
        y[place] = a[place] if condition[place] else b[place]
    return y
