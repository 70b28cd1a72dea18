"""Regions of interest by definition: sample by sample, bin by bin.

A region is a row (n, x1, y1, x2, y2) of `rois`: an image and a box in it, in pixels of the input image; times
`spatial_scale` it is in pixels of the features. It is divided into out_h × out_w bins. Coordinates are computed in the
precision of the features, and at least in float32.
"""

from __future__ import annotations

import itertools
import math

import numpy as np


def roi_align(
    x: np.ndarray,
    rois: np.ndarray,
    *,
    out_size: tuple[int, int],
    spatial_scale: float,
    sampling_ratio: int,
    aligned: bool,
) -> np.ndarray:
    """The mean of bilinear samples in every bin.

    Math:      y[k,c,i,j] = mean over s, t of x[n_k, c] at the row y1 + (i + (s + ½)/S)·h and the column likewise, with
               y1 the upper edge of the region, less ½ if `aligned`; h its height / out_h; S = sampling_ratio samples,
               or ⌈h⌉ where that is not positive. Unless aligned, a region is at least one pixel wide and high. A pixel
               has its value at its integer coordinates; a sample up to one pixel outside has the value of the edge,
               further outside 0
    Args:      x: (N, C, H, W). rois: (K, 5)
    Returns:   (K, C, out_h, out_w)
    """
    y = np.zeros((len(rois), x.shape[1], *out_size), x.dtype)
    settings = out_size, x.shape[2:], spatial_scale, sampling_ratio, aligned
    for k, i, j in itertools.product(range(len(rois)), *map(range, out_size)):
        image = x[int(rois[k, 0])]
        for row, column, weight in _samples(rois[k], i, j, x.dtype, *settings):
            y[k, :, i, j] += (weight * image[:, row, column]).astype(x.dtype)
    return y


def roi_align_input_grad(
    gy: np.ndarray,
    rois: np.ndarray,
    *,
    in_size: tuple[int, int, int],
    spatial_scale: float,
    sampling_ratio: int,
    aligned: bool,
) -> np.ndarray:
    """The transpose of :func:`roi_align`: each gradient goes back to the pixels that were sampled, with their weights.

    Args:      gy: (K, C, out_h, out_w). rois: (K, 5). in_size: (N, H, W)
    Returns:   (N, C, H, W)
    """
    gx = np.zeros((in_size[0], gy.shape[1], *in_size[1:]), gy.dtype)
    settings = gy.shape[2:], in_size[1:], spatial_scale, sampling_ratio, aligned
    for k, i, j in itertools.product(range(len(rois)), *map(range, gy.shape[2:])):
        for row, column, weight in _samples(rois[k], i, j, gy.dtype, *settings):
            gx[int(rois[k, 0]), :, row, column] += (weight * gy[k, :, i, j]).astype(gy.dtype)
    return gx


def roi_pool(
    x: np.ndarray, rois: np.ndarray, *, out_size: tuple[int, int], spatial_scale: float
) -> tuple[np.ndarray, np.ndarray]:
    """The largest pixel of every bin, and where it is.

    Math:      the corners of a region are rounded to whole pixels (halves away from 0), both of which belong to it; a
               bin i has the rows ⌊i·h⌋ … ⌈(i + 1)·h⌉ − 1 from the upper edge, h = height/out_h, as far as they are in
               the image. The first of equals wins; NaN counts as the largest value
    Args:      x: (N, C, H, W). rois: (K, 5)
    Returns:   y (K, C, out_h, out_w), 0 for a bin without pixels; index, int64 positions in the flattened x, −1 for
               such a bin
    """
    y = np.zeros((len(rois), x.shape[1], *out_size), x.dtype)
    index = np.full(y.shape, -1, np.int64)
    kind = _precision(x.dtype)
    for k, i, j in itertools.product(range(len(rois)), *map(range, out_size)):
        n, *corners = rois[k].astype(kind)
        x1, y1, x2, y2 = (_round(corner * kind(spatial_scale)) for corner in corners)
        rows = _bin(y1, y2, i, out_size[0], x.shape[2], kind)
        columns = _bin(x1, x2, j, out_size[1], x.shape[3], kind)
        for c, row, column in itertools.product(range(x.shape[1]), rows, columns):
            value, best = x[int(n), c, row, column], y[k, c, i, j]
            if index[k, c, i, j] < 0 or value > best or (np.isnan(value) and not np.isnan(best)):
                y[k, c, i, j] = value
                index[k, c, i, j] = np.ravel_multi_index((int(n), c, row, column), x.shape)
    return y, index


def _samples(roi, i, j, dtype, out_size, size, spatial_scale, sampling_ratio, aligned):
    """(row, column, weight) of all the pixels that the bin (i, j) is made of."""
    kind = _precision(dtype)
    x1, y1, x2, y2 = roi[1:].astype(kind) * kind(spatial_scale) - kind(0.5 if aligned else 0)
    axes = []
    for low, high, place, bins, length in ((y1, y2, i, out_size[0], size[0]), (x1, x2, j, out_size[1], size[1])):
        extent = high - low if aligned else max(high - low, kind(1))
        step = extent / kind(bins)
        samples = sampling_ratio if sampling_ratio > 0 else math.ceil(step)
        taps = []
        for s in range(samples):
            position = float(low + kind(place) * step + kind(s + 0.5) * step / kind(samples))
            if not -1 <= position <= length:
                continue
            position = min(max(position, 0.0), length - 1.0)
            base = math.floor(position)
            taps.append((base, (1 - (position - base)) / samples))
            if position > base:
                taps.append((base + 1, (position - base) / samples))
        axes.append(taps)
    for (row, a), (column, b) in itertools.product(*axes):
        yield row, column, a * b


def _bin(low, high, place, bins, length, kind):
    """The pixels of one bin along one axis."""
    step = kind(max(high - low + 1, 1)) / kind(bins)
    start, stop = low + math.floor(kind(place) * step), low + math.ceil(kind(place + 1) * step)
    return range(min(max(start, 0), length), min(max(stop, 0), length))


def _round(value) -> int:
    return int(math.copysign(math.floor(abs(float(value)) + 0.5), value))


def _precision(dtype):
    return np.promote_types(dtype, np.float32).type
