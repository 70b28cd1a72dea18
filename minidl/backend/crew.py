"""Kernels on several cores at once: a worker process for each further core, over memory that all of them share.

Python runs one thread at a time. NumPy lets others run while it computes, but a kernel that keeps its data in the cache
makes thousands of calls of some 30 µs, and each hand-over between threads costs about as much again: a ResNet-20 step
takes 198 ms on one core, 178 on two in threads, and 117 on two in processes (``python -m benchmarks scaling threads``).
So :func:`share` cuts a kernel's work into parts and lets other processes do theirs. They map the
:mod:`~minidl.backend.arena` in which large arrays lie; what they are told is a function's name and where its arrays
are, some 200 bytes, through memory that they watch. That takes about 15 µs; after a few milliseconds without work they
sleep.

A kernel that takes part is a function of a module, ``task(start, stop, outs, ins, *settings)``, that does the part
``start:stop`` of the work: it writes to `outs`, reads `ins` (arrays or None, both), and depends on nothing else. The
parts are the same whoever does them, so the results are too.
"""

from __future__ import annotations

import atexit
import marshal
import os
import pickle
import platform
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from ..errors import ArgumentError, WorkerError
from . import arena as _arena
from .blas import one_blas_thread
from .threads import get_num_threads, parallel_for

MAILBOX_BYTES = 1 << 20
TEXT = 64  # where a message begins in a mailbox, after its counters
REQUESTS, DONE, LENGTH, ASLEEP, FAILED, READY = range(6)  # the counters
STAGING = 1 << 16  # where the small arrays of a request begin

Task = Callable[..., None]
Arrays = Sequence["np.ndarray | None"]

_kind = "process"
_crew: Crew | None = None
_busy = threading.Lock()
_ordered_stores = platform.machine() in ("x86_64", "AMD64")  # a core sees another's writes in the order they were made


def get_worker_kind() -> str:
    """What :func:`set_worker_kind` has set."""
    return _kind


def set_worker_kind(kind: str) -> None:
    """Choose who does the further parts of a kernel: "process" (the default; Linux on x86-64) or "thread".

    Raises:    ArgumentError: another kind
    """
    global _kind
    if kind not in ("process", "thread"):
        raise ArgumentError(f"set_worker_kind: kind must be 'process' or 'thread', got {kind!r}")
    _kind = kind


def share(task: Task, size: int, outs: Arrays, ins: Arrays, settings: tuple[Any, ...] = (), grain: int = 1) -> None:
    """Call ``task(start, stop, outs, ins, *settings)`` over a partition of ``range(size)``, the parts at once.

    BLAS runs on one thread in each of them. Outs must come from :func:`~minidl.backend.empty`; settings are numbers,
    strings, None, and tuples of them.

    Args:      grain: the smallest part worth another core
    Raises:    whatever the first failing part raised, after all parts have ended. WorkerError: a worker process is gone
    """
    parts = min(get_num_threads(), size // max(grain, 1), _most_parts())
    if parts <= 1:
        with one_blas_thread():
            task(0, size, outs, ins, *settings)
        return
    if _kind == "process" and _busy.acquire(blocking=False):
        try:
            crew = _get_crew()
            if crew is not None and crew.run(task, size, parts, outs, ins, settings):
                return
        finally:
            _busy.release()
    parallel_for(lambda start, stop: task(start, stop, outs, ins, *settings), size, grain)


def _most_parts() -> int:
    """The parts that there is room for: one here, and one for each mailbox."""
    return 1 + _arena.CONTROL_BYTES // MAILBOX_BYTES


class Crew:
    """The worker processes of this one."""

    def __init__(self, arena: _arena.Arena, workers: int):
        self.arena = arena
        self._blas = one_blas_thread()  # its threads spin for a while after their work, on the cores of the workers
        self._blas.__enter__()
        self.processes: list[subprocess.Popen[bytes]] = []
        self.boxes: list[memoryview] = []
        self.counters: list[memoryview] = []
        self.ready = False
        for i in range(workers):
            box = memoryview(arena.map)[i * MAILBOX_BYTES : (i + 1) * MAILBOX_BYTES]
            counters = box[:TEXT].cast("q")
            for j in range(len(counters)):
                counters[j] = 0
            self.boxes.append(box)
            self.counters.append(counters)
            self.processes.append(_start(arena, i))

    def run(self, task: Task, size: int, parts: int, outs: Arrays, ins: Arrays, settings: tuple[Any, ...]) -> bool:
        """Do all parts, and return True; or nothing, and return False."""
        if not self.ready:
            if not all(counters[READY] for counters in self.counters):
                return False
            self.ready = True
        of_outs = [None if out is None else self._describe(out) for out in outs]
        ins, of_ins = self._within_reach(ins)
        everything = zip([*of_outs, *of_ins], [*outs, *ins], strict=True)
        if any(place is None and array is not None for place, array in everything):
            return False
        bounds = [size * part // parts for part in range(parts + 1)]
        what = (of_outs, of_ins, settings)
        name = (task.__module__, task.__qualname__)
        messages = [marshal.dumps((*name, start, stop, *what)) for start, stop in pairwise(bounds)]
        if max(map(len, messages)) > STAGING - TEXT:  # settings without end: not for a mailbox
            return False
        error: BaseException | None = None
        try:
            for i in range(parts - 1):
                self._post(i, messages[i + 1])
            try:
                task(bounds[0], bounds[1], outs, ins, *settings)
            except BaseException as caught:  # the others are still at work
                error = caught
            for i in range(parts - 1):
                failure = self._wait(i)
                error = error or failure
        except BaseException:  # an interrupt: what the workers are still writing to must not be used again
            _dismiss(kill=True)
            raise
        if error is not None:
            raise error
        return True

    def _within_reach(self, ins: Arrays) -> tuple[list[np.ndarray | None], list[tuple[Any, ...] | None]]:
        """The arrays, those from elsewhere as copies in shared memory (small ones in a mailbox), and where they are."""
        arrays: list[np.ndarray | None] = []
        places: list[tuple[Any, ...] | None] = []
        used = STAGING
        for array in ins:
            place = None if array is None else self._describe(array)
            if array is not None and place is None:
                if used + array.nbytes <= MAILBOX_BYTES:
                    copy: np.ndarray = np.ndarray(array.shape, array.dtype, self.boxes[0], used)
                    place = (used, array.shape, copy.strides, array.dtype.str)  # the first mailbox begins at 0
                    used += -(-array.nbytes // 64) * 64
                else:
                    copy = _arena.empty_like(array)
                    place = self._describe(copy)
                copy[...] = array
                array = copy
            arrays.append(array)
            places.append(place)
        return arrays, places

    def _describe(self, array: np.ndarray) -> tuple[Any, ...] | None:
        offset = self.arena.offset_of(array)
        return None if offset is None else (offset, array.shape, array.strides, array.dtype.str)

    def _post(self, i: int, message: bytes) -> None:
        box, counters = self.boxes[i], self.counters[i]
        box[TEXT : TEXT + len(message)] = message
        counters[LENGTH] = len(message)
        counters[REQUESTS] += 1
        if counters[ASLEEP]:
            self._wake(i)

    def _wake(self, i: int) -> None:
        try:
            os.write(self.processes[i].stdin.fileno(), b".")  # type: ignore[union-attr]
        except OSError:
            pass  # it is gone, which the wait will find out

    def _wait(self, i: int) -> BaseException | None:
        """Wait until worker i has done its part; what it raised, if it did."""
        counters = self.counters[i]
        wanted = counters[REQUESTS]
        for _ in range(20_000):  # about a millisecond
            if counters[DONE] == wanted:
                break
        else:
            self._wait_politely(i, wanted)
        if not counters[FAILED]:
            return None
        counters[FAILED] = 0
        return pickle.loads(self.boxes[i][TEXT : TEXT + counters[LENGTH]])  # written by our own worker

    def _wait_politely(self, i: int, wanted: int) -> None:
        counters, checked = self.counters[i], time.monotonic()
        while counters[DONE] != wanted:
            os.sched_yield()
            now = time.monotonic()
            if now - checked > 0.02:
                checked = now
                if counters[ASLEEP]:
                    self._wake(i)
                if self.processes[i].poll() is not None:
                    _dismiss()
                    raise WorkerError(
                        f"a worker process ended with code {self.processes[i].returncode} in the middle of a kernel "
                        "(killed for lack of memory?): the result is lost; run the step again, or choose "
                        "set_num_threads(1) or set_worker_kind('thread')"
                    )

    def dismiss(self, kill: bool = False) -> None:
        """End the workers, or kill them in the middle of their work."""
        self._blas.__exit__()
        for process in self.processes:
            if kill:
                process.kill()
            process.stdin.close()  # type: ignore[union-attr]
        for process in self.processes:
            try:
                process.wait(timeout=2)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _start(arena: _arena.Arena, i: int) -> subprocess.Popen[bytes]:
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    program = f"import sys; sys.path.insert(0, {root!r}); from minidl.backend._crew_worker import serve; serve()"
    environment = os.environ | {name: "1" for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS")}
    return subprocess.Popen(
        [sys.executable, "-c", program, str(arena.fd), str(arena.capacity), str(i)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        pass_fds=(arena.fd,),
        env=environment,
        start_new_session=True,  # Ctrl-C is for the process that has the terminal
    )


def _get_crew() -> Crew | None:
    """The crew for the present arena and number of threads, started if need be; None where there cannot be one."""
    global _crew, _kind
    if not _ordered_stores or (arena := _arena.arena()) is None:
        return None
    workers = min(get_num_threads(), _most_parts()) - 1
    if _crew is not None and (_crew.arena is not arena or len(_crew.processes) != workers):
        _dismiss()
    if _crew is None:
        try:
            _crew = Crew(arena, workers)
        except OSError:
            _kind = "thread"
            return None
    return _crew


def _dismiss(kill: bool = False) -> None:
    global _crew
    crew, _crew = _crew, None
    if crew is not None:
        crew.dismiss(kill)


def _forget() -> None:
    """A forked child has no workers: those it knows of are its parent's."""
    global _crew, _busy
    _crew, _busy = None, threading.Lock()


atexit.register(_dismiss)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
