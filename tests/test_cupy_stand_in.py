"""The stand-in for CuPy refuses, counts and computes as it says."""

import numpy as np
import pytest

from tests import cupy_stand_in
from tests.cupy_stand_in import OutOfBounds, counters, counting, names

BLOCK_SUM = """
extern "C" __global__ void block_sum(long long size, const REAL *x, REAL *y) {
    __shared__ REAL part[64];
    long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x;
    part[threadIdx.x] = i < size ? x[i] : 0;
    __syncthreads();
    for (int half = blockDim.x / 2; half > 0; half /= 2) {
        if (threadIdx.x < half) part[threadIdx.x] += part[threadIdx.x + half];
        __syncthreads();
    }
    if (threadIdx.x == 0) y[blockIdx.x] = part[0];
}
"""
COUNT = """
extern "C" __global__ void count(long long size, const int *x, int *y) {
    long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x;
    if (i < size) atomicAdd(y + x[i], 1);
}
"""
SHIFT = """
extern "C" __global__ void shift(int by, float *x) { x[(int)threadIdx.x + by] = 1; }
"""
SPLIT = """
extern "C" __global__ void split(float *x) {
    if (threadIdx.x == 0) return;
    __syncthreads();
}
"""


def kernel(cupy, code, name, real="float"):
    return cupy.RawModule(code=code, options=(f"-DREAL={real}",)).get_function(name)


# Refusals -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "operation",
    [
        lambda cupy, x, a: x + a,
        lambda cupy, x, a: a + x,
        lambda cupy, x, a: cupy.add(x, a),
        lambda cupy, x, a: cupy.matmul(x, a),
        lambda cupy, x, a: cupy.where(x > 0, x, a),
        lambda cupy, x, a: cupy.sum(a),
        lambda cupy, x, a: cupy.concatenate([x, a]),
    ],
)
def test_a_numpy_operand_is_refused(stand_in, operation):
    with pytest.raises(TypeError, match="Unsupported type"):
        operation(stand_in, stand_in.ones(3), np.ones(3))


def test_implicit_conversion_is_refused(stand_in):
    with pytest.raises(TypeError, match="Implicit conversion to a NumPy array is not allowed"):
        np.asarray(stand_in.ones(3))


def test_unknown_names_are_refused(stand_in):
    with pytest.raises(AttributeError, match="has no attribute 'summation'"):
        stand_in.summation  # noqa: B018
    with pytest.raises(NotImplementedError, match=r"CuPy has cupy\.ReductionKernel"):
        stand_in.ReductionKernel  # noqa: B018
    with pytest.raises(AttributeError):
        stand_in.ones(3).summation()


def test_keyword_arguments_that_cupy_lacks_are_refused(stand_in):
    x = stand_in.ones(3)
    for wrong in (
        lambda: stand_in.sum(x, where=x > 0),
        lambda: x.sum(where=x > 0),
        lambda: stand_in.argsort(x, stable=True),
        lambda: stand_in.exp(x, where=x > 0),
    ):
        with pytest.raises(TypeError):
            wrong()


@pytest.mark.parametrize(
    "arguments, message",
    [
        (lambda x, y: (np.int64(3), x), "takes 3 arguments, 2 were given"),
        (lambda x, y: (np.int64(3), x, y.astype("f8")), "argument 2 is an array of float64"),
        (lambda x, y: (np.int32(3), x, y), "argument 0 is passed as int32"),
        (lambda x, y: (3.0, x, y), "argument 0 is passed as float64"),
        (lambda x, y: (x, x, y), "argument 0 is an array, the parameter is no pointer"),
        (lambda x, y: (np.int64(3), np.ones(3, "f4"), y), "Unsupported type"),
    ],
)
def test_wrong_arguments_of_a_raw_kernel_are_refused(stand_in, arguments, message):
    x = stand_in.ones(3, "f4")
    with pytest.raises(TypeError, match=message):
        kernel(stand_in, BLOCK_SUM, "block_sum")((1,), (64,), arguments(x, stand_in.empty(1, "f4")))


def test_an_array_of_another_device_is_refused(stand_in):
    x = stand_in.ones(3)
    with stand_in.cuda.Device(1), pytest.raises(ValueError, match="is different from the current device"):
        x + 1
    with pytest.raises(stand_in.cuda.runtime.CUDARuntimeError, match="cudaErrorInvalidDevice"):
        stand_in.cuda.Device(2).use()


# Counters -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wait", [float, bool, lambda x: x.item(), lambda x: x.get(), lambda x: x.reshape(1).nonzero(), lambda x: x[x > 0]]
)
def test_what_waits_for_the_device_is_counted(stand_in, wait):
    x = stand_in.ones((), "f4")
    with counting() as seen:
        x + x
        assert seen.synchronisations == 0
        wait(x)
    assert seen.synchronisations == 1


def test_transfers_and_launches_are_counted(stand_in):
    with counting() as seen:
        x = stand_in.asarray(np.ones(5, "f4"))
        assert (seen.transfers_to_device, seen.bytes_to_device) == (1, 20)
        (x.sum()).get()
    assert (seen.transfers_to_host, seen.bytes_to_host) == (1, 4)
    with counting() as seen:
        kernel(stand_in, BLOCK_SUM, "block_sum")((1,), (64,), (np.int64(5), x, stand_in.empty(1, "f4")))
        stand_in.ElementwiseKernel("T x", "T y", "y = x", "same")(x)
    assert seen.launches["block_sum"] == seen.launches["same"] == 1


def test_wrapped_indices_are_counted(stand_in):
    x = stand_in.arange(3)
    assert x[stand_in.asarray([3, -4, 1])].get().tolist() == [0, 2, 1]
    assert x.take(stand_in.asarray([5])).get().tolist() == [2]
    assert counters.wrapped_indices == 3
    with pytest.raises(AssertionError, match="3 indices were out of range"):
        cupy_stand_in.check()
    counters.reset()


# Kernels --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype, real", [("f4", "float"), ("f8", "double")])
def test_shared_memory_and_barriers(stand_in, dtype, real):
    x, y = stand_in.arange(200, dtype=dtype), stand_in.empty(4, dtype)
    kernel(stand_in, BLOCK_SUM, "block_sum", real)((4,), (64,), (np.int64(200), x, y))
    expected = [np.arange(200)[i : i + 64].sum() for i in range(0, 200, 64)]
    np.testing.assert_array_equal(y.get(), expected)


def test_a_barrier_that_a_thread_misses_is_noticed(stand_in):
    with pytest.raises(stand_in.cuda.driver.CUDADriverError, match="not reached by all threads"):
        kernel(stand_in, SPLIT, "split")((1,), (4,), (stand_in.empty(1, "f4"),))


def test_atomics(stand_in, rng):
    x = rng.integers(0, 5, 300).astype("i4")
    y = stand_in.zeros(5, "i4")
    kernel(stand_in, COUNT, "count")((5,), (64,), (np.int64(300), stand_in.asarray(x), y))
    np.testing.assert_array_equal(y.get(), np.bincount(x, minlength=5))


def test_an_elementwise_kernel_broadcasts_and_has_several_outputs(stand_in, rng):
    a, b = rng.normal(size=(3, 1)), rng.normal(size=4)
    both = stand_in.ElementwiseKernel("T x, T y", "T s, T p", "s = x + y; p = x * y", "both")
    total, product = both(stand_in.asarray(a), stand_in.asarray(b))
    np.testing.assert_array_equal(total.get(), a + b)
    np.testing.assert_array_equal(product.get(), a * b)
    with pytest.raises(TypeError, match="Type is mismatched"):
        both(stand_in.asarray(a), stand_in.asarray(b.astype("f4")))


@pytest.mark.parametrize("by, side", [(-1, "before"), (1, "after")])
def test_a_write_outside_of_an_array_is_noticed(stand_in, by, side):
    x = stand_in.zeros(4, "f4")
    with pytest.raises(OutOfBounds, match=f"shift wrote {side} an array of 16 bytes"):
        kernel(stand_in, SHIFT, "shift")((1,), (4,), (np.int32(by), x))


# Memory and streams ---------------------------------------------------------------------------------------------------


def test_memory_is_limited_and_given_back(stand_in):
    pool = stand_in.get_default_memory_pool()
    before = pool.used_bytes()
    x = stand_in.empty(1000, "f4")
    assert pool.used_bytes() == before + 4096
    pool.set_limit(size=before + 8192)
    with pytest.raises(stand_in.cuda.memory.OutOfMemoryError, match="Out of memory allocating 8,192 bytes"):
        stand_in.empty(2000, "f4")
    del x
    assert pool.used_bytes() == before


def test_an_event_that_is_not_waited_for_is_noticed(stand_in):
    host = np.frombuffer(stand_in.cuda.alloc_pinned_memory(16), "f4", 4)
    host[:] = 1
    x, stream = stand_in.zeros(4, "f4"), stand_in.cuda.Stream(non_blocking=True)
    with counting() as seen:
        x.set(host, stream)
        event = stream.record()
    assert seen.synchronisations == 0 and seen.bytes_to_device == 16
    assert x.get().tolist() == [0, 0, 0, 0]
    stand_in.cuda.get_current_stream().wait_event(event)
    assert x.get().tolist() == [1, 1, 1, 1]


# Names ----------------------------------------------------------------------------------------------------------------


def test_names_are_those_of_the_installed_cupy():
    cupy = pytest.importorskip("cupy")
    if cupy.__version__ != names.names()["cupy version"]:
        pytest.skip(f"names.json is of CuPy {names.names()['cupy version']}, installed is {cupy.__version__}")
    assert names.FILE.read_text() == names.text()
