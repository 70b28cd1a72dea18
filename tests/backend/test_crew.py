"""share: every part once, by worker processes where there are any, and right results whatever happens to them."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from minidl import backend
from minidl.backend import arena, crew, empty, share
from minidl.errors import ArgumentError, WorkerError
from tests.backend import _crew_tasks as tasks

ROOT = str(Path(__file__).parents[2])

pytestmark = pytest.mark.skipif(
    arena.arena() is None or not crew._ordered_stores, reason="worker processes need Linux on x86-64"
)


@pytest.fixture(autouse=True)
def _settings(monkeypatch):
    """Worker processes that can import the tasks; and everything as it was, afterwards."""
    path = os.environ.get("PYTHONPATH")
    monkeypatch.setenv("PYTHONPATH", ROOT if path is None else ROOT + os.pathsep + path)
    threads, kind = backend.get_num_threads(), backend.get_worker_kind()
    backend.set_worker_kind("process")
    yield
    backend.set_num_threads(threads)
    backend.set_worker_kind(kind)


@pytest.fixture(scope="module", autouse=True)
def _no_workers_left():
    yield
    crew._dismiss()


def wait_until(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.005)


def ready_crew(threads=2):
    """The crew for so many threads, all of its workers at their posts."""
    backend.set_num_threads(threads)
    found = crew._get_crew()
    wait_until(lambda: all(counters[crew.READY] for counters in found.counters))
    assert len(found.processes) == threads - 1
    return found


def pids_of(found):
    return [process.pid for process in found.processes]


def zeros(shape, dtype=np.int64):
    array = empty(shape, dtype, shared=True)
    array[...] = 0
    return array


def counted(size, grain=1):
    """(how often each index was done, by whom)."""
    outs = zeros((size,)), zeros((size,))
    share(tasks.count, size, outs, (), (), grain)
    return outs


def assert_workers_take_part(found):
    """Every process does its part; returns who did which index."""
    counts, pids = counted(100)
    assert (counts == 1).all()
    assert list(dict.fromkeys(pids.tolist())) == [os.getpid(), *pids_of(found)]


def is_gone(pid):
    """Whether a process has ended, or is only remembered for its exit code."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


# Who does what -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_every_index_once_and_by_the_process_whose_part_it_is(threads):
    found = ready_crew(threads) if threads > 1 else backend.set_num_threads(1)
    doers = [os.getpid(), *(pids_of(found) if found else [])]
    for size in (1, 2, 3, 4, 17, 1000):
        for grain in (0, 1, 3, 100):
            counts, pids = counted(size, grain)
            assert (counts == 1).all()
            parts = max(1, min(threads, size // max(grain, 1)))
            assert list(dict.fromkeys(pids.tolist())) == doers[:parts]


def test_parts_are_as_even_as_can_be():
    ready_crew(3)
    found = zeros((20, 2))
    share(tasks.bounds, 20, (found,), ())
    assert list(dict.fromkeys(map(tuple, found.tolist()))) == [(0, 6), (6, 13), (13, 20)]


def test_nothing_to_do_is_done_in_the_caller():
    ready_crew()
    share(tasks.count, 0, (empty((0,), np.int64), empty((0,), np.int64)), ())


def test_one_thread_needs_no_workers(monkeypatch):
    backend.set_num_threads(1)
    monkeypatch.setattr(crew, "_get_crew", lambda: pytest.fail("asked for workers"))
    counts, pids = counted(50)
    assert (counts == 1).all() and set(pids.tolist()) == {os.getpid()}


def test_until_the_workers_are_ready_threads_do_their_parts():
    crew._dismiss()
    backend.set_num_threads(2)
    counts, pids = counted(50)
    assert (counts == 1).all() and set(pids.tolist()) == {os.getpid()}
    assert_workers_take_part(ready_crew())


def test_what_is_not_linux_on_x86_64_has_threads(monkeypatch):
    monkeypatch.setattr(crew, "_ordered_stores", False)
    backend.set_num_threads(2)
    assert crew._get_crew() is None
    counts, pids = counted(50)
    assert (counts == 1).all() and set(pids.tolist()) == {os.getpid()}


# The same results ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("threads", [2, 3])
def test_results_are_those_of_one_process_bit_for_bit(threads, rng):
    x = empty((67, 1234), np.float32)
    x[...] = rng.standard_normal(x.shape)
    outs = [[zeros((67,), np.float32) for _ in range(2)] for _ in range(3)]
    backend.set_num_threads(1)
    share(tasks.row_sums, 67, outs[0], (x,), (3,))
    ready_crew(threads)
    share(tasks.row_sums, 67, outs[1], (x,), (3,))
    share(tasks.row_sums, 67, outs[2], (x,), (3,))
    for first, second, third in zip(*outs, strict=True):
        np.testing.assert_array_equal(second, first)
        np.testing.assert_array_equal(third, first)


def test_processes_and_threads_multiply_matrices_to_the_same_bits(rng):
    a, b = empty((301, 203), np.float32), empty((203, 157), np.float32)
    a[...], b[...] = rng.standard_normal(a.shape), rng.standard_normal(b.shape)
    by_process, by_thread = (empty((301, 157), np.float32) for _ in range(2))
    ready_crew()
    share(tasks.product, 301, (by_process,), (a, b))
    backend.set_worker_kind("thread")
    share(tasks.product, 301, (by_thread,), (a, b))
    np.testing.assert_array_equal(by_process, by_thread)
    np.testing.assert_allclose(by_process, a @ b, rtol=1e-4, atol=1e-4)


# What goes in and out ------------------------------------------------------------------------------------------------


def layouts(make):
    """The arrays of this maker, seen in several ways."""
    x = make((6, 4, 10))
    return [
        x,
        x.transpose(2, 0, 1),
        x[::-1, :, ::-3],
        x[1:3, 2:, 1:],
        np.broadcast_to(x[:, :1, :1], (6, 5, 3)),
        x[2, 3, 4:5].reshape(()),
        x[:0],
        None,
    ]


def small(shape):
    x = np.random.default_rng(1).standard_normal(shape)
    x.flags.writeable = False
    return x


def large(shape):
    """Above what a mailbox holds."""
    return np.random.default_rng(1).standard_normal((shape[0], shape[1], 100 * shape[2] * shape[1]))


def in_the_arena(shape):
    x = empty(shape, np.float64, (1, 2, 0), shared=True)
    x[...] = np.random.default_rng(1).standard_normal(shape)
    return x


@pytest.mark.parametrize("make", [small, large, in_the_arena])
@pytest.mark.parametrize("threads", [2, 3])
def test_inputs_of_any_place_and_layout_arrive(make, threads):
    ready_crew(threads)
    ins = layouts(make)
    outs = [zeros((6, len(ins)), np.float64) for _ in range(2)]
    tasks.report(0, 6, (outs[0], None), ins)
    share(tasks.report, 6, (outs[1], None), ins)
    np.testing.assert_array_equal(outs[1], outs[0])


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint8", "int16", "int32", "int64", "float16", "float32", "float64"])
def test_inputs_of_any_dtype_arrive(dtype, rng):
    ready_crew()
    x = (rng.standard_normal((5, 3)) > 0).astype(dtype)
    outs = [zeros((2, 1), np.float64) for _ in range(2)]
    tasks.report(0, 2, (outs[0], None), [x])
    share(tasks.report, 2, (outs[1], None), [x])
    np.testing.assert_array_equal(outs[1], outs[0])


def test_more_small_inputs_than_a_mailbox_holds_arrive(rng):
    ready_crew()
    ins = [rng.standard_normal(4000) for _ in range(60)]
    outs = [zeros((4, len(ins)), np.float64) for _ in range(2)]
    tasks.report(0, 4, (outs[0], None), ins)
    share(tasks.report, 4, (outs[1], None), ins)
    np.testing.assert_array_equal(outs[1], outs[0])


def test_small_inputs_are_taken_as_they_are_at_the_call():
    ready_crew()
    scale, x, out = np.array(2.0), np.arange(10.0), zeros((10,), np.float64)
    for factor in (1.0, 2.0, 3.0):
        scale[...] = factor
        share(tasks.check_scale, 10, (out,), (scale, x))
        np.testing.assert_array_equal(out, factor * x)


def test_settings_arrive_as_they_are():
    ready_crew()
    out = zeros((4,))
    share(tasks.check_settings, 4, (out,), (), (1, -(2**40), 0.1, float("inf"), True, None, "word", (2, (3, None)), ()))
    assert (out == 1).all()


def test_outs_outside_the_arena_are_written_all_the_same():
    ready_crew()
    counts, pids = np.zeros(50, np.int64), zeros((50,))
    share(tasks.count, 50, (counts, pids), ())
    assert (counts == 1).all() and set(pids.tolist()) == {os.getpid()}


def test_outs_may_be_views():
    found = ready_crew()
    counts, pids = zeros((50, 3)), zeros((2, 50))
    share(tasks.count, 50, (counts[::-1, 1], pids[1]), ())
    assert (counts == [0, 1, 0]).all() and not pids[0].any()
    assert set(pids[1].tolist()) == {os.getpid(), *pids_of(found)}


# Exceptions ----------------------------------------------------------------------------------------------------------


FAILURES = [
    ("key", KeyError, "a key"),
    ("value", ValueError, "a value"),
    ("memory", MemoryError, "no memory"),
    ("exit", SystemExit, "the end"),
    ("interrupt", KeyboardInterrupt, "stop"),
]


@pytest.mark.parametrize("index", [0, 5, 29])
@pytest.mark.parametrize("kind, error, match", FAILURES)
def test_what_a_part_raises_is_raised_when_all_parts_have_ended(index, kind, error, match):
    found = ready_crew(3)
    out = zeros((30,))
    with pytest.raises(error, match=match):
        share(tasks.fail_at, 30, (out,), (), (index, kind))
    failed = index // 10
    assert out.reshape(3, 10).tolist() == [[int(part != failed)] * 10 for part in range(3)]
    assert ready_crew(3) is found
    assert_workers_take_part(found)


@pytest.mark.parametrize("kind, match", [("two", "NeedsTwo.*one and two"), ("lock", "HoldsALock.*a lock")])
def test_an_exception_that_cannot_be_pickled_is_described(kind, match):
    found = ready_crew()
    with pytest.raises(RuntimeError, match=match):
        share(tasks.fail_at, 30, (zeros((30,)),), (), (29, kind))
    assert_workers_take_part(found)


def test_a_long_message_is_cut():
    found = ready_crew()
    with pytest.raises(RuntimeError, match="ValueError in a worker process: xxx") as caught:
        share(tasks.fail_at, 30, (zeros((30,)),), (), (29, "long"))
    assert len(str(caught.value)) <= 1000
    assert_workers_take_part(found)


def test_of_several_failing_parts_the_first_is_raised():
    ready_crew(3)
    out = zeros((30,))
    with pytest.raises(TypeError, match="fail_at"):
        share(tasks.fail_at, 30, (out,), (), (0,))  # a setting is missing, in every part
    assert not out.any()
    assert_workers_take_part(ready_crew(3))


def test_a_function_that_the_workers_do_not_find_is_an_error():
    found = ready_crew()

    def local(start, stop, outs, ins):
        outs[0][start:stop] += 1

    with pytest.raises((AttributeError, ModuleNotFoundError), match="local"):
        share(local, 10, (zeros((10,)),), ())
    assert_workers_take_part(found)


def test_settings_that_cannot_be_sent_are_an_error_and_nothing_is_done():
    found = ready_crew()
    out = zeros((30,))
    with pytest.raises(ValueError, match="unmarshallable"):
        share(tasks.fail_at, 30, (out,), (), (object(), "key"))
    assert not out.any()
    assert_workers_take_part(found)


def test_an_interrupt_while_the_caller_waits_leaves_the_next_results_whole():
    """What is still under way writes over no memory that is used again, and is not taken for a later call's part."""
    ready_crew()

    def interrupt(number, frame):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGUSR1, interrupt)
    timer = threading.Timer(0.15, os.kill, (os.getpid(), signal.SIGUSR1))
    try:
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            share(tasks.pause, 2, (zeros((2,)), zeros((2,))), (), (0.6,))
    finally:
        timer.join()
        signal.signal(signal.SIGUSR1, before)
    for _ in range(3):
        counts, _ = counted(100)
        assert (counts == 1).all()
    assert_workers_take_part(ready_crew())


def test_an_interrupt_while_parts_are_handed_out_leaves_the_next_results_whole(monkeypatch):
    ready_crew(3)
    post = crew.Crew._post

    def interrupted(self, i, message):
        if i == 1:
            raise KeyboardInterrupt
        post(self, i, message)

    with monkeypatch.context() as patch:
        patch.setattr(crew.Crew, "_post", interrupted)
        with pytest.raises(KeyboardInterrupt):
            share(tasks.pause, 3, (zeros((3,)), zeros((3,))), (), (0.3,))
    for _ in range(3):
        counts, _ = counted(100)
        assert (counts == 1).all()
    assert_workers_take_part(ready_crew(3))


# Workers that end ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("threads", [2, 3])
def test_a_worker_that_is_killed_in_its_part_is_an_error_and_the_next_call_works(threads):
    found = ready_crew(threads)
    victim = pids_of(found)[-1]
    killer = threading.Timer(0.1, os.kill, (victim, signal.SIGKILL))
    killer.start()
    begin = time.monotonic()
    with pytest.raises(WorkerError, match=r"ended with code -9 .*set_num_threads\(1\) or set_worker_kind\('thread'\)"):
        share(tasks.pause, 10, (zeros((10,)), zeros((10,))), (), (0.5,))
    killer.join()
    assert time.monotonic() - begin < 30
    counts, _ = counted(100)
    assert (counts == 1).all()
    renewed = ready_crew(threads)
    assert not set(pids_of(renewed)) & set(pids_of(found))
    assert_workers_take_part(renewed)
    assert all(is_gone(pid) for pid in pids_of(found))


def test_the_error_names_the_exit_code():
    ready_crew()
    with pytest.raises(WorkerError, match="ended with code 7 in the middle of a kernel"):
        share(tasks.leave, 10, (zeros((10,)),), (), (7,))
    assert_workers_take_part(ready_crew())


def test_a_worker_that_was_killed_between_two_calls_is_replaced():
    found = ready_crew()
    os.kill(pids_of(found)[0], signal.SIGKILL)
    found.processes[0].wait()
    try:
        counts, _ = counted(100)
        assert (counts == 1).all()
    except WorkerError:
        pass  # and nothing else
    renewed = ready_crew()
    assert renewed is not found
    assert_workers_take_part(renewed)


def test_a_worker_that_never_becomes_ready_is_no_obstacle(monkeypatch):
    crew._dismiss()
    monkeypatch.setattr(sys, "executable", "/bin/false")
    backend.set_num_threads(2)
    try:
        for _ in range(3):
            counts, pids = counted(50)
            assert (counts == 1).all() and set(pids.tolist()) == {os.getpid()}
    finally:
        crew._dismiss()


def test_a_system_that_starts_no_processes_has_threads(monkeypatch):
    crew._dismiss()
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    backend.set_num_threads(2)
    counts, pids = counted(50)
    assert (counts == 1).all() and set(pids.tolist()) == {os.getpid()}


def test_workers_do_not_heed_control_c():
    found = ready_crew()
    for pid in pids_of(found):
        os.kill(pid, signal.SIGINT)
    time.sleep(0.05)
    assert ready_crew() is found
    assert_workers_take_part(found)
    assert all(process.poll() is None for process in found.processes)
    assert all(os.getsid(pid) != os.getsid(0) for pid in pids_of(found))  # nor does the terminal send it to them


def test_sleeping_workers_are_woken():
    found = ready_crew(3)
    for _ in range(3):
        wait_until(lambda: all(counters[crew.ASLEEP] for counters in found.counters))
        assert_workers_take_part(found)


def test_calls_at_any_moment_of_falling_asleep_are_answered():
    found = ready_crew()
    for i in range(100):
        assert (counted(10)[0] == 1).all()
        time.sleep(0.00004 * i)
    assert_workers_take_part(found)


# Settings ------------------------------------------------------------------------------------------------------------


def test_another_number_of_threads_is_another_crew():
    two = ready_crew(2)
    assert_workers_take_part(two)
    three = ready_crew(3)
    assert three is not two
    assert_workers_take_part(three)
    wait_until(lambda: is_gone(pids_of(two)[0]))
    assert ready_crew(3) is three


def test_more_threads_than_there_are_mailboxes(monkeypatch):
    """The workers are as many as there is room for, and the parts are no more."""
    monkeypatch.setattr(arena, "CONTROL_BYTES", 2 * crew.MAILBOX_BYTES)
    backend.set_num_threads(5)
    found = crew._get_crew()
    wait_until(lambda: all(counters[crew.READY] for counters in found.counters))
    assert len(found.processes) == 2
    counts, pids = counted(100)
    assert (counts == 1).all()
    assert crew._get_crew() is found
    assert set(pids.tolist()) == {os.getpid(), *pids_of(found)}


def test_threads_instead_of_processes():
    found = ready_crew()
    backend.set_worker_kind("thread")
    assert backend.get_worker_kind() == "thread"
    counts, pids = counted(100)
    assert (counts == 1).all() and set(pids.tolist()) == {os.getpid()}
    backend.set_worker_kind("process")
    assert_workers_take_part(found)


@pytest.mark.parametrize("kind", ["processes", "", None, 1, ["process"]])
def test_other_kinds_are_refused(kind):
    with pytest.raises(ArgumentError, match="set_worker_kind: kind must be 'process' or 'thread', got"):
        backend.set_worker_kind(kind)
    assert backend.get_worker_kind() == "process"


# From several places at once -----------------------------------------------------------------------------------------


def test_a_part_may_be_shared_out_itself():
    ready_crew()
    counts, pids = zeros((4, 30)), zeros((4, 30))
    share(tasks.nested, 4, (counts, pids), ())
    assert (counts == 1).all() and pids.all()


def test_workers_have_no_workers_of_their_own():
    found = ready_crew()
    share(tasks.nested, 4, (zeros((4, 30)), zeros((4, 30))), ())
    pid = pids_of(found)[0]
    assert Path(f"/proc/{pid}/task/{pid}/children").read_text() == ""


def test_several_threads_may_share_at_once(rng):
    found = ready_crew()
    x = empty((40, 500), np.float64)
    x[...] = rng.standard_normal(x.shape)
    wrong = []

    def work(i):
        outs = [empty((40,), np.float64, shared=True) for _ in range(2)]
        for _ in range(60):
            share(tasks.row_sums, 40, outs, (x * i,), (2,))
            if not np.allclose(outs[0], (x * x).sum(1) * i * i):
                wrong.append(i)
            if i == 1 and (counted(50)[0] != 1).any():
                wrong.append("count")

    threads = [threading.Thread(target=work, args=(i,)) for i in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    assert wrong == []
    assert_workers_take_part(found)


def test_an_exception_in_one_thread_is_not_anothers():
    found = ready_crew()
    wrong, ended = [], threading.Event()

    def work():
        while not ended.is_set():
            if (counted(50)[0] != 1).any():
                wrong.append("count")

    thread = threading.Thread(target=work)
    thread.start()
    try:
        for _ in range(10):
            with pytest.raises(KeyError, match="a key"):
                share(tasks.fail_at, 30, (zeros((30,)),), (), (29, "key"))
    finally:
        ended.set()
        thread.join(60)
    assert wrong == []
    assert_workers_take_part(found)


# Forks, and the end --------------------------------------------------------------------------------------------------

SCRIPT = """
import os, signal, sys, time, warnings
import numpy as np
warnings.simplefilter("ignore")
from minidl.backend import crew, empty, set_num_threads, share
from tests.backend import _crew_tasks as tasks
set_num_threads(2)

def ready():
    found = crew._get_crew()
    end = time.monotonic() + 60
    while not all(counters[crew.READY] for counters in found.counters):
        assert time.monotonic() < end
        time.sleep(0.005)
    return found

def counted(size=100):
    outs = [empty((size,), np.int64, shared=True) for _ in range(2)]
    outs[0][...] = 0
    share(tasks.count, size, outs, ())
    assert (outs[0] == 1).all()
    return list(dict.fromkeys(outs[1].tolist()))

def workers():
    return [process.pid for process in ready().processes]
"""


def start_script(text):
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT + text], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def run_script(text):
    process = start_script(text)
    out, error = process.communicate(timeout=60)
    assert process.returncode == 0, error
    return out.split()


def test_after_a_fork_the_child_has_workers_of_its_own_and_its_parent_keeps_its():
    run_script("""
before = workers()
assert counted() == [os.getpid(), *before]
child = os.fork()
if child == 0:
    assert counted() == [os.getpid()]          # by threads, until the new workers are ready
    mine = workers()
    assert mine != before and counted() == [os.getpid(), *mine]
    crew._dismiss()
    os._exit(0)
for _ in range(100):
    assert counted() == [os.getpid(), *before]
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
assert counted() == [os.getpid(), *before] and workers() == before
""")


def test_a_fork_in_the_middle_of_a_kernel_harms_neither():
    run_script("""
import threading
workers()
outs = [empty((2,), np.int64, shared=True) for _ in range(2)]
outs[0][...] = 0
thread = threading.Thread(target=share, args=(tasks.pause, 2, outs, (), (0.3,)))
thread.start()
time.sleep(0.1)
child = os.fork()
counted()
if child == 0:
    mine = workers()
    assert counted() == [os.getpid(), *mine]
    crew._dismiss()
    os._exit(0)
thread.join()
assert (outs[0] == 1).all()
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
mine = workers()
assert counted() == [os.getpid(), *mine]
""")


def test_a_child_that_ends_does_not_end_its_parents_workers():
    run_script("""
pids = workers()
child = os.fork()
if child == 0:
    sys.exit(0)                                # the ordinary way, with its clean-up
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
for pid in pids:
    os.kill(pid, 0)
counted()
""")


@pytest.mark.parametrize(
    "end, code",
    [("", 0), ("sys.exit(3)", 3), ("1 / 0", 1), ("os._exit(4)", 4), ("os.kill(os.getpid(), 9)", -9)],
    ids=["end", "exit", "exception", "at-once", "killed"],
)
def test_workers_end_with_their_parent(end, code):
    process = start_script(f"pids = workers()\nassert counted()\nprint(*pids, flush=True)\n{end}\n")
    out, error = process.communicate(timeout=60)
    assert process.returncode == code, error
    pids = [int(pid) for pid in out.split()]
    assert len(pids) == 1
    wait_until(lambda: is_gone(pids[0]), 20)


def test_a_worker_in_the_middle_of_its_part_ends_after_it_when_its_parent_is_killed():
    process = start_script("""
pids = workers()
print(*pids, flush=True)
outs = [empty((2,), np.int64, shared=True) for _ in range(2)]
share(tasks.pause, 2, outs, (), (0.3,))
""")
    pid = int(process.stdout.readline())
    time.sleep(0.1)
    process.kill()
    process.communicate(timeout=60)
    wait_until(lambda: is_gone(pid), 20)


def test_workers_write_nothing():
    process = start_script("""
workers()
try:
    share(tasks.fail_at, 30, (empty((30,), np.int64, shared=True),), (), (29, "key"))
except KeyError:
    pass
counted()
""")
    out, error = process.communicate(timeout=60)
    assert (process.returncode, out, error) == (0, "", "")


def test_no_workers_are_started_before_there_is_work():
    run_script("assert crew._crew is None")
