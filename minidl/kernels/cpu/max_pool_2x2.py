"""Max pooling that records its winners, and its gradient.

The 2×2 windows that do not overlap, which most networks use, have a way of their own on images whose pixels are long
rows in memory: the maximum of four strided views, and three bits that say which of the four it was. Backward spreads
the gradients by those bits and looks at no value again. Everything else keeps the indices of the maxima.

Backward takes about three times as long as PyTorch's, and with overlapping windows six times: a compiled loop writes
one number for each window where it belongs, while NumPy's fast calls write whole arrays, and its scattering one goes
number by number through an index.
"""

from __future__ import annotations

import numpy as np

from ...backend import empty, scratch, share
from ._layout import CHWN, HWNC, arranged
from .elementwise import LARGE
from .pooling import Size, max_pool, plane_scatter

BLOCK = 1 << 15
"""Outputs to work on at once."""

SHORTEST = 8
"""Elements that lie side by side for one pixel, below which NumPy's inner loops are too short."""

_INTEGERS = {4: np.uint32, 8: np.uint64}


def max_pool_recorded(
    x: np.ndarray, *, kernel: Size, stride: Size, padding: Size, dilation: Size, out_size: Size
) -> tuple[np.ndarray, np.ndarray]:
    """The largest element of every window, and a record of which it was: see :func:`recorded_indices`."""
    windows = (kernel, stride, padding, dilation) == ((2, 2), (2, 2), (0, 0), (1, 1))
    order = _order(x) if windows and x.ndim == 4 and out_size == (x.shape[2] // 2, x.shape[3] // 2) else None
    if order is not None and x.dtype.char in "fd" and x.size:
        y = empty((*x.shape[:2], *out_size), x.dtype, order, shared=True)
        record = empty((3, *y.shape), np.bool_, (0, *(axis + 1 for axis in order)), shared=True)
        nan = empty((1,), np.bool_, shared=True)
        nan[0] = False
        outs = (_planes(y, order), _planes(record, order), nan)
        rows = outs[0].shape[0] * outs[0].shape[1]
        share(_pool_part, rows, outs, (_planes(x, order),), (), max(1, rows * LARGE // x.size))
        if not nan[0]:
            return y, record
    return max_pool(x, kernel=kernel, stride=stride, padding=padding, dilation=dilation, out_size=out_size)


def recorded_indices(record: np.ndarray, *, size: Size) -> np.ndarray:
    """Where the recorded maxima are: positions in the flattened planes of this size, int64."""
    if record.dtype != np.bool_:
        return record
    top_right, bottom_right, bottom = record
    rows, columns = np.indices(bottom.shape[2:])
    right = np.where(bottom, bottom_right, top_right)
    return (2 * rows + bottom) * size[1] + 2 * columns + right


def recorded_input_grad(gy: np.ndarray, record: np.ndarray, *, size: Size, accumulate: bool) -> np.ndarray:
    """Planes of this size with each gradient at its recorded maximum; `accumulate`: windows overlap, so they add up."""
    if record.dtype != np.bool_:
        return plane_scatter(gy, record, size=size, accumulate=accumulate)
    order = tuple(axis - 1 for axis in np.argsort([-s for s in record.strides])[1:])
    order = HWNC if order == HWNC else CHWN
    gx = empty((*gy.shape[:2], *size), gy.dtype, order, shared=True)
    grads = arranged(gy, order)
    ins = (grads if order == CHWN else grads.reshape(1, *grads.shape[:2], -1), _planes(record, order))
    rows = ins[0].shape[0] * ins[0].shape[1]
    share(_spread_part, rows, (_planes(gx, order),), ins, (), max(1, rows * LARGE // gx.size))
    return gx


def _order(x: np.ndarray) -> tuple[int, ...] | None:
    """The order of x in memory if a pixel has long rows in it."""
    if x.transpose(HWNC).flags.c_contiguous and len(x) * x.shape[1] >= SHORTEST:
        return HWNC
    return CHWN if x.transpose(CHWN).flags.c_contiguous and len(x) >= SHORTEST else None


def _planes(x: np.ndarray, order: tuple[int, ...]) -> np.ndarray:
    """x as (..., A, H, W, B) in memory order: A = C, B = N, or A = 1, B = N·C."""
    lead = x.shape[: x.ndim - 4]
    x = x.transpose(*range(len(lead)), *(axis + len(lead) for axis in order))
    return x if order == CHWN else x.reshape(*lead, 1, *x.shape[len(lead) : len(lead) + 2], -1)


def _blocks(start: int, stop: int, height: int, row: int):
    """(plane, first row, last row) of blocks of the rows start:stop of planes of this height."""
    step = max(1, BLOCK // max(row, 1))
    while start < stop:
        plane, first = divmod(start, height)
        last = min(first + step, height, first + stop - start)
        yield plane, first, last
        start += last - first


def _four(x: np.ndarray, plane: int, first: int, last: int, width: int):
    """The four pixels of each window of some rows: top left and right, bottom left and right."""
    top, bottom = x[plane, 2 * first : 2 * last : 2], x[plane, 2 * first + 1 : 2 * last : 2]
    left, right = slice(0, 2 * width, 2), slice(1, 2 * width, 2)
    return top[:, left], top[:, right], bottom[:, left], bottom[:, right]


def _pool_part(start: int, stop: int, outs, ins) -> None:
    (y, record, nan), (x,) = outs, ins
    _, height, width, row = y.shape
    for plane, first, last in _blocks(start, stop, height, width * row):
        a, b, c, d = _four(x, plane, first, last, width)
        best, (top_right, bottom_right, bottom) = y[plane, first:last], record[:, plane, first:last]
        lower = scratch("pool.lower", best.shape, best.dtype)
        np.greater(b, a, out=top_right)
        np.greater(d, c, out=bottom_right)
        np.maximum(a, b, out=best)
        np.maximum(c, d, out=lower)
        np.greater(lower, best, out=bottom)
        np.maximum(best, lower, out=best)
        if np.isnan(best.min()):  # NaN is never `>`, but it has to win: for another way to find where
            nan[0] = True


def _spread_part(start: int, stop: int, outs, ins) -> None:
    (gx,), (gy, record) = outs, ins
    _, height, width, row = gy.shape
    integer = _INTEGERS[gy.dtype.itemsize]
    gx, gy = gx.view(integer), gy.view(integer)
    for plane, first, last in _blocks(start, stop, height, width * row):
        a, b, c, d = _four(gx, plane, first, last, width)
        grads, (top_right, bottom_right, bottom) = gy[plane, first:last], record[:, plane, first:last]
        bit, upper, lower = (scratch(f"pool.{name}", grads.shape, integer) for name in ("bit", "upper", "lower"))
        np.copyto(bit, bottom)
        np.multiply(grads, bit, out=lower)
        np.bitwise_xor(grads, lower, out=upper)
        np.copyto(bit, top_right)
        np.multiply(upper, bit, out=b)
        np.bitwise_xor(upper, b, out=a)
        np.copyto(bit, bottom_right)
        np.multiply(lower, bit, out=d)
        np.bitwise_xor(lower, d, out=c)
        gx[plane, 2 * first : 2 * last, 2 * width :] = 0
        if last == height:
            gx[plane, 2 * height :] = 0
