"""Choosing between values by a condition."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import kernels
from ..autograd import Function, Tensor, as_tensor, check_tensor
from ..backend import array_module
from ..errors import ArgumentTypeError, DtypeError, OutOfRangeError
from ._shared import operands
from .broadcast import broadcast_shapes, broadcasting, expand, sum_to


class Where(Function):
    """a where the condition holds, b elsewhere; backward sends gy to the one that was chosen."""

    saves_inputs = (0,)
    saves_outputs = ()

    def forward(self, condition: Any, a: Any, b: Any) -> Any:
        return broadcasting("where", kernels.of(a).choose, condition, a, b)

    def backward(self, gy: Tensor) -> tuple[Tensor | None, ...]:
        condition = self.inputs[0]
        ga = sum_to(masked_fill(gy, ~condition, 0.0), self.input_shapes[1]) if self.needs_input_grad[1] else None
        gb = sum_to(masked_fill(gy, condition, 0.0), self.input_shapes[2]) if self.needs_input_grad[2] else None
        return None, ga, gb


class MaskedFill(Function):
    """A constant where the mask holds; nothing flows back through it there."""

    saves_inputs = (1,)
    saves_outputs = ()

    def __init__(self, *, value: float):
        self.value = value

    def forward(self, x: Any, mask: Any) -> Any:
        return kernels.of(x).choose(mask, array_module(x).full((), self.value, x.dtype), x)

    def backward(self, gy: Tensor) -> tuple[Tensor, None]:
        return MaskedFill(value=0.0)(gy, self.inputs[1]), None


def check_mask(mask: Any, op: str, name: str) -> Tensor:
    """`mask` if it is a boolean Tensor."""
    mask = check_tensor(mask, op, name)
    if mask.data.dtype.kind != "b":
        raise DtypeError(f"{op}: {name} must be a boolean tensor, got {mask.dtype}; write a comparison such as x > 0")
    return mask


def nonzero(x: Tensor, *, as_tuple: bool = False) -> Any:
    """The indices of the elements that are not 0, in row-major order.

    Returns:   (K, ndim) int64, one row for each of the K elements; with as_tuple one vector for each dimension, by
               which x can be indexed
    """
    data = check_tensor(x, "nonzero", "x").data
    if as_tuple:
        return tuple(Tensor(places) for places in array_module(data).atleast_1d(data).nonzero())
    return Tensor(array_module(data).argwhere(data))


def where(condition: Tensor, a: Any = None, b: Any = None) -> Any:
    """a where `condition` holds, b elsewhere, with broadcasting; ``where(condition)`` is the tuple of :func:`nonzero`.

    Args:      condition: boolean. a, b: tensors or numbers
    Raises:    DtypeError: condition is not boolean. ShapeError: shapes that cannot be broadcast together
    """
    if a is None and b is None:
        return nonzero(condition, as_tuple=True)
    condition = check_mask(condition, "where", "condition")
    if not isinstance(a, Tensor) and not isinstance(b, Tensor):
        a = as_tensor(a, like=Tensor(condition.data.astype(np.float32) if isinstance(a, float) else condition.data))
    return Where()(condition, *operands(a, b, "where"))


def masked_fill(x: Tensor, mask: Tensor, value: float) -> Tensor:
    """`value` where `mask` holds, x elsewhere.

    Args:      x, mask: broadcast together; mask is boolean. value: a number, or a tensor as in :func:`where`
    """
    x, mask = check_tensor(x, "masked_fill", "x"), check_mask(mask, "masked_fill", "mask")
    if isinstance(value, Tensor):
        return where(mask, value, x)
    if not isinstance(value, int | float | np.number | np.bool_):
        raise ArgumentTypeError(f"masked_fill: value must be a number or a Tensor, got {value!r}")
    if x.data.dtype.kind != "f" and not np.isfinite(value):
        raise OutOfRangeError(f"masked_fill: {value} does not fit into a tensor of dtype {x.dtype}")
    shape = broadcast_shapes("masked_fill", x.shape, mask.shape)
    return MaskedFill(value=value)(x if x.shape == shape else expand(x, shape), mask)
