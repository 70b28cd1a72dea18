"""Functions of one operand, element by element.

Backward multiplies by the derivative, written from the output where that is cheaper.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np

from .. import kernels
from ..autograd import Function, Tensor, check_tensor, is_grad_enabled
from ..autograd.deferred import Deferred, defer, deferred_of
from ..backend import array_module
from ..errors import ArgumentError, DtypeError
from ._affine import Affine
from ._conv_sum import ConvSum
from ._shared import check_integer, floating
from .comparison import isnan, logical_or
from .selection import masked_fill, where


class _Unary(Function):
    saves_inputs: ClassVar[tuple[int, ...] | None] = ()
    saves_outputs: ClassVar[tuple[int, ...] | None] = ()


class _OfInput(_Unary):
    """The derivative is written from the input."""

    saves_inputs = (0,)


class _OfOutput(_Unary):
    """The derivative is written from the output."""

    saves_outputs = (0,)


class _Constant(_Unary):
    """A piecewise constant function: its gradient is 0 wherever it has one."""

    def forward(self, x: Any) -> Any:
        return getattr(array_module(x), self.name)(x)

    def backward(self, gy: Tensor) -> Tensor:
        return gy * 0.0


class Neg(_Unary):
    def forward(self, x: Any) -> Any:
        return -x

    def backward(self, gy: Tensor) -> Tensor:
        return -gy


class Abs(_OfInput):
    def forward(self, x: Any) -> Any:
        return array_module(x).abs(x)

    def backward(self, gy: Tensor) -> Tensor:
        return gy * sign(self.inputs[0])


class Exp(_OfOutput):
    def forward(self, x: Any) -> Any:
        return array_module(x).exp(x)

    def backward(self, gy: Tensor) -> Tensor:
        return gy * self.output(0)


class Expm1(_OfOutput):
    def forward(self, x: Any) -> Any:
        return array_module(x).expm1(x)

    def backward(self, gy: Tensor) -> Tensor:
        return gy * (self.output(0) + 1.0)


class Log(_OfInput):
    def forward(self, x: Any) -> Any:
        return array_module(x).log(x)

    def backward(self, gy: Tensor) -> Tensor:
        return gy / self.inputs[0]


class Log1p(_OfInput):
    def forward(self, x: Any) -> Any:
        return array_module(x).log1p(x)

    def backward(self, gy: Tensor) -> Tensor:
        return gy / (1.0 + self.inputs[0])


class Sqrt(_OfOutput):
    def forward(self, x: Any) -> Any:
        return array_module(x).sqrt(x)

    def backward(self, gy: Tensor) -> Tensor:
        return gy * 0.5 / self.output(0)


class Rsqrt(_OfOutput):
    def forward(self, x: Any) -> Any:
        return 1 / array_module(x).sqrt(x)

    def backward(self, gy: Tensor) -> Tensor:
        y = self.output(0)
        return gy * -0.5 * (y * y * y)


class Sin(_OfInput):
    def forward(self, x: Any) -> Any:
        return array_module(x).sin(x)

    def backward(self, gy: Tensor) -> Tensor:
        return gy * cos(self.inputs[0])


class Cos(_OfInput):
    def forward(self, x: Any) -> Any:
        return array_module(x).cos(x)

    def backward(self, gy: Tensor) -> Tensor:
        return gy * -sin(self.inputs[0])


class Tanh(_OfOutput):
    def forward(self, x: Any) -> Any:
        return kernels.of(x).unary("tanh", x)

    def backward(self, gy: Tensor) -> Tensor:
        y = self.output(0)
        if is_grad_enabled():
            return gy * (1.0 - y * y)
        return Tensor(kernels.of(y.data).tanh_backward(gy.data, y.data))


class Sigmoid(_OfOutput):
    def forward(self, x: Any) -> Any:
        return 1 / (1 + array_module(x).exp(-x))  # e^(−x) = ∞ gives the 0 that it should

    def backward(self, gy: Tensor) -> Tensor:
        y = self.output(0)
        return gy * (y * (1.0 - y))


class Erf(_OfInput):
    def forward(self, x: Any) -> Any:
        return kernels.of(x).erf(x)

    def backward(self, gy: Tensor) -> Tensor:
        x = self.inputs[0]
        return gy * (2 / math.sqrt(math.pi)) * exp(-(x * x))


class MaskedGradient(Deferred):
    """The gradient of a ReLU, which a batch norm before it computes on its way."""

    adds = True

    def __init__(self, gy: Any, y: Any):
        self.like = self.gy = gy
        self.y, self.shape, self.dtype = y, gy.shape, gy.dtype

    def compute(self, plus: Any = None) -> Any:
        return kernels.of(self.y).relu_backward(self.gy, self.y, plus)


class Relu(_OfOutput):
    def forward(self, x: Any) -> Any:
        return kernels.of(x).relu(x)

    def backward(self, gy: Tensor) -> Tensor:
        y = self.output_arrays[0]
        if is_grad_enabled():
            return masked_fill(gy, Tensor(y == 0), 0.0)
        return defer(MaskedGradient(gy.data, y))


class Sign(_Constant):
    """−1, 0 or 1."""


class Floor(_Constant):
    """Rounded down."""


class Ceil(_Constant):
    """Rounded up."""


class Round(_Constant):
    """Rounded to the nearest of so many decimals, halves to the even one."""

    def __init__(self, *, decimals: int):
        self.decimals = decimals

    def forward(self, x: Any) -> Any:
        return array_module(x).round(x, self.decimals)


class Trunc(_Constant):
    """Rounded towards 0."""


class Clamp(_OfInput):
    """x limited to constant bounds; the gradient passes where x lies within them, the bounds included."""

    def __init__(self, *, low: float | None, high: float | None):
        self.low, self.high = low, high

    def forward(self, x: Any) -> Any:
        return array_module(x).clip(x, self.low, self.high)

    def backward(self, gy: Tensor) -> Tensor:
        x = self.input_arrays[0]
        outside = array_module(x).zeros(x.shape, dtype=bool)
        if self.low is not None:
            outside |= ~(x >= self.low)  # a NaN lies outside
        if self.high is not None:
            outside |= ~(x <= self.high)
        return masked_fill(gy, Tensor(outside), 0.0)


def neg(x: Tensor) -> Tensor:
    """−x."""
    if check_tensor(x, "neg", "x").data.dtype.kind == "b":
        raise DtypeError("neg: a boolean tensor cannot be negated; use ~x")
    return Neg()(x)


def abs(x: Tensor) -> Tensor:
    """|x|.  Backward: gy · sign(x), 0 at 0; NaN at NaN, where PyTorch has 0."""
    return Abs()(x)


def exp(x: Tensor) -> Tensor:
    """eˣ.  Backward: gy · eˣ."""
    return Exp()(floating(x, "exp"))


def expm1(x: Tensor) -> Tensor:
    """eˣ − 1, accurate near 0.  Backward: gy · eˣ."""
    return Expm1()(floating(x, "expm1"))


def log(x: Tensor) -> Tensor:
    """The natural logarithm: −inf at 0, nan below.  Backward: gy / x."""
    return Log()(floating(x, "log"))


def log2(x: Tensor) -> Tensor:
    """The logarithm to base 2."""
    return Log()(floating(x, "log2")) * (1 / math.log(2))


def log10(x: Tensor) -> Tensor:
    """The logarithm to base 10. A gradient too small for a normal number is kept; PyTorch makes it 0."""
    return Log()(floating(x, "log10")) * (1 / math.log(10))


def log1p(x: Tensor) -> Tensor:
    """log(1 + x), accurate near 0.  Backward: gy / (1 + x)."""
    return Log1p()(floating(x, "log1p"))


def sqrt(x: Tensor) -> Tensor:
    """√x, nan below 0.  Backward: gy / (2√x), infinite at 0."""
    return Sqrt()(floating(x, "sqrt"))


def rsqrt(x: Tensor) -> Tensor:
    """1/√x.  Backward: −gy / (2 x√x)."""
    return Rsqrt()(floating(x, "rsqrt"))


def reciprocal(x: Tensor) -> Tensor:
    """1/x."""
    return 1.0 / floating(x, "reciprocal")


def square(x: Tensor) -> Tensor:
    """x²."""
    return check_tensor(x, "square", "x") ** 2


def sin(x: Tensor) -> Tensor:
    """sin x, x in radians.  Backward: gy · cos x."""
    return Sin()(floating(x, "sin"))


def cos(x: Tensor) -> Tensor:
    """cos x, x in radians.  Backward: −gy · sin x."""
    return Cos()(floating(x, "cos"))


def tanh(x: Tensor) -> Tensor:
    """The hyperbolic tangent y.  Backward: gy · (1 − y²)."""
    return Tanh()(floating(x, "tanh"))


def sigmoid(x: Tensor) -> Tensor:
    """The logistic function y = 1/(1 + e⁻ˣ), accurate in both tails.  Backward: gy · y(1 − y)."""
    return Sigmoid()(floating(x, "sigmoid"))


def erf(x: Tensor) -> Tensor:
    """The error function 2/√π ∫₀ˣ e^(−t²) dt.  Backward: gy · 2/√π · e^(−x²).

    Source:    Cody 1969, "Rational Chebyshev approximations for the error function"
    """
    return Erf()(floating(x, "erf"))


def relu(x: Tensor, inplace: bool = False) -> Tensor:
    """max(x, 0); NaN stays NaN.  Backward: gy where x > 0, else 0 (also at 0).

    Args:      inplace: taken for PyTorch's sake; x is never written to
    Source:    Nair & Hinton 2010
    """
    waiting = deferred_of(x)
    if isinstance(waiting, Affine | ConvSum):
        return Relu().computed((x,), waiting.now(relu=True))
    return Relu()(check_tensor(x, "relu", "x"))


def sign(x: Tensor) -> Tensor:
    """−1, 0 or 1, and NaN for NaN, which in PyTorch has the sign 0. Its gradient is 0."""
    return Sign()(x) if check_tensor(x, "sign", "x").data.dtype.kind != "b" else x


def _rounded(function: Function, x: Tensor, op: str) -> Tensor:
    """Integers are round already; NumPy would make some of them float64."""
    return function(x) if check_tensor(x, op, "x").data.dtype.kind == "f" else x


def floor(x: Tensor) -> Tensor:
    """The largest integer not above x. Its gradient is 0."""
    return _rounded(Floor(), x, "floor")


def ceil(x: Tensor) -> Tensor:
    """The smallest integer not below x. Its gradient is 0."""
    return _rounded(Ceil(), x, "ceil")


def round(x: Tensor, *, decimals: int = 0) -> Tensor:
    """The nearest number of so many decimals, halves to the even one. Its gradient is 0."""
    return _rounded(Round(decimals=check_integer(decimals, "round", "decimals")), x, "round")


def trunc(x: Tensor) -> Tensor:
    """The integer part: rounded towards 0. Its gradient is 0."""
    return _rounded(Trunc(), x, "trunc")


def clamp(x: Tensor, min: Any = None, max: Any = None) -> Tensor:
    """x limited to [min, max]; bounds may be numbers, tensors or None.

    Backward:  gy where min ≤ x ≤ max or x is NaN, else 0; what was cut off goes to the bound that did it, if it is a
               tensor. Where both bounds are equal that is `min` below them; PyTorch gives it to `max`
    Raises:    ArgumentError: neither bound is given
    """
    x = check_tensor(x, "clamp", "x")
    if min is None and max is None:
        raise ArgumentError("clamp: give min, max or both")
    if x.data.dtype.kind == "f" and all(isinstance(b, int | float | np.number | None) for b in (min, max)):
        return Clamp(low=None if min is None else float(min), high=None if max is None else float(max))(x)
    if min is not None:  # asked so that a NaN of x stays, and one of a bound is taken
        x = where(logical_or(x >= min, isnan(x)), x, min)
    return x if max is None else where(logical_or(x <= max, isnan(x)), x, max)
