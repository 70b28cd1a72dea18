"""Windows of an array as columns (im2col) and back (col2im), in one to three spatial dimensions.

Both are gathers, one thread for each place that is written: unfold copies an element to each of the columns that need
it, fold collects the sum of an element from all columns that hold it. So no two threads meet at one place, and the sums
come out the same each time. Fewer than three dimensions are three of which the first have the length 1.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import cupy
import numpy as np

from ._compile import launch
from ._half import in_single

Ints = tuple[int, ...]
Pairs = tuple[tuple[int, int], ...]


class Windows(NamedTuple):
    """The geometry of a sliding window. A negative padding crops."""

    kernel_size: Ints
    stride: Ints
    padding: Pairs
    dilation: Ints

    def out_size(self, size: Ints) -> Ints:
        """How many windows fit along each dimension of an input of this size."""
        return tuple(
            (n + low + high - d * (k - 1) - 1) // s + 1 for n, k, s, (low, high), d in zip(size, *self, strict=True)
        )

    def arguments(self) -> Ints:
        """Kernel, stride, padding before and dilation, each in three dimensions, as the kernels take them."""
        lows = tuple(low for low, _ in self.padding)
        return *volume(self.kernel_size), *volume(self.stride), *volume(lows, 0), *volume(self.dilation)


def volume(lengths: Ints, fill: int = 1) -> Ints:
    """The lengths of up to three dimensions as those of three."""
    return (*(fill,) * (3 - len(lengths)), *lengths)


@in_single
def unfold(x: Any, *, kernel_size: Ints, stride: Ints, padding: Pairs, dilation: Ints) -> Any:
    """Every window of x as a column: (N, C, *size) -> (N, C·Πkernel, Πout)."""
    windows = Windows(kernel_size, stride, padding, dilation)
    out = windows.out_size(x.shape[2:])
    rows, positions = x.shape[1] * math.prod(kernel_size), math.prod(out)
    columns = cupy.empty((len(x), rows, positions), x.dtype)
    fill_columns(columns, x, windows, out, slice(0, positions), strides=(positions, rows * positions))
    return columns


@in_single
def fold(columns: Any, *, size: Ints, kernel_size: Ints, stride: Ints, padding: Pairs, dilation: Ints) -> Any:
    """The adjoint of :func:`unfold`: each column is added back at its window, giving (N, C, *size)."""
    windows = Windows(kernel_size, stride, padding, dilation)
    batch, rows, positions = columns.shape
    x = cupy.zeros((batch, rows // math.prod(kernel_size), *size), columns.dtype)
    strides = positions, rows * positions
    add_columns(x, columns, windows, windows.out_size(size), slice(0, positions), strides)
    return x


def fill_columns(columns: Any, x: Any, windows: Windows, out: Ints, at: slice, strides: Ints) -> None:
    """Set the columns of the positions `at`, of all samples of x.

    Args:      out: how many positions there are along each dimension.
               strides: elements between two rows, and between two samples, of columns
    """
    count = at.stop - at.start
    settings = (x.shape[1], at.start, count, *map(np.int64, strides), *volume(x.shape[2:]), *volume(out)[1:])
    arrays = columns, cupy.ascontiguousarray(x)
    launch("unfold", "unfold", len(x) * x.shape[1] * count, (*arrays, *settings, *windows.arguments()), x.dtype)


def add_columns(x: Any, columns: Any, windows: Windows, out: Ints, at: slice, strides: Ints) -> None:
    """Add columns to a C-contiguous x, at their windows: the adjoint of :func:`fill_columns`."""
    settings = (x.shape[1], at.start, at.stop - at.start, *map(np.int64, strides), *volume(x.shape[2:]), *volume(out))
    arrays = x, cupy.ascontiguousarray(columns)
    launch("unfold", "fold", x.size, (*arrays, *settings, *windows.arguments()), x.dtype)
