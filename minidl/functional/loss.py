"""Losses of classification: scores of C classes against a label for each element."""

from __future__ import annotations

import math
from typing import Any

from .. import kernels
from ..autograd import FusedFunction, Tensor
from ..backend import array_module
from ..errors import ArgumentError, ShapeError
from ._loss_inputs import class_labels, class_weights, pair, scores
from ._shared import apply_reduction, check_number
from .creation import ones_like
from .elementwise import relu
from .indexing import Gather
from .selection import masked_fill
from .shape import Reshape
from .softmax import log_softmax


class SoftmaxCrossEntropy(FusedFunction):
    """The cross-entropy of each element with its label, softmax included; or their mean. See :func:`cross_entropy`."""

    saves_inputs = (0,)
    saves_outputs = ()

    def __init__(self, *, dim: int, labels: Any, mean: bool):
        self.dim, self.labels, self.mean = dim, labels, mean

    def forward(self, x: Any) -> Any:
        losses, *rest = kernels.of(x).softmax_cross_entropy(x, self.labels, self.dim)
        self.save(*rest)
        if not self.mean:
            return losses
        return losses.sum() * (1 / losses.size if losses.size else math.nan)

    def backward_array(self, gy: Any) -> Any:
        e, total = self.saved
        gy = gy / max(self.labels.size, 1) if self.mean else gy
        return kernels.of(e).softmax_cross_entropy_backward(gy, e, total, self.labels, self.dim)

    def composite(self, x: Tensor) -> Tensor:
        losses = -_pick(log_softmax(x, self.dim), self.dim, self.labels)
        return losses.mean() if self.mean else losses


def _pick(x: Tensor, dim: int, labels: Any) -> Tensor:
    """The score of each element's labelled class."""
    index = Tensor(array_module(labels).expand_dims(labels, dim))
    return Reshape(shape=labels.shape)(Gather(dim=dim)(x, index))


def reduce_over_counted(
    losses: Tensor, labels: Any, ignored: Any | None, weight: Tensor | None, reduction: str, op: str
) -> Tensor:
    """0 where ignored; the mean is taken over the rest, and by class weights where there are any."""
    if ignored is not None:
        losses = masked_fill(losses, Tensor(ignored), 0.0)
    if reduction != "mean" or (ignored is None and weight is None):
        return apply_reduction(losses, reduction, op)
    shares = ones_like(losses) if weight is None else weight[Tensor(labels)]
    counted = shares if ignored is None else masked_fill(shares, Tensor(ignored), 0.0)
    return losses.sum() / counted.sum()


def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """The negative log-likelihood of the labels under the softmax of the scores.

    Math:      p = softmax(x);  loss_i = −log p[i, t_i] = log Σ_c e^(x[i,c]) − x[i, t_i]
               with weights w and smoothing ε: loss_i = −(1 − ε) w[t_i] log p[i, t_i] − ε/C Σ_c w[c] log p[i, c]
               with probabilities q as target: loss_i = −Σ_c w[c] q'[i, c] log p[i, c], q' = (1 − ε) q + ε/C
    Backward:  ∂/∂x_c log Σ e^x = p_c and ∂/∂x_c x_t = [c = t], so ∂loss_i/∂x = p − y, y the one-hot label;
               for the mean over n elements gx = (p − y)/n
    Args:      input: scores (logits) (N, C), (N, C, d1, ...) or (C,). target: class indices (N,), (N, d1, ...) or (),
               or probabilities of input's shape. weight: one for each class. ignore_index: a label that counts for
               nothing. reduction: "mean", "sum" or "none"
    Returns:   a scalar; for "none" input's shape without C. The mean over class indices is Σ loss_i / Σ w[t_i], without
               the ignored ones; if nothing is left, nan with gradient 0. The mean over probabilities is Σ loss_i / n
    Raises:    OutOfRangeError: "cross_entropy: target holds the label 4 but there are 4 classes …".
               DtypeError, ShapeError: target is neither class indices nor probabilities.
               GradientError: weight requires a gradient
    Source:    Bridle 1990; smoothing: Szegedy et al. 2016, "Rethinking the Inception architecture", section 7
    """
    input, dim = scores(input, "cross_entropy")
    class_weight = class_weights(input, dim, weight, "cross_entropy")
    if not 0 <= check_number(label_smoothing, "cross_entropy", "label_smoothing") <= 1:
        raise ArgumentError(f"cross_entropy: label_smoothing must lie between 0 and 1, got {label_smoothing}")
    classes = input.shape[dim]
    if isinstance(target, Tensor) and target.is_floating_point() and target.ndim == input.ndim:
        input, target = pair(input, target, "cross_entropy")
        if ignore_index >= 0:
            raise ArgumentError(f"cross_entropy: ignore_index {ignore_index} has no meaning for probabilities; drop it")
        target = (1 - label_smoothing) * target + label_smoothing / classes
        losses = -(target * _log_probabilities(input, dim, class_weight)).sum(dim)
        return apply_reduction(losses, reduction, "cross_entropy")
    labels, ignored = class_labels(input, dim, target, "cross_entropy", ignore_index)
    plain_mean = reduction == "mean" and ignored is None and class_weight is None and not label_smoothing
    losses = SoftmaxCrossEntropy(dim=dim, labels=labels, mean=plain_mean)(input)
    if plain_mean:
        return losses
    if class_weight is not None:
        losses = losses * class_weight[Tensor(labels)]
    if label_smoothing:
        smooth = -_log_probabilities(input, dim, class_weight).sum(dim)
        losses = (1 - label_smoothing) * losses + (label_smoothing / classes) * smooth
    return reduce_over_counted(losses, labels, ignored, class_weight, reduction, "cross_entropy")


def _log_probabilities(input: Tensor, dim: int, class_weight: Tensor | None) -> Tensor:
    """log softmax of the scores, times the class weights."""
    log_p = log_softmax(input, dim)
    if class_weight is None:
        return log_p
    return log_p * class_weight.reshape(-1, *(1,) * (input.ndim - 1 - dim))


def nll_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Tensor:
    """The negative log-likelihood of the labels: ``nll_loss(log_softmax(x, 1), t)`` is ``cross_entropy(x, t)``.

    Math:      loss_i = −w[t_i] · x[i, t_i]
    Backward:  gx[i, t_i] = −w[t_i] · gy_i, 0 elsewhere
    Args:      input: log-probabilities; the rest, what is returned and what is raised as in :func:`cross_entropy`
    """
    input, dim = scores(input, "nll_loss")
    class_weight = class_weights(input, dim, weight, "nll_loss")
    labels, ignored = class_labels(input, dim, target, "nll_loss", ignore_index)
    losses = -_pick(input, dim, labels)
    if class_weight is not None:
        losses = losses * class_weight[Tensor(labels)]
    return reduce_over_counted(losses, labels, ignored, class_weight, reduction, "nll_loss")


def multi_margin_loss(
    input: Tensor,
    target: Tensor,
    p: int = 1,
    margin: float = 1.0,
    weight: Tensor | None = None,
    *,
    reduction: str = "mean",
) -> Tensor:
    """The hinge loss of several classes: the labelled class must score higher than each other one by `margin`.

    Math:      loss_i = Σ_{c ≠ t_i} w[t_i] · max(0, margin − x[i, t_i] + x[i, c])^p / C
    Args:      input: (N, C) or (C,). target: class indices (N,) or (). p: 1 or 2. weight: one for each class
    Returns:   a scalar, or (N,) for "none"; the mean is over N, whatever the weights
    Edges:     a score that is NaN makes the loss NaN; in PyTorch max(0, NaN) is 0
    Source:    Crammer & Singer 2001
    """
    input, dim = scores(input, "multi_margin_loss")
    if input.ndim > 2:
        raise ShapeError(f"multi_margin_loss: input must have shape (N, C) or (C,), got {input.shape}")
    if p not in (1, 2):
        raise ArgumentError(f"multi_margin_loss: p must be 1 or 2, got {p}")
    class_weight = class_weights(input, dim, weight, "multi_margin_loss")
    labels, _ = class_labels(input, dim, target, "multi_margin_loss")
    xp = array_module(labels)
    labelled = xp.arange(input.shape[dim]) == xp.expand_dims(labels, dim)
    violations = relu(margin - _pick(input, dim, labels).unsqueeze(dim) + input)
    losses = masked_fill(violations**p, Tensor(labelled), 0.0).sum(dim) / float(input.shape[dim])
    if class_weight is not None:
        losses = losses * class_weight[Tensor(labels)]
    return apply_reduction(losses, reduction, "multi_margin_loss")
