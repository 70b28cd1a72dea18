"""Random numbers drawn on the device by Philox: see ``source/random.cu``. The same names as in ``cpu/random.py``.

The host keeps a key and a position, which become arguments of the kernel: nothing is moved, and nobody waits.
"""

from __future__ import annotations

from typing import Any

import cupy
import numpy as np

from ...backend import Generator
from ._compile import launch

_WORD = 2**64


def uniform(generator: Generator, shape: tuple[int, ...], dtype: np.dtype) -> Any:
    """Numbers in [0, 1): multiples of 2⁻²⁴ in float32, of 2⁻⁵³ in float64."""
    return _floats("uniform", generator, shape, dtype)


def normal(generator: Generator, shape: tuple[int, ...], dtype: np.dtype) -> Any:
    """Numbers from the standard normal distribution, at most 5.8 from 0 in float32 and 8.6 in float64."""
    return _floats("normal", generator, shape, dtype)


def keep_mask(generator: Generator, shape: tuple[int, ...], dtype: np.dtype, p: float, kept: float = 1.0) -> Any:
    """0 with probability p, within 2⁻¹⁷, else `kept`: 16 random bits decide."""
    y = cupy.empty(shape, _drawn(dtype))
    _launch("keep_mask", generator, y, 8, round(p * 65536), float(kept))
    return y.astype(dtype, copy=False)


def integers(generator: Generator, low: int, high: int, shape: tuple[int, ...]) -> Any:
    """Integers in [low, high), int64.

    64 random bits are multiplied by high − low and shifted down, so that a value's probability is off by less than
    2⁻⁶⁴: no one will ever see that.
    """
    y = cupy.empty(shape, np.int64)
    _launch("integers", generator, y, 2, np.int64(low), np.uint64((int(high) - int(low)) % _WORD))
    return y


def permutation(generator: Generator, count: int) -> Any:
    """The integers 0 … count − 1 in random order, int64: the order of as many random numbers of 64 bits."""
    return cupy.argsort(integers(generator, -(2**63), 2**63, (count,)))


def _floats(name: str, generator: Generator, shape: tuple[int, ...], dtype: np.dtype) -> Any:
    y = cupy.empty(shape, _drawn(dtype))
    _launch(name, generator, y, 16 // y.itemsize)
    return y.astype(dtype, copy=False)


def _drawn(dtype: np.dtype) -> Any:
    """The kernels know float and double; half precision is rounded from float."""
    return np.float64 if dtype == np.float64 else np.float32


def _launch(name: str, generator: Generator, y: Any, per_block: int, *settings: Any) -> None:
    """Fill y with the numbers of the next blocks of the stream, of which each gives `per_block`."""
    blocks = -(-y.size // per_block)
    key, position = generator.reserve(blocks)
    place = np.uint64(key), np.uint64(position % _WORD), np.uint64(position // _WORD)
    real = y.dtype if y.dtype.kind == "f" else np.dtype(np.float32)
    launch("random", name, blocks, (y, np.int64(y.size), *place, *settings), real)
