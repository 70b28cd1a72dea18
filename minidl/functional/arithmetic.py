"""Arithmetic on two operands with broadcasting. Backward sums each gradient back to its operand's shape."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from .. import kernels
from ..autograd import Function, Tensor, is_grad_enabled
from ..autograd.deferred import DeferredTensor
from ..autograd.tensor import _wrap
from ..backend import array_module
from ..errors import ArgumentError, DtypeError
from ._affine import affine_sum
from ._conv_sum import conv_sum
from ._shared import operands
from .broadcast import broadcast_shapes, sum_to
from .selection import where

LARGE = 1 << 16
"""Elements from which on an operation is worth the way through the kernels, which use all cores."""


class _Binary(Function):
    """f(a, b) elementwise: subclasses give ``compute(a, b)`` and ``gradients(gy)`` before broadcasting is undone."""

    saves_inputs: ClassVar[tuple[int, ...] | None] = ()
    saves_outputs = ()

    def forward(self, a: Any, b: Any) -> Any:
        try:
            return self.compute(a, b)
        except ValueError:
            broadcast_shapes(self.name, a.shape, b.shape)
            raise

    def backward(self, gy: Tensor) -> tuple[Tensor | None, ...]:
        ga, gb = self.gradients(gy)
        shape_a, shape_b = self.input_shapes
        if shape_a == shape_b:
            return ga, gb
        return None if ga is None else sum_to(ga, shape_a), None if gb is None else sum_to(gb, shape_b)

    def compute(self, a: Any, b: Any) -> Any:
        """The operation on arrays."""

    def gradients(self, gy: Tensor) -> Any:
        """The gradients of a and b in the shape of the result, None where not needed."""


def _tensor(value: Any) -> Tensor:
    """A Tensor without history; NumPy turns 0-d results into scalars."""
    return _wrap(value if type(value) is np.ndarray else array_module(value).asarray(value))


class Add(_Binary):
    def compute(self, a: Any, b: Any) -> Any:
        return a + b if a.size < LARGE else kernels.of(a).add(a, b)

    def gradients(self, gy: Tensor) -> tuple[Tensor | None, Tensor | None]:
        return gy, gy


class Sub(_Binary):
    def compute(self, a: Any, b: Any) -> Any:
        return a - b

    def gradients(self, gy: Tensor) -> tuple[Tensor | None, Tensor | None]:
        return gy, -gy if self.needs_input_grad[1] else None


class Mul(_Binary):
    saves_inputs = (0, 1)

    def compute(self, a: Any, b: Any) -> Any:
        return a * b

    def gradients(self, gy: Tensor) -> tuple[Tensor | None, Tensor | None]:
        need_a, need_b = self.needs_input_grad
        if is_grad_enabled():
            a, b = self.inputs
            return gy * b if need_a else None, gy * a if need_b else None
        (a, b), g = self.input_arrays, gy.data  # no graph: the products alone
        return _tensor(g * b) if need_a else None, _tensor(g * a) if need_b else None


class Div(_Binary):
    saves_inputs = (0, 1)

    def compute(self, a: Any, b: Any) -> Any:
        return a / b

    def gradients(self, gy: Tensor) -> tuple[Tensor | None, Tensor | None]:
        (a, b), (need_a, need_b) = self.inputs, self.needs_input_grad
        ga = gy / b
        return ga if need_a else None, -ga * (a / b) if need_b else None


class Pow(_Binary):
    saves_inputs = (0, 1)

    def compute(self, a: Any, b: Any) -> Any:
        return a**b

    def gradients(self, gy: Tensor) -> tuple[Tensor | None, Tensor | None]:
        (a, b), (need_a, need_b) = self.inputs, self.needs_input_grad
        ga = gb = None
        if need_a:  # where b = 0 the power is constant, also at a = 0
            flat = b == 0
            ga = gy * where(flat, 0.0, b * where(flat, 1.0, a) ** (b - 1.0))
        if need_b:  # where a = 0 ≤ b the power stays as it is
            zero = (a == 0) & (b >= 0)
            gb = gy * where(zero, 0.0, a**b * where(zero, 1.0, a).log())
        return ga, gb


class PowScalar(Function):
    """x to a constant power."""

    saves_inputs = (0,)
    saves_outputs = ()
    name = "pow"

    def __init__(self, *, exponent: float):
        self.exponent = exponent

    def forward(self, x: Any) -> Any:
        if self.exponent == 2:
            return x * x
        return x**self.exponent

    def backward(self, gy: Tensor) -> Tensor:
        (x,) = self.inputs
        if self.exponent == 0:
            return gy * 0.0
        return gy * (self.exponent * x if self.exponent == 2 else self.exponent * pow(x, self.exponent - 1))


class _Extremum(_Binary):
    """The larger or smaller of two; under a tie each gets half of the gradient, beside a NaN each gets all of it."""

    saves_inputs = (0, 1)

    def gradients(self, gy: Tensor) -> tuple[Tensor | None, Tensor | None]:
        (a, b), (need_a, need_b) = self.input_arrays, self.needs_input_grad
        half = 0.5 * (a == b)
        ga = gy * Tensor((~self.loses(a, b) - half).astype(gy.dtype)) if need_a else None
        gb = gy * Tensor((~self.loses(b, a) - half).astype(gy.dtype)) if need_b else None
        return ga, gb

    def loses(self, a: Any, b: Any) -> Any:
        """Where a is not the one that was chosen."""


class Maximum(_Extremum):
    def compute(self, a: Any, b: Any) -> Any:
        return array_module(a).maximum(a, b)

    def loses(self, a: Any, b: Any) -> Any:
        return a < b


class Minimum(_Extremum):
    def compute(self, a: Any, b: Any) -> Any:
        return array_module(a).minimum(a, b)

    def loses(self, a: Any, b: Any) -> Any:
        return a > b


def add(a: Any, b: Any, *, alpha: float = 1) -> Tensor:
    """a + alpha · b."""
    if type(a) is type(b) is Tensor and alpha == 1 and a.data.dtype is b.data.dtype:
        return Add()(a, b)
    if (type(a) is DeferredTensor or type(b) is DeferredTensor) and alpha == 1:
        if isinstance(a, Tensor) and isinstance(b, Tensor):
            if (total := affine_sum(a, b)) is not None:
                return Add().computed((a, b), total)
            if (y := conv_sum(Add(), a, b)) is not None:
                return y
    a, b = operands(a, b, "add")
    return Add()(a, b if alpha == 1 else mul(b, alpha))


def sub(a: Any, b: Any, *, alpha: float = 1) -> Tensor:
    """a − alpha · b."""
    a, b = operands(a, b, "sub")
    if a.data.dtype.kind == "b" and b.data.dtype.kind == "b":
        raise DtypeError("sub: two boolean tensors cannot be subtracted; use ^ or ~ instead")
    return Sub()(a, b if alpha == 1 else mul(b, alpha))


def mul(a: Any, b: Any) -> Tensor:
    """a · b.  Backward: ga = gy · b, gb = gy · a."""
    if type(a) is type(b) is Tensor and a.data.dtype is b.data.dtype:
        return Mul()(a, b)
    return Mul()(*operands(a, b, "mul"))


def div(a: Any, b: Any, *, rounding_mode: str | None = None) -> Tensor:
    """a / b; integers give float32.  Backward: ga = gy / b, gb = −gy · a / b².

    Edges:     near the largest number gb may overflow where PyTorch's does not, and the other way round
    Args:      rounding_mode: None, "floor" (see :func:`floor_divide`) or "trunc"; these carry no gradient
    """
    if rounding_mode not in (None, "floor", "trunc"):
        raise ArgumentError(f"div: rounding_mode must be None, 'floor' or 'trunc', got {rounding_mode!r}")
    a, b = operands(a, b, "div")
    if rounding_mode == "floor":
        return floor_divide(a, b)
    if rounding_mode == "trunc":  # towards 0: divide the absolute values, then give the sign back
        positive = floor_divide(a.abs(), b.abs())
        return where((a < 0) ^ (b < 0), 0 - positive, positive)
    if a.data.dtype.kind != "f":
        a, b = Tensor(a.data.astype(np.float32)), Tensor(b.data.astype(np.float32))
    return Div()(a, b)


def pow(a: Any, b: Any) -> Tensor:
    """a to the power b.

    Backward:  ga = gy · b · a^(b−1), gb = gy · a^b · log a; 0 where b = 0, and where a = 0 ≤ b
    Edges:     as the C library has it: (−0)^−½ = ∞ and (−∞)^−½ = 0, where PyTorch, by a root, has −∞ and NaN
    """
    if isinstance(a, Tensor) and isinstance(b, int | float | np.number) and not isinstance(b, bool):
        if a.data.dtype.kind == "f":
            return PowScalar(exponent=float(b))(a)
        if isinstance(b, int | np.integer) and b < 0:
            raise DtypeError(
                f"pow: integers to the negative power {b} are no integers; convert with .to(minidl.float32)"
            )
    a, b = operands(a, b, "pow")
    if a.data.dtype.kind != "f" and (b.data < 0).any():
        raise DtypeError("pow: integers to a negative power are no integers; convert with .to(minidl.float32)")
    return Pow()(a, b)


def maximum(a: Any, b: Any) -> Tensor:
    """The larger of a and b, or NaN. Under a tie each gets half of the gradient, beside a NaN all, as in PyTorch."""
    return Maximum()(*operands(a, b, "maximum"))


def minimum(a: Any, b: Any) -> Tensor:
    """The smaller of a and b, or NaN. Under a tie each gets half of the gradient, beside a NaN all, as in PyTorch."""
    return Minimum()(*operands(a, b, "minimum"))


class FloorDivide(_Binary):
    """⌊a/b⌋ is piecewise constant."""

    def compute(self, a: Any, b: Any) -> Any:
        _check_divisor(b, self.name)
        return a // b

    def gradients(self, gy: Tensor) -> tuple[Tensor | None, Tensor | None]:
        return gy * 0.0, gy * 0.0


class Remainder(_Binary):
    """a − b · ⌊a/b⌋."""

    saves_inputs = (0, 1)

    def compute(self, a: Any, b: Any) -> Any:
        _check_divisor(b, self.name)
        return a % b

    def gradients(self, gy: Tensor) -> tuple[Tensor | None, Tensor | None]:
        a, b = self.inputs
        return gy, -gy * floor_divide(a, b) if self.needs_input_grad[1] else None


def _check_divisor(b: Any, op: str) -> None:
    """Integers have no infinity to answer with. (On a GPU asking would stall it.)"""
    if b.dtype.kind != "f" and isinstance(b, np.ndarray) and not b.all():
        raise ArgumentError(f"{op}: integer division by zero; convert with .to(minidl.float32) for inf and nan")


def floor_divide(a: Any, b: Any) -> Tensor:
    """⌊a / b⌋. Its gradient is 0."""
    return FloorDivide()(*operands(a, b, "floor_divide"))


def remainder(a: Any, b: Any) -> Tensor:
    """a − b · ⌊a / b⌋, with the sign of b, as Python's %.  Backward: ga = gy, gb = −gy · ⌊a / b⌋."""
    return Remainder()(*operands(a, b, "remainder"))
