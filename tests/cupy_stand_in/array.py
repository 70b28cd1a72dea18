"""The array: NumPy computes, but nothing passes between it and NumPy that CuPy would not let pass."""

import operator

import numpy as np

from .counters import moved_to_device, moved_to_host, synchronised
from .devices import Device, current_device
from .memory import Block, MemoryPointer
from .names import check_call
from .streams import get_current_stream

_SCALARS = (bool, int, float, complex, np.generic)


class ndarray:
    """As cupy.ndarray: a view of a block of device memory."""

    __array_priority__ = 100
    __hash__ = None

    def __init__(self, shape, dtype=float, memptr=None, strides=None, order="C"):
        shape = (shape,) if isinstance(shape, int | np.integer) else tuple(map(operator.index, shape))
        like = np.lib.stride_tricks.as_strided(np.empty(1, supported(dtype)), shape, (0,) * len(shape))
        block = Block(like.nbytes) if memptr is None else memptr.mem
        if strides is None:
            strides = _strides(shape, like.itemsize, order)
        self._block, self._array, self.base = block, block.array(shape, like.dtype, strides), None

    # Memory -----------------------------------------------------------------------------------------------------------

    shape = property(lambda self: self._array.shape)
    strides = property(lambda self: self._array.strides)
    dtype = property(lambda self: self._array.dtype)
    ndim = property(lambda self: self._array.ndim)
    size = property(lambda self: self._array.size)
    itemsize = property(lambda self: self._array.itemsize)
    nbytes = property(lambda self: self._array.nbytes)
    device = property(lambda self: Device(self._block.device))
    T = property(lambda self: self if self.ndim < 2 else self.transpose())
    mT = property(lambda self: self.swapaxes(-1, -2))

    @shape.setter
    def shape(self, shape):
        view = self.reshape(shape)
        if view._block is not self._block:
            raise AttributeError("incompatible shape")
        self._array = view._array

    @property
    def data(self):
        return MemoryPointer(self._block, self._array.__array_interface__["data"][0] - self._block.start)

    @property
    def flags(self):
        return Flags(self._array.flags, self.base is None)

    @property
    def __cuda_array_interface__(self):
        return self._array.__array_interface__ | {"stream": 1, "version": 3}

    # What leads to the host -------------------------------------------------------------------------------------------

    def get(self, stream=None, order="C", out=None, blocking=True):
        (get_current_stream() if stream is None else stream).catch_up()
        if blocking:
            synchronised("get")
        moved_to_host(self.nbytes, "get")
        if out is None:
            return self._array.copy(order)
        if not isinstance(out, np.ndarray):
            raise TypeError("Only numpy.ndarray can be obtained from cupy.ndarray")
        if out.dtype != self.dtype:
            raise TypeError(f"{out.dtype} array cannot be obtained from {self.dtype} array")
        if out.shape != self.shape:
            raise ValueError(f"Shape mismatch. Expected shape: {self.shape}, actual shape: {out.shape}")
        out[...] = self._array
        return out

    def __array__(self, dtype=None, copy=None):
        raise TypeError(
            "Implicit conversion to a NumPy array is not allowed. Please use `.get()` to construct a NumPy array "
            "explicitly."
        )

    def item(self):
        if self.size != 1:
            raise ValueError("can only convert an array of size 1 to a Python scalar")
        return self.get().item()

    def __bool__(self):
        return bool(self.get())

    def __int__(self):
        return int(self.get())

    def __float__(self):
        return float(self.get())

    def __complex__(self):
        return complex(self.get())

    def tolist(self):
        return self.get().tolist()

    def tobytes(self, order="C"):
        return self.get().tobytes(order)

    def __repr__(self):
        return repr(self.get())

    def __str__(self):
        return str(self.get())

    def __format__(self, specification):
        return format(self.get(), specification)

    def __reduce__(self):
        from .creation import array

        return array, (self.get(),)

    # What comes from the host -----------------------------------------------------------------------------------------

    def set(self, arr, stream=None):
        if not isinstance(arr, np.ndarray):
            raise TypeError("Only numpy.ndarray can be set to cupy.ndarray")
        if arr.dtype != self.dtype:
            raise TypeError(f"{arr.dtype} array cannot be set to {self.dtype} array")
        if arr.shape != self.shape:
            raise ValueError(f"Shape mismatch. Old shape: {self.shape}, new shape: {arr.shape}")
        if not (self.flags.c_contiguous or self.flags.f_contiguous):
            raise RuntimeError("Cannot set to non-contiguous array")
        self._copy_from_host(arr, stream)

    def _copy_from_host(self, arr, stream=None):
        from .pinned import is_pinned

        stream = get_current_stream() if stream is None else stream
        moved_to_device(arr.nbytes, "set")
        destination = self._array

        def copy():
            destination[...] = arr

        if stream.ptr and is_pinned(arr):
            stream.later(copy)
            return
        if not stream.ptr:
            synchronised("copy on the default stream")
        stream.catch_up()
        copy()

    # Indexing ---------------------------------------------------------------------------------------------------------

    def __getitem__(self, index):
        from .indexing import getitem

        return getitem(self, index)

    def __setitem__(self, index, value):
        from .indexing import setitem

        if index == slice(None) if isinstance(index, slice) else index is Ellipsis:
            if isinstance(value, np.ndarray):
                if value.dtype != self.dtype or value.shape != self.shape:
                    raise ValueError(
                        "copying a numpy.ndarray to a cupy.ndarray by empty slice assignment must ensure arrays have "
                        "same shape and dtype"
                    )
                self._copy_from_host(value)
                return
        setitem(self, index, value)

    def __len__(self):
        return len(self._array)

    def __iter__(self):
        if not self.ndim:
            raise TypeError("iteration over a 0-d array")
        return (self[i] for i in range(len(self)))

    # Copies -----------------------------------------------------------------------------------------------------------

    def astype(self, dtype, order="K", casting=None, subok=None, copy=True):
        if casting is not None or subok is not None:
            raise TypeError("casting and subok are not supported yet")
        result = self._array.astype(supported(dtype), order or "K", copy=False)
        if result is self._array and not copy:
            return self
        check_device(self)
        return store(result, order=order or "K")

    def copy(self, order="C"):
        if self._block.device != current_device():
            with self.device:
                source = self.astype(self.dtype, order, copy=False)
            if not (source.flags.c_contiguous or source.flags.f_contiguous):
                raise NotImplementedError("CuPy cannot copy non-contiguous array between devices.")
            return store(source._array, order="K")
        return self.astype(self.dtype, order)

    __copy__ = copy

    def __deepcopy__(self, memo):
        with self.device:
            return self.copy()

    def flatten(self, order="C"):
        return call(np.ndarray.flatten, self, order)

    def fill(self, value):
        if isinstance(value, np.ndarray):
            if value.shape != ():
                raise ValueError("non-scalar numpy.ndarray cannot be used for fill")
            value = value.item()
        with np.errstate(all="ignore"):
            self._array.fill(unwrap(value))

    def sort(self, axis=-1, kind=None):
        check_device(self)
        self._array.sort(axis, kind="stable")

    def nonzero(self):
        synchronised("nonzero")
        return call(np.ndarray.nonzero, self)

    def scatter_add(self, slices, value):
        from .indexing import scatter

        scatter(self, slices, value, np.add)

    # Protocols of NumPy -----------------------------------------------------------------------------------------------

    def __array_ufunc__(self, ufunc, method, *inputs, **kwargs):
        from .module import cupy

        if "out" in kwargs:
            if len(kwargs["out"]) != 1:
                raise ValueError("The 'out' parameter must have exactly one array value")
            kwargs["out"] = kwargs["out"][0]
        function = getattr(cupy, ufunc.__name__, None)
        if method != "__call__" or function is None:
            return NotImplemented
        if ufunc.__name__ in ("greater", "greater_equal", "less", "less_equal", "equal", "not_equal"):
            inputs = [x.item() if isinstance(x, np.ndarray) and x.ndim == 0 else x for x in inputs]
        return function(*inputs, **kwargs)

    def __array_function__(self, function, types, args, kwargs):
        from .module import cupy

        if not all(each in (ndarray, np.ndarray) for each in types):
            return NotImplemented
        place = cupy
        for name in [*function.__module__.split(".")[1:], function.__name__]:
            place = getattr(place, name, None)
            if place is None:
                return NotImplemented
        return place(*args, **kwargs)


class Flags:
    """As ``array.flags`` of CuPy."""

    def __init__(self, flags, owndata):
        self.c_contiguous, self.f_contiguous, self.owndata = flags.c_contiguous, flags.f_contiguous, owndata
        self.fnc = self.f_contiguous and not self.c_contiguous
        self.forc = self.f_contiguous or self.c_contiguous

    def __getitem__(self, name):
        return {"C_CONTIGUOUS": self.c_contiguous, "F_CONTIGUOUS": self.f_contiguous, "OWNDATA": self.owndata}[name]


def _strides(shape, itemsize, order):
    strides, step = [], itemsize
    for length in reversed(shape) if order in ("C", None) else shape:
        strides.append(step)
        step *= max(length, 1)
    return tuple(reversed(strides)) if order in ("C", None) else tuple(strides)


def supported(dtype):
    """The dtype, if CuPy has arrays of it."""
    dtype = np.dtype(dtype)
    if dtype.kind not in "biufc" or dtype.itemsize > (16 if dtype.kind == "c" else 8):
        raise ValueError(f"Unsupported dtype {dtype}")
    return dtype


def store(result, order="C"):
    """A new array on the current device with what a NumPy array holds."""
    array = ndarray.__new__(ndarray)
    array.base = None
    if order != "K" and order != "A":
        layout = _strides(result.shape, result.itemsize, order)
    else:
        layout = np.empty_like(result, order=order).strides
    array._block = Block(result.nbytes)
    array._array = array._block.array(result.shape, supported(result.dtype), layout)
    array._array[...] = result
    return array


def view(result, source):
    """An array for a NumPy array that lies in the memory of another array."""
    array = ndarray.__new__(ndarray)
    array._block, array._array = source._block, result
    array.base = source if source.base is None else source.base
    return array


def check_device(array):
    """Raise ValueError, as CuPy without peer access, if an array to compute with is not on the current device."""
    if array._block.device != current_device():
        raise ValueError(
            f"The device where the array resides ({array._block.device}) is different from the current device "
            f"({current_device()}). Peer access is unavailable between these devices."
        )


def unwrap(value, sources=None):
    """What NumPy is to compute with: the arrays inside of arrays of this module; nothing of NumPy's own but scalars."""
    if isinstance(value, ndarray):
        if sources is not None:
            check_device(value)
            sources.append(value)
        return value._array
    if isinstance(value, np.ndarray):
        raise TypeError(f"Unsupported type {type(value)}")
    if type(value) in (list, tuple):
        return type(value)(unwrap(each, sources) for each in value)
    return value


def wrap(result, sources, order="C"):
    """The array, or arrays, for a result of NumPy: a view where it lies in one of `sources`, else a new array."""
    if isinstance(result, np.ndarray):
        for source in sources:
            if result is source._array:
                return source
        for source in sources:
            if result.size and source._block.holds(result):
                return view(result, source)
        return store(result, order)
    if isinstance(result, np.generic):
        return store(np.asarray(result))
    if type(result) in (list, tuple):
        return type(result)(wrap(each, sources, order) for each in result)
    return result


def call(function, *args, order="C", **kwargs):
    """A function of NumPy on arrays of this module; `order` is the layout of a new result."""
    get_current_stream().catch_up()
    sources = []
    args, plain = unwrap(args, sources), {name: unwrap(value, sources) for name, value in kwargs.items()}
    with np.errstate(all="ignore"):
        return wrap(function(*args, **plain), sources, order)


def rearrange(function, array, *args, **kwargs):
    """A function of NumPy that only looks at an array in another shape: any device will do."""
    result = function(array._array, *args, **kwargs)
    if array._block.holds(result) or not result.size:
        return array if result is array._array else view(result, array)
    return call(function, array, *args, **kwargs)


# Methods and operators that are like NumPy's --------------------------------------------------------------------------


def _method(name, how):
    function = getattr(np.ndarray, name)

    def method(self, *args, **kwargs):
        check_call("cupy.ndarray", name, (self, *args), kwargs)
        return how(function, self, *args, **kwargs)

    return method


for _name in ("reshape", "transpose", "swapaxes", "squeeze", "ravel", "diagonal", "view"):
    setattr(ndarray, _name, _method(_name, rearrange))
for _name in (
    "all", "any", "argmax", "argmin", "clip", "conj", "cumprod", "cumsum", "dot", "max", "mean", "min", "prod",
    "repeat", "round", "std", "sum", "trace", "var", "argsort", "searchsorted",
):  # fmt: skip
    setattr(ndarray, _name, _method(_name, call))
