"""RMSprop."""

from __future__ import annotations

from typing import Any

from .. import kernels
from .optimizer import Optimizer, Parameters, zeros_in_state


class RMSprop(Optimizer):
    """The gradient over the root of its mean square.

    Math:      g ← ±grad + weight_decay · p                 (minus if maximize)
               s ← alpha · s + (1 − alpha) g²
               a ← alpha · a + (1 − alpha) g, if centered
               d = g / (√s + eps), or g / (√(s − a²) + eps) if centered
               b ← momentum · b + d;  p ← p − lr · b        (b = d without momentum)
    Args:      params, lr, alpha, eps, weight_decay, momentum, centered, maximize: as in the formula
    Raises:    ArgumentError: a negative setting
    Source:    Tieleman & Hinton 2012, lecture 6e; Graves 2013, eq. 38–45 (centered). Where rounding makes s − a²
               negative it is taken to be 0
    """

    def __init__(
        self,
        params: Parameters,
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum: float = 0.0,
        centered: bool = False,
        *,
        maximize: bool = False,
    ):
        defaults: dict[str, Any] = dict(
            lr=lr,
            alpha=alpha,
            eps=eps,
            weight_decay=weight_decay,
            momentum=momentum,
            centered=centered,
            maximize=maximize,
        )
        super().__init__(params, defaults)

    def _check_settings(self, group: dict[str, Any]) -> None:
        self._check_not_negative(group, "lr", "alpha", "eps", "weight_decay", "momentum")

    def _update(self, data: Any, grad: Any, state: dict[str, Any], group: dict[str, Any]) -> None:
        state["step"] = state.get("step", 0) + 1  # read by nobody here, but part of PyTorch's state
        momentum = float(group["momentum"])
        kernels.of(data).rmsprop_update(
            data,
            grad,
            zeros_in_state(state, "square_avg", data),
            zeros_in_state(state, "grad_avg", data) if group["centered"] else None,
            zeros_in_state(state, "momentum_buffer", data) if momentum else None,
            float(group["lr"]),
            float(group["alpha"]),
            float(group["eps"]),
            float(group["weight_decay"]),
            momentum,
            bool(group["maximize"]),
        )
