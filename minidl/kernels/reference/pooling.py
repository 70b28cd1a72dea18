"""Pooling, written as its definition.

The last ``len(kernel)`` dimensions of an array are pooled (a *plane*: a row, an image or a volume); the dimensions
before them are carried along. The cell c of the window at output o reads the input at o·stride − padding + c·dilation,
in every dimension. An index is the position of an element in its flattened plane.
"""

from __future__ import annotations

from math import prod

import numpy as np

Size = tuple[int, ...]


def max_pool(
    x: np.ndarray, *, kernel: Size, stride: Size, padding: Size, dilation: Size, out_size: Size
) -> tuple[np.ndarray, np.ndarray]:
    """The largest element of every window and its index. Padding never wins; of equal elements the first one does.

    NaN counts as the largest value of all; of several NaN the last one wins, as in PyTorch.
    """
    dims = len(kernel)
    lead, size = x.shape[:-dims], x.shape[-dims:]
    y = np.zeros(lead + out_size, x.dtype)
    indices = np.zeros(lead + out_size, np.int64)
    for plane in np.ndindex(lead):
        for out in np.ndindex(out_size):
            best = None
            for cell in np.ndindex(kernel):
                at = _input_position(out, cell, stride, padding, dilation)
                if not _inside(at, size):
                    continue
                value = x[plane + at]
                if best is None or value > best or np.isnan(value):
                    best = value
                    indices[plane + out] = np.ravel_multi_index(at, size)
            y[plane + out] = best
    return y, indices


def adaptive_max_pool(x: np.ndarray, *, out_size: Size) -> tuple[np.ndarray, np.ndarray]:
    """The largest element and its index in windows that divide the plane as evenly as they can, chosen as above."""
    dims = len(out_size)
    lead, size = x.shape[:-dims], x.shape[-dims:]
    y = np.zeros(lead + out_size, x.dtype)
    indices = np.zeros(lead + out_size, np.int64)
    for plane in np.ndindex(lead):
        for out in np.ndindex(out_size):
            best = None
            for at in _adaptive_window(out, size, out_size):
                value = x[plane + at]
                if best is None or value > best or np.isnan(value):
                    best = value
                    indices[plane + out] = np.ravel_multi_index(at, size)
            y[plane + out] = best
    return y, indices


def plane_gather(x: np.ndarray, indices: np.ndarray, *, dims: int) -> np.ndarray:
    """The elements of every plane at `indices`: the value of a max pooling, given where the maxima are."""
    y = np.zeros(indices.shape, x.dtype)
    for plane in np.ndindex(x.shape[:-dims]):
        flat = x[plane].ravel()
        for out in np.ndindex(indices.shape[-dims:]):
            y[plane + out] = flat[indices[plane + out]]
    return y


def plane_scatter(values: np.ndarray, indices: np.ndarray, *, size: Size, accumulate: bool) -> np.ndarray:
    """A plane of zeros with `values` at `indices`; where an index repeats, their sum or (not accumulate) the last."""
    dims = len(size)
    lead = values.shape[:-dims]
    result = np.zeros((*lead, prod(size)), values.dtype)
    for plane in np.ndindex(lead):
        for out in np.ndindex(values.shape[-dims:]):
            at = (*plane, indices[plane + out])
            result[at] = result[at] + values[plane + out] if accumulate else values[plane + out]
    return result.reshape(lead + size)


def last_of_equal_indices(indices: np.ndarray, *, dims: int) -> np.ndarray:
    """True where no later element of the plane has the same index: the values that an overwriting scatter keeps."""
    last = np.ones(indices.shape, bool)
    for plane in np.ndindex(indices.shape[:-dims]):
        flat = indices[plane].ravel().tolist()
        kept = [index not in flat[position + 1 :] for position, index in enumerate(flat)]
        last[plane] = np.reshape(kept, last[plane].shape)
    return last


def avg_pool(
    x: np.ndarray,
    *,
    kernel: Size,
    stride: Size,
    padding: Size,
    out_size: Size,
    count_include_pad: bool,
    divisor_override: int | None,
) -> np.ndarray:
    """The sum of every window over the number of its cells (see :func:`_divisor`)."""
    dims = len(kernel)
    lead, size = x.shape[:-dims], x.shape[-dims:]
    y = np.zeros(lead + out_size, x.dtype)
    for plane in np.ndindex(lead):
        for out in np.ndindex(out_size):
            for cell in np.ndindex(kernel):
                at = _input_position(out, cell, stride, padding)
                if _inside(at, size):
                    y[plane + out] += x[plane + at]
            y[plane + out] /= _divisor(out, size, kernel, stride, padding, count_include_pad, divisor_override)
    return y


def avg_pool_input_grad(
    gy: np.ndarray,
    *,
    in_size: Size,
    kernel: Size,
    stride: Size,
    padding: Size,
    count_include_pad: bool,
    divisor_override: int | None,
) -> np.ndarray:
    """The adjoint of :func:`avg_pool`: every element of `gy` spread evenly over its window."""
    dims = len(kernel)
    lead, out_size = gy.shape[:-dims], gy.shape[-dims:]
    gx = np.zeros(lead + in_size, gy.dtype)
    for plane in np.ndindex(lead):
        for out in np.ndindex(out_size):
            divisor = _divisor(out, in_size, kernel, stride, padding, count_include_pad, divisor_override)
            for cell in np.ndindex(kernel):
                at = _input_position(out, cell, stride, padding)
                if _inside(at, in_size):
                    gx[plane + at] += gy[plane + out] / divisor
    return gx


def adaptive_avg_pool(x: np.ndarray, *, out_size: Size) -> np.ndarray:
    """The mean of windows that divide the plane as evenly as they can."""
    dims = len(out_size)
    lead, size = x.shape[:-dims], x.shape[-dims:]
    y = np.zeros(lead + out_size, x.dtype)
    for plane in np.ndindex(lead):
        for out in np.ndindex(out_size):
            window = _adaptive_window(out, size, out_size)
            for at in window:
                y[plane + out] += x[plane + at]
            y[plane + out] /= len(window)
    return y


def adaptive_avg_pool_input_grad(gy: np.ndarray, *, in_size: Size) -> np.ndarray:
    """The adjoint of :func:`adaptive_avg_pool`."""
    dims = len(in_size)
    lead, out_size = gy.shape[:-dims], gy.shape[-dims:]
    gx = np.zeros(lead + in_size, gy.dtype)
    for plane in np.ndindex(lead):
        for out in np.ndindex(out_size):
            window = _adaptive_window(out, in_size, out_size)
            for at in window:
                gx[plane + at] += gy[plane + out] / len(window)
    return gx


def _input_position(out: Size, cell: Size, stride: Size, padding: Size, dilation: Size | None = None) -> Size:
    steps = dilation or (1,) * len(cell)
    return tuple(o * s - p + c * d for o, c, s, p, d in zip(out, cell, stride, padding, steps, strict=True))


def _inside(at: Size, size: Size) -> bool:
    return all(0 <= position < length for position, length in zip(at, size, strict=True))


def _divisor(
    out: Size, size: Size, kernel: Size, stride: Size, padding: Size, include_pad: bool, override: int | None
) -> int:
    """How many cells the window counts: those in the padded input, or those in the input itself, or `override`.

    Cells beyond the right padding (a last window of ``ceil_mode``) are never counted.
    """
    if override is not None:
        return override
    count = 1
    for o, length, k, s, p in zip(out, size, kernel, stride, padding, strict=True):
        border = p if include_pad else 0
        count *= sum(-border <= o * s - p + cell < length + border for cell in range(k))
    return count


def _adaptive_window(out: Size, size: Size, out_size: Size) -> list[Size]:
    """The window of output o covers ⌊o·size/out⌋ … ⌈(o+1)·size/out⌉ − 1 in every dimension."""
    starts = [o * length // count for o, length, count in zip(out, size, out_size, strict=True)]
    stops = [-(-(o + 1) * length // count) for o, length, count in zip(out, size, out_size, strict=True)]
    offsets = np.ndindex(*(stop - start for start, stop in zip(starts, stops, strict=True)))
    return [tuple(start + step for start, step in zip(starts, offset, strict=True)) for offset in offsets]


def max_pool_recorded(
    x: np.ndarray, *, kernel: Size, stride: Size, padding: Size, dilation: Size, out_size: Size
) -> tuple[np.ndarray, np.ndarray]:
    """The largest element of every window, and a record of which it was: here its index."""
    return max_pool(x, kernel=kernel, stride=stride, padding=padding, dilation=dilation, out_size=out_size)


def recorded_indices(record: np.ndarray, *, size: Size) -> np.ndarray:
    """Where the recorded maxima are: positions in the flattened planes of this size, int64."""
    return record


def recorded_input_grad(gy: np.ndarray, record: np.ndarray, *, size: Size, accumulate: bool) -> np.ndarray:
    """Planes of this size with each gradient at its recorded maximum; `accumulate`: windows overlap, so they add up."""
    return plane_scatter(gy, record, size=size, accumulate=accumulate)
