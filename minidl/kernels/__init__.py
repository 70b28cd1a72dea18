"""The numerical kernels: arrays in, arrays out, no gradient graph.

``reference/`` holds textbook loops, the definition and the oracle of every kernel; ``cpu/`` the same functions in
NumPy, made fast. Both have the same names and signatures; ``cuda/``, loaded at the first CUDA array, is to have them
too. :func:`of` is the whole dispatcher.
"""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Any

import numpy as np

from . import cpu


def of(array: Any) -> ModuleType:
    """The kernels for this array's type: ``kernels.of(x).conv(x, w, ...)``."""
    if isinstance(array, np.ndarray):
        return cpu
    return importlib.import_module("minidl.kernels.cuda")


__all__ = ["cpu", "of"]
