"""Checked settings of pooling: ranks, sliding windows and the sizes that they give."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..autograd import Tensor
from ..errors import ArgumentError, ShapeError
from ._shared import Ints, Size, ntuple


def check_rank(x: Tensor, dims: int, op: str) -> None:
    """Refuse all but (N, C, spatial dimensions) and, without a batch, (C, spatial dimensions)."""
    if x.ndim not in (dims + 1, dims + 2):
        names = ", ".join(("D", "H", "W")[-dims:])
        raise ShapeError(
            f"{op}: x must have the shape (N, C, {names}) or (C, {names}), got {x.shape}; reshape or unsqueeze it"
        )


def sliding_windows(
    x: Tensor,
    dims: int,
    op: str,
    kernel_size: Ints,
    stride: Ints | None,
    padding: Ints,
    ceil_mode: bool,
    dilation: Ints = 1,
) -> dict[str, Size]:
    """Kernel, stride, padding, dilation and out_size, as the kernels take them.

    Math:      out = (size + 2p − d(k−1) − 1)//s + 1; ceil_mode rounds up instead, and then drops a last window that
               would start in the right padding
    Raises:    ArgumentError: an entry out of its range, or padding > kernel_size/2. ShapeError: x has another rank, no
               window fits, or a dilated window reads nothing but padding
    """
    check_rank(x, dims, op)
    kernel = ntuple(kernel_size, dims, op, "kernel_size")
    steps = kernel if stride is None else ntuple(stride, dims, op, "stride")
    border = ntuple(padding, dims, op, "padding", minimum=0)
    dilations = ntuple(dilation, dims, op, "dilation")
    if any(2 * p > k for p, k in zip(border, kernel, strict=True)):
        raise ArgumentError(
            f"{op}: padding {border} is more than half of kernel_size {kernel}, so a window could hold nothing but "
            "padding; use at most kernel_size // 2, or pad the input first"
        )
    out_size = []
    for size, k, s, p, d in zip(x.shape[-dims:], kernel, steps, border, dilations, strict=True):
        span = d * (k - 1) + 1
        count = (size + 2 * p - span + (s - 1 if ceil_mode else 0)) // s + 1
        if ceil_mode and (count - 1) * s >= size + p:
            count -= 1
        if count < 1:
            raise ShapeError(
                f"{op}: a window spans {span} elements (kernel_size {kernel}, dilation {dilations}), but the padded "
                f"input has only {size + 2 * p} (x {x.shape}, padding {border}); the output size "
                "(size + 2·padding − dilation·(kernel_size − 1) − 1)//stride + 1 must be at least 1: use a smaller "
                "kernel or a larger input"
            )
        for start in range(-p, min(0, (count - 1) * s - p + 1), s):
            if start % d >= size:  # the first cell that is not left padding already lies beyond the input
                raise ShapeError(
                    f"{op}: the window that starts at {start} reads nothing but padding (x {x.shape}, kernel_size "
                    f"{kernel}, padding {border}, dilation {dilations}); use less dilation or padding"
                )
        out_size.append(count)
    return {"kernel": kernel, "stride": steps, "padding": border, "dilation": dilations, "out_size": tuple(out_size)}


def adaptive_size(x: Tensor, dims: int, op: str, output_size: Any) -> Size:
    """The output size as a tuple, None entries replaced by the size of the input."""
    check_rank(x, dims, op)
    size = x.shape[-dims:]
    if 0 in size:
        raise ShapeError(f"{op}: x of shape {x.shape} has nothing to pool; every spatial size must be at least 1")
    entries = output_size if isinstance(output_size, Sequence) else (output_size,)
    if len(entries) == 1:
        entries = tuple(entries) * dims
    if len(entries) == dims:
        entries = tuple(length if entry is None else entry for length, entry in zip(size, entries, strict=True))
    return ntuple(entries, dims, op, "output_size", minimum=0)


def unpooled_size(x: Tensor, dims: int, op: str, kernel: Size, stride: Size, padding: Size, output_size: Any) -> Size:
    """The input size of such a pooling: (size − 1)·stride − 2·padding + kernel, or output_size near it."""
    check_rank(x, dims, op)
    size = x.shape[-dims:]
    default = tuple((n - 1) * s - 2 * p + k for n, s, p, k in zip(size, stride, padding, kernel, strict=True))
    found = default
    if output_size is not None:
        if isinstance(output_size, Sequence) and len(output_size) in (x.ndim, dims + 2):
            output_size = output_size[-dims:]
        found = ntuple(output_size, dims, op, "output_size")
        if any(abs(n - d) >= s for n, d, s in zip(found, default, stride, strict=True)):
            raise ShapeError(
                f"{op}: output_size {found} cannot have been pooled to {size} with kernel_size {kernel}, "
                f"stride {stride}, padding {padding}; each entry must differ by less than the stride from "
                f"(size − 1)·stride − 2·padding + kernel_size = {default}"
            )
    if min(found) < 1:
        raise ShapeError(f"{op}: the output size would be {found} (x {x.shape}, padding {padding}); use less padding")
    return found
