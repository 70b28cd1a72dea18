"""Matrix products by BLAS."""

from __future__ import annotations

import numpy as np

from ...backend import empty, get_num_threads, one_blas_thread, share

SHARED_WORK = 4_000_000
"""Multiply-adds (some 50 µs) from which on a product is shared among the cores."""

TINY_WORK = 8192
"""Multiply-adds below which OpenBLAS never splits a product, so that nobody has to forbid it."""

ENOUGH_ROWS = 128
"""Rows from which on a result is cut into rows, which lie together; below, along its longer side."""


def matmul(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The products of stacks of matrices (…, I, K) and (…, K, J), with broadcasting over the stack."""
    if a.shape[-2] * a.shape[-1] * b.shape[-1] < TINY_WORK:
        return np.matmul(a, b)
    if a.ndim == b.ndim == 2 and a.dtype == b.dtype and a.dtype.char in "fd" and a.shape[1] == b.shape[0]:
        work = a.size * b.shape[1]
        if work >= 2 * SHARED_WORK and get_num_threads() > 1:
            y = empty((len(a), b.shape[1]), a.dtype, shared=True)
            by_row = len(a) >= min(b.shape[1], ENOUGH_ROWS)
            size = max(y.shape)
            share(_product_part, size, (y,), (a, b), (by_row,), max(1, size * SHARED_WORK // work))
            return y
    with one_blas_thread():
        return np.matmul(a, b)


def _product_part(start: int, stop: int, outs, ins, by_row: bool) -> None:
    (y,), (a, b) = outs, ins
    if by_row:
        np.matmul(a[start:stop], b, out=y[start:stop])
    else:
        np.matmul(a, b[:, start:stop], out=y[:, start:stop])
