"""CUDA C from ``source/``, compiled at its first use, and launched.

A file of CUDA C is compiled once for each type of elements, which it calls REAL, and each device; CuPy keeps the result
on disk for the next process. SUM is the type in which many elements are added up: double for floating-point numbers,
long long for integers. A Python integer is handed over as an int and a Python float as a double; what may be larger
than an int is given as ``numpy.int64``, which is a long long.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import cupy
import numpy as np

THREADS = 256
"""Threads of a block, a power of two: block-wide sums halve it until one is left."""

MOST_BLOCKS = 1 << 16
"""Blocks of a launch over elements, each thread of which goes on in strides of the whole grid."""

SOURCE = Path(__file__).parent / "source"

_FLOATS = {"float32": "float", "float64": "double"}
_TYPES = _FLOATS | {
    "int8": "signed char",
    "int16": "short",
    "int32": "int",
    "int64": "long long",
    "uint8": "unsigned char",
    "bool": "bool",
}
_ANY_TYPE = ("max_pool", "resize", "runs")
"""Files that take elements of any type. The others take floating-point numbers."""

elementwise_kernels: list[tuple[str, str, str, str]] = []
"""The arguments of :func:`elementwise` in all its calls: what a test compiles."""


def elementwise(in_params: str, out_params: str, operation: str, name: str) -> Any:
    """A ``cupy.ElementwiseKernel``: one pass over arrays with broadcasting and strides, compiled when it is called."""
    elementwise_kernels.append((in_params, out_params, operation, name))
    return cupy.ElementwiseKernel(in_params, out_params, operation, name)


def options(dtype: Any) -> tuple[str, ...]:
    """What the compiler is told for elements of this dtype."""
    name = np.dtype(dtype).name
    return (f"-DREAL={_TYPES[name]}", f"-DSUM={'double' if name in _FLOATS else 'long long'}")


def sources() -> Iterator[tuple[str, tuple[str, ...]]]:
    """Every pair (file, options) that may be compiled."""
    for path in sorted(SOURCE.glob("*.cu")):
        for dtype in _TYPES if path.stem in _ANY_TYPE else _FLOATS:
            yield path.stem, options(dtype)


def kernel(file: str, name: str, dtype: Any) -> Any:
    """The kernel `name` of ``source/<file>.cu`` for elements of this dtype, on the current device: a cupy.RawKernel."""
    return _kernel(file, name, np.dtype(dtype), cupy.cuda.Device().id)


@cache
def _kernel(file: str, name: str, dtype: np.dtype, device: int) -> Any:
    return _module(file, dtype, device).get_function(name)


@cache
def _module(file: str, dtype: np.dtype, device: int) -> Any:
    return cupy.RawModule(code=(SOURCE / f"{file}.cu").read_text(), options=options(dtype))


def launch(file: str, name: str, size: int, args: Sequence[Any], dtype: Any) -> None:
    """Run a kernel whose threads go through ``size`` items in a loop; `size` is its first argument, a long long."""
    if size:
        blocks = min(-(-size // THREADS), MOST_BLOCKS)
        kernel(file, name, dtype)((blocks,), (THREADS,), (np.int64(size), *map(_argument, args)))


def launch_blocks(file: str, name: str, grid: tuple[int, ...], args: Sequence[Any], dtype: Any) -> None:
    """Run a kernel whose blocks of THREADS threads do one item of the grid each."""
    if all(grid):
        kernel(file, name, dtype)(grid, (THREADS,), tuple(map(_argument, args)))


def _argument(value: Any) -> Any:
    """Python's integers as an int, which CuPy would hand over as a long long; a larger one raises OverflowError."""
    return np.int32(value) if isinstance(value, int) else value
