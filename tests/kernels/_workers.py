"""Who does the parts of a kernel: this process alone, threads, or worker processes that are ready."""

import time
from contextlib import contextmanager

import numpy as np
import pytest

from minidl import backend
from minidl.backend import crew

KINDS = ("alone", "threads", "processes")


@contextmanager
def workers(kind, count=2):
    """So many workers of this kind, this process among them; afterwards all is as before."""
    before = backend.get_num_threads(), backend.get_worker_kind()
    try:
        backend.set_num_threads(1 if kind == "alone" else count)
        backend.set_worker_kind("process" if kind == "processes" else "thread")
        if kind == "processes":
            _wait_for_the_crew()
        yield
    finally:
        backend.set_num_threads(before[0])
        backend.set_worker_kind(before[1])


def _wait_for_the_crew():
    found = crew._get_crew()
    if found is None:
        pytest.skip("no worker processes on this system")
    end = time.monotonic() + 60
    while not all(counters[crew.READY] for counters in found.counters):
        assert time.monotonic() < end, "the workers do not become ready"
        time.sleep(0.005)


def in_order(x, order):
    """The same values, with these axes from the outermost to the innermost in memory."""
    y = np.empty([x.shape[axis] for axis in order], x.dtype).transpose(np.argsort(order))
    y[...] = x
    return y


def with_gaps(x):
    """The same values, every second element of a larger array along the last axis."""
    y = np.zeros((*x.shape[:-1], 2 * x.shape[-1]), x.dtype)[..., ::2]
    y[...] = x
    return y


def upside_down(x):
    """The same values, in reversed order in memory along the first axis."""
    return np.ascontiguousarray(x[::-1])[::-1]


def read_only(x):
    """A copy that nobody may write to."""
    y = x.copy(order="K")
    y.flags.writeable = False
    return y


LAYOUTS = {
    "NCHW": np.ascontiguousarray,
    "HWNC": lambda x: in_order(x, (2, 3, 0, 1)),
    "CHWN": lambda x: in_order(x, (1, 2, 3, 0)),
    "NHWC": lambda x: in_order(x, (0, 2, 3, 1)),
    "gaps": with_gaps,
    "upside-down": upside_down,
    "read-only": read_only,
}
"""How the values of an (N, C, H, W) array may lie in memory."""
