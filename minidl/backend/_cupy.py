"""CuPy on demand: imported at the first CUDA request, never before."""

from __future__ import annotations

import importlib
import os
from functools import cache
from types import ModuleType

from ..errors import ArgumentTypeError, DeviceError

_REMEDY = (
    "install a driver for CUDA 12 or newer and `pip install cupy-cuda12x` (the extra minidl[cuda]; cupy-cuda12x[ctk] "
    "brings CUDA's libraries too), or use device 'cpu'"
)


@cache
def import_cupy() -> ModuleType | str:
    """CuPy, or a sentence that says why it cannot be used here."""
    try:
        module = importlib.import_module("cupy")
    except Exception as error:  # ImportError; a build for another NumPy raises others
        return f"CuPy could not be imported ({error})"
    version = getattr(module, "__version__", "unknown")
    try:
        count = module.cuda.runtime.getDeviceCount()
    except Exception as error:  # CuPy raises types of its own, which cannot be named without importing it
        return f"CuPy {version} was found but no CUDA device could be used ({error})"
    if not count:
        return "CuPy was found but this machine has no CUDA device"
    try:
        module.cuda.nvrtc.getVersion()
    except Exception as error:  # CuPy loads it late: without it, only the first kernel would fail
        return f"CuPy {version} was found but not the compiler NVRTC of the CUDA that it was built for ({error})"
    _choose_compute_type(module)
    return module


def require_cupy() -> ModuleType:
    """The cupy module. Raises DeviceError with what was found and what to install where it is unusable."""
    found = import_cupy()
    if isinstance(found, str):
        raise DeviceError(f"device 'cuda' is not available: {found}; {_REMEDY}")
    return found


# TF32 -----------------------------------------------------------------------------------------------------------------

_tf32 = os.environ.get("CUPY_TF32") == "1"


def set_tf32(enabled: bool) -> None:
    """Let matrix products and convolutions of float32 on a GPU round their inputs to TF32: 10 bits in place of 23.

    Several times faster on GPUs since Ampere (compute capability 8.0), and with a relative error of about 1e-3 in place
    of 1e-7. Off by default, unless the environment says CUPY_TF32=1. It holds for the whole process, and for what the
    program does with CuPy itself too. Nothing else is affected: not float64, not the CPU.
    """
    global _tf32
    if not isinstance(enabled, bool):
        raise ArgumentTypeError(f"set_tf32: expected True or False, got {enabled!r}")
    _tf32 = enabled
    if import_cupy.cache_info().currsize and isinstance(found := import_cupy(), ModuleType):
        _choose_compute_type(found)


def get_tf32() -> bool:
    """Whether :func:`set_tf32` has let float32 products on a GPU use TF32."""
    return _tf32


def _choose_compute_type(cupy: ModuleType) -> None:
    """Tell CuPy, which keeps the type in which cuBLAS computes for each dtype."""
    types = cupy._core._routines_linalg
    cupy._core.set_compute_type("float32", types.COMPUTE_TYPE_TF32 if _tf32 else types.COMPUTE_TYPE_DEFAULT)
