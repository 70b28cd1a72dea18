"""Metrics of a ranking: how well a score separates positives from negatives, whatever the threshold."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import ArgumentError, OutOfRangeError, ShapeError
from ._inputs import check_same_length, class_labels, finite_scores


def roc_curve(scores: Any, targets: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The receiver operating characteristic: true against false positive rate as the threshold falls.

    A sample counts as positive when its score ≥ threshold. Equal scores cross the threshold together, so a tie is one
    slanting step and not a lucky or unlucky order.

    Args:      scores: (N,) float, higher means positive. targets: (N,) of 0 and 1
    Returns:   (false positive rates, true positive rates, thresholds), each (1 + number of distinct scores,), from
               (0, 0, ∞) to (1, 1, lowest score)
    Raises:    ArgumentError: only one of the two classes is there, so one of the rates is 0/0
    Source:    Fawcett 2006, algorithm 1
    """
    values, true = finite_scores(scores, "roc_curve"), class_labels(targets, "roc_curve", "targets")
    if values.ndim != 1:
        raise ShapeError(f"roc_curve: scores must have shape (N,), got {values.shape}")
    check_same_length(values, true, "roc_curve")
    if true.max() > 1:
        raise OutOfRangeError(f"roc_curve: targets must be 0 or 1, got {true.max()}")
    positives = int(true.sum())
    if positives in (0, len(true)):
        raise ArgumentError(f"roc_curve: all {len(true)} targets are {true[0]}; the curve needs both 0 and 1")

    order = np.argsort(-values, kind="stable")
    values, true = values[order], true[order]
    last_of_tie = np.append(np.flatnonzero(values[1:] != values[:-1]), len(values) - 1)
    true_positives = np.cumsum(true)[last_of_tie]
    false_positives = 1 + last_of_tie - true_positives
    return (
        np.append(0.0, false_positives / (len(true) - positives)),
        np.append(0.0, true_positives / positives),
        np.append(np.inf, values[last_of_tie]),
    )


def roc_auc(scores: Any, targets: Any) -> float:
    """The area under the ROC curve: the chance that a random positive scores above a random negative (ties count ½).

    Args:      scores: (N,) with targets of 0 and 1; or (N, C) with targets 0 … C−1: the mean over classes of the area
               of each class against the rest (one-vs-rest, macro)
    Raises:    ArgumentError: a class without samples
    Source:    Hanley & McNeil 1982
    """
    values = finite_scores(scores, "roc_auc")
    if values.ndim == 2:
        true, classes = class_labels(targets, "roc_auc", "targets"), range(values.shape[1])
        if missing := set(classes) - set(true.tolist()):
            raise ArgumentError(f"roc_auc: targets hold no sample of class {min(missing)}, whose area is undefined")
        if true.max() not in classes:
            raise OutOfRangeError(
                f"roc_auc: targets hold the class {true.max()}, but scores have {len(classes)} classes"
            )
        return float(np.mean([roc_auc(values[:, c], true == c) for c in classes]))
    false_rates, true_rates, _ = roc_curve(values, targets)
    return float(np.trapezoid(true_rates, false_rates))
