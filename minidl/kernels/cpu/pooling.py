"""Pooling without a copy of the windows.

Max pooling visits the k·k cells of a window, not the windows: cell (u, v) of all windows at once is one strided slice
of the input. Sums are separable, so average pooling adds slices along one dimension after the other. What a max pooling
found is kept as indices, and its gradient is a scatter to them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import product
from math import prod

import numpy as np

from ...backend import parallel_for

Size = tuple[int, ...]
_BLOCK = 1 << 19  # elements of a plane-shaped array to work on at once, so that every pass finds them in the cache


def max_pool(
    x: np.ndarray, *, kernel: Size, stride: Size, padding: Size, dilation: Size, out_size: Size
) -> tuple[np.ndarray, np.ndarray]:
    """The largest element of every window and its index. See the reference for ties, padding and NaN."""
    dims = len(kernel)
    if prod(kernel) > prod(out_size):  # few large windows: take one argmax for each of them
        axes = zip(x.shape[-dims:], kernel, stride, padding, dilation, out_size, strict=True)
        return _max_of_windows(x, [_windows(*axis) for axis in axes])

    size = x.shape[-dims:]
    cells = list(_cells(size, out_size, kernel, stride, padding, dilation))
    positions = np.arange(prod(size), dtype=np.min_scalar_type(prod(size))).reshape(size)
    first = np.zeros(out_size, positions.dtype)  # of each window, the first cell that is not padding
    for outputs, inputs in reversed(cells):
        first[outputs] = positions[inputs]
    y = np.empty_like(x, shape=x.shape[:-dims] + out_size)
    indices = np.empty_like(y, dtype=np.int64)

    def pool(start: int, stop: int) -> None:
        values, best = x[start:stop], y[start:stop]
        winners = np.empty_like(best, dtype=positions.dtype)
        best[...] = _lowest(x.dtype)
        winners[...] = first
        for outputs, inputs in cells:  # positions only grow from cell to cell, so the latest winner is their maximum
            better = values[inputs] > best[outputs]
            np.maximum(winners[outputs], better * positions[inputs], out=winners[outputs])
            np.maximum(best[outputs], values[inputs], out=best[outputs])
        if np.isnan(best).any():  # NaN is never `>`, but it has to win
            for outputs, inputs in cells:
                nan = np.isnan(values[inputs])
                np.maximum(winners[outputs], nan * positions[inputs], out=winners[outputs])
        indices[start:stop] = winners

    _in_blocks(pool, len(x), prod(x.shape[1:]))
    return y, indices


def adaptive_max_pool(x: np.ndarray, *, out_size: Size) -> tuple[np.ndarray, np.ndarray]:
    """The largest element and its index in windows that divide the plane as evenly as they can."""
    size = x.shape[-len(out_size) :]
    return _max_of_windows(x, [_adaptive_windows(*axis) for axis in zip(size, out_size, strict=True)])


def plane_gather(x: np.ndarray, indices: np.ndarray, *, dims: int) -> np.ndarray:
    """The elements of every plane at `indices`."""
    plane = prod(x.shape[-dims:])
    return x.reshape(-1)[_flat_positions(indices, dims, plane)].reshape(indices.shape)


def plane_scatter(values: np.ndarray, indices: np.ndarray, *, size: Size, accumulate: bool) -> np.ndarray:
    """A plane of zeros with `values` at `indices`; where an index repeats, their sum or (not accumulate) the last."""
    dims, plane = len(size), prod(size)
    lead = values.shape[:-dims]
    result = np.zeros(prod(lead) * plane, values.dtype)
    if not accumulate:
        result[_flat_positions(indices, dims, plane)] = values.reshape(-1)
        return result.reshape(lead + size)

    rows = values.reshape(prod(lead), prod(values.shape[-dims:]))
    row_indices = indices.reshape(rows.shape)
    step = max(1, _BLOCK // plane)
    for start in range(0, len(rows), step):  # bincount sums in float64: a block of planes at a time
        block = rows[start : start + step]
        flat = _flat_positions(row_indices[start : start + step], 1, plane)
        result[start * plane : (start + len(block)) * plane] = np.bincount(flat, block.reshape(-1), len(block) * plane)
    return result.reshape(lead + size)


def last_of_equal_indices(indices: np.ndarray, *, dims: int) -> np.ndarray:
    """True where no later element of the plane has the same index: the values that an overwriting scatter keeps."""
    plane = int(indices.max(initial=0)) + 1
    flat = _flat_positions(indices, dims, plane)
    order = np.arange(flat.size)
    writer = np.empty(prod(indices.shape[:-dims]) * plane, np.int64)
    writer[flat] = order
    return (writer[flat] == order).reshape(indices.shape)


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
    """The sum of every window over the number of its cells."""
    dims = len(kernel)
    size = x.shape[-dims:]
    divisor = _divisor(size, out_size, kernel, stride, padding, count_include_pad, divisor_override)
    y = np.empty_like(x, shape=x.shape[:-dims] + out_size)

    def pool(start: int, stop: int) -> None:
        total = x[start:stop]
        for axis in range(-dims, 0):
            values, total = total, np.zeros_like(total, shape=_resized(total.shape, axis, out_size[axis]))
            for outputs, inputs in _taps(size[axis], out_size[axis], kernel[axis], stride[axis], padding[axis], 1):
                total[_along(axis, outputs)] += values[_along(axis, inputs)]
        np.divide(total, divisor.astype(x.dtype), out=y[start:stop])

    _in_blocks(pool, len(x), prod(x.shape[1:]))
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
    out_size = gy.shape[-dims:]
    divisor = _divisor(in_size, out_size, kernel, stride, padding, count_include_pad, divisor_override)
    gx = np.empty_like(gy, shape=gy.shape[:-dims] + in_size)

    def spread(start: int, stop: int) -> None:
        total = gy[start:stop] / divisor.astype(gy.dtype)
        for axis in range(-1, -dims - 1, -1):  # the last dimension first, while the array is small
            values, total = total, np.zeros_like(total, shape=_resized(total.shape, axis, in_size[axis]))
            for outputs, inputs in _taps(in_size[axis], out_size[axis], kernel[axis], stride[axis], padding[axis], 1):
                total[_along(axis, inputs)] += values[_along(axis, outputs)]
        gx[start:stop] = total

    _in_blocks(spread, len(gx), prod(gx.shape[1:]))
    return gx


def adaptive_avg_pool(x: np.ndarray, *, out_size: Size) -> np.ndarray:
    """The mean of windows that divide the plane as evenly as they can, one dimension after the other."""
    if prod(out_size) == 1:
        return x.mean(axis=tuple(range(-len(out_size), 0)), keepdims=True)
    for axis, count in enumerate(out_size, start=-len(out_size)):
        y = np.empty_like(x, shape=_resized(x.shape, axis, count))
        for out, window in enumerate(_adaptive_windows(x.shape[axis], count)):
            np.mean(x[_along(axis, window)], axis=axis, out=y[_along(axis, out)])
        x = y
    return x


def adaptive_avg_pool_input_grad(gy: np.ndarray, *, in_size: Size) -> np.ndarray:
    """The adjoint of :func:`adaptive_avg_pool`."""
    for axis in range(-1, -len(in_size) - 1, -1):  # the last dimension first, while the array is small
        gx = np.zeros_like(gy, shape=_resized(gy.shape, axis, in_size[axis]))
        for out, window in enumerate(_adaptive_windows(in_size[axis], gy.shape[axis])):
            gx[_along(axis, window)] += gy[_along(axis, slice(out, out + 1))] / (window.stop - window.start)
        gy = gx
    return gy


def _in_blocks(work: Callable[[int, int], None], count: int, elements: int) -> None:
    """Call ``work(start, stop)`` on blocks of a batch of `count` examples of so many elements, on all threads."""
    step = max(1, _BLOCK // max(elements, 1))

    def run(start: int, stop: int) -> None:
        for first in range(start, stop, step):
            work(first, min(first + step, stop))

    parallel_for(run, count, max(1, step // 2))


def _max_of_windows(x: np.ndarray, windows: list[list[slice]]) -> tuple[np.ndarray, np.ndarray]:
    """The maximum and its index in each window of the grid that the slices along every dimension span."""
    dims = len(windows)
    lead, size = x.shape[:-dims], x.shape[-dims:]
    out_size = tuple(map(len, windows))
    y = np.empty(lead + out_size, x.dtype)
    indices = np.empty(y.shape, np.int64)
    positions = np.arange(prod(size)).reshape(size)
    for out in np.ndindex(out_size):
        window = tuple(slices[o] for slices, o in zip(windows, out, strict=True))
        cells = positions[window].reshape(-1)
        values = x[(..., *window)].reshape(*lead, len(cells))
        if np.isnan(largest := values.max(axis=-1)).any():  # the last NaN, else the first maximum
            nan = np.isnan(values)
            winner = np.where(nan.any(axis=-1), len(cells) - 1 - nan[..., ::-1].argmax(axis=-1), values.argmax(axis=-1))
        else:
            winner = values.argmax(axis=-1)
        y[(..., *out)] = largest
        indices[(..., *out)] = cells[winner]
    return y, indices


def _taps(
    size: int, out_size: int, kernel: int, stride: int, padding: int, dilation: int
) -> Iterator[tuple[slice, slice]]:
    """For each cell of a one-dimensional window: the outputs for which it lies in the input, and what they read."""
    for cell in range(kernel):
        offset = cell * dilation - padding  # what window 0 reads
        first = max(0, -(offset // stride))
        stop = min(out_size, (size - 1 - offset) // stride + 1)
        if first < stop:
            start = offset + first * stride
            yield slice(first, stop), slice(start, offset + (stop - 1) * stride + 1, stride)


def _cells(
    size: Size, out_size: Size, kernel: Size, stride: Size, padding: Size, dilation: Size
) -> Iterator[tuple[tuple, tuple]]:
    """:func:`_taps` in several dimensions, in row-major order, as indices into the last dimensions of an array."""
    axes = zip(size, out_size, kernel, stride, padding, dilation, strict=True)
    for cell in product(*(list(_taps(*axis)) for axis in axes)):
        yield (..., *(outputs for outputs, _ in cell)), (..., *(inputs for _, inputs in cell))


def _windows(size: int, kernel: int, stride: int, padding: int, dilation: int, out_size: int) -> list[slice]:
    """What each window covers of one dimension of the input."""
    span = (kernel - 1) * dilation + 1
    starts = [out * stride - padding for out in range(out_size)]
    return [slice(s if s >= 0 else s % dilation, min(s + span, size), dilation) for s in starts]


def _adaptive_windows(size: int, out_size: int) -> list[slice]:
    """⌊o·size/out⌋ … ⌈(o+1)·size/out⌉ − 1 for every output o."""
    return [slice(out * size // out_size, -(-(out + 1) * size // out_size)) for out in range(out_size)]


def _resized(shape: Size, axis: int, length: int) -> Size:
    """`shape` with another length along one dimension."""
    return (*shape[:axis], length, *shape[len(shape) + axis + 1 :])


def _along(axis: int, index: slice | int) -> tuple:
    """An index that applies `index` to one of the last dimensions (a negative axis) and takes all of the others."""
    return (..., index, *(slice(None),) * (-axis - 1))


def _divisor(
    size: Size, out_size: Size, kernel: Size, stride: Size, padding: Size, include_pad: bool, override: int | None
) -> np.ndarray:
    """How many cells each window counts, an array of shape `out_size`; cells beyond the right padding never count."""
    if override is not None:
        return np.array(override)
    counts = np.ones((), np.int64)
    for length, out, k, s, p in zip(size, out_size, kernel, stride, padding, strict=True):
        border = p if include_pad else 0
        starts = np.arange(out) * s - p
        covered = np.minimum(starts + k, length + border) - np.maximum(starts, -border)
        counts = np.multiply.outer(counts, covered)
    return counts


def _flat_positions(indices: np.ndarray, dims: int, plane: int) -> np.ndarray:
    """Positions in the flattened array: the index in the plane, plus where its plane starts."""
    planes = prod(indices.shape[:-dims])
    rows = indices.reshape(planes, prod(indices.shape[-dims:]))
    return (rows + np.arange(planes)[:, None] * plane).reshape(-1)


def _lowest(dtype: np.dtype) -> float | int:
    return -np.inf if dtype.kind == "f" else np.iinfo(dtype).min
