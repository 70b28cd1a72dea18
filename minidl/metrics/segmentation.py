"""Metrics of semantic segmentation: one label per pixel. All but :func:`boundary_f` come from a confusion matrix."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import ArgumentError, DtypeError, OutOfRangeError, ShapeError
from ._inputs import finite_scores, to_host


def label_maps(predictions: Any, targets: Any, op: str) -> tuple[np.ndarray, np.ndarray]:
    """Predicted and true labels of equal shape (N, H, W) or (H, W), by argmax where `predictions` have classes too."""
    true = to_host(targets, op, "targets")
    given = to_host(predictions, op, "predictions")
    if true.dtype.kind == "f":
        raise DtypeError(f"{op}: targets must be integer class indices, got {true.dtype}")
    if true.ndim not in (2, 3):
        raise ShapeError(f"{op}: targets must have shape (N, H, W) or (H, W), got {true.shape}")
    classes_at = true.ndim - 2
    if given.ndim == true.ndim + 1:
        if given.shape[classes_at] == 0:
            raise ShapeError(f"{op}: predictions {given.shape} hold no classes")
        predicted = finite_scores(given, op).argmax(axis=classes_at)
    elif given.dtype.kind == "f":
        raise DtypeError(
            f"{op}: predictions {given.shape} of dtype {given.dtype} are neither class indices {true.shape} nor scores "
            f"with one more dimension; give integers, or scores (N, C, H, W)"
        )
    else:
        predicted = given
    if predicted.shape != true.shape:
        raise ShapeError(f"{op}: predictions {given.shape} do not fit targets {true.shape}; give each pixel one label")
    return predicted.astype(np.int64), true.astype(np.int64)


def classes_in(predicted: np.ndarray, true: np.ndarray) -> int:
    """The highest label + 1, at least 1."""
    return 1 + max(int(labels.max(initial=0)) for labels in (predicted, true))


def check_classes(predicted: np.ndarray, true: np.ndarray, num_classes: int, op: str) -> None:
    """Labels that count are 0 … num_classes − 1."""
    for name, labels in (("predictions", predicted), ("targets", true)):
        outside = labels[(labels < 0) | (labels >= num_classes)]
        if outside.size:
            raise OutOfRangeError(
                f"{op}: {name} hold the label {outside.flat[0]}, but there are the classes 0 to {num_classes - 1}; "
                f"raise num_classes, or mark pixels that do not count by ignore_index in targets"
            )


class SegmentationMetrics:
    """The metrics of a whole data set, gathered batch by batch in one confusion matrix.

    Rows of `matrix` are true classes i, columns predicted ones j, so n_ij pixels of class i were taken for j, and
    t_i = Σ_j n_ij are the pixels of class i. Pixels whose target is `ignore_index` count nowhere. A class that neither
    occurs nor is predicted has no value (nan) and is left out of means; one that is predicted though it never occurs
    has an IoU of 0, and counts. That is how the code of the FCN paper reads its formulas.

    >>> metrics = SegmentationMetrics(num_classes=2)
    >>> metrics.update([[0, 1, 1]], [[0, 1, 255]])
    >>> metrics.update([[0, 0]], [[1, 0]])
    >>> metrics.matrix.tolist(), metrics.mean_iou()
    ([[2, 0], [1, 1]], 0.5833333333333333)

    Args:      num_classes: C. ignore_index: the label of pixels that do not count, 255 as in PASCAL VOC, or None
    Source:    Long, Shelhamer & Darrell 2015, section 5, for the first four; means over a data set, not over images
    """

    def __init__(self, num_classes: int, ignore_index: int | None = 255):
        if not isinstance(num_classes, int | np.integer) or num_classes < 1:
            raise ArgumentError(f"SegmentationMetrics: num_classes must be a positive integer, got {num_classes!r}")
        self.num_classes, self.ignore_index = int(num_classes), ignore_index
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self.matrix = np.zeros((self.num_classes, self.num_classes), np.int64)

    def update(self, predictions: Any, targets: Any) -> None:
        """Count a batch, or one image.

        Args:      predictions: labels (N, H, W) or (H, W), or scores (N, C, H, W) or (C, H, W), of which the largest
                   counts. targets: labels (N, H, W) or (H, W)
        Raises:    ShapeError: shapes that do not fit. OutOfRangeError: a label that is no class where it counts
        """
        predicted, true = label_maps(predictions, targets, "SegmentationMetrics.update")
        if self.ignore_index is not None:
            counted = true != self.ignore_index
            predicted, true = predicted[counted], true[counted]
        n = self.num_classes
        check_classes(predicted, true, n, "SegmentationMetrics.update")
        self.matrix += np.bincount((true * n + predicted).ravel(), minlength=n * n).reshape(n, n)

    def pixel_accuracy(self) -> float:
        """Σ_i n_ii / Σ_i t_i: the share of pixels that are right."""
        return float(_share(np.trace(self.matrix), self.matrix.sum()))

    def accuracies(self) -> np.ndarray:
        """(C,) n_ii / t_i: of the pixels of each class, the share that is right; nan for a class without pixels."""
        return _share(np.diagonal(self.matrix), self.matrix.sum(1))

    def mean_accuracy(self) -> float:
        """The mean of :meth:`accuracies` over the classes that have pixels."""
        return _mean(self.accuracies())

    def ious(self) -> np.ndarray:
        """(C,) n_ii / (t_i + Σ_j n_ji − n_ii): the intersection of each class's two regions over their union."""
        hits = np.diagonal(self.matrix)
        return _share(hits, self.matrix.sum(1) + self.matrix.sum(0) - hits)

    def mean_iou(self) -> float:
        """The mean of :meth:`ious` over the classes that occur or are predicted."""
        return _mean(self.ious())

    def frequency_weighted_iou(self) -> float:
        """Σ_i t_i IoU_i / Σ_i t_i: the mean of :meth:`ious`, each class with the weight of its pixels."""
        frequencies = self.matrix.sum(1)
        return float(_share((frequencies * np.nan_to_num(self.ious())).sum(), frequencies.sum()))

    def dices(self) -> np.ndarray:
        """(C,) 2 n_ii / (t_i + Σ_j n_ji): twice the intersection over the sum of the two regions (Dice 1945)."""
        return _share(2 * np.diagonal(self.matrix), self.matrix.sum(1) + self.matrix.sum(0))

    def dice(self) -> float:
        """The mean of :meth:`dices` over the classes that occur or are predicted."""
        return _mean(self.dices())

    def compute(self) -> dict[str, float]:
        """All the means by name; nan before the first update."""
        names = ("pixel_accuracy", "mean_accuracy", "mean_iou", "frequency_weighted_iou", "dice")
        return {name: getattr(self, name)() for name in names}


def _share(part: Any, whole: Any) -> np.ndarray:
    """part / whole; nan for 0 / 0."""
    part, whole = np.asarray(part, np.float64), np.asarray(whole, np.float64)
    return np.divide(part, whole, out=np.full(whole.shape, np.nan), where=whole > 0)


def _mean(values: np.ndarray) -> float:
    """The mean of what is not nan; nan if nothing is left."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else float("nan")


def pixel_accuracy(predictions: Any, targets: Any, *, ignore_index: int | None = 255) -> float:
    """The share of pixels whose label is right. Arguments as :func:`mean_iou`; nan if every pixel is ignored."""
    return _metrics(predictions, targets, None, ignore_index, "pixel_accuracy").pixel_accuracy()


def mean_accuracy(
    predictions: Any, targets: Any, *, num_classes: int | None = None, ignore_index: int | None = 255
) -> float:
    """The mean over classes of the share of its pixels that are right. Arguments as :func:`mean_iou`."""
    return _metrics(predictions, targets, num_classes, ignore_index, "mean_accuracy").mean_accuracy()


def mean_iou(
    predictions: Any, targets: Any, *, num_classes: int | None = None, ignore_index: int | None = 255
) -> float:
    """The mean over classes of intersection over union, the usual figure of semantic segmentation.

    Taken over all pixels of all images at once; over a data set that comes in batches, use
    :class:`SegmentationMetrics`, which says how absent classes are treated. A mean over batches is another number.

    Args:      predictions: labels (N, H, W) or (H, W), or scores (N, C, H, W) or (C, H, W). targets: labels (N, H, W)
               or (H, W). num_classes: makes labels beyond it errors; by default there are as many as needed.
               ignore_index: the label in targets of pixels that do not count, or None
    Raises:    ShapeError: shapes that do not fit. DtypeError: labels that are no integers. OutOfRangeError: a label
               below 0 or ≥ num_classes where it counts
    """
    return _metrics(predictions, targets, num_classes, ignore_index, "mean_iou").mean_iou()


def frequency_weighted_iou(
    predictions: Any, targets: Any, *, num_classes: int | None = None, ignore_index: int | None = 255
) -> float:
    """The mean of the classes' IoU by their share of the pixels. Arguments as :func:`mean_iou`."""
    return _metrics(predictions, targets, num_classes, ignore_index, "frequency_weighted_iou").frequency_weighted_iou()


def dice(
    predictions: Any,
    targets: Any,
    average: str | None = "macro",
    *,
    num_classes: int | None = None,
    ignore_index: int | None = 255,
) -> float | np.ndarray:
    """Twice the intersection over the sum of the two regions of a class, which is the F1 score of its pixels.

    Args:      average: "macro": the mean over classes that occur or are predicted; "binary": class 1 alone, the
               foreground of two; None: an array with one value per class, nan where there is nothing. Others as
               :func:`mean_iou`
    Raises:    ArgumentError: another `average`. OutOfRangeError: average="binary" with a label above 1
    Source:    Dice 1945
    """
    if average not in ("macro", "binary", None):
        raise ArgumentError(f"dice: average={average!r}; choose 'macro', 'binary' or None")
    if average == "binary":
        num_classes = 2
    metrics = _metrics(predictions, targets, num_classes, ignore_index, "dice")
    if average == "binary":
        return float(metrics.dices()[1])
    return metrics.dice() if average == "macro" else metrics.dices()


def _metrics(
    predictions: Any, targets: Any, num_classes: int | None, ignore_index: int | None, op: str
) -> SegmentationMetrics:
    predicted, true = label_maps(predictions, targets, op)
    if num_classes is None:
        counted = true != ignore_index
        num_classes = classes_in(predicted[counted], true[counted])
    metrics = SegmentationMetrics(num_classes, ignore_index)
    metrics.update(predicted, true)
    return metrics
