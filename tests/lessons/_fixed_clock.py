"""Runs a script whose clock moves by a millisecond with each look at it: ``python _fixed_clock.py SCRIPT ARGUMENTS``.

So what it measures is the same each time, and everything that it prints and draws can be compared with another run.
"""

import itertools
import runpy
import sys
import time

_ticks = itertools.count(1)


def _seconds():
    return next(_ticks) / 1_000


def _nanoseconds():
    return next(_ticks) * 1_000_000


if __name__ == "__main__":
    for name in ("perf_counter", "time", "process_time", "thread_time"):
        setattr(time, name, _seconds)
        setattr(time, f"{name}_ns", _nanoseconds)
    sys.argv = sys.argv[1:]
    sys.path[0] = sys.argv[0].rpartition("/")[0]
    runpy.run_path(sys.argv[0], run_name="__main__")
