"""Which library an array belongs to, and moving arrays between devices (only ever when asked to)."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import numpy as np

from ..errors import ArgumentTypeError
from ._cupy import require_cupy
from .checks import raise_pending
from .device import CPU, Device
from .refusals import explain


def _is_cuda_array(value: Any) -> bool:
    cupy = sys.modules.get("cupy")  # a CuPy array can exist only if someone has imported CuPy
    return cupy is not None and isinstance(value, cupy.ndarray)


def is_array(value: Any) -> bool:
    """Whether `value` is a NumPy or CuPy array."""
    return isinstance(value, np.ndarray) or _is_cuda_array(value)


def array_module(array: Any) -> ModuleType:
    """The module, numpy or cupy, whose functions take this array (or the scalar that NumPy makes of a 0-d one)."""
    if isinstance(array, np.ndarray | np.generic):
        return np
    if _is_cuda_array(array):
        return require_cupy()
    raise ArgumentTypeError(f"expected a NumPy or CuPy array, got {type(array).__name__}")


def device_of(array: Any) -> Device:
    """The device that holds this array."""
    if isinstance(array, np.ndarray):
        return CPU
    index = getattr(getattr(array, "device", None), "id", None)
    if index is None:
        raise ArgumentTypeError(
            f"expected a NumPy or CuPy array, got {type(array).__name__}; "
            "what x.data holds is an array: x.data = y.data"
        )
    return Device(f"cuda:{index}")


def to_device(array: Any, device: Device | str) -> Any:
    """The array on `device`: itself if it is there already, else a copy.

    Raises:    DeviceError: a CUDA device that is absent, with what was found and what to install.
               OutOfMemoryError: a device that is full
    """
    device = Device(device)
    if device_of(array) == device:
        return array
    if device.type == "cpu":
        raise_pending()
        return require_cupy().asnumpy(array)
    with making_on(device, "to") as xp:
        return xp.asarray(array)


def to_numpy(array: Any) -> np.ndarray:
    """The array in host memory, copied only if it lives on a GPU."""
    return to_device(array, CPU)


@contextmanager
def making_on(device: Device, op: str) -> Iterator[ModuleType]:
    """A block that makes arrays on `device`, with the module that it yields.

    Raises:    DeviceError: the device is absent. OutOfMemoryError: it is full
    """
    if device.type == "cpu":
        yield np
        return
    device.check_usable()
    with require_cupy().cuda.Device(device.index):
        try:
            yield require_cupy()
        except (MemoryError, ValueError) as error:
            explain(error, op)
            raise
