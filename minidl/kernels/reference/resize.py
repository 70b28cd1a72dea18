"""Resizing, by definition: every output pixel is a weighted sum of a few input pixels."""

from __future__ import annotations

import itertools
import math

import numpy as np


def resize(
    x: np.ndarray,
    size: tuple[int, ...],
    *,
    mode: str,
    align_corners: bool,
    scales: tuple[float | None, ...],
) -> np.ndarray:
    """Resize the spatial axes of x (N, C, *spatial) to `size`.

    Math:      y[n,c,j] = Σ_i A[j₁,i₁] ⋯ A[j_d,i_d] · x[n,c,i], one small matrix A for each axis; row j of A holds the
               weights of the input pixels around the position s(j) of output pixel j, and sums to 1:
                 s(j) = (j + ½)·r − ½ with r = input size / output size (or 1/scale, where a scale is given): pixels are
                 cells; or j·(in − 1)/(out − 1) with align_corners: pixels are points, the outer ones coincide
                 nearest: pixel ⌊j·r⌋; nearest-exact: pixel ⌊(j + ½)·r⌋
                 linear: 1 − t and t on the two neighbors of s, t = s − ⌊s⌋; cubic: four neighbors
                 area: the mean of the cells from ⌊j·in/out⌋ to ⌈(j + 1)·in/out⌉
               Neighbors outside the image are moved to its edge. Whatever the scale says, nearest and linear copy an
               axis whose size stays, and nearest repeats one whose size doubles.
    Args:      mode: "nearest", "nearest-exact", "linear", "cubic" or "area".
               scales: for each axis the user's scale factor, or None
    Source:    Keys 1981 (cubic, a = −0.75). The rules for positions are PyTorch's, with its float32 rounding of nearest
    """
    y = np.zeros((*x.shape[:2], *size), x.dtype)
    for j, i, weight in _entries(x.shape[2:], size, mode, align_corners, scales):
        y[:, :, *j] += weight * x[:, :, *i]
    return y


def resize_adjoint(
    gy: np.ndarray,
    size: tuple[int, ...],
    *,
    mode: str,
    align_corners: bool,
    scales: tuple[float | None, ...],
) -> np.ndarray:
    """The transpose of :func:`resize` from `size` to the size of gy: gx[n,c,i] = Σ_j A[j,i] · gy[n,c,j]."""
    gx = np.zeros((*gy.shape[:2], *size), gy.dtype)
    for j, i, weight in _entries(size, gy.shape[2:], mode, align_corners, scales):
        gx[:, :, *i] += weight * gy[:, :, *j]
    return gx


def _entries(in_size, out_size, mode, align_corners, scales):
    """(output pixel j, input pixel i, weight): the products of the weights along the axes."""
    for j in itertools.product(*map(range, out_size)):
        axes = [_taps(*axis, mode, align_corners) for axis in zip(j, in_size, out_size, scales, strict=True)]
        for combination in itertools.product(*axes):
            i, weights = zip(*combination, strict=True)
            yield j, i, math.prod(weights)


def _taps(j: int, in_size: int, out_size: int, scale: float | None, mode: str, align_corners: bool):
    """[(input index, weight)] of output index j along one axis."""
    ratio = 1 / scale if scale else in_size / out_size
    if (mode == "nearest" and out_size in (in_size, 2 * in_size)) or (mode == "linear" and out_size == in_size):
        return [(j * in_size // out_size, 1.0)]
    if mode == "nearest":
        return [(min(math.floor(np.float32(j) * np.float32(ratio)), in_size - 1), 1.0)]
    if mode == "nearest-exact":
        return [(min(math.floor(np.float32((j + 0.5) * float(np.float32(ratio)))), in_size - 1), 1.0)]
    if mode == "area":
        start, stop = j * in_size // out_size, -(-(j + 1) * in_size // out_size)
        return [(i, 1 / (stop - start)) for i in range(start, stop)]

    if align_corners:
        position = j * (in_size - 1) / (out_size - 1) if out_size > 1 else 0.0
    else:
        position = (j + 0.5) * ratio - 0.5
    if mode == "linear":
        position = max(position, 0.0)
    base = min(math.floor(position), in_size - 1)
    t = min(position - base, 1.0)
    if mode == "linear":
        taps = [(base, 1 - t), (base + 1, t)]
    else:
        taps = [(base + k, _cubic(abs(t - k))) for k in (-1, 0, 1, 2)]
    return [(min(max(i, 0), in_size - 1), weight) for i, weight in taps]


def _cubic(d: float, a: float = -0.75) -> float:
    """Keys' cubic convolution kernel at distance d, 0 ≤ d ≤ 2."""
    if d <= 1:
        return (a + 2) * d**3 - (a + 3) * d**2 + 1
    return a * (d**3 - 5 * d**2 + 8 * d - 4)
