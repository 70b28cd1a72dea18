"""Matrix products cut into pieces of the size that BLAS likes best.

OpenBLAS multiplies small matrices, up to about a million multiply-adds, as they lie in memory; larger ones it copies
into an order of its own first. For the thin products of convolutions that copy costs more than it brings: in pieces,
all in one call of NumPy's, they are 1.2 to 2 times as fast, and some of the transforms of Winograd's algorithm 3 times.
"""

from __future__ import annotations

import numpy as np

from ...backend import scratch

SMALL = 1_000_000
"""Multiply-adds up to which a product counts as small."""

SHORTEST = 8
"""Rows or columns below which a piece is too thin."""

WORTH_ADDING = 96
"""Inner length of a piece below which adding up the pieces would cost more than they save."""


def product(a: np.ndarray, b: np.ndarray, out: np.ndarray) -> None:
    """out = a · b, in pieces along the longer side of the result."""
    (rows, inner), columns = a.shape, b.shape[1]
    by_row = rows >= columns
    length, other = (rows, columns) if by_row else (columns, rows)
    step = _whole(SMALL // max(inner * other, 1))
    if not SHORTEST <= step < length:
        np.matmul(a, b, out=out)
        return
    count = length // step
    done = count * step
    if by_row:
        pieces = out[:done].reshape(count, step, columns)
        np.matmul(a[:done].reshape(count, step, inner), b, out=pieces)
        a, out = a[done:], out[done:]
    else:
        pieces = out[:, :done].reshape(rows, count, step).transpose(1, 0, 2)
        np.matmul(a, b[:, :done].reshape(inner, count, step).transpose(1, 0, 2), out=pieces)
        b, out = b[:, done:], out[:, done:]
    if out.size:
        np.matmul(a, b, out=out)


def long_product(a: np.ndarray, b: np.ndarray, out: np.ndarray) -> None:
    """out = a · b with a long inner dimension, in pieces along that, which are added up."""
    (rows, inner), columns = a.shape, b.shape[1]
    step = _whole(SMALL // max(rows * columns, 1))
    if not WORTH_ADDING <= step < inner:
        np.matmul(a, b, out=out)
        return
    count = inner // step
    done = count * step
    pieces = scratch("products.pieces", (count, rows, columns), out.dtype)
    left = a[:, :done].reshape(rows, count, step).transpose(1, 0, 2)
    np.matmul(left, b[:done].reshape(count, step, columns), out=pieces)
    np.add.reduce(pieces, axis=0, out=out)
    if done < inner:
        out += a[:, done:] @ b[done:]


def _whole(step: int) -> int:
    """A length that fills the vector registers, where it can."""
    return step - step % 16 if step >= 16 else step


def stack_pieces(length: int, work: int) -> int:
    """Into how many equal parts to cut a dimension of this length, so that products of `work` become small ones."""
    return next((k for k in (1, 2, 4, 8) if length % k == 0 and length // k >= SHORTEST and work // k <= SMALL), 1)
