"""Regions of interest: a thread for each output forward, for each pixel of the features backward.

So every place is written by one thread, and results are always the same to the bit. RoIAlign first makes tables of the
weights of each axis; see ``source/roi.cu``.
"""

from __future__ import annotations

from math import prod
from typing import Any

import cupy
import numpy as np

from ._compile import launch
from ._half import in_single


@in_single
def roi_align(
    x: Any,
    rois: Any,
    *,
    out_size: tuple[int, int],
    spatial_scale: float,
    sampling_ratio: int,
    aligned: bool,
) -> Any:
    """The mean of bilinear samples in every bin of the regions rois (K, 5) of x (N, C, H, W) -> (K, C, out_h, out_w).

    Math:      see :func:`minidl.kernels.reference.roi_align`
    """
    x, rois = cupy.ascontiguousarray(x), cupy.ascontiguousarray(rois.astype(x.dtype))
    tables = _tables(rois, x.shape[2:], out_size, spatial_scale, sampling_ratio, aligned)
    y = cupy.empty((len(rois), x.shape[1], *out_size), x.dtype)
    launch("roi", "roi_align", y.size, (y, x, rois, *tables, *x.shape[1:], *out_size), x.dtype)
    return y


@in_single
def roi_align_input_grad(
    gy: Any,
    rois: Any,
    *,
    in_size: tuple[int, int, int],
    spatial_scale: float,
    sampling_ratio: int,
    aligned: bool,
) -> Any:
    """The transpose of :func:`roi_align`, from gy (K, C, out_h, out_w) to (N, C, H, W), in_size = (N, H, W)."""
    gy, rois = cupy.ascontiguousarray(gy), cupy.ascontiguousarray(rois.astype(gy.dtype))
    (regions, channels, *out_size), (images, *size) = gy.shape, in_size
    tables = _tables(rois, size, out_size, spatial_scale, sampling_ratio, aligned)
    gx = cupy.empty((images, channels, *size), gy.dtype)
    settings = regions, channels, *size, *out_size
    launch("roi", "roi_align_input_grad", gx.size, (gx, gy, rois, *tables, *settings), gy.dtype)
    return gx


@in_single
def roi_pool(x: Any, rois: Any, *, out_size: tuple[int, int], spatial_scale: float) -> tuple[Any, Any]:
    """The largest pixel of every bin, and where it is in the flattened x, −1 (and 0) for a bin without pixels.

    Math:      see :func:`minidl.kernels.reference.roi_pool`
    Returns:   y and index, both (K, C, out_h, out_w)
    """
    x, rois = cupy.ascontiguousarray(x), cupy.ascontiguousarray(rois.astype(x.dtype))
    y = cupy.empty((len(rois), x.shape[1], *out_size), x.dtype)
    index = cupy.empty(y.shape, np.int64)
    settings = *x.shape[1:], *out_size, x.dtype.type(spatial_scale)
    launch("roi", "roi_pool", y.size, (y, index, x, rois, *settings), x.dtype)
    return y, index


def _tables(
    rois: Any, size: Any, out_size: Any, spatial_scale: float, sampling_ratio: int, aligned: bool
) -> tuple[Any, ...]:
    """Weights (K, bins, length) and the ranges of pixels that the bins read, of the rows and then of the columns."""
    tables: list[Any] = []
    for axis, bins, length in ((1, out_size[0], size[0]), (0, out_size[1], size[1])):
        weights = cupy.zeros((len(rois), bins, length), rois.dtype)
        ranges = cupy.empty((2, len(rois), bins), np.int32)
        settings = axis, bins, length, rois.dtype.type(spatial_scale), sampling_ratio, int(aligned)
        launch("roi", "roi_axis", prod(ranges.shape[1:]), (weights, *ranges, rois, *settings), rois.dtype)
        tables += [weights, *ranges]
    return tuple(tables)
