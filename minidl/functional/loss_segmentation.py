"""Losses of label maps that weigh rare classes up: the focal loss and the Dice loss of several classes."""

from __future__ import annotations

from typing import Any

from ..autograd import Tensor
from ..backend import array_module
from ..errors import ArgumentError, ShapeError
from ._loss_inputs import class_labels, class_weights, scores
from ._shared import apply_reduction, check_number
from .elementwise import expm1
from .loss import SoftmaxCrossEntropy, reduce_over_counted
from .selection import masked_fill
from .softmax import softmax


def softmax_focal_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    gamma: float = 2.0,
    *,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Tensor:
    """Cross-entropy that all but ignores what is already classified well: :func:`sigmoid_focal_loss` for C classes.

    Math:      q_i = softmax(x_i)[t_i];  loss_i = −w[t_i] (1 − q_i)^γ log q_i
    Backward:  with ℓ = −log q, so that 1 − q = 1 − e^(−ℓ): dloss/dℓ = w ((1 − q)^γ + γ ℓ q (1 − q)^(γ−1)), times
               that of the cross-entropy, softmax(x) − y with y the one-hot label
    Args:      input: scores (logits) (N, C), (N, C, d1, ...) or (C,). target: class indices (N,), (N, d1, ...) or ().
               weight: one for each class. gamma: 0 leaves the cross-entropy as it is. ignore_index: a label that counts
               for nothing. reduction: "mean", "sum" or "none"
    Returns:   a scalar; for "none" input's shape without C. The mean is Σ loss_i / Σ w[t_i], as in cross_entropy
    Raises:    ArgumentError: a negative gamma; otherwise as cross_entropy
    Source:    Lin et al. 2017, "Focal loss for dense object detection", section 3.2, with softmax for sigmoid
    """
    op = "softmax_focal_loss"
    if not check_number(gamma, op, "gamma") >= 0:
        raise ArgumentError(f"{op}: gamma must not be negative, got {gamma}; 0 is the cross-entropy")
    input, dim = scores(input, op)
    class_weight = class_weights(input, dim, weight, op)
    labels, ignored = class_labels(input, dim, target, op, ignore_index)
    losses = SoftmaxCrossEntropy(dim=dim, labels=labels, mean=False)(input)
    if gamma:
        losses = losses * (-expm1(-losses)) ** gamma
    if class_weight is not None:
        losses = losses * class_weight[Tensor(labels)]
    return reduce_over_counted(losses, labels, ignored, class_weight, reduction, op)


def softmax_dice_loss(
    input: Tensor,
    target: Tensor,
    smooth: float = 1.0,
    *,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Tensor:
    """One minus the mean Dice coefficient of the classes: every class counts the same, however few its pixels.

    Math:      p = softmax(x), y the one-hot label, both 0 where ignored; the sums over the positions i of sample n:
               loss_n = 1 − 1/C Σ_c (2 Σ_i p[n,c,i] y[n,c,i] + smooth) / (Σ_i p[n,c,i] + Σ_i y[n,c,i] + smooth)
    Args:      input: scores (logits) (N, C, d1, ...). target: class indices (N, d1, ...). smooth: makes a class that is
               neither there nor predicted a perfect match. ignore_index: a label that counts for nothing.
               reduction: "mean", "sum" or "none"
    Returns:   a scalar, or (N,) for "none"
    Raises:    ShapeError: input without positions. Otherwise as cross_entropy
    Source:    Milletari, Navab & Ahmadi 2016, "V-Net", section 3, with plain sums in the denominator, for each class
               by itself and averaged; for one class of two see :func:`dice_loss`
    """
    op = "softmax_dice_loss"
    check_number(smooth, op, "smooth")
    input, dim = scores(input, op)
    if input.ndim < 3:
        raise ShapeError(f"{op}: input must have shape (N, C, d1, ...), a score map for each class, got {input.shape}")
    labels, ignored = class_labels(input, dim, target, op, ignore_index)
    p = softmax(input, dim)
    y = _one_hot(labels, input)
    if ignored is not None:
        nowhere = Tensor(array_module(ignored).expand_dims(ignored, dim))
        p, y = masked_fill(p, nowhere, 0.0), masked_fill(y, nowhere, 0.0)
    p, y = p.flatten(2), y.flatten(2)
    dice = (2.0 * (p * y).sum(2) + smooth) / (p.sum(2) + y.sum(2) + smooth)
    return apply_reduction(1.0 - dice.mean(1), reduction, op)


def _one_hot(labels: Any, like: Tensor) -> Tensor:
    """(N, C, d1, ...) of 0 and 1 in the dtype of `like`, which has that shape."""
    xp = array_module(labels)
    classes = xp.arange(like.shape[1]).reshape(-1, *(1,) * (like.ndim - 2))
    return Tensor((xp.expand_dims(labels, 1) == classes).astype(like.dtype))
