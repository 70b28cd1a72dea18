"""Reverse-mode automatic differentiation: tensors, functions, and the backward engine."""

from .engine import grad
from .function import Alias, Function, FusedFunction
from .grad_mode import enable_grad, is_grad_enabled, no_grad, set_grad_enabled
from .gradcheck import gradcheck, gradgradcheck
from .tensor import RemovableHandle, Tensor, as_tensor, check_tensor

__all__ = [
    "Alias",
    "Function",
    "FusedFunction",
    "RemovableHandle",
    "Tensor",
    "as_tensor",
    "check_tensor",
    "enable_grad",
    "grad",
    "gradcheck",
    "gradgradcheck",
    "is_grad_enabled",
    "no_grad",
    "set_grad_enabled",
]
