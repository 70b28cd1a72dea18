"""Operations as methods and operators of Tensor, in one table: ``x.exp()`` is ``exp(x)``, ``x + y`` ``add(x, y)``."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..autograd import Tensor
from ..backend import is_array
from . import (
    arithmetic,
    broadcast,
    casting,
    comparison,
    elementwise,
    indexing,
    linalg,
    reductions,
    selection,
    shape,
    softmax,
)
from .pad import pad

METHODS: dict[Any, str] = {
    arithmetic: "add sub mul div pow maximum minimum floor_divide remainder",
    broadcast: "expand broadcast_to",
    casting: "clone contiguous to type_as cpu cuda double half long",
    comparison: (
        "bitwise_and bitwise_not bitwise_or bitwise_xor eq ne lt le gt ge isnan isinf isfinite equal allclose"
    ),
    elementwise: (
        "abs ceil clamp cos erf exp expm1 floor log log10 log1p log2 neg reciprocal relu round rsqrt sigmoid sign sin "
        "sqrt square tanh"
    ),
    indexing: "gather index_select scatter_add take_along_dim",
    linalg: "bmm dot matmul mm outer",
    reductions: (
        "all amax amin any argmax argmin cumsum logsumexp max mean min norm prod std sum var"
    ),
    selection: "masked_fill",
    shape: (
        "chunk flatten flip narrow permute repeat reshape roll split squeeze t transpose unbind unflatten unsqueeze "
        "view"
    ),
    softmax: "log_softmax softmax",
}



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
