"""Reverse-mode automatic differentiation: tensors, functions, and the backward engine."""

from importlib import import_module as _import_module
from typing import TYPE_CHECKING as _TYPE_CHECKING
from typing import Any as _Any

from .engine import grad
from .function import Alias, Function, FusedFunction
from .grad_mode import enable_grad, is_grad_enabled, no_grad, set_grad_enabled
from .gradcheck import gradcheck, gradgradcheck
from .tensor import RemovableHandle, Tensor, as_tensor, check_tensor

if _TYPE_CHECKING:
    from .anomaly import Anomaly, detect_anomaly
    from .explanation import Explanation, explain
    from .profiler import profile

__all__ = [
    "Alias",
    "Anomaly",
    "Explanation",
    "Function",
    "FusedFunction",
    "RemovableHandle",
    "Tensor",
    "as_tensor",
    "check_tensor",
    "detect_anomaly",
    "enable_grad",
    "explain",
    "grad",
    "gradcheck",
    "gradgradcheck",
    "is_grad_enabled",
    "no_grad",
    "profile",
    "set_grad_enabled",
]


_LATER = {
    "Anomaly": "anomaly",
    "Explanation": "explanation",
    "detect_anomaly": "anomaly",
    "explain": "explanation",
    "profile": "profiler",
}


def __getattr__(name: str) -> _Any:
    """What looks at a computation from outside is loaded when it is first asked for."""
    if name in _LATER:
        return getattr(_import_module(f"{__name__}.{_LATER[name]}"), name)
    raise AttributeError(f"module 'minidl.autograd' has no attribute {name!r}")
