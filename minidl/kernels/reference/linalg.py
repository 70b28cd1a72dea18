"""Matrix products, one number at a time."""

from __future__ import annotations

import numpy as np


def matmul(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """y[…, i, j] = Σ_k a[…, i, k] · b[…, k, j], with broadcasting over the stack."""
    stack = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    a, b = np.broadcast_to(a, stack + a.shape[-2:]), np.broadcast_to(b, stack + b.shape[-2:])
    y = np.zeros((*stack, a.shape[-2], b.shape[-1]), a.dtype)
    for *s, i, j in np.ndindex(y.shape):
        for k in range(a.shape[-1]):
            y[*s, i, j] += a[*s, i, k] * b[*s, k, j]
    return y
