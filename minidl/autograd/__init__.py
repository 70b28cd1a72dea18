"""Reverse-mode automatic differentiation: tensors, functions, and the backward engine."""

from typing import TYPE_CHECKING as _TYPE_CHECKING
from typing import Any as _Any

from .engine import grad
from .function import Alias, Function, FusedFunction
from .grad_mode import enable_grad, is_grad_enabled, no_grad, set_grad_enabled
from .gradcheck import gradcheck, gradgradcheck
from .tensor import RemovableHandle, Tensor, as_tensor, check_tensor

if _TYPE_CHECKING:
    from .profiler import profile

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
    "profile",
    "set_grad_enabled",
]


def __getattr__(name: str) -> _Any:
    """The profiler is loaded when it is first asked for."""
    if name == "profile":
        from .profiler import profile

        return profile
    raise AttributeError(f"module 'minidl.autograd' has no attribute {name!r}")
