"""Pooling over sliding windows: maximum, average, and the p-norm between the two."""

from __future__ import annotations

from math import isfinite, prod
from typing import Any

import numpy as np

from .. import kernels
from ..autograd import Function, Tensor, check_tensor, is_grad_enabled
from ..autograd.deferred import Deferred
from ..errors import ArgumentError
from ._pool_window import sliding_windows
from ._shared import Ints, Size, check_number, require_floating
from .reductions import root
from .unpool import PlaneScatter


class Indices(Deferred):
    """Where the maxima are, from the record that the kernel keeps of them: few people ask."""

    def __init__(self, record: Any, size: Size, shape: Size):
        self.like = self.record = record
        self.size, self.shape, self.dtype = size, shape, np.dtype(np.int64)

    def compute(self) -> Any:
        return kernels.of(self.record).recorded_indices(self.record, size=self.size)


class MaxPool(Function):
    """Maxima of the windows and where they are; backward scatters to there, which never looks at the values again."""

    saves_inputs = ()
    saves_outputs = (1,)
    non_differentiable = (1,)

    def __init__(self, **window: Size):  # kernel, stride, padding, dilation, out_size: what the kernel takes
        self.window = window
        kernel, stride, dilation = window["kernel"], window["stride"], window["dilation"]
        self.overlap = any(s <= (k - 1) * d for k, s, d in zip(kernel, stride, dilation, strict=True))

    def forward(self, x: Any) -> tuple[Any, Any]:
        y, record = kernels.of(x).max_pool_recorded(x, **self.window)
        self.save(record)
        return y, Indices(record, x.shape[-len(self.window["kernel"]) :], y.shape)

    def backward(self, gy: Tensor, _: None) -> Tensor:
        size = self.input_shapes[0][-len(self.window["kernel"]) :]
        if not is_grad_enabled():
            (record,) = self.saved
            spread = kernels.of(gy.data).recorded_input_grad
            return Tensor(spread(gy.data, record, size=size, accumulate=self.overlap))
        return PlaneScatter(size=size, accumulate=self.overlap)(gy, self.output(1))


class AvgPool(Function):
    """A linear operation: its gradient is its adjoint, whatever x was."""

    saves_inputs = ()
    saves_outputs = ()

    def __init__(self, *, out_size: Size, **window: Any):  # window: the other settings of the kernel
        self.out_size, self.window = out_size, window

    def forward(self, x: Any) -> Any:
        return kernels.of(x).avg_pool(x, out_size=self.out_size, **self.window)

    def backward(self, gy: Tensor) -> Tensor:
        return AvgPoolInputGrad(in_size=self.input_shapes[0][-len(self.out_size) :], **self.window)(gy)


class AvgPoolInputGrad(Function):
    """The adjoint of AvgPool, and AvgPool is its adjoint."""

    saves_inputs = ()
    saves_outputs = ()

    def __init__(self, *, in_size: Size, **window: Any):
        self.in_size, self.window = in_size, window

    def forward(self, gy: Any) -> Any:
        return kernels.of(gy).avg_pool_input_grad(gy, in_size=self.in_size, **self.window)

    def backward(self, ggx: Tensor) -> Tensor:
        return AvgPool(out_size=self.input_shapes[0][-len(self.in_size) :], **self.window)(ggx)


def max_pool1d(
    x: Tensor,
    kernel_size: Ints,
    stride: Ints | None = None,
    padding: Ints = 0,
    dilation: Ints = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The largest element of every window of (N, C, L) or (C, L). See :func:`max_pool2d`."""
    return _max_pool(x, 1, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


def max_pool2d(
    x: Tensor,
    kernel_size: Ints,
    stride: Ints | None = None,
    padding: Ints = 0,
    dilation: Ints = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The largest element of every window.

    Math:      y[n,c,i,j] = max over u,v of x[n,c, i·s + u·d − p, j·s + v·d − p]; padding counts as −∞
    Backward:  each gy[n,c,i,j] goes to the one element that won, the first of equals, and adds up where windows overlap
    Args:      x: (N, C, H, W) or (C, H, W). kernel_size, stride (default: kernel_size), padding (≤ kernel_size/2),
               dilation: int or (h, w). ceil_mode: also a last window that sticks out on the right or at the bottom, as
               long as it starts in the input or the padding before it. return_indices: also where the maxima are
    Returns:   (N, C, H', W'), H' = (H + 2p − d(k−1) − 1)//s + 1 (rounded up in ceil_mode); with return_indices, also
               their int64 positions in the flattened H·W. NaN counts as the largest value
    Raises:    ShapeError: the wrong rank, or a window larger than the padded input. ArgumentError: a bad setting
    """
    return _max_pool(x, 2, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


def max_pool3d(
    x: Tensor,
    kernel_size: Ints,
    stride: Ints | None = None,
    padding: Ints = 0,
    dilation: Ints = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The largest element of every window of (N, C, D, H, W) or (C, D, H, W). See :func:`max_pool2d`."""
    return _max_pool(x, 3, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


def _max_pool(
    x: Tensor,
    dims: int,
    kernel_size: Ints,
    stride: Ints | None,
    padding: Ints,
    dilation: Ints,
    ceil_mode: bool,
    return_indices: bool,
) -> Any:
    op = f"max_pool{dims}d"
    check_tensor(x, op, "x")
    y, indices = MaxPool(**sliding_windows(x, dims, op, kernel_size, stride, padding, ceil_mode, dilation))(x)
    return (y, indices) if return_indices else y


def avg_pool1d(
    x: Tensor,
    kernel_size: Ints,
    stride: Ints | None = None,
    padding: Ints = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Tensor:
    """The mean of every window of (N, C, L) or (C, L). See :func:`avg_pool2d`."""
    return _avg_pool(x, 1, kernel_size, stride, padding, ceil_mode, count_include_pad, None)


def avg_pool2d(
    x: Tensor,
    kernel_size: Ints,
    stride: Ints | None = None,
    padding: Ints = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """The mean of every window.

    Math:      y[n,c,i,j] = Σ_u,v x[n,c, i·s + u − p, j·s + v − p] / count; padding counts as 0
    Backward:  gx[n,c,a,b] = Σ gy[n,c,i,j] / count over the windows (i, j) that hold (a, b)
    Args:      x: (N, C, H, W) or (C, H, W). kernel_size, stride, padding, ceil_mode: see :func:`max_pool2d`.
               count_include_pad: count the cells of the window in the padded input, else those in the input itself;
               cells beyond the right padding (ceil_mode) never count. divisor_override: the count, whatever the window
    Returns:   (N, C, H', W'), H' = (H + 2p − k)//s + 1 (rounded up in ceil_mode)
    Raises:    as :func:`max_pool2d`; DtypeError: x is not floating-point
    """
    return _avg_pool(x, 2, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)


def avg_pool3d(
    x: Tensor,
    kernel_size: Ints,
    stride: Ints | None = None,
    padding: Ints = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """The mean of every window of (N, C, D, H, W) or (C, D, H, W). See :func:`avg_pool2d`."""
    return _avg_pool(x, 3, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)


def _avg_pool(
    x: Tensor,
    dims: int,
    kernel_size: Ints,
    stride: Ints | None,
    padding: Ints,
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: int | None,
) -> Tensor:
    op = f"avg_pool{dims}d"
    require_floating(x, op)
    if divisor_override is not None and check_number(divisor_override, op, "divisor_override") == 0:
        raise ArgumentError(f"{op}: divisor_override must not be 0; None divides by the size of the window")
    window = sliding_windows(x, dims, op, kernel_size, stride, padding, ceil_mode)
    del window["dilation"]
    return AvgPool(**window, count_include_pad=count_include_pad, divisor_override=divisor_override)(x)


def lp_pool1d(
    x: Tensor, norm_type: float, kernel_size: Ints, stride: Ints | None = None, ceil_mode: bool = False
) -> Tensor:
    """The p-norm of every window of (N, C, L) or (C, L). See :func:`lp_pool2d`."""
    return _lp_pool(x, 1, norm_type, kernel_size, stride, ceil_mode)


def lp_pool2d(
    x: Tensor, norm_type: float, kernel_size: Ints, stride: Ints | None = None, ceil_mode: bool = False
) -> Tensor:
    """The p-norm of every window, for positive inputs: p = 1 sums, and p → ∞ tends to max pooling.

    Math:      y = (Σ_u,v x^p)^(1/p), the sum taken as k·k times an average pooling: a window that sticks out
               (ceil_mode) is scaled up to the full size. Without an absolute value, an odd p gives NaN for a negative
               sum. Both as in PyTorch
    Backward:  composed; 0 where the sum is 0, where the gradient is not defined
    Args:      x: (N, C, H, W) or (C, H, W). norm_type: p, finite and not 0. kernel_size, stride, ceil_mode: see
               :func:`max_pool2d`
    Returns:   (N, C, H', W'), as :func:`avg_pool2d`
    Raises:    as :func:`avg_pool2d`; ArgumentError: norm_type is 0 or infinite
    """
    return _lp_pool(x, 2, norm_type, kernel_size, stride, ceil_mode)


def lp_pool3d(
    x: Tensor, norm_type: float, kernel_size: Ints, stride: Ints | None = None, ceil_mode: bool = False
) -> Tensor:
    """The p-norm of every window of (N, C, D, H, W) or (C, D, H, W). See :func:`lp_pool2d`."""
    return _lp_pool(x, 3, norm_type, kernel_size, stride, ceil_mode)


def _lp_pool(x: Tensor, dims: int, norm_type: float, kernel_size: Ints, stride: Ints | None, ceil_mode: bool) -> Tensor:
    op = f"lp_pool{dims}d"
    require_floating(x, op)
    norm_type = check_number(norm_type, op, "norm_type")
    if norm_type == 0 or not isfinite(norm_type):
        raise ArgumentError(f"{op}: norm_type must be finite and not 0, got {norm_type}; for p → ∞ use max_pool{dims}d")
    window = sliding_windows(x, dims, op, kernel_size, stride, 0, ceil_mode)
    del window["dilation"]
    mean = AvgPool(**window, count_include_pad=True, divisor_override=None)(x**norm_type)
    return root(mean * prod(window["kernel"]), norm_type)
