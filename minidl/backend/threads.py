"""How many cores to use, and worker threads for kernels that split their work among them.

Most kernels share their work with other processes instead: see :mod:`.crew`.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context

from ..errors import ArgumentError
from .blas import one_blas_thread

_num_threads = max(1, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
_pool: ThreadPoolExecutor | None = None


class _Worker(threading.local):
    is_one = False


_worker = _Worker()


def _become_worker() -> None:
    _worker.is_one = True


def get_num_threads() -> int:
    """How many cores kernels use."""
    return _num_threads


def set_num_threads(count: int) -> None:
    """Set how many cores kernels use: this process and, where the work is worth it, so many workers less one.

    The workers are processes or threads: see :func:`minidl.set_worker_kind`. While there are worker processes, NumPy's
    own matrix products run on one thread in this process, since the threads of BLAS would get into the workers' way.
    Results are the same to the bit for the same number; another number adds in another order.

    Raises:    ArgumentError: count is not a positive integer
    """
    global _num_threads, _pool
    if isinstance(count, bool) or not isinstance(count, int) or count < 1:
        raise ArgumentError(f"set_num_threads: count must be a positive integer, got {count!r}")
    if _pool is not None and count != _num_threads:
        _pool.shutdown()
        _pool = None
    _num_threads = count


def parallel_for(function: Callable[[int, int], None], size: int, grain: int = 1) -> None:
    """Call ``function(start, stop)`` over a partition of ``range(size)``, the parts at once, with BLAS at one thread.

    Args:      grain: the smallest part worth a thread; below two of them, and inside a worker thread, all runs in the
               caller
    Raises:    whatever the first failing part raised, after all parts have ended
    """
    parts = min(_num_threads, size // max(grain, 1))
    if _worker.is_one:  # a worker that waited for workers could wait for ever
        function(0, size)
        return
    with one_blas_thread():
        if parts <= 1:
            function(0, size)
        else:
            _split(function, size, parts)


def _split(function: Callable[[int, int], None], size: int, parts: int) -> None:
    global _pool
    if _pool is None:
        _pool = ThreadPoolExecutor(_num_threads, "minidl", initializer=_become_worker)
    bounds = [size * part // parts for part in range(parts + 1)]
    futures = [
        _pool.submit(copy_context().run, function, bounds[part], bounds[part + 1])  # with the caller's np.errstate
        for part in range(1, parts)
    ]
    try:
        function(bounds[0], bounds[1])
    finally:
        errors = [future.exception() for future in futures]
    for error in errors:
        if error is not None:
            raise error


def _forget_pool() -> None:
    """Threads do not survive a fork: the child starts with a pool of its own."""
    global _pool
    _pool = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_pool)
