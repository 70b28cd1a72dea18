"""Copies, conversions between dtypes, and moves between devices."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..autograd import Function, Tensor, check_tensor
from ..autograd.tensor import SUPPORTED_DTYPES
from ..backend import Device, array_module, device_of, to_device
from ..errors import DtypeError


class Clone(Function):
    """A copy of the memory."""

    saves_inputs = ()
    saves_outputs = ()

    def forward(self, x: Any) -> Any:
        return x.copy(order="K")

    def backward(self, gy: Tensor) -> Tensor:
        return gy


class Contiguous(Clone):
    """A copy in row-major order, unless it lies so already."""

    def forward(self, x: Any) -> Any:
        return array_module(x).ascontiguousarray(x)


class Cast(Function):
    """Another dtype; the gradient is converted back."""

    saves_inputs = ()
    saves_outputs = ()

    def __init__(self, *, dtype: np.dtype):
        self.dtype = dtype

    def forward(self, x: Any) -> Any:
        return x.astype(self.dtype)  # 1e300 is ∞ in float32

    def backward(self, gy: Tensor) -> Tensor:
        return Cast(dtype=self.input_dtypes[0])(gy)


class ToDevice(Function):
    """Another device; the gradient is moved back."""

    saves_inputs = ()
    saves_outputs = ()

    def __init__(self, *, device: Device):
        self.device = device

    def forward(self, x: Any) -> Any:
        self.source = device_of(x)
        return to_device(x, self.device)

    def backward(self, gy: Tensor) -> Tensor:
        return ToDevice(device=self.source)(gy)


def as_dtype(dtype: Any) -> np.dtype:
    """A dtype of minidl from its name, NumPy's dtype or scalar type, or a Python type (float is float64, int int64).

    Raises:    DtypeError: minidl has no such dtype
    """
    try:
        found = np.dtype(dtype)
    except TypeError:
        raise DtypeError(f"{dtype!r} is not a dtype; minidl has {', '.join(map(str, SUPPORTED_DTYPES))}") from None
    if found not in SUPPORTED_DTYPES:
        raise DtypeError(f"dtype {found} is not supported; minidl has {', '.join(map(str, SUPPORTED_DTYPES))}")
    return found


def clone(x: Tensor) -> Tensor:
    """A copy of the memory, through which gradients flow."""
    return Clone()(x)


def contiguous(x: Tensor) -> Tensor:
    """The tensor in row-major order without gaps; itself where it is so already."""
    return x if check_tensor(x, "contiguous", "x").is_contiguous() else Contiguous()(x)


def to(x: Tensor, *targets: Any, device: Device | str | None = None, dtype: Any = None) -> Tensor:
    """The tensor on another device, in another dtype, or both; itself where nothing changes.

    Args:      targets: a device ("cuda"), a dtype (minidl.float64), or a Tensor whose device and dtype to take
    Raises:    DeviceError: the device is not there. DtypeError: no such dtype
    """
    x = check_tensor(x, "to", "x")
    device, dtype = destination(targets, device, dtype)
    if device is not None and x.device != device:
        x = ToDevice(device=device)(x)
    if dtype is not None and x.dtype != dtype:
        x = Cast(dtype=dtype)(x)
    return x


def destination(
    targets: tuple[Any, ...], device: Any = None, dtype: Any = None
) -> tuple[Device | None, np.dtype | None]:
    """The device and dtype that the arguments of a ``to`` ask for; None where they leave it alone."""
    for target in targets:
        if isinstance(target, Tensor):
            device, dtype = target.device, target.dtype
        elif isinstance(target, Device) or (isinstance(target, str) and target.split(":")[0] in ("cpu", "cuda")):
            device = target
        elif target is not None:
            dtype = target
    return None if device is None else Device(device), None if dtype is None else as_dtype(dtype)


def type_as(x: Tensor, other: Tensor) -> Tensor:
    """x in the dtype of `other`."""
    return to(x, dtype=check_tensor(other, "type_as", "other").dtype)


def cpu(x: Tensor) -> Tensor:
    """The tensor in host memory."""
    return to(x, device="cpu")


def cuda(x: Tensor, device: Device | str | int = "cuda") -> Tensor:
    """The tensor on a CUDA device, by default the first."""
    return to(x, device=f"cuda:{device}" if isinstance(device, int) else device)


def float_(x: Tensor) -> Tensor:
    """The tensor as float32."""
    return to(x, dtype=np.float32)


def double(x: Tensor) -> Tensor:
    """The tensor as float64."""
    return to(x, dtype=np.float64)


def half(x: Tensor) -> Tensor:
    """The tensor as float16."""
    return to(x, dtype=np.float16)


def byte(x: Tensor) -> Tensor:
    """The tensor as uint8."""
    return to(x, dtype=np.uint8)


def long(x: Tensor) -> Tensor:
    """The tensor as int64."""
    return to(x, dtype=np.int64)


def int_(x: Tensor) -> Tensor:
    """The tensor as int32."""
    return to(x, dtype=np.int32)


def bool_(x: Tensor) -> Tensor:
    """The tensor as booleans: whether each element is not 0."""
    return to(x, dtype=np.bool_)
