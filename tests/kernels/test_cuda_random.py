"""Random numbers on the device: the generator bit by bit, what is made of the bits, and their distributions."""

import inspect
import math

import numpy as np
import pytest

from minidl import kernels
from minidl.backend import Device, Generator, to_numpy
from minidl.kernels.cpu import random as on_the_cpu
from tests import philox
from tests.cupy_stand_in import counting

pytestmark = pytest.mark.usefixtures("on_cuda")

ONES = 2**32 - 1
VECTORS = [  # from kat_vectors of the Random123 distribution: counter, key, result
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((ONES,) * 4, (ONES, ONES), (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),  # digits of π
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]


def kernel():
    return kernels.random_on(Device("cuda"))


def at(key, position):
    """A generator whose part for GPUs has this key and position."""
    generator = Generator(0)
    generator.set_state(generator.get_state() | {"cuda": [key, position]})
    return generator


def draw(name, generator, *settings):
    """What the kernel draws, on the host; nothing is moved and nobody waits."""
    with counting() as seen:
        y = getattr(kernel(), name)(generator, *settings)
    assert not (seen.synchronisations or seen.transfers_to_device or seen.transfers_to_host), seen.places
    return to_numpy(y)


def number(words):
    return sum(word << 32 * i for i, word in enumerate(words))


@pytest.mark.parametrize("counter, key, expected", VECTORS)
def test_the_published_vectors(counter, key, expected):
    assert tuple(philox.block(counter, key)) == expected
    y = draw("integers", at(number(key), number(counter)), -(2**63), 2**63, (2,))
    assert tuple((y - np.int64(-(2**63))).astype(np.uint64).view(np.uint32)) == expected


KEY, POSITION = 0x0123456789ABCDEF, 2**64 - 3  # the carry comes after three blocks


@pytest.mark.parametrize("shape", [(1,), (7,), (3, 5), (2, 3, 301), ()])
def test_uniform_numbers_are_the_upper_bits(shape):
    blocks = -(-math.prod(shape) // 4)
    expected = (philox.words(KEY, POSITION, blocks) >> 8) / 2**24
    y = draw("uniform", at(KEY, POSITION), shape, np.dtype(np.float32))
    assert y.dtype == np.float32
    np.testing.assert_array_equal(y, philox.spread(expected, shape))

    blocks = -(-math.prod(shape) // 2)
    expected = (philox.words(KEY, POSITION, blocks).view(np.uint64) >> np.uint64(11)) / 2**53
    y = draw("uniform", at(KEY, POSITION), shape, np.dtype(np.float64))
    np.testing.assert_array_equal(y, philox.spread(expected, shape))


@pytest.mark.parametrize("dtype, rtol", [(np.float32, 2e-6), (np.float64, 1e-13)])
def test_normal_numbers_by_box_and_muller(dtype, rtol):
    shape = (3, 33)
    per_block = 16 // np.dtype(dtype).itemsize
    blocks = -(-99 // per_block)
    words = philox.words(KEY, POSITION, blocks)
    units = (words >> 8) / 2**24 if dtype == np.float32 else (words.view(np.uint64) >> np.uint64(11)) / 2**53
    radius, angle = np.sqrt(-2 * np.log1p(-units[:, ::2])), 2 * np.pi * units[:, 1::2]
    pairs = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=2).reshape(blocks, per_block)
    y = draw("normal", at(KEY, POSITION), shape, np.dtype(dtype))
    assert y.dtype == dtype
    np.testing.assert_allclose(y, philox.spread(pairs, shape), rtol=rtol, atol=rtol)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("p, kept", [(0.3, 1 / 0.7), (0.5, 2.0), (0.0, 1.0), (1.0, 1.0)])
def test_masks_compare_16_bits(dtype, p, kept):
    bits = philox.words(KEY, POSITION, 13).view(np.uint16)
    expected = np.where(bits >= round(p * 65536), kept, 0)
    drawn = np.float64 if dtype == np.float64 else np.float32
    y = draw("keep_mask", at(KEY, POSITION), (5, 20), np.dtype(dtype), p, kept)
    assert y.dtype == dtype
    np.testing.assert_array_equal(y, philox.spread(expected, (5, 20)).astype(drawn).astype(dtype), strict=True)


@pytest.mark.parametrize("low, high", [(0, 10), (-5, 6), (7, 8), (-(2**63), 2**63), (-(2**62), 2**63 - 1), (0, 2**63)])
def test_integers_are_scaled_down(low, high):
    bits = philox.words(KEY, POSITION, 21).view(np.uint64)
    expected = np.array([[low + (int(b) * (high - low) >> 64) for b in row] for row in bits])
    y = draw("integers", at(KEY, POSITION), low, high, (41,))
    assert y.dtype == np.int64
    np.testing.assert_array_equal(y, philox.spread(expected, (41,)))


@pytest.mark.parametrize("count", [0, 1, 2, 1000])
def test_permutations(count):
    y = draw("permutation", at(KEY, 0), count)
    assert y.dtype == np.int64
    np.testing.assert_array_equal(np.sort(y), np.arange(count))
    assert count < 3 or not np.array_equal(y, np.arange(count))


def test_half_precision_is_rounded_from_single():
    for name in ("uniform", "normal"):
        y = draw(name, at(KEY, 0), (50,), np.dtype(np.float16))
        single = draw(name, at(KEY, 0), (50,), np.dtype(np.float32))
        np.testing.assert_array_equal(y, single.astype(np.float16), strict=True)


def test_the_stream_goes_on_where_it_was():
    """Two draws of whole blocks hold the blocks of one; the next generator's stream is another."""
    generator = at(KEY, 0)
    first, second = (draw("uniform", generator, (8,), np.dtype(np.float32)) for _ in range(2))
    together = philox.words(KEY, 0, 4) >> 8
    np.testing.assert_array_equal(first * 2**24, philox.spread(together[:2], (8,)))
    np.testing.assert_array_equal(second * 2**24, philox.spread(together[2:], (8,)))
    assert not np.array_equal(draw("uniform", at(KEY + 1, 0), (8,), np.dtype(np.float32)), first)


def test_nothing_is_drawn_for_empty_arrays():
    generator = at(KEY, 5)
    for name in ("uniform", "normal"):
        assert draw(name, generator, (0, 3), np.dtype(np.float32)).shape == (0, 3)
    assert draw("integers", generator, 0, 5, (0,)).shape == draw("permutation", generator, 0).shape == (0,)
    assert generator.get_state()["cuda"] == [KEY, 5]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_distributions(dtype):
    """Moments within four of their standard deviations, and the largest distance of the distribution functions."""
    n = 40_000
    u = np.sort(draw("uniform", at(1, 0), (n,), np.dtype(dtype)).astype(float))
    z = np.sort(draw("normal", at(2, 0), (n,), np.dtype(dtype)).astype(float))
    assert 0 <= u[0] and u[-1] < 1 and np.isfinite(z).all()
    assert abs(u.mean() - 0.5) < 4 / math.sqrt(12 * n) and abs(z.mean()) < 4 / math.sqrt(n)
    assert abs(z.var() - 1) < 4 * math.sqrt(2 / n) and abs((z**4).mean() - 3) < 4 * math.sqrt(96 / n)
    steps = (np.arange(n) + 0.5) / n
    normal = np.array([0.5 * (1 + math.erf(value / math.sqrt(2))) for value in z])
    assert np.abs(u - steps).max() < 1.7 / math.sqrt(n) and np.abs(normal - steps).max() < 1.7 / math.sqrt(n)


def test_integers_and_masks_are_fair():
    n = 60_000
    counts = np.bincount(draw("integers", at(3, 0), 0, 6, (n,)), minlength=6)
    assert ((counts - n / 6) ** 2 / (n / 6)).sum() < 20.5  # χ² of 5 degrees of freedom: 1 in 1000
    mask = draw("keep_mask", at(4, 0), (n,), np.dtype(np.float32), 0.1)
    assert abs(mask.mean() - 0.9) < 4 * 0.3 / math.sqrt(n)


def test_both_devices_have_the_same_functions():
    def public(module):
        return {
            name: f for name, f in vars(module).items() if inspect.isfunction(f) and f.__module__ == module.__name__
        }

    ours, theirs = public(kernel()), public(on_the_cpu)
    for name in sorted(set(ours) | set(theirs)):
        if not name.startswith("_"):
            assert list(inspect.signature(ours[name]).parameters.values())[0].name == "generator"
            assert ours[name].__doc__ and theirs[name].__doc__
            assert [p.replace(annotation=None) for p in inspect.signature(ours[name]).parameters.values()] == [
                p.replace(annotation=None) for p in inspect.signature(theirs[name]).parameters.values()
            ]
