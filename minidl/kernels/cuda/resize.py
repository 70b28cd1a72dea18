"""Resizing, one axis after the other.

An interpolation is separable: y = (A₁ ⊗ ⋯ ⊗ A_d) x with one small matrix A for each axis, of which a row has one, two
or four entries. Those entries are found on the device, and each axis is one pass over the array: see
``source/resize.cu``. "area" is what adaptive average pooling does.
"""

from __future__ import annotations

import itertools
import math
from typing import Any

import cupy
import numpy as np

from ._compile import launch
from ._half import in_single
from .pooling import adaptive_avg_pool, adaptive_avg_pool_input_grad

_RULES = {"copy": (0, 1), "nearest": (1, 1), "nearest-exact": (2, 1), "linear": (3, 2), "cubic": (4, 4)}
"""The number of each rule in the kernels, and how many taps it has."""


@in_single
def resize(x: Any, size: tuple[int, ...], *, mode: str, align_corners: bool, scales: tuple[float | None, ...]) -> Any:
    """Resize the spatial axes of x (N, C, *spatial) to `size`.

    Math:      y = (A₁ ⊗ ⋯ ⊗ A_d) x; see :func:`minidl.kernels.reference.resize` for the entries.
    """
    if mode == "area":
        return adaptive_avg_pool(x, out_size=size)
    y = cupy.ascontiguousarray(x)
    for axis, in_size, out_size, scale in _resized_axes(mode, x.shape[2:], size, scales):
        index, weight = _taps(mode, in_size, out_size, scale, align_corners, x.dtype)
        before, y = y, cupy.empty((*y.shape[:axis], out_size, *y.shape[axis + 1 :]), x.dtype)
        settings = index.shape[1], in_size, out_size, math.prod(y.shape[axis + 1 :])
        launch("resize", "resize_axis", y.size, (y, before, index, weight, *settings), x.dtype)
    return y.copy() if y is x else y


@in_single
def resize_adjoint(
    gy: Any, size: tuple[int, ...], *, mode: str, align_corners: bool, scales: tuple[float | None, ...]
) -> Any:
    """The transpose of :func:`resize` from `size` to the size of gy: gx = (A₁ᵀ ⊗ ⋯ ⊗ A_dᵀ) gy."""
    if mode == "area":
        return adaptive_avg_pool_input_grad(gy, in_size=size)
    gx = cupy.ascontiguousarray(gy)
    for axis, in_size, out_size, scale in _resized_axes(mode, size, gy.shape[2:], scales):
        index, weight = _taps(mode, in_size, out_size, scale, align_corners, gy.dtype)
        first, stop = cupy.empty(in_size, np.int32), cupy.empty(in_size, np.int32)
        launch("resize", "axis_readers", in_size, (first, stop, index, out_size, index.shape[1]), gy.dtype)
        before, gx = gx, cupy.empty((*gx.shape[:axis], in_size, *gx.shape[axis + 1 :]), gy.dtype)
        settings = index.shape[1], in_size, out_size, math.prod(gx.shape[axis + 1 :])
        arrays = gx, before, index, weight, first, stop
        launch("resize", "resize_axis_adjoint", gx.size, (*arrays, *settings), gy.dtype)
    return gx.copy() if gx is gy else gx


def _resized_axes(mode: str, in_sizes: Any, out_sizes: Any, scales: Any) -> list[tuple[int, int, int, float | None]]:
    """(axis, input size, output size, scale) of those axes that are not merely copied."""
    axes = zip(itertools.count(2), in_sizes, out_sizes, scales, strict=False)
    return [axis for axis in axes if not (axis[1] == axis[2] and mode in ("nearest", "linear"))]


def _taps(
    mode: str, in_size: int, out_size: int, scale: float | None, align_corners: bool, dtype: Any
) -> tuple[Any, Any]:
    """The inputs that each output of an axis reads, int32, and their weights: both (out_size, taps)."""
    rule, taps = _RULES["copy" if mode == "nearest" and out_size == 2 * in_size else mode]
    ratio = 1 / scale if scale else in_size / out_size
    if align_corners and mode in ("linear", "cubic"):
        ratio = (in_size - 1) / max(out_size - 1, 1)
    index, weight = cupy.empty((out_size, taps), np.int32), cupy.empty((out_size, taps), dtype)
    settings = in_size, out_size, rule, int(align_corners), ratio
    launch("resize", "axis_taps", out_size, (index, weight, *settings), dtype)
    return index, weight
