"""Convolution of images by im2col, in blocks that stay in the cache, and by plain matrix products for 1×1 kernels.

A block of output pixels of all samples makes a matrix of columns, one row for each pixel and sample, and one product
with the kernel gives its outputs. With many channels the columns are gathered from (H, W, N, C) memory, in runs of C;
with few from (C, H, W, N), in runs of N times the width. The output is written in the order that suits its own number
of channels.

The columns are a copy, kh·kw times the image, that a compiled convolution never makes; and with few channels or filters
the products are thin (27 columns by 32 filters), for which OpenBLAS reaches half of its peak. So a first layer, a
stride or a 5×5 kernel of LeNet's size takes 1.2 to 3.5 times as long as in PyTorch.
"""

from __future__ import annotations

import math
from functools import lru_cache
from itertools import product as cartesian
from typing import NamedTuple

import numpy as np

from ...backend import empty, get_num_threads, scratch, share
from ._layout import CHWN, HWNC, arranged, finish, order_for, view
from .linalg import matmul
from .products import long_product, product

COLUMN_BYTES = 1_000_000
"""Scratch memory for the columns of a block: they should stay in the second-level cache until they are multiplied."""

PIECE = 1 << 19
"""Multiply-adds below which another core is not worth its call."""

Pair = tuple[int, int]
Block = tuple[int, int, int, int]  # first and last row, first and last column


class Geometry(NamedTuple):
    """Where the windows are: everything in pixels, (rows, columns)."""

    kernel: Pair
    stride: Pair
    before: Pair  # zeros above and on the left
    dilation: Pair
    out: Pair


def conv(
    x: np.ndarray,
    w: np.ndarray,
    at: Geometry,
    bias: np.ndarray | None = None,
    plus: np.ndarray | None = None,
    relu: bool = False,
    order: tuple[int, ...] | None = None,
) -> np.ndarray:
    """The cross-correlation of x (N, C, H, W) with w (O, C, kh, kw); the output lies in memory in `order`."""
    n, c, o = len(x), x.shape[1], len(w)
    by_channel, out_order = order_for(c) == CHWN, order or order_for(o)
    y = empty((n, o, *at.out), x.dtype, out_order, shared=True)
    plus = None if plus is None else arranged(plus, out_order)
    if _pointwise(at, x.shape[2:]):
        source = arranged(x[_under(at)], order_for(c))
        matrix = np.ascontiguousarray(w.reshape(o, c).T)
        pixels = at.out[0] * at.out[1] * n
        grain = max(1, PIECE // (c * o))
        outs, layouts = (y.transpose(out_order),), (by_channel, out_order == CHWN)
        share(_pointwise_part, pixels, outs, (source, matrix, bias, plus), (*layouts, relu), grain)
        return y
    kernels = np.ascontiguousarray(w.transpose(1, 2, 3, 0) if by_channel else w.transpose(2, 3, 1, 0)).reshape(-1, o)
    blocks = _blocks(at.out, n, len(kernels) * x.itemsize, get_num_threads())
    ins = (arranged(x, order_for(c)), kernels, bias, plus)
    grain = max(1, len(blocks) * PIECE // (y.size * len(kernels) + 1))
    settings = (*map(tuple, at), get_num_threads(), by_channel, out_order == CHWN, relu)
    share(_conv_part, len(blocks), (y.transpose(out_order),), ins, settings, grain)
    return y


def weight_grad(x: np.ndarray, gy: np.ndarray, at: Geometry) -> np.ndarray:
    """The gradient of :func:`conv` with respect to its weight: (O, C, kh, kw)."""
    c, o, threads = x.shape[1], gy.shape[1], get_num_threads()
    by_channel = order_for(c) == CHWN
    grads_order = CHWN if gy.transpose(CHWN).flags.c_contiguous else HWNC
    if _pointwise(at, x.shape[2:]):
        x, at = x[_under(at)], at._replace(stride=(1, 1))
    columns = math.prod(at.kernel) * c
    blocks = _blocks(at.out, len(x), columns * x.itemsize, threads)
    parts = max(1, min(threads, len(blocks), gy.size * columns // PIECE))
    sums = empty((parts, columns, o), x.dtype, shared=True)
    ins = (arranged(x, order_for(c)), arranged(gy, grads_order))
    settings = (parts, *map(tuple, at), threads, by_channel, grads_order == CHWN)
    share(_weight_grad_part, parts, (sums,), ins, settings)
    total = sums[0] if parts == 1 else sums.sum(0)  # in a fixed order, so that it is always the same
    if by_channel:
        return np.ascontiguousarray(total.T).reshape(o, c, *at.kernel)
    return np.ascontiguousarray(total.reshape(*at.kernel, c, o).transpose(3, 2, 0, 1))


def pixel_input_grad(gy: np.ndarray, w: np.ndarray, size: Pair, at: Geometry) -> np.ndarray:
    """The gradient of a convolution that gave a single pixel: one product for each tap, put where the tap lies."""
    n, c = len(gy), w.shape[1]
    taps = matmul(gy.reshape(n, -1), np.ascontiguousarray(w.transpose(2, 3, 0, 1)))  # (kh, kw, N, C)
    if at.kernel == size and at.before == (0, 0) and max(at.dilation) == 1:
        return taps.transpose(2, 3, 0, 1)
    gx = empty((n, c, *size), gy.dtype, HWNC)
    pixels = gx.transpose(HWNC)
    pixels[...] = 0
    places = [np.arange(k) * d - b for k, d, b in zip(at.kernel, at.dilation, at.before, strict=True)]
    inside = [np.flatnonzero((place >= 0) & (place < n)) for place, n in zip(places, size, strict=True)]
    pixels[np.ix_(*(place[seen] for place, seen in zip(places, inside, strict=True)))] = taps[np.ix_(*inside)]
    return gx


def spread_input_grad(gy: np.ndarray, w: np.ndarray, size: Pair, at: Geometry) -> np.ndarray:
    """The gradient of a convolution with respect to an input (N, C, *size) of few channels: each gy to all its taps.

    In (C, H, W, N) memory a tap of a channel is one row of products, added where it belongs in runs of N and more; the
    channels are shared among the cores. With many more channels in gy this moves less than gathering its windows.
    """
    gx = empty((len(gy), w.shape[1], *size), gy.dtype, CHWN)
    grads_order = CHWN if gy.transpose(CHWN).flags.c_contiguous else HWNC
    ins = (arranged(gy, grads_order), np.ascontiguousarray(w.transpose(1, 2, 3, 0)))
    grain = max(1, w.shape[1] * PIECE // (gy.size * w[0].size + 1))
    settings = (*map(tuple, at), grads_order == CHWN)
    share(_spread_part, w.shape[1], (gx.transpose(CHWN),), ins, settings, grain)
    return gx


def _spread_part(start: int, stop: int, outs, ins, *settings) -> None:
    *of_geometry, by_channel = settings
    at = Geometry(*of_geometry)
    (gx,), (gy, kernels) = outs, ins
    o, (out_h, out_w), n = kernels.shape[3], at.out, gx.shape[3]
    taps, row_bytes = math.prod(at.kernel), max(out_w * n, 1) * gy.itemsize
    together = min(max(2 * COLUMN_BYTES // (taps * out_h * row_bytes + 1), 1), max(stop - start, 1))  # channels
    step = max(1, 2 * COLUMN_BYTES // (together * taps * row_bytes))
    gx[start:stop] = 0
    for c0, r0 in cartesian(range(start, stop, together), range(0, out_h, step)):
        c1, r1 = min(c0 + together, stop), min(r0 + step, out_h)
        products = scratch("conv.columns", ((c1 - c0) * taps, (r1 - r0) * out_w * n), gy.dtype)
        grads = gy[:, r0:r1].reshape(o, -1) if by_channel else gy[r0:r1].reshape(-1, o).T
        product(kernels[c0:c1].reshape(-1, o), grads, products)
        spread = products.reshape(c1 - c0, *at.kernel, r1 - r0, out_w, n)
        for u, v in cartesian(*map(range, at.kernel)):
            i0, i1, ys = _seen(r0, r1, at.stride[0], u * at.dilation[0] - at.before[0], gx.shape[1])
            j0, j1, xs = _seen(0, out_w, at.stride[1], v * at.dilation[1] - at.before[1], gx.shape[2])
            gx[c0:c1, ys, xs] += spread[:, u, v, i0:i1, j0:j1]


def strided_input_grad(gy: np.ndarray, w: np.ndarray, size: Pair, at: Geometry) -> np.ndarray:
    """The gradient of a convolution with a stride, with respect to its input (N, C, *size); dilation 1.

    The pixels of gx at (a, b) modulo the stride s see only the taps u = m·s + a, v = n·s + b. So the kernel, filled up
    with zeros, falls into s² kernels of ⌈k/s⌉² taps, one convolution of gy with stride 1 makes all s² outputs, and gx
    is these interleaved.
    """
    n, c = len(gy), w.shape[1]
    order = order_for(c)
    gx = empty((n, c, *size), gy.dtype, order)
    if _pointwise(at, size):
        gx[...] = 0
        part = conv(gy, w.transpose(1, 0, 2, 3), Geometry((1, 1), (1, 1), (0, 0), (1, 1), gy.shape[2:]), order=order)
        gx[_under(at)] = part
        return gx
    (sh, sw), (th, tw) = at.stride, (-(-k // s) for k, s in zip(at.kernel, at.stride, strict=True))
    filled = np.zeros((*w.shape[:2], th * sh, tw * sw), w.dtype)
    filled[:, :, : at.kernel[0], : at.kernel[1]] = w
    kernels = filled.reshape(*w.shape[:2], th, sh, tw, sw)[:, :, ::-1, :, ::-1]
    kernels = kernels.transpose(3, 5, 1, 0, 2, 4).reshape(sh * sw * c, len(w), th, tw)

    # Output q of phase a is pixel q·s + a of the padded gx. All but those that only padding would see are computed.
    first = [b // s for b, s in zip(at.before, at.stride, strict=True)]
    count = tuple(-(-(b + m) // s) - q for b, m, s, q in zip(at.before, size, at.stride, first, strict=True))
    before = (th - 1 - first[0], tw - 1 - first[1])
    out = (count[0], count[1])
    phases = conv(gy, kernels, Geometry((th, tw), (1, 1), before, (1, 1), out), order=order)
    begin = tuple(b - q * s for b, q, s in zip(at.before, first, at.stride, strict=True))
    grain = max(1, count[0] * (1 << 16) // max(gx.size, 1))
    share(_interleave_part, count[0], (gx.transpose(order),), (phases.transpose(order),),
          (at.stride, begin, order == CHWN), grain)  # fmt: skip
    return gx


def _pointwise(at: Geometry, size: tuple[int, ...]) -> bool:
    """Whether a window is one pixel, and all windows lie in an image of this size."""
    inside = all((m - 1) * s < n for m, s, n in zip(at.out, at.stride, size, strict=True))
    return at.kernel == (1, 1) and at.before == (0, 0) and inside


def _under(at: Geometry) -> tuple[slice, ...]:
    """The pixels that windows of one pixel look at."""
    steps = (slice(None, (m - 1) * s + 1, s) for m, s in zip(at.out, at.stride, strict=True))
    return (slice(None), slice(None), *steps)


@lru_cache(maxsize=256)
def _blocks(out: Pair, n: int, column_bytes: int, threads: int) -> list[Block]:
    """Cut the output pixels into blocks (first and last row, column): of whole rows where one fits, else of a row."""
    budget = max(1, COLUMN_BYTES // (column_bytes * max(n, 1)))
    rows = min(max(budget // max(out[1], 1), 1), -(-out[0] // threads))
    columns = out[1] if budget >= out[1] else -(-out[1] // -(-out[1] // budget))
    return [
        (r, min(r + rows, out[0]), c, min(c + columns, out[1]))
        for r in range(0, out[0], max(rows, 1))
        for c in range(0, out[1], max(columns, 1))
    ]


def _pointwise_part(start: int, stop: int, outs, ins, by_channel: bool, to_channels: bool, relu: bool) -> None:
    (y,), (x, matrix, bias, plus) = outs, ins
    c, o = matrix.shape
    columns = x.reshape(c, -1)[:, start:stop].T if by_channel else x.reshape(-1, c)[start:stop]
    if to_channels:
        target = y.reshape(o, -1)[:, start:stop]
        product(matrix.T, columns.T, target)
        finish(target, _column(bias), None if plus is None else plus.reshape(o, -1)[:, start:stop], relu)
    else:
        target = y.reshape(-1, o)[start:stop]
        product(columns, matrix, target)
        finish(target, bias, None if plus is None else plus.reshape(-1, o)[start:stop], relu)


def _column(bias: np.ndarray | None) -> np.ndarray | None:
    return None if bias is None else bias[:, None]


def _conv_part(start: int, stop: int, outs, ins, *settings) -> None:
    *of_geometry, threads, by_channel, to_channels, relu = settings
    at = Geometry(*of_geometry)
    (y,), (x, kernels, bias, plus) = outs, ins
    o, n = kernels.shape[1], x.shape[3] if by_channel else x.shape[2]
    row = None if bias is None or to_channels else np.tile(bias, n)
    for block in _blocks(at.out, n, len(kernels) * x.itemsize, threads)[start:stop]:
        r0, r1, c0, c1 = block
        columns = _columns(x, at, block, by_channel)
        if to_channels:  # (O, pixels): whole rows of pixels lie side by side, parts of a row too
            target = y[:, r0:r1, c0:c1].reshape(o, -1) if c1 - c0 == at.out[1] or r1 - r0 == 1 else None
            values = scratch("conv.values", (o, len(columns)), x.dtype) if target is None else target
            product(kernels.T, columns.T, values)
            finish(values, _column(bias), None if plus is None else plus[:, r0:r1, c0:c1].reshape(o, -1), relu)
            if target is None:
                y[:, r0:r1, c0:c1] = values.reshape(o, r1 - r0, c1 - c0, n)
        else:
            whole = c1 - c0 == at.out[1] or r1 - r0 == 1
            values = y[r0:r1, c0:c1].reshape(-1, o) if whole else scratch("conv.values", (len(columns), o), x.dtype)
            product(columns, kernels, values)
            pixels = values.reshape(-1, n * o)
            finish(pixels, row, None if plus is None else plus[r0:r1, c0:c1].reshape(-1, n * o), relu)
            if not whole:
                y[r0:r1, c0:c1] = values.reshape(r1 - r0, c1 - c0, n, o)


def _weight_grad_part(start: int, stop: int, outs, ins, parts: int, *settings) -> None:
    *of_geometry, threads, by_channel, grads_by_channel = settings
    at = Geometry(*of_geometry)
    (sums,), (x, gy) = outs, ins
    n = x.shape[3] if by_channel else x.shape[2]
    count, o = sums.shape[1:]
    blocks = _blocks(at.out, n, count * x.itemsize, threads)
    for part in range(start, stop):
        total, first = sums[part], True
        for block in blocks[len(blocks) * part // parts : len(blocks) * (part + 1) // parts]:
            r0, r1, c0, c1 = block
            columns = _columns(x, at, block, by_channel)
            if grads_by_channel:
                grads = gy[:, r0:r1, c0:c1].reshape(o, -1).T
            else:
                grads = gy[r0:r1, c0:c1].reshape(-1, o)
            target = total if first else scratch("conv.sum", total.shape, x.dtype)
            long_product(columns.T, grads, target)
            if not first:
                total += target
            first = False


def _columns(x: np.ndarray, at: Geometry, block: Block, by_channel: bool) -> np.ndarray:
    """The columns of a block, a row for each (pixel, sample), by (tap, channel); `by_channel`: by (channel, tap)."""
    r0, r1, c0, c1 = block
    rows, width = r1 - r0, c1 - c0
    if by_channel:
        seen = windows(x, at, block)
        columns = scratch("conv.columns", seen.shape, x.dtype)
        np.copyto(columns, seen)
        return columns.reshape(len(x) * math.prod(at.kernel), -1).T
    h, w, n, c = x.shape
    if at.kernel == at.stride == (1, 1) and at.before == (0, 0) and at.out == (h, w) and (width == w or rows == 1):
        return x[r0:r1, c0:c1].reshape(-1, c)
    seen = windows(x.reshape(1, h, w, n * c), at, block)[0].reshape(*at.kernel, rows, width, n, c)
    columns = scratch("conv.columns", (rows, width, n, *at.kernel, c), x.dtype)
    np.copyto(columns, seen.transpose(2, 3, 4, 0, 1, 5))
    return columns.reshape(rows * width * n, -1)


def windows(x: np.ndarray, at: Geometry, block: Block) -> np.ndarray:
    """What each tap of the windows of a block sees, as a view: (A, kh, kw, rows, width, B) of x (A, H, W, B).

    It looks into x, or where a window leaves x, into a copy in scratch memory with zeros around.
    """
    r0, r1, c0, c1 = block
    a, h, w, b = x.shape
    (kh, kw), (sh, sw), (top, left), (dh, dw) = at[:4]
    height, width = (r1 - r0 - 1) * sh + dh * (kh - 1) + 1, (c1 - c0 - 1) * sw + dw * (kw - 1) + 1
    first, begin = r0 * sh - top, c0 * sw - left
    y0, y1 = min(max(-first, 0), height), max(min(h - first, height), 0)  # the rows and columns that lie in x
    x0, x1 = min(max(-begin, 0), width), max(min(w - begin, width), 0)
    if y0 == x0 == 0 and y1 == height and x1 == width:
        source, offset = x, first * x.strides[1] + begin * x.strides[2]
    else:
        source, offset = scratch("conv.padded", (a, height, width, b), x.dtype), 0
        source[:, :y0] = 0
        source[:, max(y1, y0) :] = 0
        source[:, y0:y1, :x0] = 0
        source[:, y0:y1, max(x1, x0) :] = 0
        if y0 < y1 and x0 < x1:
            source[:, y0:y1, x0:x1] = x[:, first + y0 : first + y1, begin + x0 : begin + x1]
    plane, down, right, item = source.strides
    strides = (plane, dh * down, dw * right, sh * down, sw * right, item)
    return view(source, offset, (a, kh, kw, r1 - r0, c1 - c0, b), strides)


def _seen(first: int, last: int, stride: int, offset: int, size: int) -> tuple[int, int, slice]:
    """Of outputs first:last, which have their tap at `offset` in an image of `size`, from first on; and where it is."""
    low = min(max(-(-(-offset - first * stride) // stride), 0), last - first)
    high = min(max((size - 1 - offset) // stride + 1 - first, low), last - first)
    begin = (first + low) * stride + offset
    return low, high, slice(begin, begin + (high - low) * stride, stride) if high > low else slice(0, 0)


def _interleave_part(start: int, stop: int, outs, ins, stride: Pair, begin: Pair, by_channel: bool) -> None:
    """outs[0] pixel (i·s + a − begin) = phase a of ins[0] at i, for rows start:stop of the phases."""
    (gx,), (phases,) = outs, ins
    if by_channel:
        gx, phases = gx.transpose(1, 2, 3, 0), phases.transpose(1, 2, 3, 0)
    h, w, _, c = gx.shape
    for a, b in cartesian(*map(range, stride)):
        part = phases[start:stop, ..., (a * stride[1] + b) * c : (a * stride[1] + b + 1) * c]
        i0, i1, ys = _seen(start, stop, stride[0], a - begin[0], h)
        j0, j1, xs = _seen(0, phases.shape[1], stride[1], b - begin[1], w)
        gx[ys, xs] = part[i0:i1, j0:j1]
