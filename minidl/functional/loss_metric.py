"""Distances between vectors, and losses that arrange embeddings by them."""

from __future__ import annotations

from ..autograd import Tensor, check_tensor
from ..errors import ArgumentError, ShapeError
from ._loss_inputs import pair
from ._shared import apply_reduction, check_number, normalize_dim, require_floating
from .arithmetic import minimum
from .broadcast import broadcast_shapes, expand
from .elementwise import clamp, sqrt
from .selection import masked_fill


def pairwise_distance(x1: Tensor, x2: Tensor, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> Tensor:
    """The distance of vectors along the last dimension, with broadcasting elsewhere.

    Math:      ‖x1 − x2 + eps‖_p, eps being added to each component
    Args:      x1, x2: (..., D). p: which norm
    Returns:   (...), or (..., 1) if keepdim
    """
    x1, x2 = require_floating(x1, "pairwise_distance", "x1"), require_floating(x2, "pairwise_distance", "x2")
    return (x1 - x2 + eps).norm(p, dim=-1, keepdim=keepdim)


def cosine_similarity(x1: Tensor, x2: Tensor, dim: int = 1, eps: float = 1e-8) -> Tensor:
    """The cosine of the angle between vectors along `dim`, with broadcasting.

    Math:      x1 · x2 / (max(‖x1‖, eps) · max(‖x2‖, eps))
    Returns:   the common shape without `dim`
    """
    op = "cosine_similarity"
    x1, x2 = require_floating(x1, op, "x1"), require_floating(x2, op, "x2")
    shape = broadcast_shapes(op, x1.shape, x2.shape)
    dim = normalize_dim(dim, len(shape), op)
    x1, x2 = expand(x1, shape), expand(x2, shape)
    eps = check_number(eps, op, "eps")
    norm1, norm2 = (sqrt(clamp((x * x).sum(dim), min=eps * eps)) for x in (x1, x2))
    return (x1 * x2).sum(dim) / (norm1 * norm2)


def cosine_embedding_loss(
    input1: Tensor, input2: Tensor, target: Tensor, margin: float = 0.0, *, reduction: str = "mean"
) -> Tensor:
    """Pulls vectors of a pair together (target 1), or apart until their cosine is below `margin` (target −1).

    Math:      1 − cos(x1, x2) if t = 1;  max(0, cos(x1, x2) − margin) if t = −1
    Args:      input1, input2: (N, D) or (D,). target: 1 or −1, (N,) or (). margin: between −1 and 1
    """
    op = "cosine_embedding_loss"
    x1, x2 = pair(input1, input2, op, ("input1", "input2"))
    target = check_tensor(target, op, "target")
    if x1.ndim not in (1, 2) or target.shape != x1.shape[:-1]:
        raise ShapeError(
            f"{op}: inputs must be (N, D) with target (N,), or (D,) with target (); "
            f"got inputs {x1.shape} and target {target.shape}"
        )
    squares = ((x1 * x1).sum(-1) + 1e-12) * ((x2 * x2).sum(-1) + 1e-12)
    cosine = (x1 * x2).sum(-1) / sqrt(squares)
    together = masked_fill(1.0 - cosine, target != 1, 0.0)
    apart = masked_fill(clamp(cosine - margin, min=0.0), target != -1, 0.0)
    return apply_reduction(together + apart, reduction, op)


def hinge_embedding_loss(input: Tensor, target: Tensor, margin: float = 1.0, *, reduction: str = "mean") -> Tensor:
    """Distances to be made small (target 1), or larger than `margin` (target −1).

    Math:      x if t = 1;  max(0, margin − x) if t = −1
    Args:      input: distances, any shape. target: 1 or −1, of the same shape
    """
    input, target = pair(input, target, "hinge_embedding_loss")
    losses = masked_fill(input, target == -1, 0.0) + masked_fill(clamp(margin - input, min=0.0), target == 1, 0.0)
    return apply_reduction(losses, reduction, "hinge_embedding_loss")


def margin_ranking_loss(
    input1: Tensor, input2: Tensor, target: Tensor, margin: float = 0.0, *, reduction: str = "mean"
) -> Tensor:
    """The first score must be higher than the second (target 1), or lower (target −1), by `margin`.

    Math:      max(0, −t (x1 − x2) + margin)
    Args:      input1, input2, target: of the same shape
    """
    input1, input2 = pair(input1, input2, "margin_ranking_loss", ("input1", "input2"))
    input1, target = pair(input1, target, "margin_ranking_loss", ("input1", "target"))
    losses = clamp(target * (input2 - input1) + margin, min=0.0)
    return apply_reduction(losses, reduction, "margin_ranking_loss")


def triplet_margin_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    margin: float = 1.0,
    p: float = 2,
    eps: float = 1e-6,
    swap: bool = False,
    *,
    reduction: str = "mean",
) -> Tensor:
    """An anchor must be nearer to its positive example than to its negative one, by `margin`.

    Math:      max(0, d(a, p) − d(a, n) + margin), d = :func:`pairwise_distance`;
               swap: the smaller of d(a, n) and d(p, n) in place of d(a, n)
    Args:      anchor, positive, negative: (N, D) or (D,). p, eps: of the distance
    Source:    Schroff, Kalenichenko & Philbin 2015, "FaceNet", eq. 2; swap: Balntas et al. 2016
    """
    op = "triplet_margin_loss"
    named = {"anchor": anchor, "positive": positive, "negative": negative}
    if len({check_tensor(x, op, name).ndim for name, x in named.items()}) != 1:
        raise ShapeError(
            f"{op}: anchor, positive and negative must have equally many dimensions, got shapes {anchor.shape}, "
            f"{positive.shape} and {negative.shape}"
        )
    if not check_number(margin, op, "margin") > 0:
        raise ArgumentError(f"{op}: margin must be positive, got {margin}")
    near, far = pairwise_distance(anchor, positive, p, eps), pairwise_distance(anchor, negative, p, eps)
    if swap:
        far = minimum(far, pairwise_distance(positive, negative, p, eps))
    return apply_reduction(clamp(near - far + margin, min=0.0), reduction, op)
