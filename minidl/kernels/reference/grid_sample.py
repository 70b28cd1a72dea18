"""Sampling images at the points of a grid, by definition: unnormalize a point, find the pixels around it, weigh them.

A point of the grid in coordinates of [−1, 1] becomes a position in pixels (:func:`grid_coordinates`), the position the
numbers of K pixels (:func:`grid_taps`). What then remains is one trilinear form in x, the weights w and gy,

    Σ_n,c,k,p  gy[n,c,p] · w[n,k,p] · x[n, c, index[n,k,p]]

whose derivatives by gy, x and w are :func:`weighted_gather`, :func:`weighted_scatter` and :func:`gather_dot`. The
number L of pixels stands for a pixel outside the image, which is 0.
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

    Math:      s = ((g + 1)·size − 1)/2: −1 and 1 are the outer edges of the outer pixels; or (g + 1)·(size − 1)/2 with
               align_corners: they are the centers. "border" then moves a position outside to the edge, "reflection"
               mirrors it at the edges until it lies inside; the derivative is 0 where it was moved. Bicubic
               sampling moves its taps instead (:func:`grid_taps`).
    Args:      size: of the D spatial axes. mode: a key of OFFSETS. padding_mode: "zeros", "border" or "reflection"
    Returns:   two arrays (N, D, P). Positions further than FAR outside are moved there; NaN stays NaN
    """
    positions, slopes = np.empty_like(grid), np.empty_like(grid)
    for n, d, p in itertools.product(*map(range, grid.shape)):
        slope = (size[d] - 1) / 2 if align_corners else size[d] / 2
        position = (float(grid[n, d, p]) + 1) * slope - (0.0 if align_corners else 0.5)
        if not abs(position) < FAR:
            position, slope = math.copysign(FAR, position) if position == position else position, 0.0
        if mode != "bicubic" and padding_mode == "reflection":
            position, sign = _reflect(position, size[d], align_corners)
            slope *= sign
        if mode != "bicubic" and padding_mode != "zeros" and not 0 < position < size[d] - 1:
            position, slope = min(max(position, 0.0), size[d] - 1.0) if position == position else position, 0.0
        positions[n, d, p], slopes[n, d, p] = position, slope
    return positions, slopes


def grid_taps(
    coordinates: np.ndarray, size: tuple[int, ...], *, mode: str, padding_mode: str, align_corners: bool
) -> tuple[np.ndarray, np.ndarray]:
    """The pixels that each position reads.

    Returns:   index (N, K, P) int64: numbers of pixels in C order, L outside the image; K = T^D, the last axis
               fastest, with T = 1 (nearest), 2 (bilinear) or 4 (bicubic) taps on each axis.
               base (N, D, P): the index that the taps are counted from: the nearest (halves to even), else ⌊s⌋
    """
    count, dims, points = coordinates.shape
    combinations = list(itertools.product(OFFSETS[mode], repeat=dims))
    index = np.empty((count, len(combinations), points), np.int64)
    base = np.empty_like(coordinates)
    for n, p in itertools.product(range(count), range(points)):
        for d in range(dims):
            position = float(coordinates[n, d, p])
            rounded = round if mode == "nearest" else math.floor
            base[n, d, p] = rounded(position) if position == position else -FAR
        for k, offsets in enumerate(combinations):
            number: int | None = 0
            for d in range(dims):
                i = base[n, d, p] + offsets[d]
                if mode == "bicubic" and padding_mode == "reflection":
                    i = _reflect(i, size[d], align_corners)[0]
                if mode == "bicubic" and padding_mode != "zeros":
                    i = min(max(i, 0), size[d] - 1)
                inside = 0 <= i < size[d]
                number = number * size[d] + int(i) if inside and number is not None else None
            index[n, k, p] = math.prod(size) if number is None else number
    return index, base


def weighted_gather(x: np.ndarray, index: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """y[n,c,p] = Σ_k w[n,k,p] · x[n,c,index[n,k,p]]: x (N, C, L), index and weight (N, K, P) -> (N, C, P)."""
    y = np.zeros((*x.shape[:2], index.shape[2]), x.dtype)
    for n, k, p in itertools.product(*map(range, index.shape)):
        if index[n, k, p] < x.shape[2]:
            y[n, :, p] += weight[n, k, p] * x[n, :, index[n, k, p]]
    return y


def weighted_scatter(gy: np.ndarray, index: np.ndarray, weight: np.ndarray, length: int) -> np.ndarray:
    """gx[n,c,l] = Σ_k,p [index[n,k,p] = l] · w[n,k,p] · gy[n,c,p]: gy (N, C, P) -> (N, C, length)."""
    gx = np.zeros((*gy.shape[:2], length), gy.dtype)
    for n, k, p in itertools.product(*map(range, index.shape)):
        if index[n, k, p] < length:
            gx[n, :, index[n, k, p]] += weight[n, k, p] * gy[n, :, p]
    return gx


def gather_dot(x: np.ndarray, gy: np.ndarray, index: np.ndarray) -> np.ndarray:
    """gw[n,k,p] = Σ_c gy[n,c,p] · x[n,c,index[n,k,p]]: x (N, C, L), gy (N, C, P) -> (N, K, P)."""
    gw = np.zeros(index.shape, x.dtype)
    for n, k, p in itertools.product(*map(range, index.shape)):
        if index[n, k, p] < x.shape[2]:
            gw[n, k, p] = (gy[n, :, p] * x[n, :, index[n, k, p]]).sum()
    return gw


def _reflect(position: float, size: int, align_corners: bool) -> tuple[float, float]:
    """The position mirrored at the edges until it lies between them, and ±1, the derivative."""
    low, span = (0.0, size - 1.0) if align_corners else (-0.5, float(size))
    if span == 0:
        return 0.0, 0.0
    sign = 1.0
    while not low <= position <= low + span and position == position:
        position = 2 * low - position if position < low else 2 * (low + span) - position
        sign = -sign
    return position, sign
