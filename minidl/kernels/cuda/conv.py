"""Convolution as products of matrices, which cuBLAS does near the speed that the device can.

A block of windows is unfolded to columns (C·Πkernel, samples·positions), and the convolution is one product with the
filters (O, C·Πkernel), which is then copied into place; the bias and what else follows are added on the way. Its
gradients are the same products with the matrices exchanged: columns = filtersᵀ · gy, folded back into gx; and
gw = gy · columnsᵀ, summed over the blocks. A block has as many samples as fit into COLUMN_BYTES, or a part of one
sample. Groups are a stack of products.

A 1×1 kernel that reads every pixel once needs no columns: the image is the matrix. One kernel for each channel leaves
nothing to multiply but vectors, so ``source/depthwise.cu`` adds the taps up directly.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import cache
from typing import Any

import cupy

from ._compile import launch, launch_blocks
from ._half import in_single
from .elementwise import sum_of
from .unfold import Ints, Pairs, Windows, add_columns, fill_columns, volume

COLUMN_BYTES = 1 << 28
"""Memory for the columns of a block, and again for its outputs."""


@in_single
def conv(
    x: Any,
    w: Any,
    bias: Any = None,
    plus: Any = None,
    relu: bool = False,
    *,
    stride: Ints,
    padding: Pairs,
    dilation: Ints,
    groups: int,
) -> Any:
    """The cross-correlation of x (N, C, *size) with w (O, C / groups, *kernel), plus bias (O,): (N, O, *out).

    With `plus`, an array like the result, their sum; with `relu`, the ReLU of all that.
    """
    windows = Windows(w.shape[2:], stride, padding, dilation)
    out = windows.out_size(x.shape[2:])
    batch, positions, filters = len(x), math.prod(out), _filters(w, groups)
    bias = None if bias is None else bias[:, None]
    plus = None if plus is None else plus.reshape(batch, len(w), positions)
    if _reads_every_pixel_once(windows):
        y = cupy.matmul(filters, x.reshape(batch, groups, w.shape[1], positions)).reshape(batch, len(w), positions)
        _finish(y, y, bias, plus, relu)
    elif _is_depthwise(w, groups):
        y = cupy.empty((batch, len(w), positions), x.dtype)
        arrays = y, cupy.ascontiguousarray(x), cupy.ascontiguousarray(w)
        launch("depthwise", "depthwise_conv", y.size, (*arrays, *_depthwise(x, len(w), out, windows)), x.dtype)
        _finish(y, y, bias, plus, relu)
    else:
        y = cupy.empty((batch, len(w), positions), x.dtype)
        for samples, at in _blocks(batch, positions, w, groups):
            columns = _columns(x[samples], windows, out, at).reshape(groups, filters.shape[2], -1)
            sums = _products(filters, columns).reshape(len(w), -1, at.stop - at.start).swapaxes(0, 1)
            _finish(y[samples, :, at], sums, bias, None if plus is None else plus[samples, :, at], relu)
    return y.reshape(batch, len(w), *out)


@in_single
def conv_input_grad(gy: Any, w: Any, *, size: Ints, stride: Ints, padding: Pairs, dilation: Ints, groups: int) -> Any:
    """The gradient of conv with respect to its input: (N, C, *size)."""
    windows = Windows(w.shape[2:], stride, padding, dilation)
    batch, out, shape = len(gy), gy.shape[2:], (len(gy), groups * w.shape[1], *size)
    positions, filters = math.prod(out), _filters(w, groups)
    transposed = cupy.ascontiguousarray(filters.swapaxes(1, 2))
    if _reads_every_pixel_once(windows) and out == size:
        return cupy.matmul(transposed, gy.reshape(batch, *filters.shape[:2], positions)).reshape(shape)
    if _is_depthwise(w, groups):
        gx = cupy.empty(shape, gy.dtype)
        arrays = gx, cupy.ascontiguousarray(gy), cupy.ascontiguousarray(w)
        launch("depthwise", "depthwise_input_grad", gx.size, (*arrays, *_depthwise(gx, len(w), out, windows)), gy.dtype)
        return gx
    gx = cupy.zeros(shape, gy.dtype)
    grads = gy.reshape(batch, len(w), positions)
    for samples, at in _blocks(batch, positions, w, groups):
        columns = _products(transposed, _channels_first(grads[samples, :, at], groups))
        own, count = gx[samples], at.stop - at.start
        add_columns(own, columns, windows, out, at, strides=(len(own) * count, count))
    return gx


@in_single
def conv_weight_grad(
    x: Any, gy: Any, *, kernel_size: Ints, stride: Ints, padding: Pairs, dilation: Ints, groups: int
) -> Any:
    """The gradient of conv with respect to its weight: (O, C / groups, *kernel_size)."""
    windows = Windows(kernel_size, stride, padding, dilation)
    batch, out, positions = len(x), gy.shape[2:], math.prod(gy.shape[2:])
    gw = cupy.zeros((gy.shape[1], x.shape[1] // groups, *kernel_size), x.dtype)
    if _is_depthwise(gw, groups):
        arrays = gw, cupy.ascontiguousarray(x), cupy.ascontiguousarray(gy)
        settings = (len(x), *_depthwise(x, gy.shape[1], out, windows))
        launch_blocks("depthwise", "depthwise_weight_grad", (gw.size,), (*arrays, *settings), x.dtype)
        return gw
    sums = _filters(gw, groups)
    grads = gy.reshape(batch, gy.shape[1], positions)
    for samples, at in _blocks(batch, positions, gw, groups):
        columns = _columns(x[samples], windows, out, at).reshape(groups, sums.shape[2], -1)
        rows = _channels_first(grads[samples, :, at], groups)
        for g in range(groups):  # CuPy copies the transposed matrices of a stack, but not a transposed matrix
            sums[g] += rows[g] @ columns[g].T
    return gw


def _filters(w: Any, groups: int) -> Any:
    """The matrices (groups, O / groups, C / groups · Πkernel)."""
    return cupy.ascontiguousarray(w).reshape(groups, len(w) // groups, w[0].size)


def _columns(x: Any, windows: Windows, out: Ints, at: slice) -> Any:
    """The columns (C·Πkernel, samples, count) of the positions `at`."""
    count = at.stop - at.start
    columns = cupy.empty((x.shape[1] * math.prod(windows.kernel_size), len(x), count), x.dtype)
    fill_columns(columns, x, windows, out, at, strides=(len(x) * count, count))
    return columns


def _channels_first(grads: Any, groups: int) -> Any:
    """(samples, O, count) -> (groups, O / groups, samples · count)."""
    channels = grads.shape[1]
    return cupy.ascontiguousarray(grads.swapaxes(0, 1)).reshape(groups, channels // groups, -1)


def _products(a: Any, b: Any) -> Any:
    """The products of two stacks of matrices. A stack of one goes the way of matrices, which knows of TF32."""
    return cupy.matmul(a, b) if len(a) > 1 else cupy.matmul(a[0], b[0])[None]


def _reads_every_pixel_once(windows: Windows) -> bool:
    return math.prod(windows.kernel_size) == math.prod(windows.stride) == 1 and not any(map(any, windows.padding))


def _is_depthwise(w: Any, groups: int) -> bool:
    return groups > 1 and w.shape[1] == 1


def _depthwise(x: Any, out_channels: int, out: Ints, windows: Windows) -> Ints:
    """The numbers that the kernels of ``depthwise.cu`` take after their arrays."""
    channels = x.shape[1]
    return channels, out_channels // channels, *volume(x.shape[2:]), *volume(out), *windows.arguments()


def _finish(y: Any, sums: Any, bias: Any, plus: Any, relu: bool) -> None:
    """Set y to sums + bias + plus, or the ReLU of it, as far as there are any, in one pass; sums may be y itself."""
    terms = {"sums": sums, "bias": bias, "plus": plus}
    terms = {name: array for name, array in terms.items() if array is not None}
    if len(terms) > 1 or relu or sums is not y:
        finish_kernel(tuple(terms), bool(relu))(*terms.values(), y)


@cache
def finish_kernel(terms: tuple[str, ...], relu: bool) -> Any:
    """One pass that adds these terms, and takes the ReLU of the sum."""
    return sum_of([f"T {term}" for term in terms], terms, relu, "_".join(("conv", *terms)))


def _blocks(batch: int, positions: int, w: Any, groups: int) -> Iterator[tuple[slice, slice]]:
    """(samples, positions) of blocks that take COLUMN_BYTES: whole samples, or parts of one that is larger."""
    rows = max(groups * w[0].size, len(w))
    most = max(1, COLUMN_BYTES // (rows * w.itemsize))
    if positions <= most:
        step = most // positions
        for n in range(0, batch, step):
            yield slice(n, min(n + step, batch)), slice(0, positions)
    else:
        step = math.ceil(positions / math.ceil(positions / most))
        for n in range(batch):
            for first in range(0, positions, step):
                yield slice(n, n + 1), slice(first, min(first + step, positions))
