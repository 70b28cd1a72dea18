"""Parameter: a tensor that is trained, and what happens to its gradient."""

from __future__ import annotations

from typing import Any

from ..autograd import Tensor
from ..backend import array_module


class Parameter(Tensor):
    """A tensor that its module trains: assigned to an attribute of a Module, it becomes one of its parameters.

    Args:      data: array, or a Tensor whose memory is then shared. requires_grad: False for a frozen parameter
    """

    __slots__ = ()

    def __init__(self, data: Any, requires_grad: bool = True):
        super().__init__(data.data if isinstance(data, Tensor) else data, requires_grad=requires_grad)


def zero_grad(tensor: Tensor, set_to_none: bool) -> None:
    """Forget a tensor's gradient, or make it zeros: in place, unless a graph may have saved it."""
    if set_to_none or tensor.grad is None:
        tensor.grad = None
    elif tensor.grad.grad_fn is not None:
        tensor.grad = Tensor(array_module(tensor.data).zeros_like(tensor.data))
    else:
        tensor.grad.data[...] = 0
        tensor.grad.bump_version()
