"""Padding, by definition: every padded pixel is a constant or a copy of one input pixel."""

from __future__ import annotations

import itertools

import numpy as np


def pad(x: np.ndarray, widths: tuple[tuple[int, int], ...], *, mode: str, value: float = 0.0) -> np.ndarray:
    """Pad the last ``len(widths)`` axes of x by (before, after) each; a negative width crops.

    Math:      y[j] = x[i(j − before)] on each axis, where outside 0 … n − 1
                 constant: value; replicate: i(k) = 0 or n − 1; circular: i(k) = k mod n;
                 reflect: i(−k) = k, i(n − 1 + k) = n − 1 − k: the edge is the mirror and is not repeated
               Cropping comes first: what is cropped is not copied.
    Args:      mode: "constant", "reflect", "replicate" or "circular". value: the constant
    """
    shape = _padded_shape(x.shape, widths)
    y = np.full(shape, value, x.dtype)
    for j in itertools.product(*map(range, shape)):
        i = _source(j, x.shape, widths, mode)
        if i is not None:
            y[j] = x[i]
    return y


def pad_adjoint(gy: np.ndarray, widths: tuple[tuple[int, int], ...], *, mode: str) -> np.ndarray:
    """The transpose of :func:`pad` (value 0): each input pixel collects the gradients of its copies."""
    shape = _padded_shape(gy.shape, [(-before, -after) for before, after in widths])
    gx = np.zeros(shape, gy.dtype)
    for j in itertools.product(*map(range, gy.shape)):
        i = _source(j, shape, widths, mode)
        if i is not None:
            gx[i] += gy[j]
    return gx


def _padded_shape(shape, widths):
    lead = len(shape) - len(widths)
    return (*shape[:lead], *(n + sum(width) for n, width in zip(shape[lead:], widths, strict=True)))


def _source(j, shape, widths, mode):
    """The input index that padded index j copies; None where it is the constant."""
    lead = len(shape) - len(widths)
    index = list(j)
    for axis, (before, after) in enumerate(widths, lead):
        first, stop = max(0, -before), shape[axis] - max(0, -after)  # what cropping leaves of this axis
        k, n = j[axis] - max(0, before), stop - first
        if not 0 <= k < n:
            if mode == "constant":
                return None
            if mode == "replicate":
                k = 0 if k < 0 else n - 1
            elif mode == "circular":
                k %= n
            else:
                k = -k if k < 0 else 2 * (n - 1) - k
        index[axis] = first + k
    return tuple(index)
