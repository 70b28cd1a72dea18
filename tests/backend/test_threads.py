"""parallel_for: every part once, whatever fails, wherever it is called from."""

import subprocess
import sys
import threading

import numpy as np
import pytest

from minidl import backend
from minidl.backend import parallel_for, threads
from minidl.errors import ArgumentError


@pytest.fixture(autouse=True)
def _four_threads():
    before = backend.get_num_threads()
    backend.set_num_threads(4)
    yield
    backend.set_num_threads(before)


@pytest.mark.parametrize("size", [0, 1, 2, 3, 4, 5, 17, 1000])
@pytest.mark.parametrize("grain", [1, 3, 100, 0])
def test_every_index_once(size, grain):
    counts = np.zeros(size, int)
    parts = []

    def work(start, stop):
        counts[start:stop] += 1
        parts.append(stop - start)

    parallel_for(work, size, grain)
    assert (counts == 1).all()
    assert len(parts) == 1 or min(parts) >= grain
    assert len(parts) <= 4


def test_parts_run_at_the_same_time():
    barrier = threading.Barrier(4, timeout=30)
    parallel_for(lambda start, stop: barrier.wait(), 4)
    assert not barrier.broken


def test_one_thread_runs_in_the_caller():
    backend.set_num_threads(1)
    names = []
    parallel_for(lambda start, stop: names.append((threading.current_thread(), start, stop)), 100)
    assert names == [(threading.current_thread(), 0, 100)]


@pytest.mark.parametrize("failing", [0, 2, 3])
def test_an_exception_in_a_part_is_raised_when_all_have_ended(failing):
    ended = []

    def work(start, stop):
        if start == failing:
            raise KeyError(f"part {start}")
        ended.append(start)

    with pytest.raises(KeyError, match=f"part {failing}"):
        parallel_for(work, 4)
    assert sorted(ended + [failing]) == [0, 1, 2, 3]
    parallel_for(lambda start, stop: ended.append(start), 4)  # the pool lives on
    assert len(ended) == 7


def test_parts_may_be_parallel_themselves():
    """A worker that waited for workers could wait for ever: it does its own work instead."""
    counts = np.zeros((4, 4, 4), int)

    def outer(start, stop):
        def middle(a, b):
            def inner(c, d):
                counts[start:stop, a:b, c:d] += 1

            parallel_for(inner, 4)

        parallel_for(middle, 4)

    runners = [threading.Thread(target=parallel_for, args=(outer, 4), daemon=True) for _ in range(4)]
    for runner in runners:
        runner.start()
    for runner in runners:
        runner.join(30)
        assert not runner.is_alive()
    assert counts.min() >= 1


def test_several_callers_at_once():
    totals = [0] * 6
    lock = threading.Lock()

    def caller(i):
        def work(start, stop):
            with lock:
                totals[i] += stop - start

        for _ in range(50):
            parallel_for(work, 40)

    callers = [threading.Thread(target=caller, args=(i,)) for i in range(6)]
    for thread in callers:
        thread.start()
    for thread in callers:
        thread.join(30)
    assert totals == [2000] * 6


def test_parts_take_the_callers_numpy_error_state():
    with np.errstate(divide="ignore"):
        parallel_for(lambda start, stop: np.divide(1.0, np.zeros(2)), 4)
    with np.errstate(divide="raise"), pytest.raises(FloatingPointError, match="divide by zero"):
        parallel_for(lambda start, stop: start == 0 or np.divide(1.0, np.zeros(2)), 4)


@pytest.mark.parametrize("count", [0, -1, 1.5, "2", True, None])
def test_bad_counts(count):
    with pytest.raises(ArgumentError, match="set_num_threads: count must be a positive integer, got"):
        backend.set_num_threads(count)
    assert backend.get_num_threads() == 4


def test_changing_the_count_replaces_the_pool():
    parallel_for(lambda start, stop: None, 4)
    pool = threads._pool
    backend.set_num_threads(4)
    assert threads._pool is pool
    backend.set_num_threads(2)
    assert threads._pool is None and backend.get_num_threads() == 2
    parallel_for(lambda start, stop: None, 4)
    assert threads._pool is not pool


FORK = """
import os, warnings
warnings.simplefilter("ignore")
from minidl.backend import parallel_for, set_num_threads
set_num_threads(3)
parallel_for(lambda a, b: None, 9)
child = os.fork()
done = []
parallel_for(lambda a, b: done.extend(range(a, b)), 9)
assert sorted(done) == list(range(9))
if child == 0:
    os._exit(0)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
"""


def test_after_a_fork_the_child_has_a_pool_of_its_own():
    subprocess.run([sys.executable, "-c", FORK], check=True, timeout=60)


def test_the_pool_is_forgotten_after_a_fork():
    parallel_for(lambda start, stop: None, 4)
    pool = threads._pool
    try:
        threads._forget_pool()
        assert threads._pool is None
    finally:
        threads._pool = pool
