"""Memory for large arrays: used again instead of given back, and visible to the worker processes.

A fresh array of some megabytes costs a page fault for every 4 KiB, as much as the arithmetic on it; a training step
asks for the same sizes again and again. So the memory of an array that is gone goes to a list of its size, and the
next request of that size takes it. The whole arena is one anonymous file in memory, which worker processes map too:
they read and write the arrays of this process in place.
"""

from __future__ import annotations

import ctypes
import math
import mmap
import os
import sys
import threading
import weakref
from functools import cache
from operator import index
from typing import Any

import numpy as np

SMALLEST = 1 << 15
"""Bytes below which an array is an ordinary one of NumPy's."""

CONTROL_BYTES = 1 << 24
"""The beginning of the arena, where messages between the processes are kept."""

_MAP_FIXED = 0x10  # of Linux
_IDLE_BYTES = 64 << 20  # how much may lie idle, beyond a quarter of what is in use, before pages go back to the system


class _Lease(weakref.ref):
    """Watches one array, and gives its memory back when the last view of it is gone."""

    __slots__ = ("offset", "size")
    offset: int
    size: int


class Arena:
    """One region of shared memory, and the lists of its free blocks."""

    def __init__(self, capacity: int):
        self.fd = os.memfd_create("minidl", os.MFD_CLOEXEC)
        os.ftruncate(self.fd, capacity)
        self.map = mmap.mmap(self.fd, capacity, flags=mmap.MAP_SHARED | getattr(mmap, "MAP_NORESERVE", 0))
        self.start = np.frombuffer(self.map, np.uint8, 1).__array_interface__["data"][0]
        self.capacity = capacity
        self.live_bytes = self.idle_bytes = 0
        self._lock = threading.RLock()  # a lease may end, and give back, while another one begins
        self._next = CONTROL_BYTES
        self._free: dict[int, list[int]] = {}
        self._untouched: set[int] = set()  # free blocks whose pages the system has back
        self._leases: dict[int, _Lease] = {}  # by offset

    def empty(self, shape: tuple[int, ...], dtype: np.dtype, nbytes: int) -> np.ndarray | None:
        """An array of undefined contents, or None where the arena is full."""
        size = _size_class(nbytes)
        with self._lock:
            offset = self._block(size)
            if offset is None:
                return None
            array: np.ndarray = np.ndarray(shape, dtype, self.map, offset)
            lease = _Lease(array, self._give_back)
            lease.offset, lease.size = offset, size
            self._leases[offset] = lease
            self.live_bytes += size
        return array

    def _block(self, size: int) -> int | None:
        free = self._free.get(size)
        if free:
            offset = free.pop()
            if offset in self._untouched:
                self._untouched.discard(offset)
            else:
                self.idle_bytes -= size
            return offset
        if self.idle_bytes > _IDLE_BYTES + self.live_bytes // 4:
            self._trim()
        offset = self._next
        if offset + size > self.capacity:
            return None
        self._next += size
        return offset

    def _give_back(self, lease: _Lease) -> None:
        with self._lock:
            del self._leases[lease.offset]
            self.live_bytes -= lease.size
            self.idle_bytes += lease.size
            self._free.setdefault(lease.size, []).append(lease.offset)

    def _trim(self) -> None:
        """Give the pages of all free blocks back to the system; the blocks stay free."""
        for size, offsets in self._free.items():
            for offset in offsets:
                if offset not in self._untouched:
                    self.map.madvise(mmap.MADV_REMOVE, offset, size)
                    self._untouched.add(offset)
        self.idle_bytes = 0

    def make_private(self) -> None:
        """Replace the memory of all live blocks by private copies at the same addresses: for a forked child."""
        libc = ctypes.CDLL(None, use_errno=True)
        libc.mmap.restype = ctypes.c_void_p
        libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
        access, kind = mmap.PROT_READ | mmap.PROT_WRITE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _MAP_FIXED
        for lease in list(self._leases.values()):
            address = self.start + lease.offset
            contents = ctypes.string_at(address, lease.size)
            if libc.mmap(address, lease.size, access, kind, -1, 0) != address:
                raise MemoryError(f"fork: no private copy of an array of {lease.size} bytes could be made")
            ctypes.memmove(address, contents, lease.size)

    def offset_of(self, array: np.ndarray) -> int | None:
        """Where the first element of `array` lies in the arena; None if it lies elsewhere."""
        offset = array.__array_interface__["data"][0] - self.start
        return offset if 0 <= offset < self.capacity else None


def _size_class(nbytes: int) -> int:
    """The bytes of the block that serves a request: whole pages, at most an eighth too many."""
    step = max(mmap.PAGESIZE, 1 << max(nbytes.bit_length() - 4, 0))
    return -(-nbytes // step) * step


_arena: Arena | None = None
_supported = sys.platform == "linux" and hasattr(os, "memfd_create") and hasattr(mmap, "MADV_REMOVE")


def arena() -> Arena | None:
    """The arena of this process, made at the first call; None on systems that lack what it needs."""
    global _arena, _supported
    if _arena is None and _supported:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        try:
            _arena = Arena(8 * memory)  # addresses, not memory: pages come when they are written
        except (OSError, ValueError, OverflowError):
            _supported = False
    return _arena


def empty(
    shape: tuple[int, ...], dtype: Any, order: tuple[int, ...] | None = None, *, shared: bool = False
) -> np.ndarray:
    """An array of undefined contents.

    Args:      order: the axes from the outermost to the innermost in memory; None is row-major. The shape is that of
               the result: ``empty((n, c, h, w), dtype, (2, 3, 0, 1))`` has the strides of an (h, w, n, c) array.
               shared: in the arena however small it is, so that worker processes can write to it
    """
    dtype, shape = np.dtype(dtype), tuple([index(length) for length in shape])
    in_memory = shape if order is None else tuple([shape[axis] for axis in order])
    nbytes = math.prod(shape) * dtype.itemsize
    array = None
    if (nbytes >= SMALLEST or (shared and nbytes)) and (region := arena()) is not None:
        array = region.empty(in_memory, dtype, nbytes)
    if array is None:
        array = np.empty(in_memory, dtype)
    return array if order is None else array.transpose(_inverse(order))


@cache
def _inverse(order: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(sorted(range(len(order)), key=order.__getitem__))


def empty_like(x: np.ndarray, dtype: Any = None) -> np.ndarray:
    """An array of undefined contents in the shape of x, with its axes in the same order in memory."""
    return empty(x.shape, x.dtype if dtype is None else dtype, memory_order(x))


def copy(x: np.ndarray) -> np.ndarray:
    """A copy of x with its axes in the same order in memory; in the arena if it is large."""
    y = empty_like(x)
    np.copyto(y, x)
    return y


def memory_order(x: np.ndarray) -> tuple[int, ...] | None:
    """The axes of x from the outermost to the innermost in memory; None where it is row-major."""
    if x.flags.c_contiguous:
        return None
    return tuple(sorted(range(x.ndim), key=lambda axis: (-abs(x.strides[axis]), axis)))


# Forks ----------------------------------------------------------------------------------------------------------------
#
# What is mapped for all processes would stay common to a forked child and its parent, where a child has to have memory
# of its own. So the child takes a private copy of every live block, at the same address, before its parent goes on.

_fork_lock = threading.Lock()  # one fork at a time, from its beginning to where there are two processes
_fork_pipe: tuple[int, int] | None = None


def _before_fork() -> None:
    global _fork_pipe
    _fork_lock.acquire()
    _fork_pipe = os.pipe() if _arena is not None and _arena.live_bytes else None


def _after_fork_in_parent() -> None:
    global _fork_pipe
    pipe, _fork_pipe = _fork_pipe, None
    if pipe is not None:
        os.close(pipe[1])
    _fork_lock.release()
    if pipe is not None:
        wait = pipe[0]
        os.read(wait, 1)  # returns when the child has closed its end
        os.close(wait)


def _after_fork_in_child() -> None:
    global _arena, _fork_pipe, _fork_lock
    _fork_lock = threading.Lock()
    old, _arena = _arena, None
    if _fork_pipe is not None and old is not None:
        (wait, done), _fork_pipe = _fork_pipe, None
        os.close(wait)
        old._lock = threading.RLock()  # whoever held it is not in this process
        old.make_private()
        os.close(done)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)
