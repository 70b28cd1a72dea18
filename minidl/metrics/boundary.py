"""How well contours agree, which the overlap of large regions hardly shows."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..errors import ArgumentError
from .segmentation import check_classes, classes_in, label_maps


def boundary_f(
    predictions: Any,
    targets: Any,
    tolerance: int | None = None,
    *,
    num_classes: int | None = None,
    ignore_index: int | None = 255,
    average: str | None = "macro",
) -> float | np.ndarray:
    """The F score of contours: predicted boundaries that lie near true ones, and the other way round.

    The boundary of a class is made of its pixels that have a pixel of another class above, below, left or right; the
    edge of the image and ignored pixels make none.

    Math:      P_c, the share of the predicted boundary pixels of class c that have one of its true boundary pixels
               within θ; R_c, the share of the true ones with a predicted one within θ; F_c = 2 P_c R_c / (P_c + R_c).
               If both boundaries are empty F_c = 1, if one is, F_c = 0. F_c is averaged over the images in which c
               occurs or is predicted, then over the classes of which there is such an image
    Args:      predictions: labels (N, H, W) or (H, W), or scores (N, C, H, W) or (C, H, W). targets: labels.
               tolerance: θ, whole pixels; by default 0.75 % of the image's diagonal, rounded up.
               num_classes: C, for the length of the result with average=None; by default the highest label + 1.
               ignore_index: the label in targets of pixels that do not count, or None. average: "macro" for the mean
               over classes, None for one value per class, nan for those that are nowhere
    Raises:    ArgumentError: a negative tolerance, or another `average`. Others as :func:`mean_iou`
    Source:    Csurka, Larlus & Perronnin 2013, "What is a good evaluation measure for semantic segmentation?",
               section 3, after Martin, Fowlkes & Malik 2004; distances are Euclidean
    """
    if average not in ("macro", None):
        raise ArgumentError(f"boundary_f: average={average!r}; choose 'macro' or None")
    predicted, true = label_maps(predictions, targets, "boundary_f")
    if true.ndim == 2:
        predicted, true = predicted[None], true[None]
    if tolerance is None:
        tolerance = math.ceil(0.0075 * math.hypot(*true.shape[1:]))
    if not isinstance(tolerance, int | np.integer) or tolerance < 0:
        raise ArgumentError(f"boundary_f: tolerance must be a number of whole pixels, 0 or more, got {tolerance!r}")
    counted = true != ignore_index
    if num_classes is None:
        num_classes = classes_in(predicted[counted], true[counted])
    check_classes(predicted[counted], true[counted], num_classes, "boundary_f")
    predicted, true = np.where(counted, predicted, -1), np.where(counted, true, -1)

    edges = [_edges(labels) for labels in (predicted, true)]
    scores = np.full((len(true), num_classes), np.nan)
    for n in range(len(true)):
        for c in np.union1d(predicted[n][counted[n]], true[n][counted[n]]):
            ours, theirs = (edge[n] & (labels[n] == c) for edge, labels in zip(edges, (predicted, true), strict=True))
            scores[n, c] = _f(ours, theirs, int(tolerance))
    seen = ~np.isnan(scores)
    totals = np.where(seen, scores, 0.0).sum(0)
    per_class = np.divide(totals, seen.sum(0), out=np.full(num_classes, np.nan), where=seen.any(0))
    if average is None:
        return per_class
    return float(per_class[seen.any(0)].mean()) if seen.any() else float("nan")


def _edges(labels: np.ndarray) -> np.ndarray:
    """Where (N, H, W) labels have another one beside them; −1 is beside nothing."""
    edge = np.zeros(labels.shape, bool)
    for e, label in ((edge, labels), (edge.swapaxes(1, 2), labels.swapaxes(1, 2))):
        here, there = label[:, :-1], label[:, 1:]
        differ = (here != there) & (here >= 0) & (there >= 0)
        e[:, :-1] |= differ
        e[:, 1:] |= differ
    return edge


def _f(predicted: np.ndarray, true: np.ndarray, tolerance: int) -> float:
    """The F score of two boundaries (H, W)."""
    if not predicted.any() or not true.any():
        return float(predicted.any() == true.any())
    precision = (predicted & _widened(true, tolerance)).sum() / predicted.sum()
    recall = (true & _widened(predicted, tolerance)).sum() / true.sum()
    return float(2 * precision * recall / (precision + recall)) if precision + recall else 0.0


def _widened(mask: np.ndarray, radius: int) -> np.ndarray:
    """Every pixel within `radius` of the mask: a union of shifted copies, one for each pixel of a disc."""
    h, w = mask.shape
    framed = np.pad(mask, radius)
    result = np.zeros_like(mask)
    for i in range(2 * radius + 1):
        for j in range(2 * radius + 1):
            if (i - radius) ** 2 + (j - radius) ** 2 <= radius**2:
                result |= framed[i : i + h, j : j + w]
    return result
