"""Sampling images at the points of a grid: which pixels, and sums of those pixels with weights.

The sums are the three derivatives of one trilinear form; see :mod:`minidl.kernels.reference.grid_sample`. The number L
of pixels stands for a pixel outside the image, which is 0: x gets it as one more column.
"""

from __future__ import annotations

import itertools
import math

import numpy as np

FAR = float(2**20)
OFFSETS = {"nearest": (0,), "bilinear": (0, 1), "bicubic": (-1, 0, 1, 2)}


def grid_coordinates(
    grid: np.ndarray, size: tuple[int, ...], *, mode: str, padding_mode: str, align_corners: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Positions in pixels of the points of grid (N, D, P), and their derivatives by the grid.

    Math:      s = ((g + 1)·size − 1)/2, or (g + 1)·(size − 1)/2 with align_corners, then moved into the image as
               padding_mode says; see :func:`minidl.kernels.reference.grid_coordinates`.
    Returns:   two arrays (N, D, P). Positions further than FAR outside are moved there; NaN stays NaN
    """
    sizes = np.array(size, grid.dtype)[:, None]
    slope = (sizes - 1) / 2 if align_corners else sizes / 2
    free = (grid + 1) * slope - (0 if align_corners else grid.dtype.type(0.5))
    positions = free.clip(-FAR, FAR)
    slopes = np.where(positions == free, slope, 0)
    if mode == "bicubic" or padding_mode == "zeros":
        return positions, slopes
    if padding_mode == "reflection":
        positions, sign = _reflect(positions, sizes, align_corners)
        slopes *= sign
    slopes *= (positions > 0) & (positions < sizes - 1)
    return positions.clip(0, sizes - 1), slopes


def grid_taps(
    coordinates: np.ndarray, size: tuple[int, ...], *, mode: str, padding_mode: str, align_corners: bool
) -> tuple[np.ndarray, np.ndarray]:
    """The pixels that each position reads.

    Returns:   index (N, K, P) int64: numbers of pixels in C order, L outside the image; K = T^D, the last axis
               fastest, with T = 1 (nearest), 2 (bilinear) or 4 (bicubic) taps on each axis.
               base (N, D, P): the index that the taps are counted from: the nearest (halves to even), else ⌊s⌋
    """
    count, dims, points = coordinates.shape
    base = np.rint(coordinates) if mode == "nearest" else np.floor(coordinates)
    base[np.isnan(base)] = -FAR
    sizes = np.array(size)[:, None]
    numbers, strides = [], np.cumprod((1, *size[:0:-1]))[::-1, None]
    for offset in OFFSETS[mode]:
        i = base + offset
        if mode == "bicubic" and padding_mode == "reflection":
            i = _reflect(i, sizes, align_corners)[0]
        if mode == "bicubic" and padding_mode != "zeros":
            i = i.clip(0, sizes - 1)
        outside = (i < 0) | (i >= sizes)
        numbers.append(np.where(outside, math.prod(size), i.astype(np.int64) * strides))
    index = np.empty((count, len(numbers) ** dims, points), np.int64)
    for k, taps in enumerate(itertools.product(numbers, repeat=dims)):
        index[:, k] = sum(tap[:, d] for d, tap in enumerate(taps))
    return np.minimum(index, math.prod(size)), base


def weighted_gather(x: np.ndarray, index: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """y[n,c,p] = Σ_k w[n,k,p] · x[n,c,index[n,k,p]]: x (N, C, L), index and weight (N, K, P) -> (N, C, P)."""
    x = _with_outside(x)
    y = np.zeros((*x.shape[:2], index.shape[2]), x.dtype)
    for n, k in np.ndindex(index.shape[:2]):
        y[n] += x[n].take(index[n, k], axis=1, mode="clip") * weight[n, k]
    return y


def weighted_scatter(gy: np.ndarray, index: np.ndarray, weight: np.ndarray, length: int) -> np.ndarray:
    """gx[n,c,l] = Σ_k,p [index[n,k,p] = l] · w[n,k,p] · gy[n,c,p]: gy (N, C, P) -> (N, C, length)."""
    gx = np.empty((*gy.shape[:2], length), gy.dtype)
    for n, c in np.ndindex(gy.shape[:2]):
        sums = np.bincount(index[n].ravel(), (weight[n] * gy[n, c]).ravel(), minlength=length + 1)
        gx[n, c] = sums[:length]
    return gx


def gather_dot(x: np.ndarray, gy: np.ndarray, index: np.ndarray) -> np.ndarray:
    """gw[n,k,p] = Σ_c gy[n,c,p] · x[n,c,index[n,k,p]]: x (N, C, L), gy (N, C, P) -> (N, K, P)."""
    x = _with_outside(x)
    gw = np.empty(index.shape, x.dtype)
    for n, k in np.ndindex(index.shape[:2]):
        np.einsum("cp,cp->p", gy[n], x[n].take(index[n, k], axis=1, mode="clip"), out=gw[n, k])
    return gw


def _with_outside(x: np.ndarray) -> np.ndarray:
    """x (N, C, L) with the pixel number L, which is 0."""
    extended = np.zeros((*x.shape[:2], x.shape[2] + 1), x.dtype)
    extended[:, :, :-1] = x
    return extended


def _reflect(positions: np.ndarray, sizes: np.ndarray, align_corners: bool) -> tuple[np.ndarray, np.ndarray]:
    """The positions mirrored at the edges until they lie between them, and ±1, the derivative."""
    low, span = (0.0, sizes - 1) if align_corners else (-0.5, sizes)
    span = np.maximum(span, 1)  # one pixel: anything will do, the caller clips to 0
    distance = np.abs(positions - low)
    mirrors = np.floor(distance / span)
    odd = mirrors % 2 == 1
    rest = distance - mirrors * span
    return low + np.where(odd, span - rest, rest), np.where(odd != (positions < low), -1, 1)
