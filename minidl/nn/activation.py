"""Activation layers: settings around the functions of :mod:`minidl.functional`, with PyTorch's arguments.

``inplace`` is accepted for PyTorch's sake and changes nothing: the result is a new tensor, and equal.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from .. import functional as F
from ..autograd import Tensor
from .module import Module
from .parameter import Parameter


class _Activation(Module):
    """Calls ``_function`` with the settings that ``_settings`` names."""

    _function: ClassVar[Callable[..., Tensor]]
    _settings: ClassVar[tuple[str, ...]] = ()

    def forward(self, x: Tensor) -> Tensor:
        return self._function(x, *[getattr(self, name) for name in self._settings])

    def extra_repr(self) -> str:
        shown = [f"{name}={getattr(self, name)!r}" for name in self._settings]
        return ", ".join(shown + ["inplace=True"] * getattr(self, "inplace", False))


class _Inplace(_Activation):
    def __init__(self, inplace: bool = False):
        super().__init__()
        self.inplace = inplace


class ReLU(_Inplace):
    """max(x, 0). See :func:`minidl.functional.relu`."""

    _function = staticmethod(F.relu)


class ReLU6(_Inplace):
    """min(max(x, 0), 6). See :func:`minidl.functional.relu6`."""

    _function = staticmethod(F.relu6)


class SELU(_Inplace):
    """The self-normalizing exponential unit. See :func:`minidl.functional.selu`."""

    _function = staticmethod(F.selu)


class SiLU(_Inplace):
    """x · sigmoid(x). See :func:`minidl.functional.silu`."""

    _function = staticmethod(F.silu)


class Mish(_Inplace):
    """x · tanh(softplus(x)). See :func:`minidl.functional.mish`."""

    _function = staticmethod(F.mish)


class Hardswish(_Inplace):
    """x · relu6(x + 3) / 6. See :func:`minidl.functional.hardswish`."""

    _function = staticmethod(F.hardswish)


class Hardsigmoid(_Inplace):
    """relu6(x + 3) / 6. See :func:`minidl.functional.hardsigmoid`."""

    _function = staticmethod(F.hardsigmoid)


class Sigmoid(_Activation):
    """1 / (1 + e⁻ˣ). See :func:`minidl.functional.sigmoid`."""

    _function = staticmethod(F.sigmoid)


class Tanh(_Activation):
    """The hyperbolic tangent. See :func:`minidl.functional.tanh`."""

    _function = staticmethod(F.tanh)


class LogSigmoid(_Activation):
    """log sigmoid(x). See :func:`minidl.functional.logsigmoid`."""

    _function = staticmethod(F.logsigmoid)


class Softsign(_Activation):
    """x / (1 + |x|). See :func:`minidl.functional.softsign`."""

    _function = staticmethod(F.softsign)


class LeakyReLU(_Activation):
    """x where x > 0, else negative_slope · x. See :func:`minidl.functional.leaky_relu`."""

    _function = staticmethod(F.leaky_relu)
    _settings = ("negative_slope",)

    def __init__(self, negative_slope: float = 0.01, inplace: bool = False):
        super().__init__()
        self.negative_slope, self.inplace = negative_slope, inplace


class ELU(_Activation):
    """The exponential linear unit. See :func:`minidl.functional.elu`."""

    _function = staticmethod(F.elu)
    _settings = ("alpha",)

    def __init__(self, alpha: float = 1.0, inplace: bool = False):
        super().__init__()
        self.alpha, self.inplace = alpha, inplace


class CELU(_Activation):
    """The continuously differentiable exponential unit. See :func:`minidl.functional.celu`."""

    _function = staticmethod(F.celu)
    _settings = ("alpha",)

    def __init__(self, alpha: float = 1.0, inplace: bool = False):
        super().__init__()
        self.alpha, self.inplace = alpha, inplace


class GELU(_Activation):
    """x · Φ(x). See :func:`minidl.functional.gelu`."""

    _function = staticmethod(F.gelu)
    _settings = ("approximate",)

    def __init__(self, approximate: str = "none"):
        super().__init__()
        self.approximate = approximate


class Hardtanh(_Activation):
    """x limited to [min_val, max_val]. See :func:`minidl.functional.hardtanh`."""

    _function = staticmethod(F.hardtanh)
    _settings = ("min_val", "max_val")

    def __init__(self, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False):
        super().__init__()
        self.min_val, self.max_val, self.inplace = min_val, max_val, inplace


class Softplus(_Activation):
    """log(1 + e^(beta · x)) / beta. See :func:`minidl.functional.softplus`."""

    _function = staticmethod(F.softplus)
    _settings = ("beta", "threshold")

    def __init__(self, beta: float = 1.0, threshold: float = 20.0):
        super().__init__()
        self.beta, self.threshold = beta, threshold


class Threshold(_Activation):
    """x where x > threshold, else `value`. See :func:`minidl.functional.threshold`."""

    _function = staticmethod(F.threshold)
    _settings = ("threshold", "value")

    def __init__(self, threshold: float, value: float, inplace: bool = False):
        super().__init__()
        self.threshold, self.value, self.inplace = threshold, value, inplace


class PReLU(Module):
    """Leaky ReLU with learnt slopes, which start at `init`. See :func:`minidl.functional.prelu`.

    Args:      num_parameters: 1, or the number of channels
    """

    weight: Parameter

    def __init__(self, num_parameters: int = 1, init: float = 0.25, device: Any = None, dtype: Any = None):
        super().__init__()
        self.num_parameters, self.init = num_parameters, init
        self.weight = Parameter(F.full((num_parameters,), float(init), dtype=dtype, device=device))

    def forward(self, x: Tensor) -> Tensor:
        return F.prelu(x, self.weight)

    def extra_repr(self) -> str:
        return f"num_parameters={self.num_parameters}"


class _AlongDim(_Activation):
    _settings = ("dim",)

    def __init__(self, dim: int | None = None):
        super().__init__()
        self.dim = dim


class Softmax(_AlongDim):
    """Probabilities along `dim`, which must be given. See :func:`minidl.functional.softmax`."""

    _function = staticmethod(F.softmax)


class LogSoftmax(_AlongDim):
    """Log-probabilities along `dim`, which must be given. See :func:`minidl.functional.log_softmax`."""

    _function = staticmethod(F.log_softmax)


class Softmin(_AlongDim):
    """softmax(−x) along `dim`, which must be given. See :func:`minidl.functional.softmin`."""

    _function = staticmethod(F.softmin)
