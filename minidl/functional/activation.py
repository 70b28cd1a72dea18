"""Activation functions. ``relu``, ``sigmoid`` and ``tanh`` are in :mod:`minidl.functional.elementwise`.

``inplace`` is accepted for PyTorch's sake and changes nothing: the result is a new tensor, and equal.
"""

from __future__ import annotations

import math
from typing import Any

from .. import kernels
from ..autograd import FusedFunction, Tensor, check_tensor, is_grad_enabled
from ..backend import array_module
from ..errors import ArgumentError, ShapeError
from ._shared import check_number, require_floating
from .elementwise import _OfInput, abs, clamp, erf, exp, sigmoid, tanh
from .selection import masked_fill, where
from .shape import reshape


class _Gated(FusedFunction):
    """x · gate(x). Forward saves the gate, from which backward gets the derivative without computing it anew."""

    saves_inputs = (0,)
    saves_outputs = ()

    def forward(self, x: Any) -> Any:
        gate = self.gate(x)
        self.save(gate)
        return x * gate

    def backward_array(self, gy: Any) -> Any:
        (x,), (gate,) = self.input_arrays, self.saved
        return gy * (gate + x * self.gate_derivative(x, gate))

    def gate(self, x: Any) -> Any:
        """The factor of x."""

    def gate_derivative(self, x: Any, gate: Any) -> Any:
        """Its derivative."""


# ---------------------------------------------------------------------------------------------------------------------
# Piecewise linear


class Hardtanh(_OfInput):
    """x limited to [low, high]. Unlike :func:`clamp`'s, the gradient is 0 at the bounds themselves, as in PyTorch."""

    def __init__(self, *, low: float, high: float):
        self.low, self.high = low, high

    def forward(self, x: Any) -> Any:
        return array_module(x).clip(x, self.low, self.high)

    def backward(self, gy: Tensor) -> Tensor:
        x = self.input_arrays[0]
        return masked_fill(gy, Tensor((x <= self.low) | (x >= self.high)), 0.0)


class LeakyRelu(_OfInput):
    def __init__(self, *, slope: float):
        self.slope = slope

    def forward(self, x: Any) -> Any:
        return kernels.of(x).leaky_relu(x, self.slope)

    def backward(self, gy: Tensor) -> Tensor:
        x = self.input_arrays[0]
        if is_grad_enabled():
            return where(Tensor(x > 0), gy, self.slope * gy)
        return Tensor(kernels.of(x).leaky_relu_backward(gy.data, x, self.slope))


def hardtanh(x: Tensor, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> Tensor:
    """x limited to [min_val, max_val].  Backward: gy where min_val < x < max_val or x is NaN (in PyTorch 0), else 0."""
    min_val, max_val = check_number(min_val, "hardtanh", "min_val"), check_number(max_val, "hardtanh", "max_val")
    if not min_val <= max_val:
        raise ArgumentError(f"hardtanh: min_val {min_val} is greater than max_val {max_val}")
    return Hardtanh(low=min_val, high=max_val)(require_floating(x, "hardtanh"))


def relu6(x: Tensor, inplace: bool = False) -> Tensor:
    """min(max(x, 0), 6).  Backward: gy where 0 < x < 6 or x is NaN (in PyTorch 0), else 0.

    Source:    Krizhevsky 2010, "Convolutional deep belief networks on CIFAR-10"
    """
    return Hardtanh(low=0.0, high=6.0)(require_floating(x, "relu6"))


def leaky_relu(x: Tensor, negative_slope: float = 0.01, inplace: bool = False) -> Tensor:
    """x where x > 0, else negative_slope · x.  Backward: gy where x > 0, else negative_slope · gy (also at 0).

    Source:    Maas, Hannun & Ng 2013
    """
    slope = check_number(negative_slope, "leaky_relu", "negative_slope")
    return LeakyRelu(slope=slope)(require_floating(x, "leaky_relu"))


def prelu(x: Tensor, weight: Tensor) -> Tensor:
    """Leaky ReLU whose slopes are learnt: x where x > 0, else weight · x.

    Backward:  gx as :func:`leaky_relu`; gweight_c = Σ gy · x over the elements of channel c with x ≤ 0
    Args:      weight: one slope, or one for each channel (dimension 1; a vector has a single channel)
    Raises:    ShapeError: as many slopes as there are neither channels nor one
    Source:    He et al. 2015, "Delving deep into rectifiers"
    """
    x, weight = require_floating(x, "prelu"), check_tensor(weight, "prelu", "weight")
    channels = x.shape[1] if x.ndim > 1 else 1
    if weight.ndim > 1 or weight.numel() not in (1, channels):
        raise ShapeError(
            f"prelu: weight of shape {weight.shape} does not fit x {x.shape}; it must hold 1 slope, or {channels}, "
            "one for each channel"
        )
    if weight.numel() != 1:
        weight = reshape(weight, channels, *(1,) * (x.ndim - 2))
    positive = x > 0
    return where(positive, x, weight * masked_fill(x, positive, 0.0))  # or ∞ · 0 would get into gweight


def hardsigmoid(x: Tensor, inplace: bool = False) -> Tensor:
    """relu6(x + 3) / 6, a sigmoid of straight lines."""
    return relu6(require_floating(x, "hardsigmoid") + 3.0) / 6.0


def hardswish(x: Tensor, inplace: bool = False) -> Tensor:
    """x · relu6(x + 3) / 6.

    Edges:     the gradient at NaN is NaN, in PyTorch gy; near the largest number y is x, where PyTorch's 6x / 6 is ∞
    Source:    Howard et al. 2019, "Searching for MobileNetV3"
    """
    return require_floating(x, "hardswish") * hardsigmoid(x)


def threshold(x: Tensor, threshold: float, value: float, inplace: bool = False) -> Tensor:
    """x where x > threshold, else `value`.  Backward: gy where x > threshold, else 0."""
    return masked_fill(x, check_tensor(x, "threshold", "x") <= threshold, value)


# ---------------------------------------------------------------------------------------------------------------------
# Exponential units


class Elu(_OfInput):
    """scale · (max(x, 0) + alpha · (e^(rate · min(x, 0)) − 1)): ELU, SELU and CELU are settings of it."""

    def __init__(self, *, alpha: float, scale: float = 1.0, rate: float = 1.0):
        self.alpha, self.scale, self.rate = alpha, scale, rate

    def forward(self, x: Any) -> Any:
        xp = array_module(x)
        return self.scale * (xp.maximum(x, 0) + self.alpha * xp.expm1(self.rate * xp.minimum(x, 0)))

    def backward(self, gy: Tensor) -> Tensor:
        (x,) = self.inputs
        slope = self.alpha * self.rate * exp(self.rate * clamp(x, max=0.0))
        return gy * (self.scale * masked_fill(slope, Tensor(x.data > 0), 1.0))


def elu(x: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """x where x > 0, else alpha · (eˣ − 1).  Backward: gy where x > 0, else gy · alpha · eˣ,
    NaN at NaN, where PyTorch takes a branch; :func:`selu` and :func:`celu` likewise.

    Source:    Clevert, Unterthiner & Hochreiter 2015
    """
    return Elu(alpha=check_number(alpha, "elu", "alpha"))(require_floating(x, "elu"))


def selu(x: Tensor, inplace: bool = False) -> Tensor:
    """scale · elu(x, alpha), with the constants that make mean 0 and variance 1 a fixed point from layer to layer.

    Source:    Klambauer et al. 2017, "Self-normalizing neural networks"
    """
    return Elu(alpha=1.6732632423543772, scale=1.0507009873554805)(require_floating(x, "selu"))


def celu(x: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """max(x, 0) + min(0, alpha · (e^(x/alpha) − 1)), whose slope at 0 is 1 for any alpha.

    Source:    Barron 2017, "Continuously differentiable exponential linear units"
    """
    alpha = check_number(alpha, "celu", "alpha")
    if not alpha > 0:
        raise ArgumentError(f"celu: alpha must be positive, got {alpha}")
    return Elu(alpha=alpha, rate=1 / alpha)(require_floating(x, "celu"))


# ---------------------------------------------------------------------------------------------------------------------
# Smooth


class Gelu(_Gated):
    """x · Φ(x), Φ the cumulative normal distribution, whose derivative is φ(x) = e^(−x²/2) / √(2π)."""

    def gate(self, x: Any) -> Any:
        return 0.5 * (1 + kernels.of(x).erf(x * math.sqrt(0.5)))

    def gate_derivative(self, x: Any, gate: Any) -> Any:
        return array_module(x).exp(-0.5 * x * x) * (1 / math.sqrt(2 * math.pi))

    def composite(self, x: Tensor) -> Tensor:
        return x * (0.5 * (1.0 + erf(x * math.sqrt(0.5))))


class GeluTanh(_Gated):
    """x · (1 + tanh u)/2, u = √(2/π) (x + 0.044715 x³)."""

    name = "gelu"
    _a, _b = math.sqrt(2 / math.pi), 0.044715

    def gate(self, x: Any) -> Any:
        return 0.5 * (1 + array_module(x).tanh(self._a * (x + self._b * x * x * x)))

    def gate_derivative(self, x: Any, gate: Any) -> Any:
        return 2 * gate * (1 - gate) * (self._a * (1 + 3 * self._b * x * x))  # (1 − tanh² u)/2 = 2 · gate · (1 − gate)

    def composite(self, x: Tensor) -> Tensor:
        return x * (0.5 * (1.0 + tanh(self._a * (x + self._b * x * x * x))))


class Silu(_Gated):
    def gate(self, x: Any) -> Any:
        return 1 / (1 + array_module(x).exp(-x))

    def gate_derivative(self, x: Any, gate: Any) -> Any:
        return gate * (1 - gate)

    def composite(self, x: Tensor) -> Tensor:
        return x * sigmoid(x)


class Mish(_Gated):
    """x · tanh(softplus(x)). The derivative of the gate is (1 − gate²) · sigmoid(x)."""

    def gate(self, x: Any) -> Any:
        return array_module(x).tanh(_softplus(x))

    def gate_derivative(self, x: Any, gate: Any) -> Any:
        return (1 - gate * gate) / (1 + array_module(x).exp(-x))

    def composite(self, x: Tensor) -> Tensor:
        return x * tanh(softplus(x))


class Softplus(_OfInput):
    def __init__(self, *, beta: float, threshold: float):
        self.beta, self.threshold = beta, threshold

    def forward(self, x: Any) -> Any:
        scaled = self.beta * x
        return array_module(x).where(scaled > self.threshold, x, _softplus(scaled) / self.beta)

    def backward(self, gy: Tensor) -> Tensor:
        scaled = self.beta * self.inputs[0]
        return gy * masked_fill(sigmoid(scaled), Tensor(scaled.data > self.threshold), 1.0)


class LogSigmoid(_OfInput):
    name = "logsigmoid"

    def forward(self, x: Any) -> Any:
        return -_softplus(-x)

    def backward(self, gy: Tensor) -> Tensor:
        return gy * sigmoid(-self.inputs[0])


def _softplus(x: Any) -> Any:
    """log(1 + eˣ), which overflows nowhere."""
    xp = array_module(x)
    return xp.maximum(x, 0) + xp.log1p(xp.exp(-xp.absolute(x)))


def gelu(x: Tensor, approximate: str = "none") -> Tensor:
    """x · Φ(x), the input weighted by the probability that a standard normal number is smaller.

    Math:      Φ(x) = (1 + erf(x/√2))/2;  "tanh": Φ(x) ≈ (1 + tanh(√(2/π) (x + 0.044715 x³)))/2
    Backward:  gx = gy · (Φ(x) + x · Φ'(x)), Φ'(x) = e^(−x²/2)/√(2π)
    Args:      approximate: "none" or "tanh"
    Source:    Hendrycks & Gimpel 2016
    """
    x = require_floating(x, "gelu")
    if approximate not in ("none", "tanh"):
        raise ArgumentError(f"gelu: approximate must be 'none' or 'tanh', got {approximate!r}")
    return Gelu()(x) if approximate == "none" else GeluTanh()(x)


def silu(x: Tensor, inplace: bool = False) -> Tensor:
    """x · σ(x), σ the sigmoid, also called swish.  Backward: gy · (σ + x σ (1 − σ)).

    Source:    Elfwing, Uchibe & Doya 2017; Ramachandran, Zoph & Le 2017
    """
    return Silu()(require_floating(x, "silu"))


def mish(x: Tensor, inplace: bool = False) -> Tensor:
    """x · t, t = tanh(softplus(x)).  Backward: gy · (t + x (1 − t²) σ(x)).

    Source:    Misra 2019
    """
    return Mish()(require_floating(x, "mish"))


def softplus(x: Tensor, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    """A smooth ReLU: log(1 + e^(beta · x)) / beta, and x itself where beta · x > threshold.

    Backward:  gy · σ(beta · x), gy beyond the threshold
    Source:    Dugas et al. 2001
    """
    beta, threshold = check_number(beta, "softplus", "beta"), check_number(threshold, "softplus", "threshold")
    if not beta > 0:
        raise ArgumentError(f"softplus: beta must be positive, got {beta}")
    return Softplus(beta=beta, threshold=threshold)(require_floating(x, "softplus"))


def logsigmoid(x: Tensor) -> Tensor:
    """log σ(x) = −softplus(−x), without overflow.  Backward: gy · σ(−x)."""
    return LogSigmoid()(require_floating(x, "logsigmoid"))


def softsign(x: Tensor) -> Tensor:
    """x / (1 + |x|)."""
    return x / (1.0 + abs(require_floating(x, "softsign")))
