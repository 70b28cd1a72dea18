"""Adagrad."""

from __future__ import annotations

from typing import Any

from .. import kernels
from .optimizer import Optimizer, Parameters, zeros_in_state


class Adagrad(Optimizer):
    """The gradient over the root of the sum of all squared gradients so far: rare features take larger steps.

    Math:      g ← ±grad + weight_decay · p    (minus if maximize)
               s ← s + g²                      (s = initial_accumulator_value at first)
               p ← p − lr / (1 + (t − 1) lr_decay) · g / (√s + eps)
    Args:      params, lr, lr_decay, weight_decay, initial_accumulator_value, eps, maximize: as in the formula
    Raises:    ArgumentError: a negative setting
    Source:    Duchi, Hazan & Singer 2011, figure 1 with diagonal matrices; lr_decay and eps as in PyTorch
    """

    def __init__(
        self,
        params: Parameters,
        lr: float = 1e-2,
        lr_decay: float = 0.0,
        weight_decay: float = 0.0,
        initial_accumulator_value: float = 0.0,
        eps: float = 1e-10,
        *,
        maximize: bool = False,
    ):
        defaults: dict[str, Any] = dict(
            lr=lr,
            lr_decay=lr_decay,
            weight_decay=weight_decay,
            initial_accumulator_value=initial_accumulator_value,
            eps=eps,
            maximize=maximize,
        )
        super().__init__(params, defaults)

    def _check_settings(self, group: dict[str, Any]) -> None:
        self._check_not_negative(group, "lr", "lr_decay", "weight_decay", "eps", "initial_accumulator_value")

    def _update(self, data: Any, grad: Any, state: dict[str, Any], group: dict[str, Any]) -> None:
        step = state["step"] = state.get("step", 0) + 1
        kernels.of(data).adagrad_update(
            data,
            grad,
            zeros_in_state(state, "sum", data, float(group["initial_accumulator_value"])),
            float(group["lr"]) / (1 + (step - 1) * float(group["lr_decay"])),
            float(group["eps"]),
            float(group["weight_decay"]),
            bool(group["maximize"]),
        )
