"""Fully connected layers."""

from __future__ import annotations

from typing import Any

from .. import functional as F
from ..autograd import Tensor
from ..functional._shared import ntuple
from ._default_init import draw_parameters
from .module import Module
from .parameter import Parameter


class Linear(Module):
    """y = x wᵀ + b. See :func:`minidl.functional.linear`.

    Args:      in_features, out_features: lengths of the last dimension, before and after. bias: whether there is a b
    Attributes: weight: (out_features, in_features). bias: (out_features,) or None
    """

    weight: Parameter
    bias: Parameter | None

    def __init__(self, in_features: int, out_features: int, bias: bool = True, device: Any = None, dtype: Any = None):
        super().__init__()
        (self.in_features,) = ntuple(in_features, 1, "Linear", "in_features", minimum=0)
        (self.out_features,) = ntuple(out_features, 1, "Linear", "out_features", minimum=0)
        self.weight = Parameter(F.empty(out_features, in_features, dtype=dtype, device=device))
        self.register_parameter("bias", Parameter(F.empty(out_features, dtype=dtype, device=device)) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw weight and bias anew: see :func:`minidl.nn._default_init.draw_parameters`."""
        draw_parameters(self.weight, self.bias, fan_in=self.in_features)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight, self.bias)

    def extra_repr(self) -> str:
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"


class Bilinear(Module):
    """y_o = x1ᵀ w_o x2 + b_o. See :func:`minidl.functional.bilinear`.

    Attributes: weight: (out_features, in1_features, in2_features). bias: (out_features,) or None
    """

    weight: Parameter
    bias: Parameter | None

    def __init__(
        self,
        in1_features: int,
        in2_features: int,
        out_features: int,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ):
        super().__init__()
        (self.in1_features,) = ntuple(in1_features, 1, "Bilinear", "in1_features")
        (self.in2_features,) = ntuple(in2_features, 1, "Bilinear", "in2_features")
        (self.out_features,) = ntuple(out_features, 1, "Bilinear", "out_features")
        self.weight = Parameter(F.empty(out_features, in1_features, in2_features, dtype=dtype, device=device))
        self.register_parameter("bias", Parameter(F.empty(out_features, dtype=dtype, device=device)) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw weight and bias anew: see :func:`minidl.nn._default_init.draw_parameters`."""
        draw_parameters(self.weight, self.bias, fan_in=self.in1_features)

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        return F.bilinear(x1, x2, self.weight, self.bias)

    def extra_repr(self) -> str:
        return (
            f"in1_features={self.in1_features}, in2_features={self.in2_features}, out_features={self.out_features}, "
            f"bias={self.bias is not None}"
        )
