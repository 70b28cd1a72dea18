"""Random numbers drawn by NumPy. The same names as in ``cuda/random.py``."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...backend import Generator


def uniform(generator: Generator, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """Numbers in [0, 1): multiples of 2⁻²⁴ in float32, of 2⁻⁵³ in float64."""
    return _floats(generator.numpy.random, shape, dtype)


def normal(generator: Generator, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """Numbers from the standard normal distribution."""
    return _floats(generator.numpy.standard_normal, shape, dtype)


def keep_mask(generator: Generator, shape: tuple[int, ...], dtype: np.dtype, p: float, kept: float = 1.0) -> np.ndarray:
    """0 with probability p, within 2⁻¹⁷, else `kept`: 16 random bits decide."""
    size = math.prod(shape)
    draws = generator.numpy.integers(2**64, size=(size + 3) // 4, dtype=np.uint64).view(np.uint16)[:size]
    mask = (draws.reshape(shape) >= round(p * 65536)).astype(dtype)
    if kept != 1:
        mask *= kept
    return mask


def integers(generator: Generator, low: int, high: int, shape: tuple[int, ...]) -> np.ndarray:
    """Integers in [low, high), int64."""
    return np.asarray(generator.numpy.integers(low, high, shape, dtype=np.int64))


def permutation(generator: Generator, count: int) -> np.ndarray:
    """The integers 0 … count − 1 in random order, int64."""
    return generator.numpy.permutation(count).astype(np.int64, copy=False)


def _floats(method: Any, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    drawn = np.float64 if dtype == np.float64 else np.float32  # half precision is rounded from single
    return np.asarray(method(shape, dtype=drawn)).astype(dtype, copy=False)
