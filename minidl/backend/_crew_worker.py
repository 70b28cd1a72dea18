"""The other side of :mod:`minidl.backend.crew`: waits for a part of a kernel, does it, and says so."""

from __future__ import annotations

import importlib
import marshal
import mmap
import os
import pickle
import signal
import sys
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from .crew import ASLEEP, DONE, FAILED, LENGTH, MAILBOX_BYTES, READY, REQUESTS, STAGING, TEXT
from .threads import set_num_threads


def serve() -> None:
    """Work until the standard input is closed, which happens when the process that started this one ends."""
    fd, capacity, i = map(int, sys.argv[1:4])
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    np.seterr(all="ignore")
    set_num_threads(1)  # a part that shares work again does it by itself
    memory = mmap.mmap(fd, capacity, flags=mmap.MAP_SHARED | getattr(mmap, "MAP_NORESERVE", 0))
    box = memoryview(memory)[i * MAILBOX_BYTES : (i + 1) * MAILBOX_BYTES]
    counters = box[:TEXT].cast("q")
    importlib.import_module("minidl.kernels.cpu")
    counters[READY] = 1
    while _wait(counters):
        try:
            _do(memory, box[TEXT : TEXT + counters[LENGTH]])
        except BaseException as error:
            text = _pickled(error)
            box[TEXT : TEXT + len(text)] = text
            counters[LENGTH], counters[FAILED] = len(text), 1
        counters[DONE] = counters[REQUESTS]


def _wait(counters: memoryview) -> bool:
    """True at the next request, False at the end."""
    done = counters[DONE]
    for _ in range(100):
        for _ in range(1000):  # about 50 µs
            if counters[REQUESTS] != done:
                return True
    counters[ASLEEP] = 1
    try:
        while counters[REQUESTS] == done:
            if not os.read(0, 4096):
                return False
    finally:
        counters[ASLEEP] = 0
    return True


def _do(memory: mmap.mmap, message: memoryview) -> None:
    module, name, start, stop, outs, ins, settings = marshal.loads(message)
    arrays = [[None if place is None else _array(memory, *place) for place in places] for places in (outs, ins)]
    _function(module, name)(start, stop, *arrays, *settings)


@cache
def _function(module: str, name: str) -> Callable[..., None]:
    return getattr(importlib.import_module(module), name)


def _array(memory: mmap.mmap, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], dtype: str) -> Any:
    return np.ndarray(shape, dtype, memory, offset, strides)


def _pickled(error: BaseException) -> bytes:
    try:
        text = pickle.dumps(error)
        pickle.loads(text)
        if len(text) <= STAGING - TEXT:
            return text
    except Exception:
        pass
    return pickle.dumps(RuntimeError(f"{type(error).__name__} in a worker process: {error}"[:1000]))
