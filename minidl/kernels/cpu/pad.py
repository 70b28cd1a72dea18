"""Padding by copies of slices, one axis after the other; the adjoint adds the same slices in the opposite order."""

from __future__ import annotations

import numpy as np


def pad(x: np.ndarray, widths: tuple[tuple[int, int], ...], *, mode: str, value: float = 0.0) -> np.ndarray:
    """Pad the last ``len(widths)`` axes of x by (before, after) each; a negative width crops.

    Math:      y[j] = x[i(j − before)]; see :func:`minidl.kernels.reference.pad` for i.
    """
    lead = x.ndim - len(widths)
    sizes = [n + before + after for n, (before, after) in zip(x.shape[lead:], widths, strict=True)]
    y = np.empty((*x.shape[:lead], *sizes), x.dtype)
    if mode == "constant":
        y.fill(value)
    y[_uncropped(y.shape, [(-before, -after) for before, after in widths])] = x[_uncropped(x.shape, widths)]
    if mode != "constant":
        for axis, (before, after) in enumerate(widths, lead):
            for border, source in _borders(mode, axis, max(before, 0), max(after, 0), y.shape[axis]):
                y[border] = y[source]  # of full extent: corners copied too early are overwritten along a later axis
    return y


def pad_adjoint(gy: np.ndarray, widths: tuple[tuple[int, int], ...], *, mode: str) -> np.ndarray:
    """The transpose of :func:`pad` (value 0): each input pixel collects the gradients of its copies."""
    if mode != "constant":
        gy = gy.copy()
        lead = gy.ndim - len(widths)
        for axis, (before, after) in reversed(list(enumerate(widths, lead))):
            for border, source in _borders(mode, axis, max(before, 0), max(after, 0), gy.shape[axis]):
                copies = gy[border]
                gy[source] += copies.sum(axis=axis, keepdims=True) if mode == "replicate" else copies
    return pad(gy, tuple((-before, -after) for before, after in widths), mode="constant")


def _uncropped(shape, widths):
    """The index of what negative widths leave of an array of this shape."""
    sizes = shape[len(shape) - len(widths) :]
    return (..., *(slice(max(-a, 0), n - max(-b, 0)) for n, (a, b) in zip(sizes, widths, strict=True)))


def _borders(mode: str, axis: int, before: int, after: int, size: int):
    """[(border, source)]: pairs of indices into the padded array, whose length along `axis` is `size`."""
    stop = size - after  # the center is before … stop
    if mode == "reflect":
        left = slice(before - 1, None, -1), slice(before + 1, 2 * before + 1)
        right = slice(size - 1, stop - 1, -1), slice(stop - 1 - after, stop - 1)
    elif mode == "replicate":
        left = slice(0, before), slice(before, before + 1)
        right = slice(stop, size), slice(stop - 1, stop)
    else:
        left = slice(0, before), slice(stop - before, stop)
        right = slice(stop, size), slice(before, before + after)
    lead = (slice(None),) * axis
    return [((*lead, border), (*lead, source)) for (border, source), width in ((left, before), (right, after)) if width]
