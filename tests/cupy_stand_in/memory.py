"""Device memory: guarded, poisoned, accounted for, and limited if a test wants it to run out."""

import threading
import weakref

import numpy as np

from .devices import current_device

GUARD = 512
"""Bytes before and after each allocation that no kernel may touch."""

_GUARD_BYTE = 0xFB  # as a float a large negative number, as an int one too
_POISON = 0xFF  # fresh memory is NaN as floats and -1 as integers: reading it shows
_UNIT = 512  # CuPy's pool hands out multiples of this
_TOTAL = 16 << 30  # bytes of each device


class OutOfMemoryError(MemoryError):
    """As cupy.cuda.memory.OutOfMemoryError: the message is CuPy's."""

    def __init__(self, size, total, limit=0):
        suffix = f", limit set to: {limit:,} bytes" if limit else ""
        super().__init__(f"Out of memory allocating {size:,} bytes (allocated so far: {total:,} bytes{suffix}).")


class OutOfBounds(AssertionError):
    """A kernel wrote outside of the arrays that it was given."""


class Block:
    """One allocation on the current device."""

    def __init__(self, size):
        self.size = size
        self.device = current_device()
        self.rounded = -(-size // _UNIT) * _UNIT
        pool.take(self.device, self.rounded)
        space = np.full(GUARD + size + GUARD + 256, _POISON, np.uint8)
        offset = -(space.ctypes.data + GUARD) % 256
        self.bytes = space[offset : offset + GUARD + size + GUARD]
        self.bytes[:GUARD] = self.bytes[GUARD + size :] = _GUARD_BYTE
        self.start = self.bytes.ctypes.data + GUARD
        _live.add(self)

    def __del__(self):
        if hasattr(self, "bytes") and pool is not None:  # None when Python ends
            pool.give_back(self.device, self.rounded)

    def array(self, shape, dtype, strides=None):
        """A NumPy array that lies at the beginning of the block."""
        return np.ndarray(shape, dtype, self.bytes, GUARD, strides)

    def holds(self, array):
        """Whether a NumPy array lies in this block."""
        return self.start <= array.__array_interface__["data"][0] < self.start + max(self.size, 1)

    def check(self, kernel):
        """Raise OutOfBounds if the guards are not as they were."""
        before, after = self.bytes[:GUARD], self.bytes[GUARD + self.size :]
        if (before != _GUARD_BYTE).any() or (after != _GUARD_BYTE).any():
            side = "before" if (before != _GUARD_BYTE).any() else "after"
            before[:] = after[:] = _GUARD_BYTE
            raise OutOfBounds(f"{kernel} wrote {side} an array of {self.size} bytes")


_live: "weakref.WeakSet[Block]" = weakref.WeakSet()


class MemoryPool:
    """The bytes in use and kept, for each device."""

    def __init__(self, allocator=None):
        self._lock = threading.RLock()  # a block may die, and be given back, while another is taken
        self._used, self._kept, self._limit = {}, {}, {}

    def take(self, device, size):
        with self._lock:
            used, limit = self._used.get(device, 0), self._limit.get(device, 0)
            if used + size > (limit or _TOTAL):
                raise OutOfMemoryError(size, used, limit)
            self._used[device] = used + size
            self._kept[device] = max(self._kept.get(device, 0), used + size)

    def give_back(self, device, size):
        with self._lock:
            self._used[device] -= size

    def used_bytes(self):
        return self._used.get(current_device(), 0)

    def total_bytes(self):
        return self._kept.get(current_device(), 0)

    def free_bytes(self):
        return self.total_bytes() - self.used_bytes()

    def free_all_blocks(self, stream=None):
        with self._lock:
            self._kept[current_device()] = self.used_bytes()

    def set_limit(self, size=None, fraction=None):
        self._limit[current_device()] = int(_TOTAL * fraction) if size is None else size

    def get_limit(self):
        return self._limit.get(current_device(), 0)

    def free_and_total(self):
        """As cudaMemGetInfo: what the device has left, and what it has."""
        return _TOTAL - self.total_bytes(), _TOTAL

    def reset(self):
        """Neither limits nor kept memory."""
        self._limit.clear()
        self._kept = dict(self._used)


pool = MemoryPool()


class MemoryPointer:
    """What ``array.data`` is: an address on a device."""

    def __init__(self, mem, offset):
        self.mem, self.ptr, self.device_id = mem, mem.start + offset, mem.device
