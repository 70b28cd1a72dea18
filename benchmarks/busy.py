"""Whether other processes use the processor while something is timed (Linux; elsewhere nobody knows, so no)."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100
DISTURBED = 0.2
"""Cores in use by others above which a burst counts as disturbed."""


class Watch:
    """Begins at its creation."""

    def __init__(self) -> None:
        self._time, self._others = time.perf_counter(), _others()

    def cores(self) -> float:
        """How many cores others, or other guests of the host, have kept busy since, on average.

        The system counts in ticks of some 10 ms, so two of them are let pass.
        """
        seconds = time.perf_counter() - self._time
        return max(0.0, _others() - self._others - 2 / _TICKS) / seconds


def _others() -> float:
    """Processor seconds of everything but this process and its children since the machine started."""
    try:
        line = Path("/proc/stat").read_text().splitlines()[0]
    except OSError:
        return 0.0
    user, nice, system, _idle, _wait, interrupts, soft, stolen = map(int, line.split()[1:9])
    return (user + nice + system + interrupts + soft + stolen - _children()) / _TICKS - _own()


def _own() -> float:
    times = os.times()
    return time.process_time() + times.children_user + times.children_system


def _children() -> int:
    """Ticks of the children that still run: minidl's worker processes."""
    return sum(int(fields[11]) + int(fields[12]) for _, fields in children())


def children() -> Iterator[tuple[Path, list[str]]]:
    """The running children of this process: where each is in /proc, and its stat from the state on."""
    parent = str(os.getpid())
    for entry in os.scandir("/proc") if os.path.isdir("/proc") else ():
        if entry.name.isdigit():
            try:
                fields = Path(entry.path, "stat").read_text().rpartition(")")[2].split()
            except OSError:  # it has ended
                continue
            if fields[1] == parent:
                yield Path(entry.path), fields
