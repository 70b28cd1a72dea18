"""Making arrays: from host memory, which is a transfer, and from nothing."""

import numpy as np

from .array import call, ndarray, store, supported, unwrap
from .counters import moved_to_device, synchronised
from .devices import current_device
from .pinned import is_pinned
from .streams import get_current_stream


def array(obj, dtype=None, copy=True, order="K", subok=False, ndmin=0, *, blocking=False):
    if subok:
        raise NotImplementedError
    order = order or "K"
    if isinstance(obj, ndarray):
        if obj._block.device == current_device():
            result = obj.astype(obj.dtype if dtype is None else dtype, order, copy=bool(copy))
        else:
            result = obj.copy(order).astype(obj.dtype if dtype is None else dtype, copy=False)
    elif isinstance(obj, list | tuple) and _holds_arrays(obj):
        result = call(np.array, list(obj), order="C", **({} if dtype is None else {"dtype": supported(dtype)}))
    else:
        result = _from_host(obj, dtype, order, blocking)
    return result.reshape((1,) * (ndmin - result.ndim) + result.shape) if ndmin > result.ndim else result


def _holds_arrays(obj):
    return any(isinstance(each, ndarray) or (isinstance(each, list | tuple) and _holds_arrays(each)) for each in obj)


def _from_host(obj, dtype, order, blocking):
    host = np.asarray(obj, None if dtype is None else supported(dtype), order=order)
    supported(host.dtype)
    moved_to_device(host.nbytes, "array")
    stream = get_current_stream()
    if blocking:
        synchronised("blocking copy")
    if is_pinned(host) and not blocking:
        result = empty(host.shape, host.dtype, "F" if host.flags.fnc else "C")
        stream.later(lambda: np.copyto(result._array, host))
        return result
    return store(host, order)


def asarray(a, dtype=None, order=None, *, copy=None, blocking=False):
    return array(a, dtype, bool(copy), order, blocking=blocking)


def ascontiguousarray(a, dtype=None):
    result = array(a, dtype, copy=False, order="C")
    return result.reshape(1) if not result.ndim else result


def asfortranarray(a, dtype=None):
    return array(a, dtype, copy=False, order="F")


def copy(a, order="K"):
    return a.copy(order)


def asnumpy(a, stream=None, order="C", out=None, *, blocking=True):
    if isinstance(a, ndarray):
        return a.get(stream, order, out, blocking)
    result = np.asarray(a, order=order)
    if out is not None:
        out[...] = result
        return out
    return result


def empty(shape, dtype=float, order="C"):
    return ndarray(shape, dtype, order=order)


def full(shape, fill_value, dtype=None, order="C"):
    if dtype is None:
        dtype = fill_value.dtype if isinstance(fill_value, ndarray) else np.asarray(fill_value).dtype
    result = empty(shape, dtype, order)
    result[...] = fill_value
    return result


def zeros(shape, dtype=float, order="C"):
    return full(shape, 0, dtype, order)


def ones(shape, dtype=float, order="C"):
    return full(shape, 1, dtype, order)


def empty_like(prototype, dtype=None, order="K", subok=None, shape=None):
    if subok is not None:
        raise TypeError("subok is not supported yet")
    if not isinstance(prototype, ndarray):
        raise TypeError(f"Unsupported type {type(prototype)}")
    like = np.empty_like(prototype._array, supported(prototype.dtype if dtype is None else dtype), order, shape=shape)
    result = ndarray(like.shape, like.dtype)
    result._array = result._block.array(like.shape, like.dtype, like.strides)
    return result


def full_like(a, fill_value, dtype=None, order="K", subok=None, shape=None):
    result = empty_like(a, dtype, order, subok, shape)
    result[...] = fill_value
    return result


def zeros_like(a, dtype=None, order="K", subok=None, shape=None):
    return full_like(a, 0, dtype, order, subok, shape)


def ones_like(a, dtype=None, order="K", subok=None, shape=None):
    return full_like(a, 1, dtype, order, subok, shape)


def _made(function):
    """A function that makes an array from numbers: NumPy's, on the device."""

    def make(*args, **kwargs):
        with np.errstate(all="ignore"):
            return store(function(*[unwrap(each) for each in args], **kwargs))

    return make


arange, linspace, eye, identity, tri = map(_made, (np.arange, np.linspace, np.eye, np.identity, np.tri))
