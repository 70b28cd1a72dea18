"""Convolution by matrix multiplication, in any number of spatial dimensions and with groups.

The way that is always there; :mod:`.conv` has faster ones for images without groups.

The columns of im2col are made for one block of the batch at a time, small enough to stay in cache, never all at once.
A negative padding crops; with it the input gradient can itself be a convolution.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import product

import numpy as np

from ...backend import parallel_for, scratch
from .unfold import Ints, Pairs, Windows, spatial

COLUMN_BYTES = 1_600_000
"""Scratch memory for one block of columns: they should stay in the second-level cache until they are multiplied."""

GATHER_COST, SCATTER_COST = 10, 35
"""What it costs to copy one element into a column, and to add one to its place, in multiply-adds (measured)."""


GRAIN = 1_000_000
"""Multiply-adds below which a thread is not worth its start."""


def conv(x: np.ndarray, w: np.ndarray, *, stride: Ints, padding: Pairs, dilation: Ints, groups: int) -> np.ndarray:
    """The cross-correlation of x (N, C, *size) with w (O, C / groups, *kernel): (N, O, *out)."""
    windows = Windows(w.shape[2:], stride, padding, dilation)
    out = windows.out_size(x.shape[2:])
    filters = np.ascontiguousarray(w).reshape(groups, len(w) // groups, -1)
    y = np.empty((len(x), len(w), *out), x.dtype)
    if math.prod(w.shape[2:]) == 1 and not np.any(padding):
        seen = x[spatial(slice(None, None, s) for s in stride)]

        def multiply(start: int, stop: int) -> None:
            part = seen[start:stop].reshape(stop - start, groups, filters.shape[2], math.prod(out))
            np.matmul(filters, part, out=y[start:stop].reshape(*part.shape[:2], filters.shape[1], part.shape[3]))

        parallel_for(multiply, len(x), 1 + GRAIN * len(x) // (y.size * w.shape[1] + 1))
        return y
    blocks = list(_blocks(x, windows))

    def convolve(start: int, stop: int) -> None:
        for samples, rows in blocks[start:stop]:
            columns = _columns(x, windows, samples, rows)
            part = y[samples, :, rows].swapaxes(0, 1)
            sums = scratch("conv.sums", part.shape, x.dtype)
            np.matmul(filters, columns.reshape(groups, filters.shape[2], -1), out=sums.reshape(*filters.shape[:2], -1))
            np.copyto(part, sums)

    parallel_for(convolve, len(blocks))
    return y


def conv_input_grad(
    gy: np.ndarray, w: np.ndarray, *, size: Ints, stride: Ints, padding: Pairs, dilation: Ints, groups: int
) -> np.ndarray:
    """The gradient of conv with respect to its input: (N, C, *size).

    Either gx is a convolution of gy with stride 1, or each gy is spread over its window of gx. The first moves the
    channels of gy, the second those of gx, and the first may multiply by zeros: the cheaper one is taken.
    """
    windows = Windows(w.shape[2:], stride, padding, dilation)
    (out_channels, group_in), phases, taps = w.shape[:2], math.prod(stride), math.prod(_taps_per_phase(windows))
    gathering = GATHER_COST if taps > 1 else 0
    interleaving = math.prod(size) / phases * out_channels * taps * (group_in * phases + gathering)
    columns = math.prod(gy.shape[2:]) * group_in * groups * math.prod(w.shape[2:])
    spreading = columns * (out_channels // groups + SCATTER_COST)
    input_grad = _interleaved_input_grad if interleaving <= spreading else _spread_input_grad
    return input_grad(gy, w, size, windows, groups)


def conv_weight_grad(
    x: np.ndarray, gy: np.ndarray, *, kernel_size: Ints, stride: Ints, padding: Pairs, dilation: Ints, groups: int
) -> np.ndarray:
    """The gradient of conv with respect to its weight: (O, C / groups, *kernel_size)."""
    group_in, group_out = x.shape[1] // groups, gy.shape[1] // groups
    windows = Windows(kernel_size, stride, padding, dilation)
    blocks = list(_blocks(x, windows))
    partial: dict[int, np.ndarray] = {}

    def accumulate(start: int, stop: int) -> None:
        total = np.zeros((groups, group_out, group_in * math.prod(kernel_size)), x.dtype)
        for samples, rows in blocks[start:stop]:
            columns = _columns(x, windows, samples, rows)
            part = np.ascontiguousarray(gy[samples, :, rows].swapaxes(0, 1)).reshape(groups, group_out, -1)
            total += np.matmul(part, columns.reshape(groups, total.shape[2], -1).swapaxes(1, 2))
        partial[start] = total

    parallel_for(accumulate, len(blocks))
    gw = sum(partial[start] for start in sorted(partial))  # in a fixed order, so that the sum is always the same
    return np.asarray(gw).reshape(gy.shape[1], group_in, *kernel_size)


def _interleaved_input_grad(gy: np.ndarray, w: np.ndarray, size: Ints, windows: Windows, groups: int) -> np.ndarray:
    """gx as one convolution of gy with stride 1, whatever the stride s was.

    The elements of gx at r modulo s see only the taps u = m·s + r. So the kernel, filled up with zeros, falls into s
    kernels of ⌈taps / s⌉ taps each (s² in two dimensions), and gx is their outputs interleaved. With stride 1 this is
    the textbook's convolution with the flipped kernel.
    """
    dims, stride, taps = len(size), windows.stride, _taps_per_phase(windows)
    group_out, group_in = len(w) // groups, w.shape[1]
    filled = np.zeros((*w.shape[:2], *(m * s for m, s in zip(taps, stride, strict=True))), w.dtype)
    filled[spatial(slice(0, d * (k - 1) + 1, d) for k, d in zip(w.shape[2:], windows.dilation, strict=True))] = w
    kernels = filled.reshape(groups, group_out, group_in, *_pairwise(taps, stride))
    at_taps, at_phases = tuple(range(3, 3 + 2 * dims, 2)), tuple(range(4, 4 + 2 * dims, 2))
    kernels = np.flip(kernels, at_taps).transpose(0, 2, *at_phases, 1, *at_taps).reshape(-1, group_out, *taps)

    # Output q of phase r is element q·s + r of the padded gx. All but those that only padding would see are computed.
    first = [low // s for (low, _), s in zip(windows.padding, stride, strict=True)]
    count = [-(-(low + n) // s) - q for (low, _), n, s, q in zip(windows.padding, size, stride, first, strict=True)]
    padding = tuple((m - 1 - q, n - i + q) for m, q, n, i in zip(taps, first, count, gy.shape[2:], strict=True))
    ones = (1,) * dims
    gx = conv(gy, kernels, stride=ones, padding=padding, dilation=ones, groups=groups)

    gx = gx.reshape(len(gy), groups * group_in, *stride, *count)
    gx = gx.transpose(0, 1, *_pairwise(range(2 + dims, 2 + 2 * dims), range(2, 2 + dims)))
    gx = gx.reshape(*gx.shape[:2], *(n * s for n, s in zip(count, stride, strict=True)))
    begin = [low - q * s for (low, _), q, s in zip(windows.padding, first, stride, strict=True)]
    return np.ascontiguousarray(gx[spatial(slice(b, b + n) for b, n in zip(begin, size, strict=True))])


def _spread_input_grad(gy: np.ndarray, w: np.ndarray, size: Ints, windows: Windows, groups: int) -> np.ndarray:
    """gx as columns, wᵀ · gy, that are added at their windows block by block."""
    group_out, group_in = len(w) // groups, w.shape[1]
    filters = np.ascontiguousarray(w).reshape(groups, group_out, -1).swapaxes(1, 2)
    gx = np.zeros((len(gy), groups * group_in, *size), gy.dtype)

    def spread(start: int, stop: int) -> None:
        own = gx[start:stop]  # blocks of one sample overlap, so a sample stays with one thread
        for samples, rows in _blocks(own, windows):
            part = gy[start:stop][samples, :, rows].swapaxes(0, 1)
            columns = scratch("conv.columns", (groups * group_in, *w.shape[2:], *part.shape[1:]), gy.dtype)
            rows_of_gy = np.ascontiguousarray(part).reshape(groups, group_out, -1)
            np.matmul(filters, rows_of_gy, out=columns.reshape(groups, filters.shape[1], -1))
            windows.add(np.moveaxis(columns, 1 + len(size), 0), own[samples], rows)

    parallel_for(spread, len(gx), 1 + GRAIN * len(gx) // (gy.size * w[0].size + 1))
    return gx


def _taps_per_phase(windows: Windows) -> Ints:
    """⌈(dilation·(kernel − 1) + 1) / stride⌉: how many positions of gy an element of gx can see."""
    return tuple(-(-(d * (k - 1) + 1) // s) for k, s, _, d in zip(*windows, strict=True))


def _pairwise(first: Sequence[int], second: Sequence[int]) -> list[int]:
    """(a, b), (c, d) -> [a, c, b, d]."""
    return [value for pair in zip(first, second, strict=True) for value in pair]


def _columns(x: np.ndarray, windows: Windows, samples: slice, rows: slice) -> np.ndarray:
    """The columns (C, *kernel, samples, rows, …) of one block, in scratch memory: the next ones overwrite them."""
    view = np.moveaxis(windows.view(x[samples], rows), 0, x.ndim - 1)
    columns = scratch("conv.columns", view.shape, x.dtype)
    np.copyto(columns, view)
    return columns


def _blocks(x: np.ndarray, windows: Windows) -> Iterator[tuple[slice, slice]]:
    """Cut the windows of x into blocks of COLUMN_BYTES: of whole samples where one fits, else of output rows of one."""
    batch, (rows, *rest) = len(x), windows.out_size(x.shape[2:])
    row_bytes = x.shape[1] * math.prod(windows.kernel_size) * math.prod(rest) * x.itemsize
    budget = max(1, COLUMN_BYTES // row_bytes)
    if rows <= budget:
        step = budget // rows
        for n in range(0, batch, step):
            yield slice(n, min(n + step, batch)), slice(0, rows)
    else:
        step = math.ceil(rows / math.ceil(rows / budget))
        for n, row in product(range(batch), range(0, rows, step)):
            yield slice(n, n + 1), slice(row, min(row + step, rows))
