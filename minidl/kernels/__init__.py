"""The numerical kernels: arrays in, arrays out, no gradient graph.

``reference/`` holds textbook loops, the definition and the oracle of every kernel; ``cpu/`` the same functions in
NumPy, made fast; ``cuda/``, loaded at the first CUDA array, the same in CuPy and CUDA C. All have the same names and
signatures. :func:`of` is the whole dispatcher; random numbers, which no array is there for yet, have :func:`random_on`.
"""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Any

import numpy as np

from ..backend import Device
from . import cpu
from .cpu import random as cpu_random


def of(array: Any) -> ModuleType:
    """The kernels for this array's type: ``kernels.of(x).conv(x, w, ...)``."""
    if isinstance(array, np.ndarray):
        return cpu
    return importlib.import_module("minidl.kernels.cuda")


def random_on(device: Device) -> ModuleType:
    """The kernels that draw random numbers there: ``kernels.random_on(device).uniform(generator, shape, dtype)``."""
    if device.type == "cpu":
        return cpu_random
    return importlib.import_module("minidl.kernels.cuda.random")


__all__ = ["cpu", "of", "random_on"]
