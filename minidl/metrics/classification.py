"""Metrics of classification: one label per sample."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import ArgumentError, OutOfRangeError, ShapeError
from ._inputs import check_same_length, class_labels, finite_scores, predicted_and_true, to_host


def accuracy(predictions: Any, targets: Any) -> float:
    """The share of samples whose class is predicted right.

    Args:      predictions: (N,) class indices, or (N, C) scores, of which the largest counts. targets: (N,) class
               indices
    Raises:    ShapeError: lengths that differ, or no samples
    """
    predicted, true = predicted_and_true(predictions, targets, "accuracy")
    return float((predicted == true).mean())


def top_k_accuracy(scores: Any, targets: Any, k: int = 5) -> float:
    """The share of samples whose true class is among the `k` highest scores.

    Of equal scores at the k-th place, the classes with the lower indices count as higher.

    Args:      scores: (N, C). targets: (N,) class indices. k: 1 … C
    Source:    Russakovsky et al. 2015, section 4.1 (k = 5)
    """
    values, true = finite_scores(scores, "top_k_accuracy"), class_labels(targets, "top_k_accuracy", "targets")
    if values.ndim != 2:
        raise ShapeError(f"top_k_accuracy: scores must have shape (N, C), got {values.shape}")
    check_same_length(values, true, "top_k_accuracy")
    classes = values.shape[1]
    if not 1 <= k <= classes:
        raise ArgumentError(f"top_k_accuracy: k={k} must lie in 1 … {classes}, the number of classes")
    if true.max() >= classes:
        raise OutOfRangeError(f"top_k_accuracy: targets hold the class {true.max()}, but scores have {classes} classes")
    highest = np.argsort(-values, axis=1, kind="stable")[:, :k]
    return float((highest == true[:, None]).any(axis=1).mean())


def confusion_matrix(predictions: Any, targets: Any, num_classes: int | None = None) -> np.ndarray:
    """How often each true class (row) was predicted as each class (column).

    Args:      predictions: (N,) class indices or (N, C) scores. targets: (N,) class indices.
               num_classes: by default C, or the highest class that occurs + 1
    Returns:   (num_classes, num_classes) int64; the sum is N and the trace counts the right ones
    Raises:    OutOfRangeError: a class ≥ num_classes
    """
    return _confusion(predictions, targets, num_classes, "confusion_matrix")


def _confusion(predictions: Any, targets: Any, num_classes: int | None, op: str) -> np.ndarray:
    predicted, true = predicted_and_true(predictions, targets, op)
    highest = int(max(predicted.max(), true.max()))
    if num_classes is None:
        given = to_host(predictions, op, "predictions")
        num_classes = given.shape[1] if given.ndim == 2 else highest + 1
    if highest >= num_classes:
        raise OutOfRangeError(f"{op}: the class {highest} occurs, but num_classes is {num_classes}")
    return np.bincount(true * num_classes + predicted, minlength=num_classes**2).reshape(num_classes, num_classes)


def precision(
    predictions: Any,
    targets: Any,
    average: str | None = "macro",
    *,
    num_classes: int | None = None,
    zero_division: float = 0.0,
) -> float | np.ndarray:
    """Of the samples predicted as a class, the share that belongs to it: TP / (TP + FP).

    Args:      predictions: (N,) class indices or (N, C) scores. targets: (N,) class indices.
               average: "macro": the mean over classes that occur in targets or predictions; "weighted": the same,
               weighted by each class's number of targets; "micro": all decisions pooled, which here is the accuracy;
               "binary": class 1 alone, of two; None: an array with one value per class.
               zero_division: the value of 0/0, as for a class that is never predicted
    Raises:    ArgumentError: another `average`. OutOfRangeError: average="binary" with more than two classes
    """
    matrix = _confusion(predictions, targets, num_classes, "precision")
    return _averaged(matrix, np.diagonal(matrix), matrix.sum(axis=0), average, zero_division, "precision")


def recall(
    predictions: Any,
    targets: Any,
    average: str | None = "macro",
    *,
    num_classes: int | None = None,
    zero_division: float = 0.0,
) -> float | np.ndarray:
    """Of the samples of a class, the share that is predicted as it: TP / (TP + FN). Arguments as :func:`precision`."""
    matrix = _confusion(predictions, targets, num_classes, "recall")
    return _averaged(matrix, np.diagonal(matrix), matrix.sum(axis=1), average, zero_division, "recall")


def f1_score(
    predictions: Any,
    targets: Any,
    average: str | None = "macro",
    *,
    num_classes: int | None = None,
    zero_division: float = 0.0,
) -> float | np.ndarray:
    """The harmonic mean of precision and recall: 2 TP / (2 TP + FP + FN). Arguments as :func:`precision`.

    Source:    van Rijsbergen 1979, chapter 7; "macro" is the mean of the classes' F1, not the F1 of the means
    """
    matrix = _confusion(predictions, targets, num_classes, "f1_score")
    occurrences = matrix.sum(axis=0) + matrix.sum(axis=1)
    return _averaged(matrix, 2 * np.diagonal(matrix), occurrences, average, zero_division, "f1_score")


def _averaged(
    matrix: np.ndarray, hits: np.ndarray, counts: np.ndarray, average: str | None, zero_division: float, op: str
) -> float | np.ndarray:
    """hits / counts of each class, averaged; each of the three metrics is such a ratio."""
    ratios = np.full(len(matrix), float(zero_division))
    np.divide(hits, counts, out=ratios, where=counts > 0)
    support = matrix.sum(axis=1)
    if average is None:
        return ratios
    if average == "binary":
        if len(matrix) > 2:
            raise OutOfRangeError(f"{op}: average='binary' takes the classes 0 and 1, but there are {len(matrix)}")
        return float(ratios[1]) if len(matrix) == 2 else float(zero_division)
    if average == "micro":
        return float(hits.sum() / counts.sum())
    if average == "macro":
        return float(ratios[support + matrix.sum(axis=0) > 0].mean())
    if average == "weighted":
        return float((ratios * support).sum() / support.sum())
    raise ArgumentError(f"{op}: average={average!r}; choose 'macro', 'weighted', 'micro', 'binary' or None")
