"""Padding by copies of slices, one axis after the other; the adjoint adds the same slices in the opposite order.

The center is copied in one pass, and a border is small beside it. Every copy is CuPy's, strided on both sides.
"""

from __future__ import annotations

from typing import Any

import cupy

from ..cpu.pad import _borders, _uncropped

Widths = tuple[tuple[int, int], ...]


def pad(x: Any, widths: Widths, *, mode: str, value: float = 0.0) -> Any:
    """Pad the last ``len(widths)`` axes of x by (before, after) each; a negative width crops.

    Math:      y[j] = x[i(j − before)]; see :func:`minidl.kernels.reference.pad` for i.
    """
    lead = x.ndim - len(widths)
    sizes = [n + before + after for n, (before, after) in zip(x.shape[lead:], widths, strict=True)]
    shape = (*x.shape[:lead], *sizes)
    y = cupy.full(shape, value, x.dtype) if mode == "constant" else cupy.empty(shape, x.dtype)
    y[_uncropped(y.shape, [(-before, -after) for before, after in widths])] = x[_uncropped(x.shape, widths)]
    if mode != "constant":
        for axis, (before, after) in enumerate(widths, lead):
            for border, source in _borders(mode, axis, max(before, 0), max(after, 0), y.shape[axis]):
                y[border] = y[source]  # of full extent: corners copied too early are overwritten along a later axis
    return y


def pad_adjoint(gy: Any, widths: Widths, *, mode: str) -> Any:
    """The transpose of :func:`pad` (value 0): each input pixel collects the gradients of its copies."""
    if mode != "constant":
        gy = gy.copy()
        lead = gy.ndim - len(widths)
        for axis, (before, after) in reversed(list(enumerate(widths, lead))):
            for border, source in _borders(mode, axis, max(before, 0), max(after, 0), gy.shape[axis]):
                copies = gy[border]
                gy[source] += copies.sum(axis=axis, keepdims=True) if mode == "replicate" else copies
    return pad(gy, tuple((-before, -after) for before, after in widths), mode="constant")
