"""How many threads NumPy's BLAS may use inside one call.

A kernel that splits its work over threads of its own multiplies matrices too small for BLAS to split again: the two
would fight over the cores, and on a busy machine the threads of BLAS wait for each other far longer than they compute.
"""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np

_lock = threading.Lock()
_inside = 0  # how many parts of the program want one thread at the moment
_before = 1  # what to go back to


@cache
def _openblas() -> tuple[Callable[[], int], Callable[[int], None]] | None:
    """(get, set) of the number of threads of the OpenBLAS in NumPy's wheel; None where NumPy has another BLAS."""
    package = Path(np.__file__).parent
    for path in sorted([*package.parent.glob("numpy.libs/*openblas*"), *package.glob(".dylibs/*openblas*")]):
        try:
            library = ctypes.CDLL(str(path))  # NumPy has loaded it already: this is the same one
            for suffix in ("64_", ""):
                get = getattr(library, f"scipy_openblas_get_num_threads{suffix}", None)
                if get is not None:
                    return get, getattr(library, f"scipy_openblas_set_num_threads{suffix}")
        except OSError:
            continue
    return None


class one_blas_thread:  # lower case: a context manager, used as a word
    """Inside ``with one_blas_thread():`` every matrix product runs on the thread that asked for it."""

    def __enter__(self) -> None:
        global _inside, _before
        if (blas := _openblas()) is None:
            return
        with _lock:
            if _inside == 0:
                _before = blas[0]()
                if _before != 1:
                    blas[1](1)
            _inside += 1

    def __exit__(self, *exception: object) -> None:
        global _inside
        if (blas := _openblas()) is None:
            return
        with _lock:
            _inside -= 1
            if _inside == 0 and _before != 1:
                blas[1](_before)


def _forget() -> None:
    """A forked child has one thread, which is in no such block."""
    global _lock, _inside
    _lock, _inside = threading.Lock(), 0


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
