"""Copies to a GPU beside its work: from page-locked memory, on a stream of their own.

A device does what it is given in the order of a stream. A copy in the stream of the operations would keep them waiting;
one in another stream is made by other hardware at the same time, if it reads from page-locked memory, which the system
promises not to move. Then three things have to be kept in order, none of them by waiting on the host:

1. Operations read a copy only when it has ended: their stream waits for an event that the copy's stream records.
2. The page-locked memory is neither written again nor given back before the copy has read it: it is held until that
   event has come.
3. The memory that is copied into belongs to arrays. CuPy's pool takes memory back as soon as Python drops the array,
   and gives it to the next array of the same stream, which is safe because the same stream still works on the old one
   first. So the copies are made into arrays of the operations' stream, and the copying stream waits until that stream
   has come to where they were made; and every copy is waited for by that stream, also one that nobody wants any more.
"""

from __future__ import annotations

import threading
from collections import deque
from functools import cache
from types import ModuleType
from typing import Any

import numpy as np

from ._cupy import require_cupy
from .arrays import making_on, to_device
from .device import Device


class Courier:
    """Carries arrays from the host to one device. There is one for each device: see :func:`courier`."""

    def __init__(self, cupy: ModuleType, device: Device):
        self._cupy, self.device = cupy, device
        with cupy.cuda.Device(device.index):
            self._stream = cupy.cuda.Stream(non_blocking=True)  # the default stream waits for all others
        self._sent: list[np.ndarray] = []
        self._held: deque[tuple[Any, list[np.ndarray]]] = deque()  # (the end of the copies, what they read)
        self._lock = threading.Lock()

    def pin(self, array: np.ndarray) -> np.ndarray:
        """A copy in page-locked memory, in row-major order. Any thread may make it."""
        memory = self._cupy.cuda.alloc_pinned_memory(max(array.nbytes, 1))
        pinned: np.ndarray = np.ndarray(array.shape, array.dtype, memory)
        np.copyto(pinned, array)
        return pinned

    def send(self, array: Any) -> Any:
        """Begin to copy what :meth:`pin` made: the array on the device, to be read after ``receive(end())``.

        What is on a GPU already is given back as it is, or moved if it is another one.

        Raises:    OutOfMemoryError: there is no place for it
        """
        if not isinstance(array, np.ndarray):
            return to_device(array, self.device)
        with making_on(self.device, "send") as cupy, self._lock:
            copy = cupy.empty(array.shape, array.dtype)
            if array.size:
                self._stream.wait_event(cupy.cuda.get_current_stream().record())
                self._sent.append(array)
                copy.set(array, self._stream)
        return copy

    def end(self) -> Any:
        """The event at the end of what was sent so far."""
        with self._cupy.cuda.Device(self.device.index), self._lock:
            while self._held and self._held[0][0].done:
                self._held.popleft()
            ended = self._stream.record()
            self._held.append((ended, self._sent))
            self._sent = []
        return ended

    def receive(self, ended: Any) -> None:
        """Let the stream of the operations wait for that event; the host goes on."""
        with self._cupy.cuda.Device(self.device.index):
            self._cupy.cuda.get_current_stream().wait_event(ended)


def courier(device: Device) -> Courier:
    """The courier to a device."""
    return _courier(require_cupy(), device)


_courier = cache(Courier)
