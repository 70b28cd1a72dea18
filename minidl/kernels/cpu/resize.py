"""Resizing as one small matrix product for each axis.

The matrix of an axis has few entries in each row and they lie near the diagonal, so it is cut into blocks of rows, each
with the columns that it reads: dense products that BLAS does at full speed, and no work that grows with the square
of the size.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

import numpy as np

from .._cubic import cubic_weights

_BLOCK_ROWS = 64


def resize(
    x: np.ndarray,
    size: tuple[int, ...],
    *,
    mode: str,
    align_corners: bool,
    scales: tuple[float | None, ...],
) -> np.ndarray:
    """Resize the spatial axes of x (N, C, *spatial) to `size`.

    Math:      y = (A₁ ⊗ ⋯ ⊗ A_d) x: one interpolation matrix A for each axis, applied axis by axis. Nearest: one 1 in
               each row, so a copy of pixels. See :func:`minidl.kernels.reference.resize` for the entries.
    """
    taps = [_taps(*axis, mode, align_corners) for axis in zip(x.shape[2:], size, scales, strict=True)]
    if mode.startswith("nearest"):
        return _each_axis(x, lambda part, axis, d: part.take(taps[d][0][:, 0], axis, mode="clip"))
    if not _is_finite(x):  # in a dense product 0 · inf would spread NaN over the whole block
        return _each_axis(x, lambda part, axis, d: _weighted_sum(part, axis, *taps[d]))
    blocks = [
        _blocks(*axis, mode, align_corners, x.dtype, False) for axis in zip(x.shape[2:], size, scales, strict=True)
    ]
    return _each_axis(x, lambda part, axis, d: _multiply(part, axis, size[d], blocks[d]))


def resize_adjoint(
    gy: np.ndarray,
    size: tuple[int, ...],
    *,
    mode: str,
    align_corners: bool,
    scales: tuple[float | None, ...],
) -> np.ndarray:
    """The transpose of :func:`resize` from `size` to the size of gy: gx = (A₁ᵀ ⊗ ⋯ ⊗ A_dᵀ) gy."""
    axes = list(zip(size, gy.shape[2:], scales, strict=True))

    def transposed(part: np.ndarray, axis: int, d: int) -> np.ndarray:
        in_size, out_size, scale = axes[d]
        times = out_size // in_size
        if mode.startswith("nearest"):
            source = _taps(in_size, out_size, scale, mode, align_corners)[0][:, 0]
            if np.array_equal(source, np.repeat(np.arange(in_size), times)):  # each pixel was copied `times` times
                runs = [part[(slice(None),) * axis + (slice(i, None, times),)] for i in range(times)]
                return sum(runs[1:], start=runs[0])
        return _multiply(part, axis, in_size, _blocks(*axes[d], mode, align_corners, gy.dtype, True))

    return _each_axis(gy, transposed)


def _each_axis(x: np.ndarray, apply: Callable[[np.ndarray, int, int], np.ndarray]) -> np.ndarray:
    """``apply(x, axis, d)`` for each spatial dimension d, the last first, in the memory layout that x has."""
    channels_last = np.moveaxis(x, 1, -1)
    if channels_last.flags.c_contiguous and not x.flags.c_contiguous:
        for d in reversed(range(x.ndim - 2)):
            channels_last = apply(channels_last, d + 1, d)
        return np.moveaxis(channels_last, -1, 1)
    x = np.ascontiguousarray(x)
    for d in reversed(range(x.ndim - 2)):
        x = apply(x, d + 2, d)
    return x


def _multiply(x: np.ndarray, axis: int, size: int, blocks) -> np.ndarray:
    """The matrix, given by its blocks, times x along `axis`."""
    shape = (*x.shape[:axis], size, *x.shape[axis + 1 :])
    lead, length, trail = math.prod(x.shape[:axis]), x.shape[axis], math.prod(x.shape[axis + 1 :])
    if trail == 1:  # rows of x times the transposed matrix: one tall product
        x, y = x.reshape(lead, length), np.empty((lead, size), x.dtype)
        for rows, columns, matrix in blocks:
            np.matmul(x[:, columns], matrix.T, out=y[:, rows])
    else:
        x, y = x.reshape(lead, length, trail), np.empty((lead, size, trail), x.dtype)
        for rows, columns, matrix in blocks:
            np.matmul(matrix, x[:, columns], out=y[:, rows])
    return y.reshape(shape)


def _weighted_sum(x: np.ndarray, axis: int, index: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """The same product from the taps, slower: a zero of the matrix is never multiplied by anything."""
    column = (-1,) + (1,) * (x.ndim - 1 - axis)
    with np.errstate(invalid="ignore", over="ignore"):
        terms = [
            x.take(index[:, k], axis, mode="clip") * weight[:, k].astype(x.dtype).reshape(column)
            for k in range(index.shape[1])
        ]
        return sum(terms[1:], start=terms[0])


def _is_finite(x: np.ndarray) -> bool:
    """Whether x holds no inf or NaN; False also where the sum of x overflows."""
    with np.errstate(invalid="ignore", over="ignore"):
        return bool(np.isfinite(x.sum()))


@lru_cache(maxsize=256)
def _blocks(in_size, out_size, scale, mode, align_corners, dtype, transpose):
    """[(rows, columns, entries)] of the matrix of one axis, or of its transpose; all else is zero."""
    index, weight = _taps(in_size, out_size, scale, mode, align_corners)
    matrix = np.zeros((out_size, in_size), dtype)
    np.add.at(matrix, (np.arange(out_size)[:, None], index), weight)
    matrix = matrix.T if transpose else matrix
    blocks = []
    for start in range(0, len(matrix), _BLOCK_ROWS):
        rows = slice(start, min(start + _BLOCK_ROWS, len(matrix)))
        used = np.flatnonzero(matrix[rows].any(axis=0))
        columns = slice(used[0], used[-1] + 1) if used.size else slice(0, 0)
        blocks.append((rows, columns, matrix[rows, columns].copy()))
    return blocks


@lru_cache(maxsize=256)
def _taps(
    in_size: int, out_size: int, scale: float | None, mode: str, align_corners: bool
) -> tuple[np.ndarray, np.ndarray]:
    """The input indices that each output index reads, and their weights: both (out_size, taps)."""
    j = np.arange(out_size)
    ratio = 1 / scale if scale else in_size / out_size
    if mode == "linear" and in_size == out_size:
        return j[:, None], np.ones((out_size, 1))
    if mode.startswith("nearest"):
        if mode == "nearest" and out_size in (in_size, 2 * in_size):
            index = j * in_size // out_size
        elif mode == "nearest":
            index = np.floor(j.astype(np.float32) * np.float32(ratio)).astype(int)
        else:
            index = np.floor(((j + 0.5) * float(np.float32(ratio))).astype(np.float32)).astype(int)
        return index.clip(0, in_size - 1)[:, None], np.ones((out_size, 1))
    if mode == "area":
        start, stop = j * in_size // out_size, -(-(j + 1) * in_size // out_size)
        index = start[:, None] + np.arange((stop - start).max())
        return index.clip(0, in_size - 1), (index < stop[:, None]) / (stop - start)[:, None]

    if align_corners:
        position = j * ((in_size - 1) / max(out_size - 1, 1))
    else:
        position = (j + 0.5) * ratio - 0.5
    if mode == "linear":
        position = np.maximum(position, 0)
    base = np.minimum(np.floor(position), in_size - 1)
    t = np.minimum(position - base, 1)
    if mode == "linear":
        weight, first = np.stack([1 - t, t], axis=1), 0
    else:
        weight, first = np.stack(cubic_weights(t), axis=1), -1
    index = base.astype(int)[:, None] + first + np.arange(weight.shape[1])
    return index.clip(0, in_size - 1), weight
