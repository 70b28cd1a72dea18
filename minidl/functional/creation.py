"""Making tensors: from data, from constants, at random."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import numpy as np

from .. import backend, kernels
from ..autograd import Tensor, check_tensor
from ..backend import Device, Generator, check_generator, is_array, making_on, stream, to_device, to_numpy
from ..errors import ArgumentError, ArgumentTypeError, DeviceError, DtypeError, OutOfRangeError, ShapeError
from ._shared import Ints, check_integer, check_number, integers
from .broadcast import broadcast_shapes
from .casting import as_dtype


def _make(array: np.ndarray, dtype: Any, device: Device | str | None, requires_grad: bool) -> Tensor:
    """A tensor around a fresh array, converted and moved as asked."""
    if dtype is not None:
        with np.errstate(over="ignore", invalid="ignore"):
            array = array.astype(as_dtype(dtype), copy=False)
    return Tensor(array if device is None else to_device(array, device), requires_grad=requires_grad)


def _made(op: str, make: Callable[[Any], Any], dtype: Any, device: Device | str | None, requires_grad: bool) -> Tensor:
    """A tensor around what `make` gives with the array module of the device: made there, not moved there."""
    if device is None:
        return _make(make(np), dtype, None, requires_grad)
    with making_on(Device(device), op) as xp:
        return _make(make(xp), dtype, None, requires_grad)


def _leaf(data: Any) -> Any:
    """The first element of nested lists."""
    while isinstance(data, list | tuple) and data:
        data = data[0]
    return data


def tensor(data: Any, dtype: Any = None, device: Device | str | None = None, requires_grad: bool = False) -> Tensor:
    """A tensor with a copy of `data`.

    Args:      data: numbers in nested lists, a number, an array or a tensor. dtype: by default Python floats become
               float32, integers int64, booleans bool; arrays and NumPy scalars keep theirs. device: "cpu" or "cuda"
    Raises:    ArgumentError: ragged lists. DtypeError: elements that are no numbers
    """
    if isinstance(data, Tensor):
        data = data.data
    if is_array(data):
        own = backend.copy(data) if isinstance(data, np.ndarray) else data.copy()
        return _make(own, dtype, device, requires_grad)
    first = _leaf(data)
    if isinstance(first, Tensor):
        data = _unwrap(data)
        first = _leaf(data)
    try:
        array = np.array(data)
    except ValueError:
        raise ArgumentError(f"tensor: the lists are ragged, so they have no shape: {str(data)[:80]}") from None
    if array.dtype == object and all(isinstance(item, int) for item in array.flat):
        raise OutOfRangeError(f"tensor: {str(data)[:80]} does not fit into int64")
    if array.dtype.kind not in "biuf":
        raise DtypeError(f"tensor: elements must be numbers, got {array.dtype} from {str(data)[:80]}")
    if dtype is None:  # the first element's, if it has one; a Python number has none
        own = first.dtype if isinstance(first, np.ndarray | np.generic) else None
        if array.dtype.kind == "f":
            dtype = own if own is not None and own.kind == "f" else np.float32
        elif array.dtype.kind in "iu" and own is None:
            dtype = np.int64
    wanted = array.dtype if dtype is None else as_dtype(dtype)
    if wanted.kind in "iu" and array.dtype.kind in "iu" and array.size:
        low, high = int(array.min()), int(array.max())
        if low < np.iinfo(wanted).min or high > np.iinfo(wanted).max:
            raise OutOfRangeError(f"tensor: {low} to {high} does not fit into {wanted}")
    return _make(array, dtype, device, requires_grad)


def _unwrap(data: Any) -> Any:
    if isinstance(data, list | tuple):
        return [_unwrap(item) for item in data]
    return to_numpy(data.data) if isinstance(data, Tensor) else data


def from_numpy(array: np.ndarray) -> Tensor:
    """A tensor that shares memory with `array`."""
    if not isinstance(array, np.ndarray):
        raise ArgumentTypeError(
            f"from_numpy: expected a NumPy array, got {type(array).__name__}; use minidl.tensor(...)"
        )
    return Tensor(array)


def as_shape(sizes: tuple[Any, ...], op: str, size: Any = None) -> tuple[int, ...]:
    """A shape given as integers, as one sequence, or by the keyword `size`."""
    shape = integers(sizes, op, size)
    if any(length < 0 for length in shape):
        raise ArgumentError(f"{op}: sizes must not be negative, got {shape}")
    return shape


def zeros(*sizes: Any, size: Any = None, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A tensor of zeros, float32 unless said otherwise."""
    shape, dtype = as_shape(sizes, "zeros", size), as_dtype(dtype or np.float32)
    return _made("zeros", lambda xp: xp.zeros(shape, dtype), None, device, requires_grad)


def ones(*sizes: Any, size: Any = None, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A tensor of ones, float32 unless said otherwise."""
    shape, dtype = as_shape(sizes, "ones", size), as_dtype(dtype or np.float32)
    return _made("ones", lambda xp: xp.ones(shape, dtype), None, device, requires_grad)


def empty(*sizes: Any, size: Any = None, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A tensor of undefined contents, float32 unless said otherwise."""
    shape, dtype = as_shape(sizes, "empty", size), as_dtype(dtype or np.float32)
    make = lambda xp: backend.empty(shape, dtype) if xp is np else xp.empty(shape, dtype)  # noqa: E731
    return _made("empty", make, None, device, requires_grad)


def full(size: Ints, fill_value: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A tensor of one value; without dtype: float32, int64 or bool by the value's type."""
    shape = as_shape((size,), "full")
    value = to_numpy(tensor(fill_value).data)
    if value.size != 1:
        raise ArgumentError(f"full: fill_value must be one number, got shape {value.shape}")
    if dtype is None and value.dtype.kind == "f":
        dtype = np.float32
    return _made("full", lambda xp: xp.full(shape, value.item(), value.dtype), dtype, device, requires_grad)


def eye(n: int, m: int | None = None, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """An n × m matrix (m = n by default) with ones on the diagonal."""
    shape = as_shape((n, n if m is None else m), "eye")
    return _made("eye", lambda xp: xp.eye(*shape, dtype=as_dtype(dtype or np.float32)), None, device, requires_grad)


def arange(
    start: float = 0,
    end: float | None = None,
    step: float = 1,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """start, start + step, … below `end`; ``arange(n)`` counts from 0. int64 for integers, else float32.

    Raises:    ArgumentError: step is 0, or leads away from end
    """
    if end is None:
        start, end = 0, start
    for value in (start, end, step):
        if not isinstance(value, int | float | np.number):
            raise ArgumentTypeError(f"arange: expected numbers, got {value!r}")
    if not np.isfinite([start, end, step]).all():
        raise ArgumentError(f"arange: start, end and step must be finite, got {start}, {end}, {step}")
    if step == 0 or (end - start) * step < 0:
        raise ArgumentError(f"arange: step {step} never reaches {end} from {start}")
    if dtype is None:
        dtype = np.float32 if any(isinstance(v, float | np.floating) for v in (start, end, step)) else np.int64
    return _made("arange", lambda xp: xp.arange(start, end, step), dtype, device, requires_grad)


def linspace(
    start: float, end: float, steps: int, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """`steps` numbers from start to end, both included, evenly spaced."""
    start, end = check_number(start, "linspace", "start"), check_number(end, "linspace", "end")
    (count,) = as_shape((check_integer(steps, "linspace", "steps"),), "linspace")
    with np.errstate(invalid="ignore"):
        return _made("linspace", lambda xp: xp.linspace(start, end, count), dtype or np.float32, device, requires_grad)


def _like(x: Tensor, op: str, dtype: Any, device: Any) -> dict[str, Any]:
    x = check_tensor(x, op, "x")
    return {
        "size": x.shape,
        "dtype": x.dtype if dtype is None else dtype,
        "device": x.device if device is None else device,
    }


def zeros_like(x: Tensor, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Zeros with the shape, dtype and device of x."""
    return zeros(**_like(x, "zeros_like", dtype, device), requires_grad=requires_grad)


def ones_like(x: Tensor, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Ones with the shape, dtype and device of x."""
    return ones(**_like(x, "ones_like", dtype, device), requires_grad=requires_grad)


def empty_like(x: Tensor, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Undefined contents with the shape, dtype and device of x."""
    return empty(**_like(x, "empty_like", dtype, device), requires_grad=requires_grad)


def full_like(
    x: Tensor, fill_value: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """One value with the shape, dtype and device of x."""
    return full(fill_value=fill_value, **_like(x, "full_like", dtype, device), requires_grad=requires_grad)


def _float_dtype(dtype: Any, op: str) -> np.dtype:
    found = as_dtype(dtype or np.float32)
    if found.kind != "f":
        raise DtypeError(f"{op}: draws floating-point numbers, not {found}; see randint")
    return found


def _draw(op: str, name: str, generator: Generator | None, device: Any, *settings: Any) -> Any:
    """An array of random numbers, drawn where it is to be: on `device`, by default on the generator's."""
    generator = check_generator(generator, op) or stream("default")
    place = generator.device if device is None else Device(device)
    with nullcontext() if place.type == "cpu" else making_on(place, op):
        return getattr(kernels.random_on(place), name)(generator, *settings)


def rand(
    *sizes: Any,
    size: Any = None,
    generator: Generator | None = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Uniform numbers in [0, 1), drawn on `device`.

    Args:      generator: whose numbers to take; by default those of the stream that manual_seed restarts.
               device: by default the generator's
    """
    shape, dtype = as_shape(sizes, "rand", size), _float_dtype(dtype, "rand")
    return Tensor(_draw("rand", "uniform", generator, device, shape, dtype), requires_grad)


def randn(
    *sizes: Any,
    size: Any = None,
    generator: Generator | None = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Numbers from the standard normal distribution. `generator`, `device`: see :func:`rand`."""
    shape, dtype = as_shape(sizes, "randn", size), _float_dtype(dtype, "randn")
    return Tensor(_draw("randn", "normal", generator, device, shape, dtype), requires_grad)


def rand_like(
    x: Tensor,
    *,
    generator: Generator | None = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Uniform numbers in [0, 1) with the shape, dtype and device of x."""
    like = _like(x, "rand_like", dtype, device)
    return rand(generator=generator, requires_grad=requires_grad, **like)


def randn_like(
    x: Tensor,
    *,
    generator: Generator | None = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Standard normal numbers with the shape, dtype and device of x."""
    like = _like(x, "randn_like", dtype, device)
    return randn(generator=generator, requires_grad=requires_grad, **like)


def randint(
    low: int = 0,
    high: int | Ints | None = None,
    size: Ints | None = None,
    *,
    generator: Generator | None = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Integers in [low, high), int64. ``randint(high, size)`` counts from 0.

    Raises:    ArgumentError: nothing lies in [low, high)
    """
    if size is None:
        low, high, size = 0, low, high
    if size is None or not isinstance(low, int | np.integer) or not isinstance(high, int | np.integer):
        raise ArgumentTypeError("randint: call it as randint(high, size) or randint(low, high, size)")
    if low >= high:
        raise ArgumentError(f"randint: no integer lies in [{low}, {high})")
    array = _draw("randint", "integers", generator, device, low, high, as_shape((size,), "randint"))
    return _make(array, dtype, None, requires_grad)


def randperm(n: int, *, generator: Generator | None = None, dtype: Any = None, device: Any = None) -> Tensor:
    """The integers 0 … n − 1 in random order, int64."""
    (count,) = as_shape((check_integer(n, "randperm", "n"),), "randperm")
    return _make(_draw("randperm", "permutation", generator, device, count), dtype, None, False)


def normal(
    mean: float | Tensor = 0.0,
    std: float | Tensor = 1.0,
    size: Ints | None = None,
    *,
    generator: Generator | None = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Numbers from the normal distribution; mean and std may be tensors, whose common shape is then the size.

    Args:      generator: see :func:`rand`. device: by default that of the tensors, else the generator's
    Raises:    ArgumentError: a negative std (on a GPU when results next come to the host), or no size for a mean and
               std that are numbers. DeviceError: mean and std on two devices
    """
    for name, value in (("mean", mean), ("std", std)):
        if not isinstance(value, Tensor | int | float | np.number):
            raise ArgumentTypeError(f"normal: {name} must be a number or a Tensor, got {type(value).__name__}")
    tensors = [value for value in (mean, std) if isinstance(value, Tensor)]
    if size is None and not tensors:
        raise ArgumentError("normal: give a size, or a tensor as mean or std")
    if device is None and tensors:
        device = tensors[0].device
        if tensors[-1].device != device:
            raise DeviceError(f"normal: mean is on {device} and std on {tensors[-1].device}; move one with .to(device)")
    means, stds = (
        to_device(value.data, device) if isinstance(value, Tensor) else float(value) for value in (mean, std)
    )
    backend.check(np.less(stds, 0), lambda: ArgumentError(f"normal: std must not be negative, got {np.min(stds)}"))
    shapes = [value.shape if isinstance(value, Tensor) else () for value in (mean, std)]
    shape = broadcast_shapes("normal", *shapes)
    if size is not None:
        wide = as_shape((size,), "normal")
        if broadcast_shapes("normal", wide, shape) != wide:
            raise ShapeError(f"normal: size {wide} does not hold a mean of shape {shapes[0]} and a std of {shapes[1]}")
        shape = wide
    common = np.result_type(*(value.dtype if isinstance(value, Tensor) else np.float32 for value in (mean, std)))
    wanted = _float_dtype(common if dtype is None else dtype, "normal")
    array = _draw("normal", "normal", generator, device, shape, wanted)
    return _make(array * stds + means, wanted, None, requires_grad)
