"""The updates of the optimizers, in place: one kernel each, which reads and writes every array once.

They compute in S, which is single precision for parameters in half or single precision, else double.
"""

from __future__ import annotations

from math import sqrt
from typing import Any

import numpy as np

from ._compile import elementwise

_PRECISIONS = {"float32": "float", "float64": "double"}
_GRADIENT = "S p = data, g = (maximize ? -(S)grad : (S)grad) + weight_decay * p;"


def _kernels(factors: str, flags: str, out_params: str, operation: str, name: str) -> dict[str, Any]:
    """The kernel for each precision S: of `grad`, factors (numbers of type S) and flags (bool)."""
    return {
        precision: elementwise(
            ", ".join(["T grad", *(f"{precision} {factor}" for factor in factors.split())])
            + "".join(f", bool {flag}" for flag in flags.split()),
            out_params,
            f"typedef {c_type} S; {operation}",
            f"{name}_{precision}",
        )
        for precision, c_type in _PRECISIONS.items()
    }


_sgd = _kernels("lr weight_decay", "maximize", "T data", f"{_GRADIENT} data = p - lr * g;", "sgd")

_sgd_momentum = _kernels(
    "lr momentum fresh weight_decay",
    "nesterov maximize first",
    "T data, T buffer",
    f"""
    {_GRADIENT}
    S b = first ? g : momentum * (S)buffer + fresh * g;
    buffer = b;
    data = p - lr * (nesterov ? g + momentum * b : b);
    """,
    "sgd_momentum",
)

_ADAM_FACTORS = "shrink weight_decay beta1 fresh1 beta2 fresh2 lr root eps"
_MOMENTS = """
    S p = shrink * (S)data, g = (maximize ? -(S)grad : (S)grad) + weight_decay * p;
    S m = beta1 * (S)mean + fresh1 * g, v = beta2 * (S)square + fresh2 * g * g;
    mean = m;
    square = v;
    """

_adam = _kernels(
    _ADAM_FACTORS,
    "maximize",
    "T data, T mean, T square",
    f"{_MOMENTS} data = p - lr * m / (sqrt(v) / root + eps);",
    "adam",
)

_amsgrad = _kernels(
    _ADAM_FACTORS,
    "maximize",
    "T data, T mean, T square, T largest",
    f"""
    {_MOMENTS}
    S most = largest;
    if (v > most || v != v)
        most = v;
    largest = most;
    data = p - lr * m / (sqrt(most) / root + eps);
    """,
    "amsgrad",
)

_CENTER = "S a = alpha * (S)mean + fresh * g; mean = a; s -= a * a; s = s < 0 ? (S)0 : s;"
_WITH_MOMENTUM = "d += momentum * (S)buffer; buffer = d;"

_rmsprop = {
    (centered, momentum): _kernels(
        "lr alpha fresh eps weight_decay" + " momentum" * momentum,
        "maximize",
        "T data, T square" + ", T mean" * centered + ", T buffer" * momentum,
        f"""
        {_GRADIENT}
        S s = alpha * (S)square + fresh * g * g;
        square = s;
        {_CENTER * centered}
        S d = g / (sqrt(s) + eps);
        {_WITH_MOMENTUM * momentum}
        data = p - lr * d;
        """,
        "rmsprop" + "_centered" * centered + "_momentum" * momentum,
    )
    for centered in (False, True)
    for momentum in (False, True)
}

_adagrad = _kernels(
    "lr eps weight_decay",
    "maximize",
    "T data, T total",
    f"{_GRADIENT} S s = (S)total + g * g; total = s; data = p - lr * g / (sqrt(s) + eps);",
    "adagrad",
)


def sgd_update(data, grad, buffer, lr, momentum, dampening, weight_decay, nesterov, maximize, first):
    """One step of SGD; buffer is None without momentum, and filled at the first step."""
    if buffer is None:
        _sgd[_precision(data)](grad, lr, weight_decay, maximize, data)
    else:
        factors = lr, momentum, 1 - dampening, weight_decay
        _sgd_momentum[_precision(data)](grad, *factors, nesterov, maximize, first, data, buffer)


def adam_update(data, grad, mean, square, largest, step, lr, beta1, beta2, eps, weight_decay, decoupled, maximize):
    """Step number `step` of Adam; largest is None without amsgrad; decoupled: AdamW."""
    shrink, decay = (1 - lr * weight_decay, 0.0) if decoupled else (1.0, weight_decay)
    factors = shrink, decay, beta1, 1 - beta1, beta2, 1 - beta2, lr / (1 - beta1**step), sqrt(1 - beta2**step), eps
    if largest is None:
        _adam[_precision(data)](grad, *factors, maximize, data, mean, square)
    else:
        _amsgrad[_precision(data)](grad, *factors, maximize, data, mean, square, largest)


def rmsprop_update(data, grad, square, mean, buffer, lr, alpha, eps, weight_decay, momentum, maximize):
    """One step of RMSprop; mean is None unless centered, buffer without momentum."""
    update = _rmsprop[mean is not None, buffer is not None][_precision(data)]
    memory = [array for array in (square, mean, buffer) if array is not None]
    factors = [lr, alpha, 1 - alpha, eps, weight_decay] + [momentum] * (buffer is not None)
    update(grad, *factors, maximize, data, *memory)


def adagrad_update(data, grad, total, lr, eps, weight_decay, maximize):
    """One step of Adagrad at the rate that holds now."""
    _adagrad[_precision(data)](grad, lr, eps, weight_decay, maximize, data, total)


def _precision(data: Any) -> str:
    """The type S to compute in."""
    return "float64" if data.dtype == np.float64 else "float32"
