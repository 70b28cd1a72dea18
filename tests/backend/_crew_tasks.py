"""Parts of work for the tests of the crew: functions of a module, which worker processes can import."""

import os
import threading
import time

import numpy as np

from minidl.backend import share


def count(start, stop, outs, ins):
    """One more for each index, and who did it."""
    counts, pids = outs
    counts[start:stop] += 1
    pids[start:stop] = os.getpid()


def bounds(start, stop, outs, ins):
    """Where the part of each index begins and ends."""
    outs[0][start:stop] = start, stop


def row_sums(start, stop, outs, ins, power):
    """Σ xᵖ of each row, and e to the mean of it."""
    (sums, exponentials), (x,) = outs, ins
    sums[start:stop] = (x[start:stop] ** power).sum(1)
    exponentials[start:stop] = np.exp(x[start:stop].mean(1))


def product(start, stop, outs, ins):
    """Rows of a matrix product."""
    np.matmul(ins[0][start:stop], ins[1], out=outs[0][start:stop])


def report(start, stop, outs, ins, *settings):
    """What the arrays are like and what is in them, as seen from the part's process."""
    for row in range(start, stop):
        for i, array in enumerate(ins):
            if array is None:
                outs[0][row, i] = -1
            else:
                weights = np.arange(1, array.size + 1).reshape(array.shape)
                outs[0][row, i] = (array * weights).sum(dtype=np.float64)
    assert len(outs) == 2 and outs[1] is None


def check_settings(start, stop, outs, ins, *settings):
    """Fails unless the settings have come as they were."""
    expected = (1, -(2**40), 0.1, float("inf"), True, None, "word", (2, (3, None)), ())
    assert settings == expected and [type(s) for s in settings] == [type(e) for e in expected]
    outs[0][start:stop] = 1


def check_scale(start, stop, outs, ins):
    """One number for all rows."""
    outs[0][start:stop] = ins[0] * ins[1][start:stop]


def fail_at(start, stop, outs, ins, index, kind):
    """Raises in the part that has this index, before it does anything."""
    if start <= index < stop:
        raise ERRORS[kind]()
    time.sleep(0.05)
    outs[0][start:stop] += 1


def pause(start, stop, outs, ins, seconds):
    """Every part but the first takes its time."""
    if start:
        time.sleep(seconds)
    outs[0][start:stop] += 1
    outs[1][start:stop] = os.getpid()


def leave(start, stop, outs, ins, code):
    """Every part but the first ends its process."""
    if start:
        os._exit(code)
    outs[0][start:stop] += 1


def nested(start, stop, outs, ins):
    """Each row is shared out once more."""
    for row in range(start, stop):
        share(count, outs[0].shape[1], (outs[0][row], outs[1][row]), ())


class NeedsTwo(Exception):
    """Can be pickled, but not be made again from its arguments."""

    def __init__(self, first, second):
        super().__init__(f"{first} and {second}")


class HoldsALock(Exception):
    """Cannot be pickled."""

    def __init__(self):
        super().__init__("a lock")
        self.lock = threading.Lock()


ERRORS = {
    "key": lambda: KeyError("a key"),
    "value": lambda: ValueError("a value", 3),
    "memory": lambda: MemoryError("no memory"),
    "exit": lambda: SystemExit("the end"),
    "interrupt": lambda: KeyboardInterrupt("stop"),
    "two": lambda: NeedsTwo("one", "two"),
    "lock": HoldsALock,
    "long": lambda: ValueError("x" * 1_000_000),
}
