"""Indexing: NumPy's rules, except that indices out of range come round again, as they do in CuPy, and are counted."""

import numpy as np

from .array import call, check_device, ndarray, rearrange, store
from .counters import synchronised, wrapped
from .creation import array


def getitem(self, index):
    parts, is_view = _prepare(index)
    if is_view:
        return rearrange(np.ndarray.__getitem__, self, parts) if not _is_full(self, parts) else _element(self, parts)
    _count_masks(parts)
    check_device(self)
    return store(np.asarray(self._array[_wrapped(self, parts)]))


def setitem(self, index, value):
    parts, is_view = _prepare(index)
    check_device(self)
    if not is_view:
        _count_masks(parts)
        if not isinstance(value, ndarray):
            value = array(value, dtype=self.dtype)
        parts = _wrapped(self, parts)
    elif not isinstance(value, ndarray):
        if isinstance(value, np.ndarray) and value.shape != ():
            raise ValueError("non-scalar numpy.ndarray cannot be used for fill")
        if isinstance(value, list | tuple):
            raise TypeError(f"Unsupported type {type(value)}")
        value = np.asarray(value)[()]

    def put(target, source):
        target[parts] = source

    call(put, self, value)


def scatter(self, index, value, function):
    """As ``function.at(self, index, value)``: cupy.add.at, cupyx.scatter_add."""
    parts, _ = _prepare(index)
    if self.dtype.kind == "b" or (self.dtype.kind == "i" and self.itemsize != 4) or self.itemsize == 1:
        raise TypeError("scatter_add only supports int32, float16, float32, float64, uint32, uint64, as data type")
    if not isinstance(value, ndarray):
        value = array(value, dtype=self.dtype)
    call(lambda target, source: function.at(target, _wrapped(self, parts), source.astype(target.dtype)), self, value)


def _prepare(index):
    """The index as a tuple of what NumPy takes, and whether it gives a view."""
    parts, is_view = [], True
    for part in index if isinstance(index, tuple) else (index,):
        if part is None or part is Ellipsis or isinstance(part, slice):
            parts.append(slice(*map(_bound, (part.start, part.stop, part.step))) if isinstance(part, slice) else part)
            continue
        if np.isscalar(part) and not isinstance(part, bool | np.bool_):
            parts.append(part)
            continue
        is_view = False
        if not isinstance(part, ndarray):
            empty = isinstance(part, list | tuple) and not np.size(part)
            part = array(np.asarray(part, np.int32) if empty else part)
        if part.dtype.kind not in "biu":
            raise IndexError(f"arrays used as indices must be of integer or boolean type. (actual: {part.dtype.type})")
        check_device(part)
        parts.append(part._array)
    return tuple(parts), is_view


def _bound(value):
    """A bound of a slice; a device array cannot be one."""
    if isinstance(value, ndarray):
        raise TypeError("slice indices must be integers or None or have an __index__ method")
    return value


def _is_full(self, parts):
    return len([part for part in parts if part is not None]) == self.ndim and all(
        isinstance(part, int | np.integer) for part in parts
    )


def _element(self, parts):
    """A 0-d view of one element."""
    return rearrange(lambda x: x[(*parts, Ellipsis)], self)


def _count_masks(parts):
    if any(isinstance(part, np.ndarray) and part.dtype.kind == "b" for part in parts):
        synchronised("a mask as an index")


def _wrapped(self, parts):
    """The index with its integer arrays brought into range."""
    consumed = sum(
        0 if part is None or part is Ellipsis else part.ndim if getattr(part, "dtype", None) == np.bool_ else 1
        for part in parts
    )
    axis, result = 0, []
    for part in parts:
        if part is None:
            pass
        elif part is Ellipsis:
            axis += self.ndim - consumed
        elif isinstance(part, np.ndarray) and part.dtype.kind == "b":
            axis += part.ndim
        else:
            if isinstance(part, np.ndarray):
                part = in_range(part, self.shape[axis] if axis < self.ndim else 1, "indexing")
            axis += 1
        result.append(part)
    return tuple(result)


def in_range(indices, length, what):
    """Indices modulo the length of their axis; those that were not in range are counted."""
    if not length:
        if indices.size:
            raise IndexError("cannot do a non-empty take from an empty axes.")
        return indices
    outside = int(((indices < -length) | (indices >= length)).sum())
    if outside:
        wrapped(outside, what)
    return indices.astype(np.int64) % length


def take(a, indices, axis=None, out=None):
    if not isinstance(indices, ndarray):
        if np.isscalar(indices):
            length = a.size if axis is None else a.shape[axis]
            return call(np.take, a, int(in_range(np.asarray(indices), length, "take")), axis=axis, out=out)
        indices = array(indices, dtype=int)

    def taken(x, chosen, out):
        return np.take(x, in_range(chosen, x.size if axis is None else x.shape[axis], "take"), axis, out)

    return call(taken, a, indices, out)


def take_along_axis(a, indices, axis=-1):
    def taken(x, chosen):
        return np.take_along_axis(x, in_range(chosen, x.size if axis is None else x.shape[axis], "take"), axis)

    return call(taken, a, indices)


ndarray.take = take
