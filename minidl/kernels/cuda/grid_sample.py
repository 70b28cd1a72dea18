"""Sampling images at the points of a grid: which pixels, and sums of those pixels with weights.

The sums are the three derivatives of one trilinear form; see :mod:`minidl.kernels.reference.grid_sample`. Two of them
gather. The third scatters, for which the pixels are sorted, once for all channels: what falls on one pixel is then
added up by one thread, always in the same order.
"""

from __future__ import annotations

from typing import Any

import cupy
import numpy as np

from ._compile import launch
from ._half import in_single

FAR = float(2**20)
_TAPS = {"nearest": 1, "bilinear": 2, "bicubic": 4}


@in_single
def grid_coordinates(
    grid: Any, size: tuple[int, ...], *, mode: str, padding_mode: str, align_corners: bool
) -> tuple[Any, Any]:
    """Positions in pixels of the points of grid (N, D, P), and their derivatives by the grid.

    Math:      s = ((g + 1)·size − 1)/2, or (g + 1)·(size − 1)/2 with align_corners, then moved into the image as
               padding_mode says; see :func:`minidl.kernels.reference.grid_coordinates`.
    Returns:   two arrays (N, D, P). Positions further than FAR outside are moved there; NaN stays NaN
    """
    grid = cupy.ascontiguousarray(grid)
    positions, slopes = cupy.empty_like(grid), cupy.empty_like(grid)
    settings = *_geometry(grid, size), *_moves(mode != "bicubic", padding_mode), int(align_corners), FAR
    launch("grid_sample", "grid_coordinates", grid.size, (positions, slopes, grid, *settings), grid.dtype)
    return positions, slopes


@in_single
def grid_taps(
    coordinates: Any, size: tuple[int, ...], *, mode: str, padding_mode: str, align_corners: bool
) -> tuple[Any, Any]:
    """The pixels that each position reads.

    Returns:   index (N, K, P) int64: numbers of pixels in C order, L outside the image; K = T^D, the last axis
               fastest, with T = 1 (nearest), 2 (bilinear) or 4 (bicubic) taps on each axis.
               base (N, D, P): the index that the taps are counted from: the nearest (halves to even), else ⌊s⌋
    """
    coordinates = cupy.ascontiguousarray(coordinates)
    (count, dims, points), taps = coordinates.shape, _TAPS[mode]
    index, base = cupy.empty((count, taps**dims, points), np.int64), cupy.empty_like(coordinates)
    moves = _moves(mode == "bicubic", padding_mode)
    settings = *_geometry(coordinates, size), taps, *moves, int(align_corners), FAR
    launch("grid_sample", "grid_taps", count * points, (index, base, coordinates, *settings), coordinates.dtype)
    return index, base


@in_single
def weighted_gather(x: Any, index: Any, weight: Any) -> Any:
    """y[n,c,p] = Σ_k w[n,k,p] · x[n,c,index[n,k,p]]: x (N, C, L), index and weight (N, K, P) -> (N, C, P)."""
    y = cupy.empty((*x.shape[:2], index.shape[2]), x.dtype)
    arrays = y, *map(cupy.ascontiguousarray, (x, index, weight))
    settings = x.shape[1], *index.shape[1:], np.int64(x.shape[2])
    launch("grid_sample", "weighted_gather", y.size, (*arrays, *settings), x.dtype)
    return y


@in_single
def weighted_scatter(gy: Any, index: Any, weight: Any, length: int) -> Any:
    """gx[n,c,l] = Σ_k,p [index[n,k,p] = l] · w[n,k,p] · gy[n,c,p]: gy (N, C, P) -> (N, C, length)."""
    gx = cupy.zeros((*gy.shape[:2], length), gy.dtype)
    places = (index + (cupy.arange(len(index)) * (length + 1))[:, None, None]).ravel()
    order = cupy.argsort(places)
    arrays = gx, *map(cupy.ascontiguousarray, (gy, weight)), order, places[order]
    settings = np.int64(places.size), gy.shape[1], *index.shape[1:], np.int64(length)
    launch("grid_sample", "weighted_scatter", gy.shape[1] * places.size, (*arrays, *settings), gy.dtype)
    return gx


@in_single
def gather_dot(x: Any, gy: Any, index: Any) -> Any:
    """gw[n,k,p] = Σ_c gy[n,c,p] · x[n,c,index[n,k,p]]: x (N, C, L), gy (N, C, P) -> (N, K, P)."""
    gw = cupy.empty(index.shape, x.dtype)
    arrays = gw, *map(cupy.ascontiguousarray, (x, gy, index))
    settings = x.shape[1], *index.shape[1:], np.int64(x.shape[2])
    launch("grid_sample", "gather_dot", gw.size, (*arrays, *settings), x.dtype)
    return gw


def _geometry(points: Any, size: tuple[int, ...]) -> tuple[int, ...]:
    """How many dimensions and points there are, and three lengths, of which the first count."""
    return *points.shape[1:], *size, *(1,) * (3 - len(size))


def _moves(here: bool, padding_mode: str) -> tuple[int, int]:
    """Whether positions outside are mirrored, and whether they are then clipped, if that is to happen here."""
    return int(here and padding_mode == "reflection"), int(here and padding_mode != "zeros")
