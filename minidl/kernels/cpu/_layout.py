"""Where the elements of (N, C, H, W) arrays lie in memory.

Kernels for images like the channels of all samples side by side, (H, W, N, C): a shift by a pixel then leaves runs of
N·C elements whole, so few long calls do the work of many short ones, and a pixel is a row of a matrix product. With
few channels, (C, H, W, N) has the longer runs. The shape stays (N, C, H, W); only the strides tell, and NumPy's
element-wise operations keep them.
"""

from __future__ import annotations

import numpy as np

from ...backend import empty, share

HWNC, CHWN = (2, 3, 0, 1), (1, 2, 3, 0)
FEW = 16
"""Channels below which (C, H, W, N) is the better order."""


def order_for(channels: int) -> tuple[int, ...]:
    """The order in memory for an image with so many channels."""
    return CHWN if channels < FEW else HWNC


def arranged(x: np.ndarray, order: tuple[int, ...]) -> np.ndarray:
    """x with its axes in this order, C-contiguous: a view where x lies so in memory, else a copy."""
    view = x.transpose(order)
    if view.flags.c_contiguous:
        return view
    y = empty(view.shape, x.dtype)
    samples = order.index(0)  # a sample at a time: both its copies then fit into the cache
    share(copy_part, len(x), (y.swapaxes(0, samples),), (view.swapaxes(0, samples),),
          grain=max(1, (1 << 15) * len(x) // max(y.size, 1)))  # fmt: skip
    return y


def copy_part(start: int, stop: int, outs, ins) -> None:
    """outs[0] = ins[0] in start:stop, in slices of some 256 KiB."""
    (y,), (x,) = outs, ins
    step = max(1, (1 << 16) // max(y[0].size, 1))
    for i in range(start, stop, step):
        np.copyto(y[i : min(i + step, stop)], x[i : min(i + step, stop)])


def view(x: np.ndarray, offset: int, shape: tuple[int, ...], strides: tuple[int, ...]) -> np.ndarray:
    """What lies in the memory of a C-contiguous x from `offset` bytes on, with other strides (in bytes): any overlap.

    As NumPy's ``as_strided``, which takes five times as long.
    """
    return np.ndarray(shape, x.dtype, x, offset, strides)


ZEROS = np.zeros(8192, np.float32)
"""The maximum with a row of zeros takes a third of the time of the maximum with the number 0."""


def finish(y: np.ndarray, bias: np.ndarray | None, plus: np.ndarray | None, relu: bool) -> None:
    """y ← relu(y + bias + plus), as far as asked for: the end of a convolution, on a block that is in the cache."""
    if bias is not None:
        np.add(y, bias, out=y)
    if plus is not None:
        np.add(y, plus, out=y)
    if relu:
        rectify(y, y)


def rectify(x: np.ndarray, y: np.ndarray) -> None:
    """y = max(x, 0)."""
    length = x.shape[-1]
    np.maximum(x, ZEROS[:length] if x.dtype == np.float32 and length <= len(ZEROS) else 0, out=y)
