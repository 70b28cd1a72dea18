"""Losses of yes-or-no answers, each element for itself, and of the overlap of two masks."""

from __future__ import annotations

from functools import partial
from typing import Any

from ..autograd import Function, FusedFunction, Tensor
from ..backend import array_module, check
from ..errors import ArgumentError, ShapeError
from ._loss_inputs import fitting_weight, pair, weighted
from ._shared import apply_reduction, check_number
from .activation import logsigmoid
from .elementwise import Log, Log1p, Sigmoid, clamp, log, log1p, sigmoid

_LOG_FLOOR = -100.0  # log 0 counts as this much


class BinaryCrossEntropy(Function):
    """See :func:`binary_cross_entropy`."""

    saves_inputs = (0, 1)
    saves_outputs = ()

    def forward(self, x: Any, t: Any) -> Any:
        xp = array_module(x)
        log_yes, log_no = (xp.maximum(array, _LOG_FLOOR) for array in (Log().forward(x), Log1p().forward(-x)))
        return (t - 1) * log_no - t * log_yes

    def backward(self, gy: Tensor) -> tuple[Tensor | None, Tensor | None]:
        x, t = self.inputs
        gx = gt = None
        if self.needs_input_grad[0]:
            gx = gy * (x - t) / clamp(x * (1.0 - x), min=1e-12)
        if self.needs_input_grad[1]:
            gt = gy * (clamp(log1p(-x), min=_LOG_FLOOR) - clamp(log(x), min=_LOG_FLOOR))
        return gx, gt


class BinaryCrossEntropyWithLogits(FusedFunction):
    """See :func:`binary_cross_entropy_with_logits`, without weights: log(1 + eˣ) − t x."""

    saves_inputs = (0, 1)
    saves_outputs = ()

    def forward(self, x: Any, t: Any) -> Any:
        xp = array_module(x)
        return (xp.maximum(x, 0) - t * x) + xp.log1p(xp.exp(-abs(x)))

    def backward_array(self, gy: Any) -> Any:
        x, t = self.input_arrays
        gx = gy * (Sigmoid().forward(x) - t) if self.needs_input_grad[0] else None
        return gx, -gy * x if self.needs_input_grad[1] else None

    def composite(self, x: Tensor, t: Tensor) -> Tensor:
        return -_log_likelihood(x, t, 1.0)


def _log_likelihood(x: Tensor, t: Tensor, pos_weight: Any) -> Tensor:
    return pos_weight * (t * logsigmoid(x)) + (1.0 - t) * logsigmoid(-x)


def binary_cross_entropy(
    input: Tensor, target: Tensor, weight: Tensor | None = None, *, reduction: str = "mean"
) -> Tensor:
    """The negative log-likelihood of yes-or-no answers under probabilities.

    Math:      loss = −w (t log x + (1 − t) log(1 − x)), each logarithm no lower than −100
    Backward:  gx = gy · w (x − t) / max(x (1 − x), 1e-12)
    Edges:     in the target's gradient too logarithms end at −100; PyTorch's is infinite, or NaN where w = 0
    Args:      input: probabilities. target: 0, 1 or between, of input's shape. weight: broadcast to it
    Raises:    ArgumentError: input or target has an element outside [0, 1]. ShapeError: different shapes
    Source:    PyTorch for the limits. From scores, :func:`binary_cross_entropy_with_logits` is more accurate
    """
    input, target = pair(input, target, "binary_cross_entropy")
    remedy = "apply sigmoid first, or use binary_cross_entropy_with_logits"
    for name, values, advice in (("input", input.data, remedy), ("target", target.data, "it holds probabilities")):
        outside = ~((values >= 0) & (values <= 1))  # and NaN
        check(outside, partial(_not_a_probability, name, values, outside, advice))
    losses = weighted(BinaryCrossEntropy()(input, target), weight, "binary_cross_entropy")
    return apply_reduction(losses, reduction, "binary_cross_entropy")


def _not_a_probability(name: str, values: Any, outside: Any, advice: str) -> Exception:
    value = float(values[outside].ravel()[0])
    return ArgumentError(f"binary_cross_entropy: {name} must lie between 0 and 1, got {value}; {advice}")


def binary_cross_entropy_with_logits(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    reduction: str = "mean",
    pos_weight: Tensor | None = None,
) -> Tensor:
    """The negative log-likelihood of yes-or-no answers under the sigmoid of the scores.

    Math:      loss = −w (pos_weight · t log σ(x) + (1 − t) log σ(−x))
    Backward:  (log σ(x))' = σ(−x) = 1 − σ(x), so without weights gx = gy · (σ(x) − t)
    Args:      input: scores (logits). target: 0, 1 or between, of input's shape. weight: broadcast to it.
               pos_weight: how much more a yes counts, broadcast to target (one for each class, say)
    Raises:    ShapeError: different shapes, or weights that do not fit
    """
    op = "binary_cross_entropy_with_logits"
    input, target = pair(input, target, op)
    if pos_weight is None:
        losses = BinaryCrossEntropyWithLogits()(input, target)
    else:
        losses = -_log_likelihood(input, target, fitting_weight(pos_weight, input, op, "pos_weight"))
    return apply_reduction(weighted(losses, weight, op), reduction, op)


def sigmoid_focal_loss(
    inputs: Tensor, targets: Tensor, alpha: float = 0.25, gamma: float = 2.0, reduction: str = "none"
) -> Tensor:
    """Binary cross-entropy that all but ignores what is already classified well.

    Math:      p = σ(x), q = p t + (1 − p)(1 − t) the probability of the right answer;
               loss = (α t + (1 − α)(1 − t)) · (1 − q)^γ · (−log q)
    Args:      inputs: scores (logits). targets: 0 or 1, of inputs' shape. alpha: the weight of a yes, against 1 − α of
               a no; −1 for no weights. gamma: 0 leaves the cross-entropy as it is
    Source:    Lin et al. 2017, "Focal loss for dense object detection", eq. 5; names and defaults are torchvision's
    """
    op = "sigmoid_focal_loss"
    if alpha != -1 and not 0 <= check_number(alpha, op, "alpha") <= 1:
        raise ArgumentError(f"{op}: alpha must lie between 0 and 1, or be -1 for no weighting, got {alpha}")
    inputs, targets = pair(inputs, targets, op, ("inputs", "targets"))
    p = sigmoid(inputs)
    wrong = p + targets - 2.0 * p * targets  # 1 − q
    losses = binary_cross_entropy_with_logits(inputs, targets, reduction="none") * wrong**gamma
    if alpha != -1:
        losses = losses * (alpha * targets + (1 - alpha) * (1.0 - targets))
    return apply_reduction(losses, reduction, op)


def dice_loss(input: Tensor, target: Tensor, smooth: float = 1.0, *, reduction: str = "mean") -> Tensor:
    """One minus the Dice coefficient of each sample: how little a predicted mask overlaps the true one.

    Math:      loss_n = 1 − (2 Σ x t + smooth) / (Σ x + Σ t + smooth), the sums over all elements of sample n
    Args:      input: probabilities (N, ...). target: 0 or 1, of input's shape. smooth: makes two empty masks a perfect
               match, and the loss of a nearly empty one smooth
    Returns:   a scalar, or (N,) for "none"
    Source:    Milletari, Navab & Ahmadi 2016, "V-Net", section 3, with plain sums in the denominator instead of squares
    """
    input, target = pair(input, target, "dice_loss")
    if input.ndim < 2:
        raise ShapeError(f"dice_loss: input must have shape (N, ...), one mask for each sample, got {input.shape}")
    input, target = input.flatten(1), target.flatten(1)
    overlap = 2.0 * (input * target).sum(1) + smooth
    losses = 1.0 - overlap / (input.sum(1) + target.sum(1) + smooth)
    return apply_reduction(losses, reduction, "dice_loss")
