"""The ground floor: array modules, devices, random streams, threads and scratch memory.

This package and ``minidl.kernels.cuda`` are the only places that may import CuPy.
"""

from .arena import copy, empty, empty_like, memory_order
from .arrays import array_module, device_of, is_array, to_device, to_numpy
from .blas import one_blas_thread
from .crew import get_worker_kind, set_worker_kind, share
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
    "copy",
    "cuda_is_available",
    "device_of",
    "empty",
    "empty_like",
    "get_num_threads",
    "get_random_state",
    "get_worker_kind",
    "is_array",
    "manual_seed",
    "memory_order",
    "one_blas_thread",
    "parallel_for",
    "scratch",
    "set_num_threads",
    "set_random_state",
    "set_worker_kind",
    "share",
    "stream",
    "to_device",
    "to_numpy",
]
