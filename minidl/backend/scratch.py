"""Memory that a kernel uses for a moment and that the next call uses again.

A fresh 64 MB temporary costs page faults each time; a reused one does not.
"""

from __future__ import annotations

import math
import threading

import numpy as np

_local = threading.local()


def scratch(tag: str, shape: tuple[int, ...], dtype: np.dtype | type) -> np.ndarray:
    """An array of undefined contents that this thread reuses under `tag`.

    It must not escape the kernel that asked for it, and one kernel asks for each tag once. One buffer is kept for each
    tag, as large as the largest request.
    """
    buffers = _local.__dict__
    dtype = np.dtype(dtype)
    size = math.prod(shape) * dtype.itemsize
    buffer = buffers.get(tag)
    if buffer is None or buffer.nbytes < size:
        buffer = buffers[tag] = np.empty(size, np.uint8)
    return buffer[:size].view(dtype).reshape(shape)
