"""Regions of interest. RoIAlign is separable: two small matrix products for each region.

Each axis of a region has a matrix (bins, pixels) of the weights with which a bin samples the pixels; y = A x Bᵀ, of
which only the window of pixels counts that the region reaches. The features lie as (H, W, N, C) in memory, as those of
convolutions do, so that a product is long in its channels.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ._layout import HWNC, arranged

_ENTRIES = 1 << 20
"""Entries of the arrays that are made at once for the matrices of several regions."""
_POOLED = 1 << 17
"""Maxima that are found together."""


def roi_align(
    x: np.ndarray,
    rois: np.ndarray,
    *,
    out_size: tuple[int, int],
    spatial_scale: float,
    sampling_ratio: int,
    aligned: bool,
) -> np.ndarray:
    """The mean of bilinear samples in every bin of the regions rois (K, 5) of x (N, C, H, W) -> (K, C, out_h, out_w).

    Math:      y[k] = A_k x[n_k] B_kᵀ; see :func:`minidl.kernels.reference.roi_align` for the samples
    """
    kind = np.promote_types(x.dtype, np.float32)
    features = arranged(x.astype(kind, copy=False), HWNC)
    channels, (out_h, out_w) = x.shape[1], out_size
    y = np.zeros((out_h, out_w, len(rois), channels), kind)
    for k, n, window, a, b in _windows(
        rois.astype(kind), x.shape[2:], out_size, spatial_scale, sampling_ratio, aligned
    ):
        pixels = features[(*window, n)]  # (h, w, C)
        lines = a @ pixels.reshape(len(pixels), -1)
        y[:, :, k] = b @ lines.reshape(out_h, -1, channels)
    return y.transpose(2, 3, 0, 1).astype(x.dtype, copy=False)


def roi_align_input_grad(
    gy: np.ndarray,
    rois: np.ndarray,
    *,
    in_size: tuple[int, int, int],
    spatial_scale: float,
    sampling_ratio: int,
    aligned: bool,
) -> np.ndarray:
    """The transpose of :func:`roi_align`, from gy (K, C, out_h, out_w) to (N, C, H, W), in_size = (N, H, W).

    Math:      gx[n] = Σ_k A_kᵀ gy[k] B_k over the regions k of the image n
    """
    kind = np.promote_types(gy.dtype, np.float32)
    grads = gy.astype(kind, copy=False).transpose(0, 2, 3, 1)
    (_, channels, *out_size), (images, *size) = gy.shape, in_size
    gx = np.zeros((*size, images, channels), kind)
    for k, n, window, a, b in _windows(rois.astype(kind), size, out_size, spatial_scale, sampling_ratio, aligned):
        lines = a.T @ np.ascontiguousarray(grads[k]).reshape(out_size[0], -1)
        gx[(*window, n)] += b.T @ lines.reshape(-1, out_size[1], channels)
    return gx.transpose(2, 3, 0, 1).astype(gy.dtype, copy=False)


def roi_pool(
    x: np.ndarray, rois: np.ndarray, *, out_size: tuple[int, int], spatial_scale: float
) -> tuple[np.ndarray, np.ndarray]:
    """The largest pixel of every bin, and where it is in the flattened x, −1 (and 0) for a bin without pixels.

    Math:      see :func:`minidl.kernels.reference.roi_pool`. All bins of many regions are looked at together, pixel by
               pixel of a bin, which for small bins is few steps over long arrays
    Returns:   y and index, both (K, C, out_h, out_w)
    """
    kind = np.promote_types(x.dtype, np.float32)
    features = arranged(x, HWNC)
    (_, channels, height, width), (out_h, out_w) = x.shape, out_size
    scaled = rois[:, 1:].astype(kind) * kind.type(spatial_scale)
    corners = np.copysign(np.floor(np.abs(scaled) + 0.5), scaled)
    top, bottom = _bins(corners[:, 1], corners[:, 3], out_h, height)
    left, right = _bins(corners[:, 0], corners[:, 2], out_w, width)
    pixels = (bottom - top).max(1, initial=0) * (right - left).max(1, initial=0)  # of the largest bin of each region
    order, images = np.argsort(pixels), rois[:, 0].astype(np.int64)
    y = np.empty((len(rois), out_h, out_w, channels), x.dtype)
    index = np.empty(y.shape, np.int64)
    step = max(1, _POOLED // (out_h * out_w * channels))
    for part in (order[begin : begin + step] for begin in range(0, len(order), step)):
        bins = top[part, :, None], bottom[part, :, None], left[part, None, :], right[part, None, :]
        y[part], index[part] = _largest(features, images[part, None, None], *bins)
    return y.transpose(0, 3, 1, 2), index.transpose(0, 3, 1, 2)


def _largest(
    features: np.ndarray, n: np.ndarray, top: np.ndarray, bottom: np.ndarray, left: np.ndarray, right: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The largest pixels of bins and their positions, (K, out_h, out_w, C), from features (H, W, N, C).

    Args:      n: (K, 1, 1). top, bottom: (K, out_h, 1). left, right: (K, 1, out_w); the last ones do not belong
    """
    height, width, _, channels = features.shape
    best = features[top.clip(0, height - 1), left.clip(0, width - 1), n]
    place = np.broadcast_to((top * width + left)[..., None], best.shape).copy()
    for dy in range(int((bottom - top).max(initial=0))):
        row = np.minimum(top + dy, height - 1)
        for dx in range(int((right - left).max(initial=0))):
            column = np.minimum(left + dx, width - 1)
            value = features[row, column, n]
            larger = ~(value <= best) & (best == best) & ((top + dy < bottom) & (left + dx < right))[..., None]
            np.copyto(best, value, where=larger)
            np.copyto(place, (row * width + column)[..., None], where=larger)
    place += ((n * channels)[..., None] + np.arange(channels)) * (height * width)
    empty = (bottom <= top) | (right <= left)
    best[empty], place[empty] = 0, -1
    return best, place


def _bins(low: np.ndarray, high: np.ndarray, bins: int, length: int) -> tuple[np.ndarray, np.ndarray]:
    """The first pixel of each bin along one axis, and the one after the last: both (K, bins)."""
    step = (np.maximum(high - low + 1, 1) / low.dtype.type(bins))[:, None]
    place = np.arange(bins).astype(low.dtype)
    start, stop = np.floor(place * step), np.ceil((place + 1) * step)
    return tuple((edge + low[:, None]).clip(0, length).astype(np.int64) for edge in (start, stop))


def _windows(
    rois: np.ndarray, size, out_size, spatial_scale: float, sampling_ratio: int, aligned: bool
) -> Iterator[tuple[int, int, tuple[slice, slice], np.ndarray, np.ndarray]]:
    """For each region that reaches the image: its number, its image, the window of pixels, and the matrices A and B."""
    kind = rois.dtype.type
    images = rois[:, 0].astype(np.int64).tolist()
    corners = rois[:, 1:] * kind(spatial_scale) - kind(0.5 if aligned else 0)
    extents = corners[:, 2:] - corners[:, :2]
    steps = (extents if aligned else np.maximum(extents, 1)) / np.array(out_size[::-1], rois.dtype)
    samples = np.full(steps.shape, sampling_ratio) if sampling_ratio > 0 else np.ceil(steps).astype(np.int64)
    most = max(1, int(samples.max(initial=0)))
    block = max(1, _ENTRIES // (max(out_size) * max(most, *size)))
    for begin in range(0, len(rois), block):
        part = slice(begin, begin + block)
        (b, first_x, stop_x), (a, first_y, stop_y) = (
            _weights(corners[part, d], steps[part, d], samples[part, d], out_size[1 - d], size[1 - d]) for d in (0, 1)
        )
        ranges = zip(first_y.tolist(), stop_y.tolist(), first_x.tolist(), stop_x.tolist(), strict=True)
        for k, (y1, y2, x1, x2) in enumerate(ranges):
            if y2 > y1 and x2 > x1:
                window = slice(y1, y2), slice(x1, x2)
                yield begin + k, images[begin + k], window, a[k, :, window[0]], b[k, :, window[1]]


def _weights(
    low: np.ndarray, step: np.ndarray, samples: np.ndarray, bins: int, length: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The matrices (K, bins, length) of one axis, and the range of pixels that each of them reads."""
    count = len(low)
    s = np.arange(max(1, int(samples.max(initial=0)))).astype(low.dtype)
    divisor = np.maximum(samples, 1)[:, None, None].astype(low.dtype)
    low, step = low[:, None, None], step[:, None, None]
    position = low + np.arange(bins).astype(low.dtype)[:, None] * step + (s + low.dtype.type(0.5)) * step / divisor
    inside = (position >= -1) & (position <= length) & (s < samples[:, None, None])
    position = position.clip(0, length - 1)
    base = np.floor(position).astype(np.int64)
    after = np.minimum(base + 1, length - 1)
    t = position - base
    rows = np.arange(count * bins).reshape(count, bins, 1) * length
    entries = np.concatenate([(rows + base)[inside], (rows + after)[inside]])
    shares = np.concatenate([((1 - t) / divisor)[inside], (t / divisor)[inside]])
    matrices = np.bincount(entries, shares, count * bins * length).reshape(count, bins, length)
    first = np.where(inside, base, length).min((1, 2), initial=length)
    stop = np.where(inside, after + 1, 0).max((1, 2), initial=0)
    return matrices.astype(low.dtype), first, stop
