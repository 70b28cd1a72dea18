"""Scratch memory: reused, of any shape and dtype, one for each thread and tag."""

import threading

import numpy as np
import pytest

from minidl.backend import scratch


def test_shapes_and_dtypes():
    for shape in ((3, 4), (), (0, 5), (7,)):
        for dtype in (np.float32, np.float64, np.int64, bool):
            array = scratch("test", shape, dtype)
            assert array.shape == shape and array.dtype == dtype
            assert array.flags.c_contiguous and array.flags.writeable and array.flags.aligned


def test_memory_is_reused_and_grows():
    small = scratch("grow", (4,), np.float64)
    assert np.shares_memory(small, scratch("grow", (2, 2), np.float64))
    large = scratch("grow", (400,), np.float64)
    assert not np.shares_memory(small, large)
    assert np.shares_memory(large, scratch("grow", (4,), np.float32))


def test_tags_are_apart():
    assert not np.shares_memory(scratch("a", (4,), np.float64), scratch("b", (4,), np.float64))


@pytest.mark.parametrize("count", [4])
def test_threads_are_apart(count):
    barrier = threading.Barrier(count, timeout=30)
    right = []

    def work(i):
        array = scratch("shared", (1000,), np.int64)
        array[...] = i
        barrier.wait()
        right.append(bool((array == i).all()))
        barrier.wait()

    threads = [threading.Thread(target=work, args=(i,)) for i in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert right == [True] * count
