"""Matrix products by BLAS."""

from __future__ import annotations

import numpy as np

from ...backend import one_blas_thread

SPLIT_WORK = 32_000_000
"""Multiply-adds (about a millisecond) below which BLAS is kept to one thread: waiting for a second one costs more."""


def matmul(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The products of stacks of matrices (…, I, K) and (…, K, J), with broadcasting over the stack."""
    if a.size * b.shape[-1] > SPLIT_WORK:
        return np.matmul(a, b)
    with one_blas_thread():
        return np.matmul(a, b)
