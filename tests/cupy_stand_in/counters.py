"""What a program asked of the device: synchronisations, transfers, kernel launches, indices that wrapped round."""

import os
import sys
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field, fields


@dataclass
class Counters:
    """Counts since the last reset; ``places`` says where in the program each synchronisation and transfer was."""

    synchronisations: int = 0
    transfers_to_device: int = 0
    bytes_to_device: int = 0
    transfers_to_host: int = 0
    bytes_to_host: int = 0
    wrapped_indices: int = 0
    launches: Counter = field(default_factory=Counter)
    places: Counter = field(default_factory=Counter)

    def reset(self):
        for each in fields(self):
            setattr(self, each.name, each.type())


counters = Counters()
_active = [counters]


@contextmanager
def counting():
    """Counters of their own for a block: ``with counting() as seen: step(); assert seen.synchronisations == 0``."""
    inside = Counters()
    _active.append(inside)
    try:
        yield inside
    finally:
        _active[:] = [each for each in _active if each is not inside]


def synchronised(what):
    """The host waited for the device."""
    for each in _active:
        each.synchronisations += 1
        each.places[f"synchronisation: {what}", _place()] += 1


def moved_to_device(nbytes, what):
    for each in _active:
        each.transfers_to_device += 1
        each.bytes_to_device += nbytes
        each.places[f"to device: {what}", _place()] += 1


def moved_to_host(nbytes, what):
    for each in _active:
        each.transfers_to_host += 1
        each.bytes_to_host += nbytes
        each.places[f"to host: {what}", _place()] += 1


def launched(name):
    for each in _active:
        each.launches[name] += 1


def wrapped(count, what):
    """CuPy reads or writes another element where NumPy raises IndexError."""
    for each in _active:
        each.wrapped_indices += count
        each.places[f"wrapped index: {what}", _place()] += 1


_here = os.path.dirname(__file__) + os.sep


def _place():
    """File and line of the innermost caller outside this package and NumPy."""
    frame = sys._getframe(1)
    while frame.f_back is not None and (
        frame.f_code.co_filename.startswith(_here) or f"{os.sep}numpy{os.sep}" in frame.f_code.co_filename
    ):
        frame = frame.f_back
    return f"{os.path.relpath(frame.f_code.co_filename)}:{frame.f_lineno}"
