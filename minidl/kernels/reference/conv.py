"""Convolution by definition: one multiplication at a time, in any number of spatial dimensions.

Convolution is a sum of products x · w that land in y. The two gradients are the same products with another of the three
arrays as the one that is summed into, so one walk over all products defines all three kernels.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import numpy as np

Ints = tuple[int, ...]
Pairs = tuple[tuple[int, int], ...]


def conv(
    x: np.ndarray,
    w: np.ndarray,
    bias: np.ndarray | None = None,
    plus: np.ndarray | None = None,
    relu: bool = False,
    *,
    stride: Ints,
    padding: Pairs,
    dilation: Ints,
    groups: int,
) -> np.ndarray:
    """y[n, o, i] = Σ_c,u w[o, c, u] · x[n, c, i·stride + u·dilation − low] + bias[o], x being 0 outside.

    Args:      x: (N, C, *size). w: (O, C / groups, *kernel). padding: (low, high) for each spatial dimension; a
               negative number crops
               plus: added to y, of its shape. relu: max(y, 0) at the end
    Returns:   (N, O, *out), out = (size + low + high − dilation·(kernel − 1) − 1) // stride + 1
    """
    out = tuple(
        (size + low + high - d * (k - 1) - 1) // s + 1
        for size, k, s, (low, high), d in zip(x.shape[2:], w.shape[2:], stride, padding, dilation, strict=True)
    )
    y = np.zeros((len(x), len(w), *out), x.dtype)
    for x_at, w_at, y_at in _products(x.shape, w.shape, y.shape, stride, padding, dilation, groups):
        y[y_at] += w[w_at] * x[x_at]
    if bias is not None:
        y += bias.reshape(-1, *(1,) * len(out))
    if plus is not None:
        y += plus
    return np.maximum(y, 0) if relu else y


def conv_input_grad(
    gy: np.ndarray, w: np.ndarray, *, size: Ints, stride: Ints, padding: Pairs, dilation: Ints, groups: int
) -> np.ndarray:
    """gx of shape (N, C, *size): each product x·w of the convolution gives w·gy to its element of x."""
    gx = np.zeros((len(gy), w.shape[1] * groups, *size), gy.dtype)
    for x_at, w_at, y_at in _products(gx.shape, w.shape, gy.shape, stride, padding, dilation, groups):
        gx[x_at] += w[w_at] * gy[y_at]
    return gx


def conv_weight_grad(
    x: np.ndarray, gy: np.ndarray, *, kernel_size: Ints, stride: Ints, padding: Pairs, dilation: Ints, groups: int
) -> np.ndarray:
    """gw of shape (O, C / groups, *kernel_size): each product x·w of the convolution gives x·gy to its element of w."""
    gw = np.zeros((gy.shape[1], x.shape[1] // groups, *kernel_size), x.dtype)
    for x_at, w_at, y_at in _products(x.shape, gw.shape, gy.shape, stride, padding, dilation, groups):
        gw[w_at] += x[x_at] * gy[y_at]
    return gw


def unfold(x: np.ndarray, *, kernel_size: Ints, stride: Ints, padding: Pairs, dilation: Ints) -> np.ndarray:
    """Every window of x as a column: (N, C, *size) -> (N, C·Πkernel, Πout), columns in row-major order.

    It is a convolution with one filter for each row, which is 1 at one channel and tap and 0 elsewhere.
    """
    rows = x.shape[1] * int(np.prod(kernel_size))
    w = np.eye(rows, dtype=x.dtype).reshape(rows, x.shape[1], *kernel_size)
    y = conv(x, w, stride=stride, padding=padding, dilation=dilation, groups=1)
    return y.reshape(len(x), rows, int(np.prod(y.shape[2:])))


def fold(
    columns: np.ndarray, *, size: Ints, kernel_size: Ints, stride: Ints, padding: Pairs, dilation: Ints
) -> np.ndarray:
    """The adjoint of unfold: each column is added back at its window, (N, C·Πkernel, Πout) -> (N, C, *size)."""
    rows = columns.shape[1]
    w = np.eye(rows, dtype=columns.dtype).reshape(rows, rows // int(np.prod(kernel_size)), *kernel_size)
    out = tuple(
        (extent + low + high - d * (k - 1) - 1) // s + 1
        for extent, k, s, (low, high), d in zip(size, kernel_size, stride, padding, dilation, strict=True)
    )
    gy = columns.reshape(len(columns), rows, *out)
    return conv_input_grad(gy, w, size=size, stride=stride, padding=padding, dilation=dilation, groups=1)


def _products(
    x_shape: Ints, w_shape: Ints, y_shape: Ints, stride: Ints, padding: Pairs, dilation: Ints, groups: int
) -> Iterator[tuple[Ints, Ints, Ints]]:
    """The indices (into x, w and y) of every product of a convolution that does not read padding."""
    group_in, group_out = w_shape[1], w_shape[0] // groups
    for n, o in product(range(y_shape[0]), range(y_shape[1])):
        for i in product(*map(range, y_shape[2:])):
            for u in product(*map(range, w_shape[2:])):
                at = tuple(
                    a * s + b * d - low for a, b, s, d, (low, _) in zip(i, u, stride, dilation, padding, strict=True)
                )
                if all(0 <= a < size for a, size in zip(at, x_shape[2:], strict=True)):
                    for c in range(group_in):
                        yield (n, o // group_out * group_in + c, *at), (o, c, *u), (n, o, *i)
