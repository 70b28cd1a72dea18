"""The ground floor: array modules, devices, random streams, threads and scratch memory.

This package and ``minidl.kernels.cuda`` are the only places that may import CuPy.
"""

from .arrays import array_module, device_of, is_array, to_device, to_numpy
from .blas import one_blas_thread
from .device import Device, cuda_is_available
from .random import (
    STREAM_NAMES,
    Generator,
    check_generator,
    get_random_state,
    manual_seed,
    set_random_state,
    stream,
)
from .scratch import scratch
from .threads import get_num_threads, parallel_for, set_num_threads

__all__ = [
    "STREAM_NAMES",
    "Device",
    "Generator",
    "array_module",
    "check_generator",
    "cuda_is_available",
    "device_of",
    "get_num_threads",
    "get_random_state",
    "is_array",
    "manual_seed",
    "one_blas_thread",
    "parallel_for",
    "scratch",
    "set_num_threads",
    "set_random_state",
    "stream",
    "to_device",
    "to_numpy",
]
