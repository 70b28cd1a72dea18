"""Element-wise operations on large arrays: on all cores, in blocks that stay in the cache.

Where all arrays lie in memory in the same order they are looked at as flat; NumPy itself does everything else.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...backend import empty_like, memory_order, scratch, share
from ._layout import ZEROS, arranged

LARGE = 1 << 16
"""Elements from which on another core is worth its call."""

BLOCK = 1 << 15
"""Elements of a block: several passes over it find it in the cache."""

_INTEGERS = {4: np.uint32, 8: np.uint64}
ONES = {integer: np.ones(len(ZEROS), integer) for integer in _INTEGERS.values()}


def add(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """a + b."""
    return binary("add", a, b)


def binary(name: str, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """NumPy's ufunc of that name."""
    flat = _flat(a, b) if a.size >= LARGE and a.shape == b.shape and a.dtype == b.dtype else None
    if flat is None:
        return getattr(np, name)(a, b)
    y = empty_like(a)
    share(_ufunc_part, a.size, (_as_flat(y),), flat, (name,), LARGE // 2)
    return y


def contiguous(x: np.ndarray) -> np.ndarray:
    """x itself if its elements lie in row-major order, else a copy of which that is true."""
    if x.size < LARGE or x.flags.c_contiguous:
        return np.ascontiguousarray(x).reshape(x.shape)
    return arranged(x, tuple(range(x.ndim)))


def unary(name: str, x: np.ndarray) -> np.ndarray:
    """NumPy's ufunc of that name."""
    flat = _flat(x) if x.size >= LARGE and x.dtype.kind == "f" else None
    if flat is None:
        return getattr(np, name)(x)
    y = empty_like(x)
    share(_ufunc_part, x.size, (_as_flat(y),), flat, (name,), LARGE // 2)
    return y


def relu(x: np.ndarray) -> np.ndarray:
    """max(x, 0)."""
    flat = _flat(x) if x.size >= LARGE and x.dtype == np.float32 else None
    if flat is None:
        return np.maximum(x, 0)
    y = empty_like(x)
    share(_relu_part, x.size, (_as_flat(y),), flat, (), LARGE // 2)
    return y


def relu_backward(gy: np.ndarray, y: np.ndarray, plus: np.ndarray | None = None) -> np.ndarray:
    """gy where y > 0, else 0, for y = max(x, 0), plus another gradient of x; NaN in y lets gy through."""
    arrays = (y, gy) if plus is None else (y, gy, plus)
    same = all(array.shape == y.shape and array.dtype == y.dtype for array in arrays)
    if gy.dtype.itemsize not in _INTEGERS or not same or (flat := _flat(*arrays)) is None:
        gx = np.where(y == 0, gy.dtype.type(0), gy)
        return gx if plus is None else gx + plus
    gx = empty_like(y)
    share(_relu_backward_part, y.size, (_as_flat(gx),), (*flat, None)[:3], (), LARGE // 2)
    return gx


def leaky_relu(x: np.ndarray, slope: float) -> np.ndarray:
    """x where x > 0, else slope · x."""
    flat = _flat(x) if 0 < slope <= 1 and x.dtype.kind == "f" else None
    if flat is None:
        return np.where(x > 0, x, slope * x)
    y = empty_like(x)
    share(_leaky_relu_part, x.size, (_as_flat(y),), flat, (slope,), LARGE // 2)
    return y


def leaky_relu_backward(gy: np.ndarray, x: np.ndarray, slope: float) -> np.ndarray:
    """gy where x > 0, else slope · gy."""
    if not 0 <= slope <= 1 or gy.shape != x.shape or gy.dtype.kind != "f" or (flat := _flat(x, gy)) is None:
        return np.where(x > 0, gy, slope * gy)
    gx = empty_like(x)
    share(_leaky_relu_backward_part, x.size, (_as_flat(gx),), flat, (slope,), LARGE // 2)
    return gx


def tanh_backward(gy: np.ndarray, y: np.ndarray) -> np.ndarray:
    """gy · (1 − y²), for y = tanh(x)."""
    if gy.shape != y.shape or (flat := _flat(y, gy)) is None:
        return gy * (1 - y * y)
    gx = empty_like(y)
    share(_tanh_backward_part, y.size, (_as_flat(gx),), flat, (), LARGE // 2)
    return gx


def mask(grads: np.ndarray, y: np.ndarray, out: np.ndarray) -> None:
    """out = grads where y is not 0, else 0, on contiguous arrays; y = max(x, 0).

    By bits: as an unsigned integer, y is 0 or at least 1, so min(y, 1) times the bits of the gradient is the gradient,
    whatever it is, or 0. NaN counts as not 0.
    """
    integer, length = _INTEGERS[y.dtype.itemsize], len(ZEROS)
    bits, grads, out = y.reshape(-1).view(integer), grads.reshape(-1).view(integer), out.reshape(-1).view(integer)
    kept = scratch("elementwise.mask", bits.shape, integer)
    rows = len(bits) // length * length
    np.minimum(bits[:rows].reshape(-1, length), ONES[integer], out=kept[:rows].reshape(-1, length))
    np.minimum(bits[rows:], 1, out=kept[rows:])
    np.multiply(kept, grads, out=out)


def _flat(*arrays: np.ndarray) -> tuple[np.ndarray, ...] | None:
    """The arrays as flat views, which pair the same elements; None where they lie in different orders or have gaps.

    All but the first may be copied into the first one's order.
    """
    order = memory_order(arrays[0])
    first = arrays[0] if order is None else arrays[0].transpose(order)
    if not first.flags.c_contiguous:
        return None
    flat = [first.reshape(-1)]
    for array in arrays[1:]:
        view = array if order is None else array.transpose(order)
        if not view.flags.c_contiguous:
            view = arranged(array, order or tuple(range(array.ndim)))
        flat.append(view.reshape(-1))
    return tuple(flat)


def _as_flat(y: np.ndarray) -> np.ndarray:
    order = memory_order(y)
    return (y if order is None else y.transpose(order)).reshape(-1)


def _blocks(start: int, stop: int) -> Any:
    return (slice(i, min(i + BLOCK, stop)) for i in range(start, stop, BLOCK))


def _ufunc_part(start: int, stop: int, outs, ins, name: str) -> None:
    getattr(np, name)(*[array[start:stop] for array in ins], out=outs[0][start:stop])


def _relu_part(start: int, stop: int, outs, ins) -> None:
    (y,), (x,) = outs, ins
    rows = (stop - start) // len(ZEROS) * len(ZEROS) + start
    np.maximum(x[start:rows].reshape(-1, len(ZEROS)), ZEROS, out=y[start:rows].reshape(-1, len(ZEROS)))
    np.maximum(x[rows:stop], 0, out=y[rows:stop])


def _relu_backward_part(start: int, stop: int, outs, ins) -> None:
    (gx,), (y, gy, plus) = outs, ins
    for block in _blocks(start, stop):
        mask(gy[block], y[block], gx[block])
        if plus is not None:
            np.add(gx[block], plus[block], out=gx[block])


def _leaky_relu_part(start: int, stop: int, outs, ins, slope: float) -> None:
    (y,), (x,) = outs, ins
    for block in _blocks(start, stop):
        np.multiply(x[block], slope, out=y[block])
        np.maximum(x[block], y[block], out=y[block])


def _leaky_relu_backward_part(start: int, stop: int, outs, ins, slope: float) -> None:
    (gx,), (x, gy) = outs, ins
    for block in _blocks(start, stop):
        positive = scratch("elementwise.positive", x[block].shape, np.bool_)
        factor = scratch("elementwise.factor", x[block].shape, x.dtype)
        np.greater(x[block], 0, out=positive)
        np.copyto(factor, positive)
        np.maximum(factor, slope, out=factor)
        np.multiply(gy[block], factor, out=gx[block])


def _tanh_backward_part(start: int, stop: int, outs, ins) -> None:
    (gx,), (y, gy) = outs, ins
    for block in _blocks(start, stop):
        square = scratch("elementwise.square", y[block].shape, y.dtype)
        np.multiply(y[block], y[block], out=square)
        np.subtract(1, square, out=square)
        np.multiply(gy[block], square, out=gx[block])
