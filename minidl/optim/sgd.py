"""Stochastic gradient descent, with momentum."""

from __future__ import annotations

from typing import Any

from .. import kernels
from ..errors import ArgumentError
from .optimizer import Optimizer, Parameters, zeros_in_state


class SGD(Optimizer):
    """Stochastic gradient descent.

    Math:      g ← ±grad + weight_decay · p            (minus if maximize)
               b ← momentum · b + (1 − dampening) · g  (b = g at the first step)
               g ← g + momentum · b if nesterov, else b
               p ← p − lr · g
    Args:      params, lr, momentum, dampening, weight_decay, nesterov, maximize: as in the formula
    Raises:    ArgumentError: a negative lr, momentum or weight_decay; nesterov without momentum or with dampening
    Source:    Polyak 1964 (momentum); Sutskever et al. 2013 (nesterov), where lr multiplies the gradient before it
               enters b: here, as in PyTorch, afterwards
    """

    def __init__(
        self,
        params: Parameters,
        lr: float = 1e-3,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
    ):
        defaults = dict(
            lr=lr,
            momentum=momentum,
            dampening=dampening,
            weight_decay=weight_decay,
            nesterov=nesterov,
            maximize=maximize,
        )
        super().__init__(params, defaults)

    def _check_settings(self, group: dict[str, Any]) -> None:
        self._check_not_negative(group, "lr", "momentum", "weight_decay")
        if group["nesterov"] and not (group["momentum"] > 0 and group["dampening"] == 0):
            raise ArgumentError(
                f"SGD: nesterov needs momentum > 0 and dampening 0, got {group['momentum']} and {group['dampening']}"
            )

    def _update(self, data: Any, grad: Any, state: dict[str, Any], group: dict[str, Any]) -> None:
        momentum, first = float(group["momentum"]), "momentum_buffer" not in state
        kernels.of(data).sgd_update(
            data,
            grad,
            zeros_in_state(state, "momentum_buffer", data) if momentum else None,
            float(group["lr"]),
            momentum,
            float(group["dampening"]),
            float(group["weight_decay"]),
            bool(group["nesterov"]),
            bool(group["maximize"]),
            first,
        )
