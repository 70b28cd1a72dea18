"""Adam, and AdamW with decoupled weight decay."""

from __future__ import annotations

from numbers import Real
from typing import Any

from .. import kernels
from ..errors import ArgumentError
from .optimizer import Optimizer, Parameters, zeros_in_state


class Adam(Optimizer):
    """Steps of about lr in every coordinate: the mean gradient over the root of the mean squared gradient.

    Math:      g ← ±grad + weight_decay · p                          (minus if maximize)
               m ← β₁ m + (1 − β₁) g,   m̂ = m / (1 − β₁ᵗ)
               v ← β₂ v + (1 − β₂) g²,  v̂ = v / (1 − β₂ᵗ)           (v the largest so far if amsgrad)
               p ← p − lr · m̂ / (√v̂ + eps)
    Args:      params, lr, betas = (β₁, β₂), eps, weight_decay, amsgrad, maximize: as in the formula
    Raises:    ArgumentError: a negative lr, eps or weight_decay; a β outside [0, 1)
    Source:    Kingma & Ba 2015, algorithm 1; Reddi, Kale & Kumar 2018 (amsgrad; here, as in PyTorch, with the bias
               correction, which they leave out)
    """

    _decoupled = False

    def __init__(
        self,
        params: Parameters,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
    ):
        defaults: dict[str, Any] = dict(
            lr=lr,
            betas=betas,
            eps=eps,
            weight_decay=weight_decay,
            amsgrad=amsgrad,
            maximize=maximize,
        )
        super().__init__(params, defaults)

    def _check_settings(self, group: dict[str, Any]) -> None:
        self._check_not_negative(group, "lr", "eps", "weight_decay")
        betas = group["betas"]
        pair = isinstance(betas, tuple | list) and len(betas) == 2 and all(isinstance(beta, Real) for beta in betas)
        if not pair or not all(0 <= beta < 1 for beta in betas):
            raise ArgumentError(f"{self._name}: betas must be two numbers, each ≥ 0 and < 1, got {betas!r}")

    def _update(self, data: Any, grad: Any, state: dict[str, Any], group: dict[str, Any]) -> None:
        step = state["step"] = state.get("step", 0) + 1
        kernels.of(data).adam_update(
            data,
            grad,
            zeros_in_state(state, "exp_avg", data),
            zeros_in_state(state, "exp_avg_sq", data),
            zeros_in_state(state, "max_exp_avg_sq", data) if group["amsgrad"] else None,
            step,
            float(group["lr"]),
            *map(float, group["betas"]),
            float(group["eps"]),
            float(group["weight_decay"]),
            self._decoupled,
            bool(group["maximize"]),
        )


class AdamW(Adam):
    """Adam whose weight decay shrinks the parameters directly, past the division by √v̂.

    Math:      p ← (1 − lr · weight_decay) p, then as :class:`Adam` with weight_decay = 0
    Args:      as :class:`Adam`, but weight_decay is 0.01 unless said otherwise
    Source:    Loshchilov & Hutter 2019, algorithm 2
    """

    _decoupled = True

    def __init__(
        self,
        params: Parameters,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
    ):
        super().__init__(params, lr, betas, eps, weight_decay, amsgrad, maximize=maximize)
