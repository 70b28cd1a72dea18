"""The arena: arrays of any shape and order, memory that is used again after its last view and never before."""

import gc
import itertools
import mmap
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from minidl.backend import arena, empty, empty_like, memory_order

ROOT = str(Path(__file__).parents[2])
PAGE = mmap.PAGESIZE

pytestmark = pytest.mark.skipif(arena.arena() is None, reason="the arena needs Linux")


@pytest.fixture
def region():
    """A small arena of its own, with 32 MiB for arrays."""
    return arena.Arena(arena.CONTROL_BYTES + (32 << 20))


def take(region, nbytes):
    return region.empty((nbytes,), np.dtype(np.uint8), nbytes)


def address(array):
    return array.__array_interface__["data"][0]


def resident_pages(region):
    """How many 512-byte blocks of the file have memory behind them, in pages."""
    return os.fstat(region.fd).st_blocks * 512 // PAGE


# What empty() gives --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(100_000,), (400, 250), (20, 50, 10, 10), (5, 4, 5, 10, 100), (), (3,), (2, 3)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16, np.int64, np.uint8, bool])
def test_an_array_is_row_major_aligned_and_writable(shape, dtype):
    array = empty(shape, dtype)
    assert array.shape == shape and array.dtype == dtype
    assert array.flags.c_contiguous and array.flags.writeable and array.flags.aligned
    array[...] = 1
    assert (array == 1).all()


@pytest.mark.parametrize("shape", [(3, 4), (300, 400)], ids=["small", "large"])
def test_a_shape_may_be_made_of_numpys_integers(shape):
    """As for NumPy's own arrays."""
    array = empty(tuple(map(np.int64, shape)), np.float32, (1, 0), shared=True)
    assert array.shape == shape and array.strides == (4, 4 * shape[0])


@pytest.mark.parametrize("shape", [(20, 30, 40, 50), (2, 3, 4, 5), (1, 3, 1, 5)], ids=["large", "small", "thin"])
@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_an_order_gives_the_strides_of_an_array_of_that_order(shape, order):
    array = empty(shape, np.float32, order)
    assert array.shape == shape
    assert array.transpose(order).flags.c_contiguous
    assert array.strides == np.empty([shape[a] for a in order], np.float32).transpose(np.argsort(order)).strides


def test_arrays_of_at_least_the_smallest_size_lie_in_the_arena():
    region = arena.arena()
    assert region.offset_of(empty((arena.SMALLEST,), np.uint8)) is not None
    assert region.offset_of(empty((arena.SMALLEST - 1,), np.uint8)) is None
    assert region.offset_of(np.empty(arena.SMALLEST, np.uint8)) is None


def test_a_small_array_lies_in_the_arena_where_it_is_shared():
    region = arena.arena()
    array = empty((3, 4), np.float64, (1, 0), shared=True)
    assert region.offset_of(array) is not None and array.strides == (8, 24)
    assert region.offset_of(empty((), np.bool_, shared=True)) is not None


def test_the_control_bytes_are_never_given_away(region):
    assert region.offset_of(take(region, 1)) >= arena.CONTROL_BYTES


@pytest.mark.parametrize("shape", [(0,), (0, 1 << 40), (1 << 30, 0, 1 << 30), (3, 0)])
@pytest.mark.parametrize("shared", [False, True])
def test_an_array_without_elements_is_an_ordinary_one(shape, shared):
    order = tuple(reversed(range(len(shape))))
    array = empty(shape, np.float32, order, shared=shared)
    assert array.shape == shape and array.size == 0
    assert empty_like(array).shape == shape


def test_the_offset_is_that_of_the_first_element(region):
    array = take(region, 1 << 16)
    base = region.offset_of(array)
    assert region.offset_of(array[100:]) == base + 100
    assert region.offset_of(array[::-1]) == base + (1 << 16) - 1
    assert region.offset_of(array.reshape(256, 256).T[3:, 5:]) == base + 3 + 5 * 256


# The order in memory -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "x, order",
    [
        (np.empty((2, 3, 4)), None),
        (np.empty(()), None),
        (np.empty((0, 3)), None),
        (np.empty((1, 1, 1)).T, None),
        (np.empty((2, 3)).T, (1, 0)),
        (np.empty((4, 5, 2, 3)).transpose(2, 3, 0, 1), (2, 3, 0, 1)),
        (np.empty((3, 4, 5, 2)).transpose(3, 0, 1, 2), (1, 2, 3, 0)),
        (np.empty((4, 6))[:, ::2], (0, 1)),
        (np.empty((6, 4))[::-1].T, (1, 0)),
        (np.empty((4, 5))[::-1], (0, 1)),
    ],
    ids=["row-major", "0-d", "empty", "single", "transposed", "HWNC", "CHWN", "with-gaps", "reversed", "upside-down"],
)
def test_memory_order(x, order):
    assert memory_order(x) == order


def test_axes_that_repeat_one_element_are_innermost():
    assert memory_order(np.broadcast_to(np.empty((3, 1)), (2, 3, 4))) == (1, 0, 2)


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
@pytest.mark.parametrize("shape", [(2, 3, 4), (40, 30, 20)], ids=["small", "large"])
def test_empty_like_keeps_the_order_in_memory(shape, order):
    x = np.empty([shape[axis] for axis in order], np.float32).transpose(np.argsort(order))
    for y in (empty_like(x), empty_like(x[..., ::2]), empty_like(x[::-1])):
        assert y.dtype == np.float32 and y.transpose(order).flags.c_contiguous
    assert empty_like(x).shape == shape and empty_like(x).strides == x.strides
    assert empty_like(x, np.bool_).dtype == np.bool_


# Use, and use again --------------------------------------------------------------------------------------------------


def test_memory_is_used_again_after_its_array_is_gone(region):
    first = take(region, 100_000)
    place = region.offset_of(first)
    del first
    second = take(region, 100_000)
    assert region.offset_of(second) == place
    assert region.offset_of(take(region, 100_000)) != place


def test_the_next_array_of_the_size_class_takes_the_memory(region):
    first = region.empty((100_000,), np.dtype(np.uint8), 100_000)
    place = region.offset_of(first)
    del first
    assert region.offset_of(region.empty((10, 2499), np.dtype(np.float32), 99_960)) == place


@pytest.mark.parametrize(
    "view",
    [
        lambda x: x[5:6],
        lambda x: x.reshape(10, 100, 100).transpose(2, 0, 1),
        lambda x: x.view(np.float64)[::2],
        lambda x: np.broadcast_to(x[:1], (4, 4)),
        lambda x: memoryview(x),
        lambda x: x[3:][1:].T[::-1],
    ],
    ids=["slice", "transpose", "dtype", "broadcast", "memoryview", "view-of-a-view"],
)
def test_a_view_keeps_the_memory(region, view):
    first = take(region, 100_000)
    first[...] = 1
    place, kept = region.offset_of(first), view(first)
    before = np.array(kept)
    del first
    gc.collect()
    second = take(region, 100_000)
    assert region.offset_of(second) != place
    second[...] = 2
    np.testing.assert_array_equal(kept, before)
    del kept
    gc.collect()
    assert region.offset_of(take(region, 100_000)) == place


def test_an_array_in_a_cycle_gives_its_memory_back_when_it_is_collected(region):
    cycle = [take(region, 100_000)]
    place = region.offset_of(cycle[0])
    cycle.append(cycle)
    del cycle
    gc.collect()
    assert region.offset_of(take(region, 100_000)) == place


def test_the_bytes_in_use_and_idle_are_counted(region):
    arrays = [take(region, 5 * PAGE) for _ in range(3)]
    assert (region.live_bytes, region.idle_bytes) == (15 * PAGE, 0)
    arrays.pop()
    assert (region.live_bytes, region.idle_bytes) == (10 * PAGE, 5 * PAGE)
    arrays.append(take(region, 5 * PAGE))
    assert (region.live_bytes, region.idle_bytes) == (15 * PAGE, 0)
    arrays.clear()
    assert (region.live_bytes, region.idle_bytes) == (0, 15 * PAGE)


def test_a_size_class_is_whole_pages_and_wastes_at_most_an_eighth_or_a_page():
    sizes = {1, PAGE, *(max(1, (1 << power) + d) for power in range(41) for d in (-1, 0, 1, 7))}
    sizes |= {int(size) for size in np.random.default_rng(0).integers(1, 1 << 36, 2000)}
    for nbytes in sorted(sizes):
        size = arena._size_class(nbytes)
        assert size % PAGE == 0
        assert nbytes <= size < nbytes + max(nbytes / 8 + 1, PAGE)
        assert arena._size_class(size) == size


def test_there_are_few_size_classes():
    classes = {arena._size_class(nbytes) for nbytes in range(1 << 20, 1 << 21, 1000)}
    assert len(classes) <= 9


def test_idle_pages_go_back_to_the_system_when_there_are_many(region, monkeypatch):
    monkeypatch.setattr(arena, "_IDLE_BYTES", 1 << 20)
    for _ in range(3):  # three blocks of 2 MiB at the same time, all touched, all idle afterwards
        arrays = [take(region, 2 << 20) for _ in range(3)]
        for array in arrays:
            array[...] = 1
        del array
        arrays.clear()
    assert resident_pages(region) >= (6 << 20) // PAGE
    kept = take(region, 1 << 16)  # a new size
    kept[...] = 3
    assert resident_pages(region) <= (1 << 16) // PAGE
    assert region.idle_bytes == 0
    again = take(region, 2 << 20)  # the blocks are free all the same
    assert region.offset_of(again) < region.offset_of(kept)
    assert not again.any()
    assert region.idle_bytes == 0 and (kept == 3).all()
    del again
    assert region.idle_bytes == 2 << 20


def test_a_little_idle_memory_is_kept(region):
    take(region, 1 << 20)[...] = 1
    take(region, 1 << 16)[...] = 1
    assert resident_pages(region) >= (1 << 20) // PAGE
    assert (take(region, 1 << 20) == 1).all()


def test_a_full_arena_gives_none(region):
    arrays = []
    while (array := take(region, 1 << 20)) is not None:
        arrays.append(array)
    assert len(arrays) == 32
    arrays.pop()
    assert take(region, 1 << 20) is not None
    assert take(region, 3 << 20) is None


def test_a_full_arena_falls_back_to_ordinary_arrays(region, monkeypatch):
    monkeypatch.setattr(arena, "_arena", region)
    held = empty((30 << 20,), np.uint8)
    assert region.offset_of(held) is not None
    array = empty((10, 3, 1 << 20), np.float32, (2, 0, 1))
    assert region.offset_of(array) is None
    assert array.shape == (10, 3, 1 << 20) and array.transpose(2, 0, 1).flags.c_contiguous
    array[...] = 1
    del held
    assert region.offset_of(empty((30 << 20,), np.uint8)) is not None


def test_without_an_arena_all_arrays_are_ordinary_ones(monkeypatch):
    monkeypatch.setattr(arena, "_arena", None)
    monkeypatch.setattr(arena, "_supported", False)
    assert arena.arena() is None
    assert empty((100, 1000), np.float64, (1, 0), shared=True).strides == (8, 800)


@pytest.mark.parametrize("error", [OSError, ValueError, OverflowError])
def test_a_system_that_refuses_the_memory_is_asked_once(monkeypatch, error):
    asked = []

    def refuse(capacity):
        asked.append(capacity)
        raise error("no")

    monkeypatch.setattr(arena, "_arena", None)
    monkeypatch.setattr(arena, "Arena", refuse)
    monkeypatch.setattr(arena, "_supported", True)
    assert arena.arena() is None and arena.arena() is None
    assert len(asked) == 1
    assert empty((1 << 16,), np.uint8).shape == (1 << 16,)


# Threads -------------------------------------------------------------------------------------------------------------


def test_threads_that_take_and_give_back_never_get_the_same_memory():
    wrong = []

    def work(seed):
        rng, held = np.random.default_rng(seed), []
        for i in range(400):
            array = empty((int(rng.choice([40_000, 50_000, 70_000])),), np.uint8)
            mark = (seed * 37 + i) % 251
            array[::1000] = mark
            held.append((array, mark))
            if len(held) > 5:
                array, mark = held.pop(int(rng.integers(len(held))))
                if not (array[::1000] == mark).all():
                    wrong.append((seed, i))

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    assert wrong == []


def test_live_arrays_of_many_threads_lie_apart(region):
    barrier, spans = threading.Barrier(6, timeout=30), []

    def work(seed):
        rng = np.random.default_rng(seed)
        held = [take(region, int(size)) for size in rng.integers(1, 40_000, 60)]
        del held[::2]
        held += [take(region, int(size)) for size in rng.integers(1, 40_000, 30)]
        spans.extend((address(array), address(array) + array.nbytes) for array in held)
        barrier.wait()

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    spans.sort()
    assert len(spans) == 360
    assert all(stop <= start for (_, stop), (start, _) in itertools.pairwise(spans))
    assert region.live_bytes == 0


# Forks ---------------------------------------------------------------------------------------------------------------

FORK = """
import gc, os, time, warnings
switch = 0.0
os.register_at_fork(before=lambda: time.sleep(switch))  # the last thing before a fork: lets other threads run
import concurrent.futures.thread  # here, where it does not keep the forks of several threads apart
import numpy as np
warnings.simplefilter("ignore")
from minidl.backend import arena, empty

def child_does(work):
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
"""


def run_script(text):
    environment = os.environ | {"PYTHONPATH": ROOT}
    done = subprocess.run([sys.executable, "-c", FORK + text], timeout=60, env=environment, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()


def test_what_either_process_frees_after_a_fork_is_not_used_over_the_other_ones_array():
    run_script("""
kept, freed = empty((100_000,), np.uint8), empty((100_000,), np.uint8)
kept[...], freed[...] = 1, 2
ready, done = os.pipe(), os.pipe()
pid = os.fork()
if pid == 0:
    del kept                                     # free here, alive in the parent
    new = [empty((100_000,), np.uint8) for _ in range(4)]
    for array in new:
        array[...] = 7
    os.write(ready[1], b".")
    os.read(done[0], 1)
    os._exit(0 if (freed == 2).all() and all((array == 7).all() for array in new) else 1)
os.read(ready[0], 1)
assert (kept == 1).all()
del freed                                        # free here, alive in the child
new = [empty((100_000,), np.uint8) for _ in range(4)]
for array in new:
    array[...] = 9
os.write(done[1], b".")
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
assert (kept == 1).all() and all((array == 9).all() for array in new)
""")


def test_memory_that_was_idle_at_the_fork_is_used_by_the_parent_only():
    run_script("""
array = empty((100_000,), np.uint8)
del array
old = arena.arena()
def work():
    new = empty((100_000,), np.uint8)
    assert old.offset_of(new) is None and arena.arena().offset_of(new) is not None
child_does(work)
assert arena.arena() is old and old.offset_of(empty((100_000,), np.uint8)) is not None
""")


def test_neither_process_sees_what_the_other_writes_after_the_fork():
    """As with any other memory: the child has what was there at the fork."""
    run_script("""
arrays = [empty((size,), np.uint8) for size in (1 << 15, 100_000, 1 << 20)]
tiny = empty((3,), np.uint8, shared=True)
image = empty((20, 30, 10, 10), np.float32, (2, 3, 0, 1))
views = [array[5:-5:3] for array in arrays] + [tiny[::-1], image.transpose(1, 2, 3, 0)[2:]]
for array in (*arrays, tiny, image):
    array[...] = 1
written, read = os.pipe(), os.pipe()
pid = os.fork()
if pid == 0:
    os.read(written[0], 1)
    code = 0 if all((view == 1).all() for view in views) else 1
    for view in views:
        view[...] = 2
    os.write(read[1], b".")
    os._exit(code if all((view == 2).all() for view in views) else 2)
for array in (*arrays, tiny, image):
    array[...] = 3
os.write(written[1], b".")
os.read(read[0], 1)
assert all((array == 3).all() for array in (*arrays, tiny, image)), "the parent sees what the child wrote"
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
""")


def test_a_child_of_a_child_has_memory_of_its_own_too():
    run_script("""
first = empty((100_000,), np.uint8)
first[...] = 1
def work():
    second = empty((100_000,), np.uint8)
    first[...], second[...] = 2, 3
    def deeper():
        assert (first == 2).all() and (second == 3).all()
        first[...], second[...] = 4, 5
    child_does(deeper)
    assert (first == 2).all() and (second == 3).all()
child_does(work)
assert (first == 1).all()
""")


def test_threads_that_fork_at_the_same_time_give_each_child_memory_of_its_own():
    run_script("""
import signal, threading
signal.alarm(20)                                 # ends the script if it hangs
array = empty((1 << 20,), np.uint8)
array[...] = 1
wrong, switch = [], 0.005
def work():
    for _ in range(10):
        pid = os.fork()
        if pid == 0:
            array[...] = 2
            os._exit(0)
        if os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) != 0 or (array != 1).any():
            wrong.append(pid)
threads = [threading.Thread(target=work) for _ in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
assert not wrong and (array == 1).all(), "a child wrote to its parent's array"
""")


def test_forks_leave_neither_files_nor_memory_behind():
    run_script("""
def shared_kilobytes():
    return int(next(line for line in open("/proc/self/status") if line.startswith("RssShmem")).split()[1])

sizes = []
for _ in range(5):
    array = empty((8 << 20,), np.uint8)
    array[...] = 1
    del array
    child_does(lambda: None)
    gc.collect()
    sizes.append((len(os.listdir("/proc/self/fd")), shared_kilobytes()))
assert sizes[-1][0] <= sizes[0][0], f"open files, after each fork: {sizes}"
assert sizes[-1][1] <= sizes[0][1] + 4096, f"shared memory, after each fork: {sizes}"
""")


def test_a_fork_while_another_thread_is_taking_memory_leaves_the_child_able_to_free():
    run_script("""
import signal, threading
array = empty((100_000,), np.uint8)
old = arena.arena()
held, go = threading.Event(), threading.Event()
def hold():
    with old._lock:
        held.set()
        go.wait(30)
thread = threading.Thread(target=hold)
thread.start()
held.wait(30)
pid = os.fork()
if pid == 0:
    signal.alarm(3)                              # ends the child if it hangs
    del array
    empty((100_000,), np.uint8)[...] = 1
    os._exit(0)
go.set()
thread.join()
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
""")
