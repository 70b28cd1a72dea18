"""A stand-in for CuPy on machines without a GPU: as strict as CuPy, with NumPy and g++ for a device.

Its arrays refuse what CuPy's refuse, its functions take the names and arguments that CuPy's take, and its kernels are
the same CUDA C, compiled for the CPU. It counts what a program should not do in silence: see :data:`counters`.
"""

import sys
from contextlib import contextmanager

from minidl.backend._cupy import import_cupy

from .counters import counters, counting
from .devices import machine, set_device
from .memory import OutOfBounds, pool
from .module import MODULES, cupy, cupyx

__all__ = [
    "MODULES", "OutOfBounds", "check", "counters", "counting", "cupy", "cupyx", "installed", "machine", "pool",
    "reset",
]  # fmt: skip


def reset():
    """As at the start of a program: two devices, the first of them current, nothing counted, no limit of memory."""
    machine.count = 2
    set_device(0)
    pool.reset()
    counters.reset()


@contextmanager
def installed(patch):
    """Put the stand-in where ``import cupy`` finds it, with a ``pytest.MonkeyPatch``."""
    for name, module in MODULES.items():
        patch.setitem(sys.modules, name, module)
    reset()
    import_cupy.cache_clear()
    try:
        yield cupy
    finally:
        import_cupy.cache_clear()


def check():
    """Raise AssertionError for what CuPy does in silence and no program should rely on: indices that wrapped round."""
    if counters.wrapped_indices:
        places = [place for (what, place) in counters.places if what.startswith("wrapped index")]
        raise AssertionError(f"{counters.wrapped_indices} indices were out of range and wrapped round: {places}")
