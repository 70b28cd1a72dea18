"""Raw kernels: CUDA C from the program, compiled for the CPU, launched with arguments that are checked."""

import ctypes
import re

import numpy as np

from .array import check_device, ndarray
from .compiler import library, without_comments
from .counters import launched
from .memory import MemoryPointer
from .streams import get_current_stream

_KERNEL = re.compile(
    r'extern\s*"C"\s*__global__\s+(?:__launch_bounds__\s*\([^)]*\)\s*)?void\s+'
    r"(?:__launch_bounds__\s*\([^)]*\)\s*)?(\w+)\s*\("
)
_DYNAMIC = re.compile(r"extern\s+__shared__\s+([\w\s]+?)\s+(\w+)\s*\[\s*\]\s*;")
_MOST_SHARED = 48 << 10
_PYTHON = {bool: np.bool_, int: np.int64, float: np.float64, complex: np.complex128}


class CUDADriverError(RuntimeError):
    """As cupy.cuda.driver.CUDADriverError."""

    def __init__(self, name, text):
        super().__init__(f"{name}: {text}")


class RawModule:
    """As cupy.RawModule, from source."""

    def __init__(
        self,
        code=None,
        *,
        path=None,
        options=(),
        backend="nvrtc",
        translate_cucomplex=False,
        enable_cooperative_groups=False,
        name_expressions=None,
        jitify=None,
    ):
        if (code is None) == (path is None):
            raise TypeError("Exactly one of `code` and `path` keyword arguments must be given.")
        if path is not None or translate_cucomplex or enable_cooperative_groups or name_expressions or jitify:
            raise NotImplementedError("the stand-in compiles plain CUDA C from `code`")
        if not isinstance(options, tuple):
            raise TypeError(f"Argument 'options' has incorrect type (expected tuple, got {type(options).__name__})")
        self.code, self.options, self.backend = code, options, backend

    def compile(self, log_stream=None):
        return self._library()

    def get_function(self, name):
        kernel = RawKernel(self.code, name, self.options)
        kernel.compile()
        return kernel

    def _library(self):
        plain = without_comments(self.code)
        names = _KERNEL.findall(plain)
        body = _DYNAMIC.sub(r"\1 *\2 = (\1 *)shim::shared_memory;", plain)
        body = re.sub(r'extern\s*"C"\s*(?=__global__)', "", body)
        barriers = str("__syncthreads" in plain).lower()
        launchers = "".join(
            f'extern "C" const char *signature_{name}() {{ return shim::signature(&cuda_source::{name}); }}\n'
            f'extern "C" const char *launch_{name}(void **values, const unsigned *sizes, size_t shared) {{\n'
            f"    return shim::launch(&cuda_source::{name}, values, sizes, shared, {barriers});\n}}\n"
            for name in names
        )
        return library(f"namespace cuda_source {{\n#line 1\n{body}\n}}\n{launchers}", self.options)


class RawKernel:
    """As cupy.RawKernel: ``kernel(grid, block, args, shared_mem=0)``."""

    def __init__(self, code, name, options=(), backend="nvrtc", translate_cucomplex=False, **kwargs):
        self._module = RawModule(code, options=options, translate_cucomplex=translate_cucomplex, **kwargs)
        self.code, self.name, self.__name__, self.options = code, name, name, options
        self._launch, self._parameters = None, ()

    def compile(self, log_stream=None):
        if self._launch is None:
            made = self._module._library()
            try:
                signature, launch = made[f"signature_{self.name}"], made[f"launch_{self.name}"]
            except AttributeError:
                raise CUDADriverError("CUDA_ERROR_NOT_FOUND", "named symbol not found") from None
            signature.restype = launch.restype = ctypes.c_char_p
            launch.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t]
            self._parameters = tuple(signature().decode().split())
            self._launch = launch

    def __call__(self, grid, block, args, *, shared_mem=0, stream=None):
        for each in (grid, block):
            if not isinstance(each, tuple) or not all(isinstance(n, int | np.integer) for n in each):
                raise TypeError(f"{self.name}: grid and block are tuples of int, got {each!r}")
        self.compile()
        grid, block = ([max(1, int(n)) for n in (*each, 1, 1)[:3]] for each in (grid, block))
        if block[0] * block[1] * block[2] > 1024 or block[2] > 64 or max(grid[1:]) > 65535 or grid[0] > 2**31 - 1:
            raise CUDADriverError("CUDA_ERROR_INVALID_VALUE", f"invalid argument (grid {grid}, block {block})")
        if shared_mem > _MOST_SHARED:
            raise CUDADriverError("CUDA_ERROR_INVALID_VALUE", f"invalid argument ({shared_mem} bytes of shared memory)")
        (get_current_stream() if stream is None else stream).catch_up()
        if len(args) != len(self._parameters):
            raise TypeError(f"{self.name} takes {len(self._parameters)} arguments, {len(args)} were given")
        values = [_value(self.name, i, *pair) for i, pair in enumerate(zip(args, self._parameters, strict=True))]
        pointers = (ctypes.c_void_p * max(len(values), 1))(*[value.ctypes.data for value in values])
        launched(self.name)
        error = self._launch(pointers, np.array([*grid, *block], np.uint32).ctypes.data, shared_mem)
        if error:
            raise CUDADriverError("CUDA_ERROR_LAUNCH_FAILED", f"{self.name}: {error.decode()}")
        for each in args:
            if isinstance(each, ndarray):
                each._block.check(self.name)


def _value(kernel, position, argument, parameter):
    """The bytes to pass, as a NumPy array, if they are what the parameter takes: CuPy passes anything of any size."""
    if isinstance(argument, ndarray | MemoryPointer):
        if parameter[0] not in "pk":
            raise TypeError(f"{kernel}: argument {position} is an array, the parameter is no pointer ({parameter})")
        if isinstance(argument, MemoryPointer):
            return np.array(argument.ptr)
        check_device(argument)
        kind = argument.dtype.kind + str(argument.itemsize)
        if parameter[1:] not in ("v", kind) and not (kind == "b1" and parameter[1:] == "u1"):
            raise TypeError(f"{kernel}: argument {position} is an array of {argument.dtype}, the pointer's type is "
                            f"{_spelled(parameter[1:])}")  # fmt: skip
        return np.array(argument.data.ptr)
    if argument is None and parameter[0] in "pk":
        return np.array(0)
    if type(argument) in _PYTHON:
        argument = _PYTHON[type(argument)](argument)
    if not isinstance(argument, np.generic):
        raise TypeError(f"Unsupported type {type(argument)}")
    kind = argument.dtype.kind + str(argument.itemsize)
    same = kind == parameter or (kind[0] in "iu" and parameter[0] in "iu" and kind[1:] == parameter[1:])
    if not same:
        raise TypeError(
            f"{kernel}: argument {position} is passed as {argument.dtype}, the parameter is {_spelled(parameter)}"
        )
    return np.array(argument)


def _spelled(kind):
    if kind[0] in "pk":
        return f"a pointer to {_spelled(kind[1:])}"
    names = {"b": "bool", "f": "float", "i": "int", "u": "uint", "v": "void", "s": "struct of bytes "}
    return names[kind[0]] + (str(8 * int(kind[1:])) if kind[0] in "fiu" else kind[1:] if kind[0] == "s" else "")
