"""Adding into places given by indices, where one place may be named many times.

Atomic additions would come in another order each time, and with them other bits. So the places are sorted, and each run
of equal ones is added up by one thread: see ``source/runs.cu``. A run of n entries takes n steps, while other runs
go on; the sort takes most of the time.
"""

from __future__ import annotations

import math
from typing import Any

import cupy
import numpy as np

from ._compile import launch
from ._half import in_single


@in_single
def index_put_add(shape: tuple[int, ...], index: tuple[Any, ...], values: Any) -> Any:
    """Zeros of `shape` with `values` added at ``[index]``: the adjoint of ``x[index]``.

    As ``x[index]`` itself, it waits for the device to count a boolean mask, and moves index arrays from the host.
    """
    index = tuple(cupy.asarray(entry) if isinstance(entry, np.ndarray) else entry for entry in index)
    arrays = [entry for entry in index if isinstance(entry, cupy.ndarray)]
    if all(entry.dtype == bool for entry in arrays):  # no place can be named twice
        y = cupy.zeros(shape, values.dtype)
        y[index] = values
        return y
    if len(index) == 1:
        rows = arrays[0].ravel() % shape[0]
        return add_at(shape[0], math.prod(shape[1:]), rows, values).reshape(shape)
    places = cupy.arange(math.prod(shape)).reshape(shape)[index]
    return add_at(math.prod(shape), 1, places.ravel(), values).reshape(shape)


@in_single
def scatter_add(shape: tuple[int, ...], dim: int, index: Any, values: Any) -> Any:
    """Zeros of `shape` with y[i, index[i, j], …] += values[i, j, …], the index taking the place of dimension `dim`."""
    strides = [math.prod(shape[d + 1 :]) for d in range(len(shape))]
    places = index * strides[dim]
    for d, length in enumerate(index.shape):
        if d != dim:
            places = places + (cupy.arange(length) * strides[d]).reshape((-1,) + (1,) * (index.ndim - d - 1))
    return add_at(math.prod(shape), 1, places.ravel(), values).reshape(shape)


def add_at(length: int, width: int, places: Any, values: Any, last: bool = False) -> Any:
    """Zeros, (length, width), with each row of values (count, width) added at its place; or the last of its place.

    Args:      places: (count,) int64, 0 ≤ place < length. values: of any shape that holds so many rows
    """
    y = cupy.zeros((length, width), values.dtype)
    order = cupy.argsort(places)  # stable
    arrays = y, cupy.ascontiguousarray(values), order, places[order]
    launch("runs", "add_runs", values.size, (*arrays, np.int64(places.size), width, int(last)), values.dtype)
    return y
