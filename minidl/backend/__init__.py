"""The ground floor: array modules, devices, random streams, threads and scratch memory.

This package and ``minidl.kernels.cuda`` are the only places that may import CuPy.
"""

from . import cuda
from ._cupy import get_tf32, set_tf32
from .arena import copy, empty, empty_like, memory_order
from .arrays import array_module, device_of, is_array, making_on, to_device, to_numpy
from .blas import one_blas_thread
from .checks import check, in_range, raise_pending
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
from .refusals import explain
from .scratch import scratch
from .threads import get_num_threads, parallel_for, set_num_threads
from .transfer import Courier, courier

__all__ = [
    "STREAM_NAMES",
    "Courier",
    "Device",
    "Generator",
    "array_module",
    "check",
    "check_generator",
    "copy",
    "courier",
    "cuda",
    "cuda_is_available",
    "device_of",
    "empty",
    "empty_like",
    "explain",
    "get_num_threads",
    "get_random_state",
    "get_tf32",
    "get_worker_kind",
    "in_range",
    "is_array",
    "making_on",
    "manual_seed",
    "memory_order",
    "one_blas_thread",
    "parallel_for",
    "raise_pending",
    "scratch",
    "set_num_threads",
    "set_random_state",
    "set_tf32",
    "set_worker_kind",
    "share",
    "stream",
    "to_device",
    "to_numpy",
]
