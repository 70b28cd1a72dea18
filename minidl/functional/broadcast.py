"""Broadcasting and its adjoint, summation back to the smaller shape: the two sides of every implicit expansion."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..autograd import Function, Tensor, check_tensor
from ..backend import array_module
from ..errors import ShapeError
from ._shared import integers


class BroadcastTo(Function):
    """Repeat along dimensions of length 1 without copying. Adjoint: :class:`SumTo`."""

    saves_inputs = ()
    saves_outputs = ()
    is_view = True
    name = "expand"

    def __init__(self, *, shape: tuple[int, ...]):
        self.shape = shape

    def forward(self, x: Any) -> Any:
        return array_module(x).broadcast_to(x, self.shape)

    def backward(self, gy: Tensor) -> Tensor:
        return sum_to(gy, self.input_shapes[0])


class SumTo(Function):
    """Sum over the dimensions that broadcasting `shape` would repeat. Adjoint: :class:`BroadcastTo`."""

    saves_inputs = ()
    saves_outputs = ()

    def __init__(self, *, shape: tuple[int, ...]):
        self.shape = shape

    def forward(self, x: Any) -> Any:
        lead = x.ndim - len(self.shape)
        axes = tuple(range(lead)) + tuple(
            lead + i for i, length in enumerate(self.shape) if length == 1 and x.shape[lead + i] != 1
        )
        return x.sum(axis=axes).reshape(self.shape)

    def backward(self, gy: Tensor) -> Tensor:
        return BroadcastTo(shape=self.input_shapes[0])(gy)


def sum_to(x: Tensor, shape: tuple[int, ...]) -> Tensor:
    """`x` summed down to `shape`, from which it could be broadcast; `x` itself where the shapes are equal."""
    return x if x.shape == shape else SumTo(shape=shape)(x)


def broadcast_shapes(op: str, *shapes: tuple[int, ...]) -> tuple[int, ...]:
    """The common shape, or ShapeError that names the operation and the shapes."""
    if len(set(shapes)) == 1:  # as most often; NumPy takes longer to say so
        return shapes[0]
    try:
        return np.broadcast_shapes(*shapes)
    except ValueError:
        raise ShapeError(
            f"{op}: shapes {' and '.join(map(str, shapes))} cannot be broadcast together; "
            "aligned at the right, lengths must be equal or 1"
        ) from None


def broadcasting(op: str, compute: Callable[..., Any], *arrays: Any) -> Any:
    """``compute(*arrays)``; ShapeError as in :func:`broadcast_shapes` where it fails because of their shapes."""
    try:
        return compute(*arrays)
    except ValueError:
        broadcast_shapes(op, *(array.shape for array in arrays))
        raise


def expand(x: Tensor, *sizes: int | Sequence[int], size: Sequence[int] | None = None) -> Tensor:
    """Repeat dimensions of length 1, without copying.

    Args:      sizes: the new shape, as integers or one tuple, or as the keyword size; −1 keeps a length; more
               dimensions may be added in front
    Returns:   a read-only view of that shape
    Raises:    ShapeError: a length other than 1 would have to change
    Source:    NumPy's broadcasting rules
    """
    x = check_tensor(x, "expand", "x")
    shape = integers(sizes, "expand", size)
    lead = len(shape) - x.ndim
    if lead < 0:
        raise ShapeError(f"expand: {shape} has fewer dimensions than the tensor's shape {x.shape}")
    target = tuple(x.shape[i - lead] if length == -1 and i >= lead else length for i, length in enumerate(shape))
    for i, length in enumerate(target):
        if length < 0 or (i >= lead and x.shape[i - lead] not in (1, length)):
            raise ShapeError(
                f"expand: shape {x.shape} cannot become {shape}; only dimensions of length 1 can be repeated"
            )
    return BroadcastTo(shape=target)(x)


def broadcast_to(x: Tensor, shape: tuple[int, ...]) -> Tensor:
    """The same as ``expand(x, shape)``."""
    return expand(x, shape)
