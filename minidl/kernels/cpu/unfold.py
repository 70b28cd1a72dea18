"""Windows of an array as columns (im2col) and back (col2im), in any number of spatial dimensions."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import product
from typing import Any, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import as_strided

from ...backend import scratch

Ints = tuple[int, ...]
Pairs = tuple[tuple[int, int], ...]


def unfold(x: np.ndarray, *, kernel_size: Ints, stride: Ints, padding: Pairs, dilation: Ints) -> np.ndarray:
    """Every window of x as a column: (N, C, *size) -> (N, C·Πkernel, Πout)."""
    windows = Windows(kernel_size, stride, padding, dilation)
    out = windows.out_size(x.shape[2:])
    columns = np.empty((*x.shape[:2], *kernel_size, *out), x.dtype)
    for n in range(len(x)):
        np.copyto(columns[n : n + 1], windows.view(x[n : n + 1]))
    return columns.reshape(len(x), x.shape[1] * math.prod(kernel_size), math.prod(out))


def fold(
    columns: np.ndarray, *, size: Ints, kernel_size: Ints, stride: Ints, padding: Pairs, dilation: Ints
) -> np.ndarray:
    """The adjoint of :func:`unfold`: each column is added back at its window, giving (N, C, *size)."""
    windows = Windows(kernel_size, stride, padding, dilation)
    batch, channels = len(columns), columns.shape[1] // math.prod(kernel_size)
    x = np.zeros((batch, channels, *size), columns.dtype)
    columns = columns.reshape(batch, channels, *kernel_size, *windows.out_size(size))
    for n in range(batch):
        windows.add(columns[n : n + 1], x[n : n + 1])
    return x


class Windows(NamedTuple):
    """The geometry of a sliding window. A negative padding crops."""

    kernel_size: Ints
    stride: Ints
    padding: Pairs
    dilation: Ints

    def out_size(self, size: Sequence[int]) -> Ints:
        """How many windows fit along each dimension of an input of this size."""
        return tuple(
            (n + low + high - d * (k - 1) - 1) // s + 1 for n, k, s, (low, high), d in zip(size, *self, strict=True)
        )

    def view(self, x: np.ndarray, rows: slice | None = None) -> np.ndarray:
        """All windows of x, or those of some output rows, uncopied and read-only: (N, C, *kernel, *out).

        The view looks into x; where a window leaves x, into a zero-padded copy in scratch memory.
        """
        counts, spans = self._spans(x.shape[2:], rows)
        source, target = _overlap(spans, x.shape[2:])
        seen = x[source]
        if seen.shape[2:] != tuple(map(len, spans)):
            padded = scratch("windows.padded", (*x.shape[:2], *map(len, spans)), x.dtype)
            padded.fill(0)
            padded[target] = seen
            seen = padded
        steps = seen.strides[2:]
        taps = (step * d for step, d in zip(steps, self.dilation, strict=True))
        jumps = (step * s for step, s in zip(steps, self.stride, strict=True))
        shape = (*x.shape[:2], *self.kernel_size, *counts)
        return as_strided(seen, shape, (*seen.strides[:2], *taps, *jumps), writeable=False)

    def add(self, columns: np.ndarray, x: np.ndarray, rows: slice | None = None) -> None:
        """Add columns (N, C, *kernel, *out) at their windows of x, in place: the adjoint of :meth:`view`."""
        counts, spans = self._spans(x.shape[2:], rows)
        target, source = _overlap(spans, x.shape[2:])
        sums = scratch("windows.sums", (*x.shape[:2], *map(len, spans)), x.dtype)
        sums.fill(0)
        for tap in product(*map(range, self.kernel_size)):
            reached = (
                slice(u * d, u * d + (n - 1) * s + 1, s)
                for u, n, s, d in zip(tap, counts, self.stride, self.dilation, strict=True)
            )
            of_tap: tuple[Any, ...] = (slice(None), slice(None), *tap)
            sums[spatial(reached)] += columns[of_tap]
        x[target] += sums[source]

    def _spans(self, size: Ints, rows: slice | None) -> tuple[list[int], list[range]]:
        """For the windows of these output rows: their number, and the stretch of x they cover, along each dimension."""
        starts, counts = [0] * len(size), list(self.out_size(size))
        if rows is not None:
            starts[0], counts[0] = rows.start, rows.stop - rows.start
        spans = [
            range(i * s - low, (i + n - 1) * s + (k - 1) * d + 1 - low)
            for i, n, k, s, (low, _), d in zip(starts, counts, *self, strict=True)
        ]
        return counts, spans


def spatial(slices: Iterable[slice]) -> tuple[Any, ...]:
    """An index of the last dimensions."""
    return (..., *slices)


def _overlap(spans: Sequence[range], size: Ints) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """Where spans overlap an array of this spatial size: as an index of the array, and of what the spans cover."""
    inside = [range(min(max(span.start, 0), n), max(min(span.stop, n), 0)) for span, n in zip(spans, size, strict=True)]
    of_array = (slice(r.start, r.stop) for r in inside)
    of_spans = (slice(r.start - span.start, r.stop - span.start) for r, span in zip(inside, spans, strict=True))
    return spatial(of_array), spatial(of_spans)
