"""Page-locked host memory, from which copies run beside the program."""

import ctypes
import weakref

import numpy as np

_pinned: "weakref.WeakValueDictionary[int, object]" = weakref.WeakValueDictionary()


def alloc_pinned_memory(size):
    """As cupy.cuda.alloc_pinned_memory: an object with a buffer, ``ptr`` and ``size()``."""
    size = -(-max(size, 1) // 512) * 512  # the pool's unit: a caller must say how much of the buffer it means
    memory = type("PinnedMemoryPointer", (ctypes.c_ubyte * size,), {"size": lambda self: size})()
    memory.ptr = ctypes.addressof(memory)
    _pinned[memory.ptr] = memory
    return memory


def is_pinned(array):
    """Whether a NumPy array lies in pinned memory."""
    address = array.__array_interface__["data"][0]
    return any(start <= address < start + ctypes.sizeof(memory) for start, memory in list(_pinned.items()))


class PinnedMemoryPool:
    """As cupy.cuda.PinnedMemoryPool; nothing is kept."""

    def malloc(self, size):
        return alloc_pinned_memory(size)

    def free_all_blocks(self):
        pass

    def n_free_blocks(self):
        return 0


def empty_pinned(shape, dtype=float, order="C"):
    """As cupyx.empty_pinned."""
    dtype = np.dtype(dtype)
    shape = (shape,) if isinstance(shape, int) else tuple(shape)
    size = int(np.prod(shape)) * dtype.itemsize
    return np.ndarray(shape, dtype, alloc_pinned_memory(size), order=order)


def zeros_pinned(shape, dtype=float, order="C"):
    """As cupyx.zeros_pinned."""
    result = empty_pinned(shape, dtype, order)
    result[...] = 0
    return result
