"""Averages over an epoch, gathered batch by batch."""

from __future__ import annotations

from typing import Any

from ..errors import ArgumentError
from ._inputs import predicted_and_true, to_host


class Mean:
    """A weighted mean of numbers as they come, such as the loss of an epoch: the last batch may be smaller.

    >>> loss = Mean()
    >>> loss.update(2.0, weight=3); loss.update(6.0, weight=1)
    >>> loss.compute()
    3.0
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self.total, self.weight = 0.0, 0.0

    def update(self, value: Any, weight: float = 1.0) -> None:
        """Add a number, or a Tensor of one element; `weight` is what it stands for, as the size of its batch."""
        number = to_host(value, "Mean.update", "value")
        if number.size != 1:
            raise ArgumentError(f"Mean.update: value must be one number, got shape {number.shape}; reduce it first")
        if weight < 0:
            raise ArgumentError(f"Mean.update: weight={weight} is negative")
        self.total += float(number.item()) * weight
        self.weight += weight

    def compute(self) -> float:
        """The mean so far; nan before the first update."""
        return self.total / self.weight if self.weight else float("nan")


class Accuracy:
    """The accuracy over an epoch: it counts samples, so batches of different sizes weigh what they should."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self.correct, self.count = 0, 0

    def update(self, predictions: Any, targets: Any) -> None:
        """Count a batch. See :func:`minidl.metrics.accuracy` for the arguments."""
        predicted, true = predicted_and_true(predictions, targets, "Accuracy.update")
        self.correct += int((predicted == true).sum())
        self.count += len(true)

    def compute(self) -> float:
        """The share of right predictions so far; nan before the first update."""
        return self.correct / self.count if self.count else float("nan")
