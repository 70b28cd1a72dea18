"""Sliding windows as columns (im2col) and their adjoint (col2im). Each is the other's backward."""

from __future__ import annotations

import math
from typing import Any

from .. import kernels
from ..autograd import Function, Tensor
from ..errors import ShapeError
from ._shared import Ints, Size, ntuple, require_floating
from .conv import batched


class Unfold(Function):
    """columns[n, (c, u), i] = x[n, c, i·stride + u·dilation − padding]."""

    saves_inputs = ()
    saves_outputs = ()

    def __init__(self, **settings: Any):
        self.settings = settings

    def forward(self, x: Any) -> Any:
        return kernels.of(x).unfold(x, **self.settings)

    def backward(self, gy: Tensor) -> Tensor:
        return Fold(size=self.input_shapes[0][2:], **self.settings)(gy)


class Fold(Function):
    """x[n, c, j] = Σ columns[n, (c, u), i] over the (u, i) with i·stride + u·dilation − padding = j."""

    saves_inputs = ()
    saves_outputs = ()

    def __init__(self, *, size: Size, **settings: Any):
        self.size, self.settings = size, settings

    def forward(self, columns: Any) -> Any:
        return kernels.of(columns).fold(columns, size=self.size, **self.settings)

    def backward(self, gx: Tensor) -> Tensor:
        return Unfold(**self.settings)(gx)


def unfold(x: Tensor, kernel_size: Ints, dilation: Ints = 1, padding: Ints = 0, stride: Ints = 1) -> Tensor:
    """Every window of an image as a column (im2col).

    Math:      y[n, (c, u, v), (i, j)] = x[n, c, i·s + u·d − p, j·s + v·d − p], 0 outside x
    Backward:  fold: each gy is added back at the pixel that it came from
    Args:      x: (N, C, H, W) or (C, H, W) float. kernel_size, dilation, padding, stride: int or (h, w)
    Returns:   (N, C·kh·kw, L) or (C·kh·kw, L), L = H'·W', H' = (H + 2p − d(kh−1) − 1)//s + 1
    Raises:    ShapeError: a wrong rank, or no window fits. ArgumentError: settings out of range. DtypeError: integers
    """
    require_floating(x, "unfold", "x")
    if x.ndim not in (3, 4):
        raise ShapeError(
            f"unfold: x must have the shape (N, C, H, W) or (C, H, W), got {x.shape}; reshape or unsqueeze it"
        )
    settings = _settings(kernel_size, dilation, padding, stride, "unfold")
    _count(x.shape[-2:], settings, "unfold", f"x {x.shape}")
    return batched(Unfold(**settings), [x], dims=2)


def fold(
    x: Tensor, output_size: Ints, kernel_size: Ints, dilation: Ints = 1, padding: Ints = 0, stride: Ints = 1
) -> Tensor:
    """Add columns back at their windows (col2im): the adjoint of :func:`unfold`, not its inverse where windows overlap.

    Math:      y[n,c,h,k] = Σ x[n, (c, u, v), (i, j)] over the (u, v, i, j) with i·s + u·d − p = h, j·s + v·d − p = k
    Backward:  unfold
    Args:      x: (N, C·kh·kw, L) or (C·kh·kw, L) float. output_size: (H, W). The others as for unfold
    Returns:   (N, C, H, W) or (C, H, W)
    Raises:    ShapeError: a wrong rank; rows that are no multiple of kh·kw; another number of columns than output_size
               has windows. ArgumentError: settings out of range. DtypeError: integers
    """
    require_floating(x, "fold", "x")
    if x.ndim not in (2, 3):
        raise ShapeError(
            f"fold: x must have the shape (N, C·kh·kw, L) or (C·kh·kw, L), got {x.shape}; reshape or unsqueeze it"
        )
    settings = _settings(kernel_size, dilation, padding, stride, "fold")
    size = ntuple(output_size, 2, "fold", "output_size")
    taps, counts = math.prod(settings["kernel_size"]), _count(size, settings, "fold", f"output_size {size}")
    rows, columns = x.shape[-2:]
    if rows % taps:
        raise ShapeError(
            f"fold: x {x.shape} has {rows} rows, which is no multiple of {taps}, the number of elements of kernel_size "
            f"{settings['kernel_size']}; each channel takes kh·kw rows"
        )
    if columns != math.prod(counts):
        raise ShapeError(
            f"fold: x {x.shape} has {columns} columns but output_size {size} has {' × '.join(map(str, counts))} "
            f"windows (kernel_size {kernel_size}, stride {stride}, padding {padding}, dilation {dilation}); "
            "take output_size and settings from the unfold that made x"
        )
    return batched(Fold(size=size, **settings), [x], dims=1)


def _settings(kernel_size: Ints, dilation: Ints, padding: Ints, stride: Ints, op: str) -> dict[str, Any]:
    return {
        "kernel_size": ntuple(kernel_size, 2, op, "kernel_size"),
        "stride": ntuple(stride, 2, op, "stride"),
        "padding": tuple((p, p) for p in ntuple(padding, 2, op, "padding", minimum=0)),
        "dilation": ntuple(dilation, 2, op, "dilation"),
    }


def _count(size: Size, settings: dict[str, Any], op: str, what: str) -> Size:
    """How many windows fit along each dimension: at least one."""
    spans = [d * (k - 1) + 1 for k, d in zip(settings["kernel_size"], settings["dilation"], strict=True)]
    padded = [n + low + high for n, (low, high) in zip(size, settings["padding"], strict=True)]
    if any(have < span for have, span in zip(padded, spans, strict=True)):
        raise ShapeError(
            f"{op}: a window spans {tuple(spans)} elements but the padded image has only {tuple(padded)} ({what}); "
            "size + 2·padding must be at least dilation·(kernel_size − 1) + 1"
        )
    return tuple((have - span) // s + 1 for have, span, s in zip(padded, spans, settings["stride"], strict=True))
