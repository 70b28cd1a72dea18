"""Comparisons and logic: boolean results, through which no gradient flows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..autograd import Tensor, check_tensor
from ..backend import array_module
from ..errors import DtypeError
from ._shared import check_number, operands
from .broadcast import broadcast_shapes, broadcasting


def _compare(op: str, compute: Callable[[Any, Any], Any], a: Any, b: Any) -> Tensor:
    x, y = (t.data for t in operands(a, b, op))
    return Tensor(array_module(x).asarray(broadcasting(op, compute, x, y)))


def eq(a: Any, b: Any) -> Tensor:
    """a = b, elementwise."""
    return _compare("eq", lambda x, y: x == y, a, b)


def ne(a: Any, b: Any) -> Tensor:
    """a ≠ b, elementwise."""
    return _compare("ne", lambda x, y: x != y, a, b)


def lt(a: Any, b: Any) -> Tensor:
    """a < b, elementwise."""
    return _compare("lt", lambda x, y: x < y, a, b)


def le(a: Any, b: Any) -> Tensor:
    """a ≤ b, elementwise."""
    return _compare("le", lambda x, y: x <= y, a, b)


def gt(a: Any, b: Any) -> Tensor:
    """a > b, elementwise."""
    return _compare("gt", lambda x, y: x > y, a, b)


def ge(a: Any, b: Any) -> Tensor:
    """a ≥ b, elementwise."""
    return _compare("ge", lambda x, y: x >= y, a, b)


def _bitwise(op: str, compute: Callable[[Any, Any], Any], a: Any, b: Any) -> Tensor:
    for operand in (a, b):
        if isinstance(operand, float) or (isinstance(operand, Tensor) and operand.data.dtype.kind == "f"):
            raise DtypeError(
                f"{op}: needs boolean or integer operands, not floating-point ones; write a comparison first"
            )
    return _compare(op, compute, a, b)


def bitwise_and(a: Any, b: Any) -> Tensor:
    """a and b, for booleans or bits."""
    return _bitwise("bitwise_and", lambda x, y: x & y, a, b)


def bitwise_or(a: Any, b: Any) -> Tensor:
    """a or b, for booleans or bits."""
    return _bitwise("bitwise_or", lambda x, y: x | y, a, b)


def bitwise_xor(a: Any, b: Any) -> Tensor:
    """Either a or b but not both, for booleans or bits."""
    return _bitwise("bitwise_xor", lambda x, y: x ^ y, a, b)


def bitwise_not(x: Tensor) -> Tensor:
    """Not x, for booleans or bits."""
    if check_tensor(x, "bitwise_not", "x").data.dtype.kind == "f":
        raise DtypeError("bitwise_not: needs a boolean or integer tensor, not a floating-point one")
    xp = array_module(x.data)
    return Tensor(xp.asarray(xp.invert(x.data)))


def _logical(op: str, compute: Callable[[Any, Any], Any], a: Any, b: Any) -> Tensor:
    return _compare(op, lambda x, y: compute(x != 0, y != 0), a, b)


def logical_and(a: Any, b: Any) -> Tensor:
    """Where neither a nor b is 0."""
    return _logical("logical_and", lambda x, y: x & y, a, b)


def logical_or(a: Any, b: Any) -> Tensor:
    """Where a or b is not 0."""
    return _logical("logical_or", lambda x, y: x | y, a, b)


def logical_xor(a: Any, b: Any) -> Tensor:
    """Where either a or b but not both is not 0."""
    return _logical("logical_xor", lambda x, y: x ^ y, a, b)


def logical_not(x: Tensor) -> Tensor:
    """Where x is 0."""
    return eq(check_tensor(x, "logical_not", "x"), 0)


def _test(x: Any, op: str) -> Tensor:
    data = check_tensor(x, op, "x").data
    xp = array_module(data)
    return Tensor(xp.asarray(getattr(xp, op)(data)))


def isnan(x: Tensor) -> Tensor:
    """Where x is not a number."""
    return _test(x, "isnan")


def isinf(x: Tensor) -> Tensor:
    """Where x is infinite."""
    return _test(x, "isinf")


def isfinite(x: Tensor) -> Tensor:
    """Where x is neither infinite nor NaN."""
    return _test(x, "isfinite")


def equal(a: Tensor, b: Tensor) -> bool:
    """Whether two tensors have the same shape and the same elements."""
    a, b = check_tensor(a, "equal", "a"), check_tensor(b, "equal", "b")
    return a.shape == b.shape and bool((a.data == b.data).all())


def isclose(a: Tensor, b: Tensor, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> Tensor:
    """Where |a − b| ≤ atol + rtol · |b|."""
    x, y = check_tensor(a, "isclose", "a").data, check_tensor(b, "isclose", "b").data
    broadcast_shapes("isclose", x.shape, y.shape)
    rtol, atol = check_number(rtol, "isclose", "rtol"), check_number(atol, "isclose", "atol")
    xp = array_module(x)
    return Tensor(xp.asarray(xp.isclose(x, y, rtol=rtol, atol=atol, equal_nan=equal_nan)))


def allclose(a: Tensor, b: Tensor, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> bool:
    """Whether |a − b| ≤ atol + rtol · |b| everywhere."""
    return bool(isclose(a, b, rtol, atol, equal_nan).data.all())
