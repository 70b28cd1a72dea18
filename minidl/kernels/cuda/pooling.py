"""Pooling: a thread for each window forward, for each element of the input backward.

So every place is written by one thread, nothing has to be added atomically, and results are always the same to the bit.
A max pooling keeps where its maxima are (as 32-bit positions in the plane) and the geometry of its windows: for the
gradient, each element looks which of the few windows that hold it it has won. One to three dimensions are pooled; fewer
than three are three of which the first have the length 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

import cupy
import numpy as np

from ._compile import elementwise, launch
from ._half import in_single
from .indexing import add_at
from .unfold import volume

Size = tuple[int, ...]

_gather = elementwise(
    "raw T x, int64 index, int64 plane, int64 outputs", "T y", "y = x[i / outputs * plane + index]", "plane_gather"
)


@dataclass(frozen=True)
class Record:
    """The winners of a max pooling: positions in the plane (int32), and the numbers that describe the windows."""

    indices: Any
    window: Size


@in_single
def max_pool(x: Any, *, kernel: Size, stride: Size, padding: Size, dilation: Size, out_size: Size) -> tuple[Any, Any]:
    """The largest element of every window and its index. See the reference for ties, padding and NaN."""
    y, record = max_pool_recorded(
        x, kernel=kernel, stride=stride, padding=padding, dilation=dilation, out_size=out_size
    )
    return y, record.indices.astype(np.int64)


@in_single
def max_pool_recorded(
    x: Any, *, kernel: Size, stride: Size, padding: Size, dilation: Size, out_size: Size
) -> tuple[Any, Record]:
    """The largest element of every window, and a record of which it was: see :func:`recorded_indices`."""
    window = *volume(kernel), *volume(stride), *volume(padding, 0), *volume(dilation)
    y, indices = _largest("max_pool", x, out_size, window)
    return y, Record(indices, window)


def recorded_indices(record: Record, *, size: Size) -> Any:
    """Where the recorded maxima are: positions in the flattened planes of this size, int64."""
    return record.indices.astype(np.int64)


@in_single
def recorded_input_grad(gy: Any, record: Record, *, size: Size, accumulate: bool) -> Any:
    """Planes of this size with each gradient at its recorded maximum; `accumulate`: windows overlap, so they add up."""
    gx, out_size = cupy.empty((*gy.shape[: -len(size)], *size), gy.dtype), gy.shape[-len(size) :]
    arrays = gx, cupy.ascontiguousarray(gy), record.indices
    launch(
        "max_pool",
        "max_pool_input_grad",
        gx.size,
        (*arrays, *volume(size), *volume(out_size), *record.window),
        gy.dtype,
    )
    return gx


@in_single
def adaptive_max_pool(x: Any, *, out_size: Size) -> tuple[Any, Any]:
    """The largest element and its index in windows that divide the plane as evenly as they can."""
    y, indices = _largest("adaptive_max_pool", x, out_size)
    return y, indices.astype(np.int64)


def plane_gather(x: Any, indices: Any, *, dims: int) -> Any:
    """The elements of every plane at `indices`."""
    return _gather(cupy.ascontiguousarray(x), indices, prod(x.shape[-dims:]), prod(indices.shape[-dims:]))


@in_single
def plane_scatter(values: Any, indices: Any, *, size: Size, accumulate: bool) -> Any:
    """A plane of zeros with `values` at `indices`; where an index repeats, their sum or (not accumulate) the last."""
    dims, plane = len(size), prod(size)
    lead = values.shape[:-dims]
    planes = prod(lead)
    places = indices.reshape(planes, prod(indices.shape[-dims:])) + (cupy.arange(planes) * plane)[:, None]
    return add_at(planes * plane, 1, places.ravel(), values, last=not accumulate).reshape(*lead, *size)


def last_of_equal_indices(indices: Any, *, dims: int) -> Any:
    """True where no later element of the plane has the same index: the values that an overwriting scatter keeps.

    Each plane is sorted (stably), so that what is equal lies side by side; the last of a run is followed by another.
    """
    rows = indices.reshape(prod(indices.shape[:-dims]), prod(indices.shape[-dims:]))
    order = cupy.argsort(rows, axis=1)
    sorted_rows = cupy.take_along_axis(rows, order, axis=1)
    last_of_run = cupy.ones(rows.shape, bool)
    last_of_run[:, :-1] = sorted_rows[:, 1:] != sorted_rows[:, :-1]
    last = cupy.empty(rows.shape, bool)
    last[cupy.arange(len(rows))[:, None], order] = last_of_run
    return last.reshape(indices.shape)


@in_single
def avg_pool(
    x: Any,
    *,
    kernel: Size,
    stride: Size,
    padding: Size,
    out_size: Size,
    count_include_pad: bool,
    divisor_override: int | None,
) -> Any:
    """The sum of every window over the number of its cells."""
    settings = *_window(kernel, stride, padding), int(count_include_pad), float(divisor_override or 0)
    return _average("avg_pool", x, out_size, x.shape[-len(kernel) :], out_size, settings)


@in_single
def avg_pool_input_grad(
    gy: Any,
    *,
    in_size: Size,
    kernel: Size,
    stride: Size,
    padding: Size,
    count_include_pad: bool,
    divisor_override: int | None,
) -> Any:
    """The adjoint of :func:`avg_pool`: every element of `gy` spread evenly over its window."""
    settings = *_window(kernel, stride, padding), int(count_include_pad), float(divisor_override or 0)
    return _average("avg_pool_input_grad", gy, in_size, in_size, gy.shape[-len(kernel) :], settings)


@in_single
def adaptive_avg_pool(x: Any, *, out_size: Size) -> Any:
    """The mean of windows that divide the plane as evenly as they can."""
    if prod(out_size) == 1:  # whole planes, which a block each adds up better than a thread each
        return x.mean(axis=tuple(range(-len(out_size), 0)), keepdims=True)
    return _average("adaptive_avg_pool", x, out_size, x.shape[-len(out_size) :], out_size)


@in_single
def adaptive_avg_pool_input_grad(gy: Any, *, in_size: Size) -> Any:
    """The adjoint of :func:`adaptive_avg_pool`."""
    return _average("adaptive_avg_pool_input_grad", gy, in_size, in_size, gy.shape[-len(in_size) :])


def _largest(name: str, x: Any, out_size: Size, window: Size = ()) -> tuple[Any, Any]:
    """Maxima and their positions (int32) by a kernel of ``max_pool.cu``."""
    dims = len(out_size)
    y = cupy.empty((*x.shape[:-dims], *out_size), x.dtype)
    indices = cupy.empty(y.shape, np.int32)
    arrays = y, indices, cupy.ascontiguousarray(x)
    launch("max_pool", name, y.size, (*arrays, *volume(x.shape[-dims:]), *volume(out_size), *window), x.dtype)
    return y, indices


def _average(name: str, x: Any, new_size: Size, size: Size, out_size: Size, settings: tuple = ()) -> Any:
    """A kernel of ``avg_pool.cu`` from x to planes of another size; size and out_size are those of the pooling."""
    y = cupy.empty((*x.shape[: -len(size)], *new_size), x.dtype)
    arrays = y, cupy.ascontiguousarray(x)
    launch("avg_pool", name, y.size, (*arrays, *volume(size), *volume(out_size), *settings), x.dtype)
    return y


def _window(kernel: Size, stride: Size, padding: Size) -> Size:
    return *volume(kernel), *volume(stride), *volume(padding, 0)
