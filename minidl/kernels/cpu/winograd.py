"""3×3 convolution with stride 1 by Winograd's minimal filtering F(4×4, 3×3).

A tile of 4×4 outputs needs 6×6 inputs. Both, and the kernel, are taken to a domain in which the 144 multiplications of
the tile become 36:

    y = Aᵀ [ (G w Gᵀ) ⊙ (Bᵀ x B) ] A        with Bᵀ (6, 6), G (6, 3), Aᵀ (4, 6)

Summed over channels, the ⊙ is 36 matrix products of (tiles, C) with (C, O). The gradient of the weight is the same
with the roles exchanged: gw = Gᵀ [ (Bᵀ x B) ⊙ (A gy Aᵀ) ] G, summed over tiles.

In (H, W, N, C) memory every one-dimensional transform is one matrix product along rows or columns of pixels: the first
reads the image itself, the last writes the output itself, and no tile is ever gathered. Beyond the border a transform
just leaves out the columns of Bᵀ that would meet zeros. Blocks of tiles are so small that what is between stays in the
second-level cache.

The price is rounding: 3·10⁻⁶ to 2·10⁻⁵ of the largest output in float32, where im2col has 10⁻⁷ to 10⁻⁶. It is used for
float32 only, and :func:`minidl.set_winograd` switches it off.

Source:    Winograd 1980; Lavin & Gray 2016, "Fast algorithms for convolutional neural networks", section 4.3
"""

from __future__ import annotations

import math
import threading
from functools import lru_cache
from typing import Any

import numpy as np

from ...backend import empty, get_num_threads, one_blas_thread, scratch, share
from ._layout import HWNC, arranged, finish, view
from .products import product, stack_pieces

TILE = 4
"""Outputs of a tile along each dimension."""

POINTS = (0, 1, -1, 2, -2)
"""Where the polynomials of the Cook–Toom construction are evaluated: small numbers, which round little."""


TAPS = 3
SIZE = TILE + TAPS - 1


def cook_toom() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The matrices (Bᵀ, G, Aᵀ) of F(4, 3), float64.

    A convolution is a product of polynomials, and a polynomial of degree n − 1 is known by its values at n points, one
    of which may be infinity: evaluate both factors (G for the kernel), multiply value by value, interpolate. The
    transpose of that computes what a layer needs, 4 outputs from n = 4 + 3 − 1 inputs (Bᵀ), and Aᵀ sums them up.
    """
    others = [[q for q in POINTS if q != p] for p in POINTS]
    scale = [math.prod(p - q for q in rest) for p, rest in zip(POINTS, others, strict=True)]
    bt = [[*np.poly(rest)[::-1], 0] for rest in others] + [np.poly(POINTS)[::-1]]
    g = [[p**i / s for i in range(TAPS)] for p, s in zip(POINTS, scale, strict=True)] + [[0, 0, 1]]
    at = [[*(p**i for p in POINTS), i == TILE - 1] for i in range(TILE)]
    return np.array(bt, np.float64), np.array(g, np.float64), np.array(at, np.float64)


BT, _G, AT = cook_toom()
GG = np.kron(_G, _G).astype(np.float32)  # (36, 9): both transforms of a kernel at once
BT, AT = BT.astype(np.float32), AT.astype(np.float32)
A = np.ascontiguousarray(AT.T)

ONES = (SIZE + 1) * POINTS.index(1)
"""The product that Aᵀ and A add to all outputs of a tile, as 1 is 1 to every power: a bias goes there."""

BLOCK = 4096
"""Tiles times channels of a block: its 36 products, in and out, are to stay in the second-level cache."""

Pads = tuple[int, int]


def conv(
    x: np.ndarray,
    w: np.ndarray,
    padding: tuple[Pads, Pads],
    bias: np.ndarray | None = None,
    plus: np.ndarray | None = None,
    relu: bool = False,
) -> np.ndarray:
    """The cross-correlation of x (N, C, H, W) with w (O, C, 3, 3), float32; 0 ≤ padding."""
    (top, bottom), (left, right) = padding
    n, c, h, width = x.shape
    out_h, out_w = h + top + bottom - TAPS + 1, width + left + right - TAPS + 1
    kernels = _transformed_kernels(w)
    y = empty((n, len(w), out_h, out_w), x.dtype, HWNC, shared=True)
    blocks = _blocks(out_h, out_w, n, max(c, len(w)), get_num_threads())
    ins = (arranged(x, HWNC), kernels, bias, None if plus is None else arranged(plus, HWNC))
    settings = (max(c, len(w)), top, left, get_num_threads(), relu)
    share(_conv_part, len(blocks), (y.transpose(HWNC),), ins, settings)
    return y


def weight_grad(x: np.ndarray, gy: np.ndarray, padding: tuple[Pads, Pads]) -> np.ndarray:
    """The gradient of :func:`conv` with respect to its weight: (O, C, 3, 3)."""
    (top, _), (left, _) = padding
    c, o, threads = x.shape[1], gy.shape[1], get_num_threads()
    blocks = _blocks(*gy.shape[2:], len(x), max(c, o), threads)
    sums = empty((min(threads, len(blocks)), SIZE**2, o, c), x.dtype, shared=True)
    settings = (len(blocks), len(sums), max(c, o), top, left, threads)
    share(_weight_grad_part, len(sums), (sums,), (arranged(x, HWNC), arranged(gy, HWNC)), settings)
    with one_blas_thread():
        gw = sum(part.reshape(SIZE**2, -1).T @ GG for part in sums)  # in a fixed order, so that it is always the same
    return np.asarray(gw).reshape(o, c, TAPS, TAPS)


def _transformed_kernels(w: np.ndarray) -> np.ndarray:
    """G w Gᵀ for all kernels of w (O, C, 3, 3): (36, C, O).

    An input gradient has its kernels turned, with the channels exchanged: a view that is looked through here, for its
    elements lie in memory just as they are needed.
    """
    o, c = w.shape[:2]
    kernels = empty((SIZE**2, c, o), w.dtype)
    turned = w.swapaxes(0, 1)[:, :, ::-1, ::-1]
    if turned.flags.c_contiguous:
        gg, taps = GG[:, ::-1], turned.reshape(-1, TAPS**2).T
    else:
        gg, taps = GG, w.transpose(2, 3, 1, 0).reshape(TAPS**2, -1)
    with one_blas_thread():
        np.matmul(gg, taps, out=kernels.reshape(SIZE**2, -1))
    return kernels


@lru_cache(maxsize=256)
def _blocks(out_h: int, out_w: int, n: int, channels: int, threads: int) -> list[tuple[int, ...]]:
    """Cut the tiles into blocks (first and last tile row, tile column, sample), of BLOCK tiles·channels if possible."""
    tiles_h, tiles_w = -(-out_h // 4), -(-out_w // 4)
    samples = n if tiles_h * tiles_w >= threads else -(-n // threads)  # too few tiles to share: share the samples
    tiles = min(max(BLOCK // channels, 32), 1024)
    columns = min(max(tiles // samples, 1), tiles_w)
    columns = -(-tiles_w // -(-tiles_w // columns))  # as even as can be
    rows = min(max(tiles // (samples * columns), 1), tiles_h)
    return [
        (r, min(r + rows, tiles_h), c, min(c + columns, tiles_w), s, min(s + samples, n))
        for s in range(0, n, samples)
        for r in range(0, tiles_h, rows)
        for c in range(0, tiles_w, columns)
    ]


class _Block:
    """The scratch memory of a block of tiles and its views, for one size of block: made once, as views take time."""

    def __init__(self, rows: int, columns: int, samples: int, c: int, o: int):
        tiles = rows * columns * samples
        self.input = scratch("winograd.input", (SIZE**2, tiles, c), np.float32)
        self.by_tile = self.input.reshape(SIZE, SIZE, rows, columns, samples * c).transpose(0, 2, 3, 1, 4)
        self.products = scratch("winograd.products", (SIZE**2, tiles, o), np.float32)
        self.products_by_row = self.products.reshape(SIZE, -1)
        self.products_by_tile = self.products.reshape(SIZE, SIZE, rows, columns, samples * o).transpose(0, 2, 3, 1, 4)
        self.half = scratch("winograd.half", (TILE, SIZE * tiles * o), np.float32)
        self.half_by_tile = self.half.reshape(TILE, SIZE, rows, columns, samples * o).transpose(0, 2, 3, 1, 4)
        self.ones = self.products[ONES]
        # The same matrices in pieces whose products are small ones: see products.py.
        k = stack_pieces(tiles, tiles * c * o)
        self.input_pieces = self.input.reshape(SIZE**2, k, tiles // k, c)
        self.product_pieces = self.products.reshape(SIZE**2, k, tiles // k, o)
        k = self.gradient_parts = stack_pieces(o, tiles * c * o)
        self.gradient_pieces = self.products.reshape(SIZE**2, tiles, k, o // k).transpose(0, 2, 3, 1)


class _Rows:
    """The scratch memory for the transform along rows, (SIZE, rows, width, pixel), and its views."""

    def __init__(self, rows: int, columns: int, width: int, pixel: int):
        # in the memory of the other half, which is made when this one is no longer needed
        self.all = scratch("winograd.half", (SIZE, rows, width, pixel), np.float32)
        down, row, right, item = self.all.strides
        self.by_tile = view(self.all, 0, (SIZE, rows, columns, width - TILE * (columns - 1), pixel),
                            (down, row, TILE * right, right, item))  # fmt: skip


_blocks_of_thread = threading.local()


def _scratch_block(*key: int) -> Any:
    """The :class:`_Block` (5 numbers) or :class:`_Rows` (4 numbers) of this thread for these sizes."""
    known: dict[Any, Any] = _blocks_of_thread.__dict__
    block = known.get(key)
    if block is None:
        if len(known) >= 256:  # as in a detector, where every image has a size of its own
            known.clear()
        block = known[key] = _Block(*key) if len(key) == 5 else _Rows(*key)
    return block


def _conv_part(start: int, stop: int, outs, ins, channels: int, top: int, left: int, threads: int, relu: bool) -> None:
    (y,), (x, kernels, bias, plus) = outs, ins
    out_h, out_w, n, o = y.shape
    c = x.shape[3]
    for r0, r1, c0, c1, s0, s1 in _blocks(out_h, out_w, n, channels, threads)[start:stop]:
        rows, columns, m = r1 - r0, c1 - c0, s1 - s0
        block = _scratch_block(rows, columns, m, c, o)
        _transform_input(x, block, r0, r1, c0, c1, s0, s1, top, left)
        np.matmul(block.input_pieces, kernels[:, None], out=block.product_pieces)
        if bias is not None:
            np.add(block.ones, bias, out=block.ones)
        product(AT, block.products_by_row, block.half)
        height, width = min(4 * rows, out_h - 4 * r0), min(4 * columns, out_w - 4 * c0)
        whole = m == n and height == 4 * rows and width == 4 * columns
        full = y if whole else scratch("winograd.full", (4 * rows, 4 * columns, m, o), np.float32)
        down, right, _, item = full.strides
        corner = 4 * r0 * down + 4 * c0 * right if whole else 0
        by_tile = view(full, corner, (4, rows, columns, 4, m * o), (down, 4 * down, 4 * right, right, item))
        np.matmul(AT, block.half_by_tile, out=by_tile)
        if not whole:
            np.copyto(y[4 * r0 : 4 * r0 + height, 4 * c0 : 4 * c0 + width, s0:s1], full[:height, :width])
        if plus is not None or relu:
            down, right, sample, item = y.strides
            corner = 4 * r0 * down + 4 * c0 * right + s0 * sample
            if m == n:  # rows as long as they can be
                shape, strides = (height, width * m * o), (down, item)
            else:
                shape, strides = (height, width, m * o), (down, right, item)  # type: ignore[assignment]
            added = None if plus is None else view(plus, corner, shape, strides)
            finish(view(y, corner, shape, strides), None, added, relu)


def _weight_grad_part(
    start: int,
    stop: int,
    outs,
    ins,
    count: int,
    parts: int,
    channels: int,
    top: int,
    left: int,
    threads: int,
) -> None:
    (sums,), (x, gy) = outs, ins
    out_h, out_w, n, o = gy.shape
    c = x.shape[3]
    blocks = _blocks(out_h, out_w, n, channels, threads)
    for part in range(start, stop):
        total, first = sums[part], True
        for r0, r1, c0, c1, s0, s1 in blocks[count * part // parts : count * (part + 1) // parts]:
            block = _scratch_block(r1 - r0, c1 - c0, s1 - s0, c, o)
            _transform_input(x, block, r0, r1, c0, c1, s0, s1, top, left)
            _transform_gradient(gy, block, r0, r1, c0, c1, s0, s1)
            target = total if first else scratch("winograd.sum", total.shape, np.float32)
            pieces = target.reshape(SIZE**2, block.gradient_parts, -1, c)
            np.matmul(block.gradient_pieces, block.input[:, None], out=pieces)
            if not first:
                total += target
            first = False


def _transform_input(
    x, block: _Block, r0: int, r1: int, c0: int, c1: int, s0: int, s1: int, top: int, left: int
) -> None:
    """Bᵀ x B of the tiles of a block, to ``block.input``."""
    h, w, n, c = x.shape
    if s1 - s0 < n:
        x = _samples(x, s0, s1, "winograd.samples")
    width, pixel = TILE * (c1 - c0) + TAPS - 1, (s1 - s0) * c
    rows = _scratch_block(r1 - r0, c1 - c0, width, pixel)
    _along_rows(BT, x.reshape(h, w * pixel), w, r0, r1, 4 * c0 - left, top, rows.all)
    np.matmul(BT, rows.by_tile, out=block.by_tile)


def _transform_gradient(gy, block: _Block, r0: int, r1: int, c0: int, c1: int, s0: int, s1: int) -> None:
    """A gy Aᵀ of the tiles of a block, to ``block.products``."""
    h, w, n, o = gy.shape
    if s1 - s0 < n:
        gy = _samples(gy, s0, s1, "winograd.samples")
    width, pixel = 4 * (c1 - c0), (s1 - s0) * o
    rows = _scratch_block(r1 - r0, c1 - c0, width, pixel)
    _along_rows(A, gy.reshape(h, w * pixel), w, r0, r1, 4 * c0, 0, rows.all)
    np.matmul(A, rows.by_tile, out=block.products_by_tile)


def _along_rows(matrix: np.ndarray, x: np.ndarray, w: int, r0: int, r1: int, left: int, top: int, half) -> None:
    """half (size, tile rows, width, pixel) = matrix · the rows of each tile row of x (H, W·pixel), 0 outside."""
    h, size = len(x), matrix.shape[1]
    _, _, width, pixel = half.shape
    begin, end = max(left, 0), max(min(left + width, w), max(left, 0))
    if begin > left:
        half[:, :, : begin - left] = 0
    if end < left + width:
        half[:, :, end - left :] = 0
    for i, r in enumerate(range(r0, r1)):
        first = 4 * r - top
        low, high = max(first, 0), min(first + size, h)
        target = half[:, i, begin - left : end - left]
        if low < high and begin < end:
            seen = matrix if high - low == size else matrix[:, low - first : high - first]
            product(seen, x[low:high, begin * pixel : end * pixel], target.reshape(len(matrix), -1))
        else:
            target[...] = 0


def _samples(x: np.ndarray, s0: int, s1: int, tag: str) -> np.ndarray:
    """Some samples of an (H, W, N, C) array, contiguous, in scratch memory."""
    part = scratch(tag, (*x.shape[:2], s1 - s0, x.shape[3]), x.dtype)
    np.copyto(part, x[:, :, s0:s1])
    return part
