"""Non-maximum suppression: of the boxes that overlap, the best one stays."""

from __future__ import annotations

from typing import Any

import numpy as np

from ... import kernels
from ...autograd import Tensor
from ...backend import array_module, check
from ...errors import ArgumentError, DtypeError, ShapeError
from ...functional._shared import check_number
from ._checks import as_tensor, corner_boxes


def nms(boxes: Any, scores: Any, iou_threshold: float) -> Tensor:
    """The boxes that stay when each box removes those with a lower score that overlap it.

    Math:      from the best to the worst: a box stays if its IoU with every box that stayed so far is at most
               iou_threshold. Of equal scores the first counts as the better one
    Args:      boxes: (N, 4). scores: (N,). iou_threshold: 0 … 1
    Returns:   (K,) int64, the indices of those that stay, the best first
    Raises:    ShapeError: shapes that do not fit. ArgumentError: a threshold outside [0, 1], a score that is NaN, a box
               with NaN or corners the wrong way round
    """
    boxes, scores, threshold = _checked(boxes, scores, iou_threshold, "nms")
    order = _best_first(scores)
    return Tensor(order[kernels.of(boxes).nms(boxes[order], threshold)])


def batched_nms(boxes: Any, scores: Any, idxs: Any, iou_threshold: float) -> Tensor:
    """:func:`nms` within each class: boxes of different classes never remove each other.

    Args:      boxes: (N, 4). scores: (N,). idxs: (N,) integers, the class (or level, or image) of each box
    Returns:   (K,) int64, the indices of those that stay, the best first
    Raises:    as :func:`nms`
    """
    boxes, scores, threshold = _checked(boxes, scores, iou_threshold, "batched_nms")
    classes = as_tensor(idxs, "batched_nms", "idxs").data
    if classes.shape != scores.shape:
        raise ShapeError(f"batched_nms: idxs {classes.shape} must have one entry for each of {len(boxes)} boxes")
    order = _best_first(scores)
    xp = array_module(boxes)
    boxes, classes = boxes[order], classes[order]
    keep = xp.zeros(len(order), bool)
    for which in xp.unique(classes).tolist():
        members = xp.flatnonzero(classes == which)
        keep[members] = kernels.of(boxes).nms(boxes[members], threshold)
    return Tensor(order[keep])


def _best_first(scores: Any) -> Any:
    return array_module(scores).argsort(-scores, kind="stable")


def _checked(boxes: Any, scores: Any, iou_threshold: Any, op: str) -> tuple[Any, Any, float]:
    """Arrays of floats."""
    boxes = corner_boxes(boxes, op).data
    scores = as_tensor(scores, op, "scores").data
    threshold = check_number(iou_threshold, op, "iou_threshold")
    if not 0 <= threshold <= 1:
        raise ArgumentError(f"{op}: iou_threshold={threshold} must lie in [0, 1]")
    if scores.shape != boxes.shape[:1]:
        raise ShapeError(f"{op}: scores {scores.shape} must have one entry for each of the {len(boxes)} boxes")
    if scores.dtype.kind not in "iuf":
        raise DtypeError(f"{op}: scores must be numbers, got {scores.dtype}")
    wrong = scores != scores
    check(wrong, lambda: ArgumentError(f"{op}: {int(wrong.sum())} of {len(scores)} scores are NaN, which have no rank"))
    single = boxes.dtype in (np.float32, np.float64)
    scores = scores.astype(np.float64) if scores.dtype.kind in "iu" else scores
    return (boxes if single else boxes.astype(np.float32)), scores, threshold
