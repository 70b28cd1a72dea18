"""Checks of values: at once on the CPU; on a GPU when results next come to the host, so that nobody waits for them.

Whether a label is out of range is known when the device has got there, and to ask at once would stop the program until
then, in every step. So the question is put to the device, and the answer read with the next result that is copied to
the host, by ``item()``, ``cpu()`` or :func:`minidl.cuda.synchronize`: an error comes late, but before any number that
it could have spoilt is seen.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np

MOST_PENDING = 4096
"""Answers to wait for, beyond which they are read at once: a program that never looks at a result still gets errors."""

_pending: list[tuple[Any, Callable[[], Exception]]] = []
_lock = threading.Lock()


def check(wrong: Any, error: Callable[[], Exception]) -> None:
    """Raise ``error()`` if any element of the boolean array `wrong` is true: now, or on a GPU later."""
    if isinstance(wrong, np.ndarray | np.generic):
        if wrong.any():
            raise error()
        return
    with _lock:
        _pending.append((wrong.any(), error))
    if len(_pending) > MOST_PENDING:
        raise_pending()


def in_range(places: Any, length: int, error: Callable[[], Exception]) -> Any:
    """`places`, once it is checked that all of them lie in [0, length); on a GPU the wrong ones are moved into it.

    Where the check comes late, a kernel must not write past the end of its array in the meantime.
    """
    check((places < 0) | (places >= length), error)
    return places if isinstance(places, np.ndarray) or not length else places.clip(0, length - 1)


def raise_pending() -> None:
    """Wait for the answers that are still missing, and raise the first error there is."""
    if not _pending:
        return
    with _lock:
        pending, _pending[:] = list(_pending), []
    for wrong, error in pending:
        if bool(wrong):
            raise error()
