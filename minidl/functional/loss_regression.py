"""Losses of regression: two tensors of the same shape, element against element."""

from __future__ import annotations

from ..autograd import Tensor
from ..errors import ArgumentError
from ._loss_inputs import pair
from ._shared import apply_reduction, check_number
from .elementwise import abs, exp, log
from .selection import masked_fill, where


def mse_loss(input: Tensor, target: Tensor, *, reduction: str = "mean") -> Tensor:
    """The squared error (x − t)².  Backward: gx = 2 (x − t) gy, gt = −gx.

    Args:      input, target: float, of the same shape. reduction: "mean", "sum" or "none"
    Raises:    ShapeError: different shapes. PyTorch would broadcast them, with a warning
    """
    input, target = pair(input, target, "mse_loss")
    return apply_reduction((input - target) ** 2, reduction, "mse_loss")


def l1_loss(input: Tensor, target: Tensor, *, reduction: str = "mean") -> Tensor:
    """The absolute error |x − t|.  Backward: gx = sign(x − t) gy, gt = −gx.

    Args:      as :func:`mse_loss`
    """
    input, target = pair(input, target, "l1_loss")
    return apply_reduction(abs(input - target), reduction, "l1_loss")


def smooth_l1_loss(input: Tensor, target: Tensor, *, reduction: str = "mean", beta: float = 1.0) -> Tensor:
    """The absolute error, rounded off near 0 so that its derivative has no jump.

    Math:      d = |x − t|;  loss = d²/(2 beta) if d < beta, else d − beta/2
    Args:      beta: where it changes over; 0 gives :func:`l1_loss`
    Source:    Girshick 2015, "Fast R-CNN", eq. 3
    """
    input, target = pair(input, target, "smooth_l1_loss")
    if not check_number(beta, "smooth_l1_loss", "beta") >= 0:
        raise ArgumentError(f"smooth_l1_loss: beta must not be negative, got {beta}")
    d = abs(input - target)
    losses = where(d < beta, d * d * (0.5 / beta), d - 0.5 * beta) if beta else d
    return apply_reduction(losses, reduction, "smooth_l1_loss")


def huber_loss(input: Tensor, target: Tensor, reduction: str = "mean", delta: float = 1.0) -> Tensor:
    """Squared error near 0, absolute error beyond: delta times :func:`smooth_l1_loss` with beta = delta.

    Math:      d = |x − t|;  loss = d²/2 if d < delta, else delta · (d − delta/2)
    Source:    Huber 1964
    """
    input, target = pair(input, target, "huber_loss")
    if not check_number(delta, "huber_loss", "delta") > 0:
        raise ArgumentError(f"huber_loss: delta must be positive, got {delta}")
    d = abs(input - target)
    losses = where(d < delta, 0.5 * d * d, delta * (d - 0.5 * delta))
    return apply_reduction(losses, reduction, "huber_loss")


def kl_div(input: Tensor, target: Tensor, *, reduction: str = "mean", log_target: bool = False) -> Tensor:
    """The Kullback-Leibler divergence of `target` from `input`, element by element.

    Math:      loss = t (log t − x), 0 · log 0 = 0;  log_target: loss = eᵗ (t − x)
    Edges:     at t = 0 the target's gradient is −gy · x, in PyTorch NaN
    Args:      input: LOG-probabilities. target: probabilities, or their logarithms if log_target.
               reduction: "batchmean" divides the sum by the number of samples, which gives the divergence; "mean"
               divides it by the number of elements, as in PyTorch
    Source:    Kullback & Leibler 1951
    """
    input, target = pair(input, target, "kl_div")
    if log_target:
        losses = exp(target) * (target - input)
    else:
        losses = target * (log(masked_fill(target, target == 0, 1.0)) - input)
    if reduction == "batchmean":
        return losses.sum() / float(len(input) if input.ndim else 1)
    return apply_reduction(losses, reduction, "kl_div")
