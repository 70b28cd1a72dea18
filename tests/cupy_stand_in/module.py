"""The modules that take the places of cupy, cupyx and what is in them."""

import types

import numpy as np

from . import array, compiler, devices, elementwise, functions, memory, pinned, raw, streams, ufuncs
from .names import names


class Module(types.ModuleType):
    """A module that says of each name that it lacks whether CuPy has it."""

    def __init__(self, name, content):
        super().__init__(name)
        self.__dict__.update(content)

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        if name in names().get(self.__name__, ()):
            raise NotImplementedError(f"CuPy has {self.__name__}.{name}, the stand-in for it in tests/ does not yet")
        raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")


def _constants():
    """Types and numbers that CuPy has from NumPy."""
    listed = names()["cupy"]
    return {
        name: getattr(np, name)
        for name, parameters in listed.items()
        if parameters is None and isinstance(getattr(np, name, None), type | float | None) and hasattr(np, name)
    }


def _runtime():
    def set_device(index):
        devices.set_device(index)

    return {
        "CUDARuntimeError": devices.CUDARuntimeError,
        "getDevice": devices.current_device,
        "setDevice": set_device,
        "getDeviceCount": devices.device_count,
        "memGetInfo": memory.pool.free_and_total,
        "deviceSynchronize": lambda: streams.synchronize_device(devices.current_device()),
        "runtimeGetVersion": lambda: 12090,
        "driverGetVersion": lambda: 12090,
        "getDeviceProperties": lambda device: {"name": b"Stand-in GPU", "warpSize": 32, "major": 8, "minor": 0},
    }


_pool = memory.pool
_pinned_pool = pinned.PinnedMemoryPool()
_runtime_module = Module("cupy.cuda.runtime", _runtime())
_memory_module = Module(
    "cupy.cuda.memory",
    {
        "OutOfMemoryError": memory.OutOfMemoryError,
        "MemoryPool": memory.MemoryPool,
        "MemoryPointer": memory.MemoryPointer,
    },
)
_compute_types = dict(enumerate(("DEFAULT", "PEDANTIC", "FP16", "FP32", "FP64", "BF16", "TF32"), 1))


def _core():
    """The type in which matrix products of each dtype are computed; a machine without TF32 only remembers it."""
    chosen = {}
    types = {f"COMPUTE_TYPE_{name}": number for number, name in _compute_types.items()}

    def set_compute_type(dtype, compute_type):
        if compute_type not in _compute_types:
            raise ValueError(f"Unknown compute type: {compute_type}")
        chosen[np.dtype(dtype)] = compute_type

    def get_compute_type(dtype):
        return chosen.get(np.dtype(dtype), types["COMPUTE_TYPE_DEFAULT"])

    content = {"set_compute_type": set_compute_type, "get_compute_type": get_compute_type}
    return content | {"_routines_linalg": Module("cupy._core._routines_linalg", content | types)}


_cuda = Module(
    "cupy.cuda",
    {
        "Device": devices.Device,
        "Event": streams.Event,
        "MemoryPointer": memory.MemoryPointer,
        "MemoryPool": memory.MemoryPool,
        "PinnedMemoryPool": pinned.PinnedMemoryPool,
        "Stream": streams.Stream,
        "alloc_pinned_memory": pinned.alloc_pinned_memory,
        "compiler": Module("cupy.cuda.compiler", {"CompileException": compiler.CompileException}),
        "driver": Module("cupy.cuda.driver", {"CUDADriverError": raw.CUDADriverError}),
        "get_current_stream": streams.get_current_stream,
        "get_device_id": devices.current_device,
        "get_elapsed_time": streams.get_elapsed_time,
        "is_available": lambda: devices.device_count() > 0,
        "memory": _memory_module,
        "nvrtc": Module("cupy.cuda.nvrtc", {"getVersion": lambda: (12, 9)}),
        "runtime": _runtime_module,
    },
)
_linalg = Module("cupy.linalg", functions.linalg())
_ufuncs = ufuncs.ufuncs()
_functions = functions.functions()
ufuncs._operators(_ufuncs | {"matmul": _functions["matmul"]})
cupy = Module(
    "cupy",
    _constants()
    | _ufuncs
    | _functions
    | {
        "__version__": names()["cupy version"],
        "ndarray": array.ndarray,
        "ufunc": ufuncs.ufunc,
        "newaxis": None,
        "cuda": _cuda,
        "_core": Module("cupy._core", _core()),
        "linalg": _linalg,
        "random": Module("cupy.random", {}),
        "ElementwiseKernel": elementwise.ElementwiseKernel,
        "RawKernel": raw.RawKernel,
        "RawModule": raw.RawModule,
        "get_default_memory_pool": lambda: _pool,
        "get_default_pinned_memory_pool": lambda: _pinned_pool,
        "get_array_module": lambda *args: cupy if any(isinstance(each, array.ndarray) for each in args) else np,
    },
)
cupyx = Module(
    "cupyx",
    {
        "empty_pinned": pinned.empty_pinned,
        "zeros_pinned": pinned.zeros_pinned,
        "scatter_add": lambda a, slices, value: a.scatter_add(slices, value),
    },
)

MODULES = {
    "cupy": cupy,
    "cupyx": cupyx,
    "cupy.cuda": _cuda,
    "cupy.cuda.memory": _memory_module,
    "cupy.cuda.runtime": _runtime_module,
    "cupy.cuda.compiler": _cuda.compiler,
    "cupy.cuda.driver": _cuda.driver,
    "cupy.linalg": _linalg,
    "cupy.random": cupy.random,
}
"""What sys.modules is to hold while the stand-in is in place."""
