"""The GPUs of this machine, by PyTorch's names: ``minidl.cuda``.

What only asks (:func:`is_available`, :func:`device_count`, the counts of memory) works on every machine, and so does
:func:`empty_cache`; the rest raises DeviceError where there is no GPU, with what was found and what to install.

>>> import minidl as ml
>>> device = "cuda" if ml.cuda.is_available() else "cpu"
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

from ..errors import DeviceError, OutOfMemoryError
from ._cupy import import_cupy, require_cupy
from .checks import raise_pending
from .device import Device
from .device import cuda_is_available as is_available

__all__ = [
    "OutOfMemoryError",
    "current_device",
    "device",
    "device_count",
    "empty_cache",
    "get_device_name",
    "is_available",
    "memory_allocated",
    "memory_reserved",
    "synchronize",
]

AnyDevice = Device | str | int | None


def device_count() -> int:
    """How many CUDA devices there are; 0 where they cannot be used."""
    return require_cupy().cuda.runtime.getDeviceCount() if is_available() else 0


def current_device() -> int:
    """The number of the device on which this thread's operations run."""
    return require_cupy().cuda.runtime.getDevice()


@contextmanager
def device(device: AnyDevice) -> Iterator[None]:
    """A block whose operations run on another device: that of the tensors that they take.

    ``"cuda"`` always means ``"cuda:0"``, also in such a block.
    """
    with require_cupy().cuda.Device(_index(device)):
        yield


def get_device_name(device: AnyDevice = None) -> str:
    """What the maker calls the device, as "NVIDIA H100"."""
    return require_cupy().cuda.runtime.getDeviceProperties(_index(device))["name"].decode()


def synchronize(device: AnyDevice = None) -> None:
    """Wait until the device, by default the current one, has done all that it was asked to do.

    Operations only ask: they return before the device has begun. So a clock needs this before each look.

    Raises:    what a check of values on the device has found, such as a label out of range: OutOfRangeError
    """
    require_cupy().cuda.Device(_index(device)).synchronize()
    raise_pending()


def memory_allocated(device: AnyDevice = None) -> int:
    """Bytes that arrays on the device use now. (The most they ever used is not known: CuPy does not keep it.)"""
    return _pool_bytes("used_bytes", device)


def memory_reserved(device: AnyDevice = None) -> int:
    """Bytes that this process holds on the device: those of arrays, and those kept for the next ones."""
    return _pool_bytes("total_bytes", device)


def empty_cache() -> None:
    """Give the memory that no array uses back: that of the current device, and page-locked memory of the host."""
    cupy = import_cupy()
    if isinstance(cupy, ModuleType):
        cupy.get_default_memory_pool().free_all_blocks()
        cupy.get_default_pinned_memory_pool().free_all_blocks()


def _pool_bytes(method: str, device: AnyDevice) -> int:
    cupy = import_cupy()
    if not isinstance(cupy, ModuleType):
        return 0
    with cupy.cuda.Device(_index(device)):
        return getattr(cupy.get_default_memory_pool(), method)()


def _index(device: AnyDevice) -> int:
    """The number of a device that is there; of the current one for None."""
    if device is None:
        return current_device()
    found = Device(f"cuda:{device}" if isinstance(device, int) else device)
    if found.type != "cuda":
        raise DeviceError(f"minidl.cuda: '{found}' is no CUDA device")
    found.check_usable()
    return found.index
