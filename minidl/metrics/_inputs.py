"""Turning what a caller passes into checked NumPy arrays. A metric is read by a person, so it is computed on the
host."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..autograd import Tensor
from ..backend import is_array, to_numpy
from ..errors import ArgumentError, ArgumentTypeError, DtypeError, OutOfRangeError, ShapeError


def to_host(value: Any, op: str, name: str) -> np.ndarray:
    """A Tensor, array, list or number as a NumPy array of numbers."""
    if isinstance(value, Tensor):
        value = value.data
    try:
        array = to_numpy(value) if is_array(value) else np.asarray(value)
    except ValueError as error:  # a ragged list
        raise ShapeError(f"{op}: {name} is not a rectangular array ({error})") from None
    if array.dtype.kind not in "biuf":
        raise ArgumentTypeError(f"{op}: {name} must hold numbers, got {type(value).__name__} of dtype {array.dtype}")
    return array


def class_labels(value: Any, op: str, name: str) -> np.ndarray:
    """(N,) class indices as int64."""
    labels = to_host(value, op, name)
    if labels.dtype.kind == "f":
        raise DtypeError(f"{op}: {name} must be integer class indices, got {labels.dtype}")
    if labels.ndim != 1:
        raise ShapeError(f"{op}: {name} must have shape (N,), got {labels.shape}; reshape it")
    labels = labels.astype(np.int64)
    if labels.size and labels.min() < 0:
        raise OutOfRangeError(f"{op}: {name} holds the class {labels.min()}; classes count from 0")
    return labels


def finite_scores(value: Any, op: str) -> np.ndarray:
    """Float scores or probabilities; a NaN has no rank, so it is an error."""
    scores = to_host(value, op, "scores")
    if scores.dtype.kind != "f":
        scores = scores.astype(np.float64)
    if np.isnan(scores).any():
        raise ArgumentError(f"{op}: scores hold {int(np.isnan(scores).sum())} NaN of {scores.size}, which have no rank")
    return scores


def check_same_length(predictions: np.ndarray, targets: np.ndarray, op: str) -> None:
    """Predictions and targets belong together one by one, and there is at least one."""
    if len(predictions) != len(targets):
        raise ShapeError(f"{op}: {len(predictions)} predictions but {len(targets)} targets; give one target to each")
    if len(targets) == 0:
        raise ShapeError(f"{op}: there are no samples, so the result is undefined")


def predicted_and_true(predictions: Any, targets: Any, op: str) -> tuple[np.ndarray, np.ndarray]:
    """(N,) predicted classes, by argmax where `predictions` are (N, C) scores, and (N,) true classes."""
    true = class_labels(targets, op, "targets")
    given = to_host(predictions, op, "predictions")
    if given.ndim not in (1, 2):
        raise ShapeError(f"{op}: predictions must be class indices (N,) or scores (N, C), got shape {given.shape}")
    if given.ndim == 2:
        scores = finite_scores(given, op)
        if scores.shape[1] == 0:
            raise ShapeError(f"{op}: predictions {scores.shape} hold no classes")
        if true.size and true.max() >= scores.shape[1]:
            raise OutOfRangeError(
                f"{op}: targets hold the class {true.max()}, but the scores have {scores.shape[1]} classes"
            )
        predicted = scores.argmax(axis=1)
    else:
        predicted = class_labels(given, op, "predictions")
    check_same_length(predicted, true, op)
    return predicted, true
