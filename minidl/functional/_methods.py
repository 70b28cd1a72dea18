"""Operations as methods and operators of Tensor, in one table: ``x.exp()`` is ``exp(x)``, ``x + y`` ``add(x, y)``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..autograd import Tensor, is_grad_enabled
from ..autograd.deferred import inference
from ..backend import is_array
from ..errors import InPlaceError, ShapeError
from . import (
    arithmetic,
    broadcast,
    casting,
    comparison,
    diagonals,
    elementwise,
    indexing,
    layout,
    linalg,
    ordering,
    reductions,
    selection,
    shape,
    softmax,
)
from .pad import pad

METHODS: dict[Any, str] = {
    arithmetic: "add sub mul div pow maximum minimum floor_divide remainder",
    broadcast: "expand broadcast_to",
    casting: "clone contiguous to type_as cpu cuda double half byte long",
    comparison: (
        "bitwise_and bitwise_not bitwise_or bitwise_xor eq ne lt le gt ge isnan isinf isfinite equal allclose isclose "
        "logical_and logical_not logical_or logical_xor"
    ),
    diagonals: "diag diagonal trace tril triu",
    elementwise: (
        "abs ceil clamp cos erf exp expm1 floor log log10 log1p log2 neg reciprocal relu round rsqrt sigmoid sign sin "
        "sqrt square tanh trunc"
    ),
    indexing: "gather index_select masked_select scatter_add take_along_dim",
    layout: "expand_as movedim ravel repeat_interleave select swapaxes tile view_as",
    linalg: "addmm bmm dot matmul mm mv outer",
    ordering: "argsort bincount sort topk unique",
    reductions: "all amax amin any argmax argmin cumprod cumsum logsumexp max mean min norm prod std sum var",
    selection: "masked_fill nonzero",
    shape: (
        "chunk flatten flip narrow permute repeat reshape roll split squeeze t transpose unbind unflatten "
        "unsqueeze view"
    ),
    softmax: "log_softmax softmax",
}


def _augmented(operation: Callable[..., Any], sign: str) -> Callable[..., Any]:
    """``x += y`` gives the name x to a new tensor, except where x is a leaf that requires grad.

    Such a leaf is held by a module or an optimizer too, which would go on with the old values. Within no_grad it is
    written into, so that a step of gradient descent written by hand does what it says; otherwise that is an error.
    """

    def assign(x: Tensor, other: Any) -> Tensor:
        if x.grad_fn is not None or not x.requires_grad:
            return operation(x, other)
        if is_grad_enabled():
            raise InPlaceError(
                f"x {sign}= y: x, of shape {x.shape}, is a leaf that requires a gradient; change it within no_grad(), "
                f"as a training step does, or make a new tensor with x = x {sign} y"
            )
        result = operation(x, other)
        if result.shape != x.shape:
            raise ShapeError(f"x {sign}= y: x has shape {x.shape}, but x {sign} y has shape {result.shape}")
        inference.compute_all()
        x.data[...] = result.data
        x.bump_version()
        return x

    return assign


def _is_operand(value: Any) -> bool:
    return isinstance(value, Tensor | int | float | np.number | np.bool_) or is_array(value)


OPERATORS = {
    "__pos__": lambda x: x,
    "__neg__": elementwise.neg,
    "__abs__": elementwise.abs,
    "__invert__": comparison.bitwise_not,
    "__add__": arithmetic.add,
    "__sub__": arithmetic.sub,
    "__mul__": arithmetic.mul,
    "__truediv__": arithmetic.div,
    "__floordiv__": arithmetic.floor_divide,
    "__mod__": arithmetic.remainder,
    "__pow__": arithmetic.pow,
    "__matmul__": linalg.matmul,
    "__getitem__": indexing.getitem,
    "__and__": comparison.bitwise_and,
    "__or__": comparison.bitwise_or,
    "__xor__": comparison.bitwise_xor,
    "__eq__": lambda x, other: comparison.eq(x, other) if _is_operand(other) else NotImplemented,  # x == None: False
    "__ne__": lambda x, other: comparison.ne(x, other) if _is_operand(other) else NotImplemented,
    "__lt__": comparison.lt,
    "__le__": comparison.le,
    "__gt__": comparison.gt,
    "__ge__": comparison.ge,
    "float": casting.float_,
    "int": casting.int_,
    "bool": casting.bool_,
    "clip": elementwise.clamp,
    "pad": pad,
    "where": lambda x, condition, other: selection.where(condition, x, other),
}

OPERATORS |= {
    "__iadd__": _augmented(arithmetic.add, "+"),
    "__isub__": _augmented(arithmetic.sub, "-"),
    "__imul__": _augmented(arithmetic.mul, "*"),
    "__itruediv__": _augmented(arithmetic.div, "/"),
}

REFLECTED = {
    "__radd__": arithmetic.add,
    "__rsub__": arithmetic.sub,
    "__rmul__": arithmetic.mul,
    "__rtruediv__": arithmetic.div,
    "__rfloordiv__": arithmetic.floor_divide,
    "__rmod__": arithmetic.remainder,
    "__rpow__": arithmetic.pow,
    "__rmatmul__": linalg.matmul,
    "__rand__": comparison.bitwise_and,
    "__ror__": comparison.bitwise_or,
    "__rxor__": comparison.bitwise_xor,
}


def attach() -> None:
    """Give Tensor its methods, operators and transposes."""
    for module, names in METHODS.items():
        for name in names.split():
            setattr(Tensor, name, getattr(module, name))
    for name, function in OPERATORS.items():
        setattr(Tensor, name, function)
    for name, function in REFLECTED.items():
        setattr(Tensor, name, lambda self, other, function=function: function(other, self))
    setattr(Tensor, "T", property(lambda x: shape.permute(x, *reversed(range(x.ndim)))))  # noqa: B010 (for mypy)
    setattr(Tensor, "mT", property(shape.mT))  # noqa: B010
