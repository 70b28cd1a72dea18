"""Pooling to a given output size: the windows divide the input as evenly as they can.

Window o of n outputs over a dimension of L elements covers ⌊o·L/n⌋ … ⌈(o+1)·L/n⌉ − 1. Where n does not divide L, the
windows differ in length and neighbours share an element.
"""

from __future__ import annotations

from typing import Any

from .. import kernels
from ..autograd import Function, Tensor, check_tensor
from ._pool_window import adaptive_size
from ._shared import Size, require_floating
from .unpool import PlaneScatter

OutputSize = int | None | tuple[int | None, ...] | list[int | None]


class AdaptiveMaxPool(Function):
    """Maxima of the windows and where they are; see MaxPool."""

    saves_inputs = ()
    saves_outputs = (1,)
    non_differentiable = (1,)

    def __init__(self, *, out_size: Size):
        self.out_size = out_size

    def forward(self, x: Any) -> tuple[Any, Any]:
        return kernels.of(x).adaptive_max_pool(x, out_size=self.out_size)

    def backward(self, gy: Tensor, _: None) -> Tensor:
        size = self.input_shapes[0][-len(self.out_size) :]
        return PlaneScatter(size=size, accumulate=True)(gy, self.output(1))


class AdaptiveAvgPool(Function):
    """A linear operation: its gradient is its adjoint, whatever x was."""

    saves_inputs = ()
    saves_outputs = ()

    def __init__(self, *, out_size: Size):
        self.out_size = out_size

    def forward(self, x: Any) -> Any:
        return kernels.of(x).adaptive_avg_pool(x, out_size=self.out_size)

    def backward(self, gy: Tensor) -> Tensor:
        return AdaptiveAvgPoolInputGrad(in_size=self.input_shapes[0][-len(self.out_size) :])(gy)


class AdaptiveAvgPoolInputGrad(Function):
    """The adjoint of AdaptiveAvgPool, and AdaptiveAvgPool is its adjoint."""

    saves_inputs = ()
    saves_outputs = ()

    def __init__(self, *, in_size: Size):
        self.in_size = in_size

    def forward(self, gy: Any) -> Any:
        return kernels.of(gy).adaptive_avg_pool_input_grad(gy, in_size=self.in_size)

    def backward(self, ggx: Tensor) -> Tensor:
        return AdaptiveAvgPool(out_size=self.input_shapes[0][-len(self.in_size) :])(ggx)


def adaptive_avg_pool1d(x: Tensor, output_size: OutputSize) -> Tensor:
    """The means of output_size windows over (N, C, L) or (C, L). See :func:`adaptive_avg_pool2d`."""
    return _adaptive_avg_pool(x, 1, output_size)


def adaptive_avg_pool2d(x: Tensor, output_size: OutputSize) -> Tensor:
    """The means of H'×W' windows that divide the image as evenly as they can.

    Math:      y[n,c,i,j] = mean of x[n,c,a,b] over ⌊i·H/H'⌋ ≤ a < ⌈(i+1)·H/H'⌉ and the same for b
    Backward:  gx[n,c,a,b] = Σ gy[n,c,i,j] / count over the windows (i, j) that hold (a, b)
    Args:      x: (N, C, H, W) or (C, H, W). output_size: int or (H', W'), where None keeps the input's size
    Returns:   (N, C, H', W')
    Raises:    ShapeError: the wrong rank or an empty image. ArgumentError: a negative size
    """
    return _adaptive_avg_pool(x, 2, output_size)


def adaptive_avg_pool3d(x: Tensor, output_size: OutputSize) -> Tensor:
    """The means of windows over (N, C, D, H, W) or (C, D, H, W). See :func:`adaptive_avg_pool2d`."""
    return _adaptive_avg_pool(x, 3, output_size)


def adaptive_max_pool1d(x: Tensor, output_size: OutputSize, return_indices: bool = False) -> Any:
    """The maxima of output_size windows over (N, C, L) or (C, L). See :func:`adaptive_max_pool2d`."""
    return _adaptive_max_pool(x, 1, output_size, return_indices)


def adaptive_max_pool2d(x: Tensor, output_size: OutputSize, return_indices: bool = False) -> Any:
    """The maxima of H'×W' windows that divide the image as evenly as they can.

    Math:      as :func:`adaptive_avg_pool2d`, with max for mean
    Backward:  each gy[n,c,i,j] goes to the element that won, the first of equals
    Args:      x, output_size: see :func:`adaptive_avg_pool2d`. return_indices: also where the maxima are
    Returns:   (N, C, H', W'); with return_indices, also their int64 positions in the flattened H·W
    Raises:    as :func:`adaptive_avg_pool2d`
    """
    return _adaptive_max_pool(x, 2, output_size, return_indices)


def adaptive_max_pool3d(x: Tensor, output_size: OutputSize, return_indices: bool = False) -> Any:
    """The maxima of windows over (N, C, D, H, W) or (C, D, H, W). See :func:`adaptive_max_pool2d`."""
    return _adaptive_max_pool(x, 3, output_size, return_indices)


def _adaptive_avg_pool(x: Tensor, dims: int, output_size: OutputSize) -> Tensor:
    op = f"adaptive_avg_pool{dims}d"
    require_floating(x, op)
    return AdaptiveAvgPool(out_size=adaptive_size(x, dims, op, output_size))(x)


def _adaptive_max_pool(x: Tensor, dims: int, output_size: OutputSize, return_indices: bool) -> Any:
    op = f"adaptive_max_pool{dims}d"
    check_tensor(x, op, "x")
    y, indices = AdaptiveMaxPool(out_size=adaptive_size(x, dims, op, output_size))(x)
    return (y, indices) if return_indices else y
