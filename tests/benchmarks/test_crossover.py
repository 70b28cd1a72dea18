"""From which size on the GPU is faster: the interpolation, and what is made of it."""

import pytest

from benchmarks import crossover
from benchmarks.cases._case import Case
from benchmarks.crossover import COLUMNS, cells, measure
from benchmarks.timing import Measurement

SIZES = (1, 4, 16, 64, 256)


def find(cpu, gpu, sizes=SIZES):
    return crossover.crossover(sizes, [cpu(n) for n in sizes], [gpu(n) for n in sizes])


@pytest.mark.parametrize(
    "cpu, gpu, size",
    [
        (lambda n: 0.1 * n, lambda n: 1.0, 10),
        (lambda n: 0.1 * n, lambda n: 1 / n, 10**0.5),
        (lambda n: 0.001 * n**2, lambda n: 0.1 * n, 100),
        (lambda n: n / 16, lambda n: 1.0, 16),  # at a size that was measured
    ],
)
def test_power_laws_cross_where_they_do(cpu, gpu, size):
    assert find(cpu, gpu) == pytest.approx(size, rel=1e-12)


def test_the_last_crossing_counts():
    assert crossover.crossover((1, 2, 4, 8), [1, 3, 1, 4], [2, 2, 2, 2]) == pytest.approx(4 * 2**0.5)


@pytest.mark.parametrize(
    "cpu, gpu",
    [
        ([1, 2, 3], [0.5, 0.5, 0.5]),  # the GPU always
        ([1, 2, 3], [4, 4, 4]),  # the CPU always
        ([1, 2, 3], [0.5, 1, 4]),  # the CPU at the largest
        ([1, 2, 3], [1, 2, 3]),  # neither anywhere
    ],
)
def test_no_crossing_without_a_size_from_which_the_gpu_wins(cpu, gpu):
    assert crossover.crossover((1, 4, 16), cpu, gpu) is None


def test_lengths_must_agree():
    with pytest.raises(ValueError, match="zip"):
        crossover.crossover((1, 4), [1, 2], [1])


@pytest.fixture
def timed(monkeypatch):
    """A stop-watch that reads what the functions return: seconds."""

    def compare(functions, *settings):
        return {name: Measurement((function(),) * 3) for name, function in functions.items()}

    monkeypatch.setattr(crossover, "compare", compare)


def case(cpu, gpu, transfer, sizes=SIZES):
    def at(size, columns):
        assert columns == COLUMNS
        functions = dict(zip(columns, (lambda: cpu(size), lambda: gpu(size), lambda: transfer(size)), strict=True))
        return {name: function for name, function in functions.items() if function() is not None}

    return Case("some kernel", {}, sizes=sizes, at=at)


def test_in_place_and_with_the_transfer(timed):
    found = measure(case(lambda n: 1e-4 * n, lambda n: 1e-3, lambda n: 3e-3))
    assert found["unit"] == "batch"
    assert found["sizes"] == [*SIZES]
    assert found["milliseconds"]["minidl"] == pytest.approx([0.1 * n for n in SIZES])
    assert found["milliseconds"]["minidl cuda"] == pytest.approx([1] * 5)
    assert found["milliseconds"]["transfer"] == pytest.approx([3] * 5)
    assert found["in_place"]["size"] == pytest.approx(10)
    assert found["with_transfer"]["size"] == pytest.approx(40)
    assert cells(found) == ["10", "40"]


@pytest.mark.parametrize(
    "gpu, transfer, text",
    [
        (1e-6, 1e-6, ["≤ 1", "≤ 1"]),
        (1e-6, 9.0, ["≤ 1", "> 256"]),
        (9.0, 1e-6, ["> 256", "> 256"]),
        (3e-4, 1e-4, ["3", "4"]),
        (3.16e-4, 5e-4, ["3.2", "8.2"]),
    ],
)
def test_cells(timed, gpu, transfer, text):
    assert cells(measure(case(lambda n: 1e-4 * n, lambda n: gpu, lambda n: transfer))) == text


def test_sizes_that_fail_on_one_device_are_left_out(timed):
    found = measure(case(lambda n: 1e-4 * n, lambda n: 1e-3 if n < 256 else None, lambda n: 0.0))
    assert found["sizes"] == [1, 4, 16, 64]
    assert [len(times) for times in found["milliseconds"].values()] == [4, 4, 4]


def test_nothing_to_measure(timed):
    assert measure(Case("no sizes", {})) is None
    assert measure(case(lambda n: None, lambda n: 1.0, lambda n: 1.0)) is None
    assert cells(None) == ["–", "–"]
