"""Max unpooling, and the pair that the gradients of max pooling are made of: gathering from and scattering to a plane.

An index counts the elements of one flattened plane (the last dimensions: a row, an image or a volume). Gathering at
fixed indices is linear and scattering is its transpose, so each is the other's backward, at any order.
"""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from .. import kernels
from ..autograd import Function, Tensor, check_tensor
from ..backend import in_range
from ..errors import DtypeError, OutOfRangeError, ShapeError
from ._pool_window import unpooled_size
from ._shared import Ints, Size, ntuple, require_floating
from .selection import masked_fill


class PlaneGather(Function):
    """y[plane, o] = x[plane, indices[plane, o]]."""

    saves_inputs = (1,)
    saves_outputs = ()

    def __init__(self, *, dims: int):
        self.dims = dims

    def forward(self, x: Any, indices: Any) -> Any:
        return kernels.of(x).plane_gather(x, indices, dims=self.dims)

    def backward(self, gy: Tensor) -> tuple[Tensor, None]:
        size = self.input_shapes[0][-self.dims :]
        return PlaneScatter(size=size, accumulate=True)(gy, self.inputs[1]), None


class PlaneScatter(Function):
    """y[plane, i] = Σ x[plane, o] over the o with indices[plane, o] = i; accumulate=False: every index occurs once."""

    saves_inputs = (1,)
    saves_outputs = ()

    def __init__(self, *, size: Size, accumulate: bool):
        self.size, self.accumulate = size, accumulate

    def forward(self, x: Any, indices: Any) -> Any:
        return kernels.of(x).plane_scatter(x, indices, size=self.size, accumulate=self.accumulate)

    def backward(self, gy: Tensor) -> tuple[Tensor, None]:
        return PlaneGather(dims=len(self.size))(gy, self.inputs[1]), None


class MaxUnpool(PlaneScatter):
    """A scatter that overwrites: of the values with the same index only the last one arrives, and gets a gradient."""

    def __init__(self, *, size: Size):
        super().__init__(size=size, accumulate=False)

    def backward(self, gy: Tensor) -> tuple[Tensor, None]:
        indices = self.input_arrays[1]
        arrived = kernels.of(indices).last_of_equal_indices(indices, dims=len(self.size))
        gx, _ = super().backward(gy)
        return masked_fill(gx, Tensor(~arrived), 0.0), None


def max_unpool1d(
    x: Tensor,
    indices: Tensor,
    kernel_size: Ints,
    stride: Ints | None = None,
    padding: Ints = 0,
    output_size: Any = None,
) -> Tensor:
    """Put maxima back where a max pooling over (N, C, L) or (C, L) found them. See :func:`max_unpool2d`."""
    return _max_unpool(x, indices, 1, kernel_size, stride, padding, output_size)


def max_unpool2d(
    x: Tensor,
    indices: Tensor,
    kernel_size: Ints,
    stride: Ints | None = None,
    padding: Ints = 0,
    output_size: Any = None,
) -> Tensor:
    """Put maxima back where a max pooling found them, in a plane of zeros.

    Math:      y[n,c,i] = x[n,c,o] where indices[n,c,o] = i, else 0, with i a position in the flattened H'·W'
    Backward:  gx[n,c,o] = gy[n,c,indices[n,c,o]]. Where an index repeats (overlapping windows), the last value arrives,
               and only that one gets a gradient; PyTorch hands gy to all of them
    Args:      x, indices: both (N, C, H, W) or (C, H, W), as from ``max_pool2d(…, return_indices=True)``. kernel_size,
               stride (default: kernel_size), padding: those of the pooling. output_size: its input size, (H', W') or
               the whole shape, since several sizes pool to the same one
    Returns:   (N, C, H', W'), H' = (H − 1)·stride − 2·padding + kernel_size unless output_size says otherwise
    Raises:    ShapeError: indices have another shape than x, or no pooling leads from output_size to x.
               OutOfRangeError: an index outside the output. DtypeError: indices that are not int64
    Source:    Zeiler and Fergus 2014, section 2.1; Badrinarayanan et al. 2017 (SegNet), section 3
    """
    return _max_unpool(x, indices, 2, kernel_size, stride, padding, output_size)


def max_unpool3d(
    x: Tensor,
    indices: Tensor,
    kernel_size: Ints,
    stride: Ints | None = None,
    padding: Ints = 0,
    output_size: Any = None,
) -> Tensor:
    """Put maxima back where a max pooling over (N, C, D, H, W) or (C, D, H, W) found them. See :func:`max_unpool2d`."""
    return _max_unpool(x, indices, 3, kernel_size, stride, padding, output_size)


def _max_unpool(
    x: Tensor, indices: Tensor, dims: int, kernel_size: Ints, stride: Ints | None, padding: Ints, output_size: Any
) -> Tensor:
    op = f"max_unpool{dims}d"
    require_floating(x, op)
    check_tensor(indices, op, "indices")
    kernel = ntuple(kernel_size, dims, op, "kernel_size")
    steps = kernel if stride is None else ntuple(stride, dims, op, "stride")
    size = unpooled_size(x, dims, op, kernel, steps, ntuple(padding, dims, op, "padding", minimum=0), output_size)
    return MaxUnpool(size=size)(x, _checked_indices(x, indices, size, op))


def _checked_indices(x: Tensor, indices: Tensor, size: Size, op: str) -> Tensor:
    if indices.dtype != np.int64:
        raise DtypeError(
            f"{op}: indices must be int64, got {indices.dtype}; max pooling with return_indices=True gives them"
        )
    if indices.shape != x.shape:
        raise ShapeError(f"{op}: indices {indices.shape} must have the shape of x {x.shape}: one index for each value")
    plane, places = prod(size), indices.data

    def error() -> Exception:
        lowest, highest = int(places.min()), int(places.max())
        return OutOfRangeError(
            f"{op}: index {lowest if lowest < 0 else highest} is outside the output of size {size}, whose indices are "
            f"0 to {plane - 1}; pass the pooling's input size as output_size"
        )

    checked = in_range(places, plane, error)
    return indices if checked is places else Tensor(checked)
