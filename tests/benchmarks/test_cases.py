"""The rows of the kernel table: at other batches, on a GPU, and carried there."""

import pytest

from benchmarks.cases import conv, layers, optimizers, pointwise, pooling
from benchmarks.cases._case import TRANSFER
from benchmarks.libraries import target
from tests import cupy_stand_in

KERNELS = {kernel.name: kernel for family in (conv, pooling, layers, pointwise) for kernel in family.kernels()}
COLUMNS = ["minidl", "minidl cuda", TRANSFER]


@pytest.mark.parametrize("name", KERNELS)
def test_every_kernel_at_other_batches(name):
    kernel = KERNELS[name]
    shape = target("minidl", "cpu")

    def output(batch):
        inputs = [shape.tensor(array) for array in kernel.resized(batch).inputs]
        return kernel.call(shape.library, *inputs).shape

    if output(2):  # a loss has no batch left
        assert output(2)[0] == 2
    assert kernel.resized(2 * kernel.batch).batch == 2 * kernel.batch
    assert kernel.sizes[0] == 1 and kernel.sizes[-1] == 4 * kernel.batch and kernel.batch in kernel.sizes
    for number, (array, small) in enumerate(zip(kernel.inputs, kernel.resized(2).inputs, strict=True)):
        expected = array[:2] if number in kernel.batched else array
        assert small.flags.c_contiguous and small.tobytes() == expected.tobytes()


def test_arithmetic_grows_with_the_batch():
    row = list(conv.CONV[0])
    row[1] = 16
    assert KERNELS[row[0]].resized(16).flops == conv.conv(*row).flops
    assert KERNELS["relu 32@32"].resized(16).flops is None


@pytest.mark.parametrize("name", KERNELS)
def test_transfers_move_what_the_bytes_count(name, stand_in):
    for case in KERNELS[name].resized(1).cases(COLUMNS, "cpu"):
        assert list(case.functions) == COLUMNS
        with cupy_stand_in.counting() as seen:
            case.functions[TRANSFER]()
        assert seen.bytes_to_device + seen.bytes_to_host == case.moved
        assert seen.bytes_to_device and seen.bytes_to_host and seen.synchronisations


@pytest.mark.parametrize("name, read, written", [("SGD momentum", 3, 2), ("Adam", 4, 3)])
def test_updates_at_every_size(name, read, written, stand_in):
    (case,) = optimizers.cases(COLUMNS, "cpu", lambda title: title.startswith(name))
    with cupy_stand_in.counting() as seen:
        case.functions[TRANSFER]()
    assert (seen.bytes_to_device, seen.bytes_to_host) == (read * 2**22, written * 2**22)
    assert case.moved == (read + written) * 2**22
    assert case.unit == "parameters" and 2**20 in case.sizes
    move = case.at(case.sizes[0], COLUMNS)[TRANSFER]
    with cupy_stand_in.counting() as small:
        move()
    assert small.bytes_to_device == seen.bytes_to_device * case.sizes[0] / 2**20


def test_the_gpu_has_ended_when_the_clock_stops(stand_in):
    forward, backward = KERNELS["softmax cross-entropy 64x1000"].resized(2).cases(COLUMNS, "cpu")
    for case in (forward, backward):
        with cupy_stand_in.counting() as seen:
            case.functions["minidl"]()
        assert not seen.launches and not seen.synchronisations
        with cupy_stand_in.counting() as seen:
            case.functions["minidl cuda"]()
        assert seen.launches and any("Device.synchronize" in what for what, _ in seen.places)
        assert not seen.bytes_to_device  # the operands are there


def test_a_crossover_is_measured_on_the_same_work(stand_in):
    forward, backward = KERNELS["linear 784->256"].resized(4).cases(COLUMNS, "cpu")
    shapes = {"forward": [(8, 256)], "backward": [(8, 784), (256, 784), (256,)]}
    for case, expected in zip((forward, backward), shapes.values(), strict=True):
        functions = case.at(8, COLUMNS)
        for column in ("minidl", "minidl cuda"):
            found = functions[column]()
            found = found if isinstance(found, list) else [found]
            assert [array.shape for array in found] == expected
            assert all(isinstance(array, stand_in.ndarray) == (column == "minidl cuda") for array in found)
        with cupy_stand_in.counting() as seen:
            functions[TRANSFER]()
        assert seen.transfers_to_host == len(expected)
