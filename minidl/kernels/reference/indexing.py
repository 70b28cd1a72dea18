"""Adding into places given by indices, one element at a time."""

from __future__ import annotations

from typing import Any

import numpy as np


def index_put_add(shape: tuple[int, ...], index: tuple[Any, ...], values: np.ndarray) -> np.ndarray:
    """Zeros of `shape` with `values` added at ``[index]``."""
    y = np.zeros(shape, values.dtype)
    places = np.empty(shape, dtype=object)
    for place in np.ndindex(shape):
        places[place] = place
    chosen = places[index]
    for i in np.ndindex(values.shape):
        y[chosen[i] if isinstance(chosen, np.ndarray) else chosen] += values[i]
    return y


def scatter_add(shape: tuple[int, ...], dim: int, index: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Zeros of `shape` with y[i, index[i, j], …] += values[i, j, …]."""
    y = np.zeros(shape, values.dtype)
    for i in np.ndindex(index.shape):
        place = list(i)
        place[dim] = index[i]
        y[tuple(place)] += values[i]
    return y
