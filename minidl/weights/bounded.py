"""A file that is never asked for more than it has."""

from __future__ import annotations

import os
from typing import Any, BinaryIO

_SMALL = 1 << 16  # bytes


class Bounded:
    """A file whose `read` asks for no more than there is: Python makes room for all that is asked for, first.

    So a length of 4 GB in a short file costs nothing, whoever believes it: zipfile, pickletools, or a reader here.
    """

    def __init__(self, file: BinaryIO):
        self._file, self._size = file, os.fstat(file.fileno()).st_size

    def read(self, count: int | None = -1) -> bytes:
        """Up to `count` bytes; all that are left without one."""
        if count is not None and count > _SMALL:
            count = min(count, max(self._size - self._file.tell(), 0))
        return self._file.read(-1 if count is None else count)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)
