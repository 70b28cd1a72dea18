"""CuPy on demand: imported at the first CUDA request, never before."""

from __future__ import annotations

import importlib
from functools import cache
from types import ModuleType

from ..errors import DeviceError

_REMEDY = "install a CUDA 12 driver and `pip install cupy-cuda12x` (the extra minidl[cuda]), or use device 'cpu'"


@cache
def import_cupy() -> ModuleType | str:
    """CuPy, or a sentence that says why it cannot be used here."""
    try:
        module = importlib.import_module("cupy")
    except ImportError as error:
        return f"CuPy could not be imported ({error})"
    try:
        count = module.cuda.runtime.getDeviceCount()
    except Exception as error:  # CuPy raises types of its own, which cannot be named without importing it
        version = getattr(module, "__version__", "unknown")
        return f"CuPy {version} was found but no CUDA device could be used ({error})"
    return module if count else "CuPy was found but this machine has no CUDA device"


def require_cupy() -> ModuleType:
    """The cupy module. Raises DeviceError with what was found and what to install where it is unusable."""
    found = import_cupy()
    if isinstance(found, str):
        raise DeviceError(f"device 'cuda' is not available: {found}; {_REMEDY}")
    return found
