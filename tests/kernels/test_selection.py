"""Choosing by a condition: cpu against reference, below and above the size from which bits are used."""

import numpy as np
import pytest

from minidl.kernels import cpu, reference

LARGE = (3, 37, 41)  # 4551 elements: above the threshold


def operands(rng, dtype, shape):
    a, b = (rng.standard_normal(shape) * 100 for _ in range(2))
    a.flat[::7], b.flat[::5], b.flat[::11] = np.nan, -0.0, np.inf
    with np.errstate(invalid="ignore"):
        return rng.random(shape) < 0.5, a.astype(dtype), b.astype(dtype)


def assert_same(actual, expected):
    assert actual.dtype == expected.dtype
    np.testing.assert_array_equal(actual, expected)
    if actual.dtype.kind == "f":
        np.testing.assert_array_equal(np.signbit(actual), np.signbit(expected))  # −0 is not 0


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int64", "int32", "uint8", "bool"])
@pytest.mark.parametrize("shape", [(), (0, 3), (4, 5), LARGE])
def test_all_dtypes(rng, dtype, shape):
    condition, a, b = operands(rng, dtype, shape)
    assert_same(cpu.choose(condition, a, b), reference.choose(condition, a, b))


@pytest.mark.parametrize(
    ("of_condition", "of_a", "of_b"),
    [
        (LARGE, (), LARGE),
        (LARGE, LARGE, (41,)),
        ((37, 1), LARGE, (1, 1, 1)),
        ((41,), (3, 1, 1), (37, 1)),
        (LARGE, (), ()),
    ],
)
def test_broadcasting(rng, of_condition, of_a, of_b):
    condition, (_, a, _), (_, _, b) = (
        rng.random(of_condition) < 0.5,
        *(operands(rng, "float32", s) for s in (of_a, of_b)),
    )
    assert_same(np.asarray(cpu.choose(condition, a, b)), reference.choose(condition, a, b))


def test_any_layout_and_read_only_inputs(rng):
    condition, a, b = (array.transpose(2, 0, 1)[::2] for array in operands(rng, "float32", (3, 37, 101)))
    for array in (condition, a, b):
        array.flags.writeable = False
    assert_same(cpu.choose(condition, a, b), reference.choose(condition, a, b))


def test_two_dtypes_are_promoted(rng):
    condition, a, _ = operands(rng, "float32", LARGE)
    assert_same(cpu.choose(condition, a, np.zeros(LARGE)), reference.choose(condition, a, np.zeros(LARGE)))
