"""Metrics of object detection and instance segmentation: average precision of PASCAL VOC and of COCO."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..errors import ArgumentError, ArgumentTypeError, MissingAttributeError, OutOfRangeError, ShapeError
from ..vision.ops._checks import corner_boxes
from ._inputs import class_labels, finite_scores, to_host
from ._matching import (
    Group,
    box_areas,
    box_overlaps,
    interpolated,
    mask_areas,
    mask_overlaps,
    match_coco,
    match_voc,
    precision_recall,
)

COCO_THRESHOLDS = tuple(np.linspace(0.5, 0.95, 10).tolist())
"""The IoU from which a detection is right, in COCO's AP: the mean over 0.5, 0.55, …, 0.95."""

AREAS = {"all": (0.0, 1e10), "small": (0.0, 32.0**2), "medium": (32.0**2, 96.0**2), "large": (96.0**2, 1e10)}
"""Ranges of areas in pixels."""

_METHODS = ("coco", "area", "11point")


class DetectionMetrics:
    """The metrics of a whole data set of detections, gathered image by image.

    A detection is right if it has the class of an object, overlaps it enough, and no better one has taken that object;
    all others are false alarms. Objects marked `iscrowd` (a group that stands for many) or `difficult` need not be
    found, and what is found there does not count. Classes without objects to be found have no value and are left out of
    means.

    >>> metrics = DetectionMetrics()
    >>> box = [[0.0, 0.0, 10.0, 10.0]]
    >>> metrics.update([{"boxes": box, "scores": [0.9], "labels": [1]}], [{"boxes": box, "labels": [1]}])
    >>> metrics.compute()["AP50"]
    1.0

    Args:      iou_type: "box" or "mask", what has to overlap. num_classes: makes labels beyond it errors.
               max_detections: the best so many of each class and image count in COCO's metrics
    Source:    Everingham et al. 2010 and 2015 (VOC); Lin et al. 2014 (COCO), whose numbers `pycocotools` gives too.
               VOC's own code takes a box from x1 to x2 to be x2 − x1 + 1 pixels wide; here it is x2 − x1
    """

    def __init__(self, iou_type: str = "box", *, num_classes: int | None = None, max_detections: int = 100):
        if iou_type not in ("box", "mask"):
            raise ArgumentError(f"DetectionMetrics: iou_type must be 'box' or 'mask', got {iou_type!r}")
        if isinstance(max_detections, bool) or not isinstance(max_detections, int) or max_detections < 1:
            raise ArgumentError(f"DetectionMetrics: max_detections must be a positive integer, got {max_detections!r}")
        self.iou_type, self.num_classes, self.max_detections = iou_type, num_classes, max_detections
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self.images = 0
        self._groups: dict[int, list[Group]] = {}

    def update(self, predictions: Sequence[Mapping[str, Any]], targets: Sequence[Mapping[str, Any]]) -> None:
        """Count a batch of images.

        Args:      predictions: for each image "boxes" (D, 4) as (x1, y1, x2, y2), "scores" (D,), "labels" (D,); for
                   masks "masks" (D, H, W) or (D, 1, H, W), bool, or probabilities, of which those above ½ count.
                   targets: for each image "boxes" (G, 4), "labels" (G,), "masks" (G, H, W); if there are such objects,
                   "iscrowd" and "difficult" (G,); "area" (G,), by default that of the boxes or masks. With masks,
                   "boxes" are not needed
        Raises:    ShapeError: shapes that do not fit. ArgumentError: a box with NaN or corners the wrong way round.
                   OutOfRangeError: a label ≥ num_classes. Messages name the image, as counted since the reset
        """
        if len(predictions) != len(targets):
            raise ShapeError(
                f"DetectionMetrics.update: predictions of {len(predictions)} images, {len(targets)} targets"
            )
        for found, true in zip(predictions, targets, strict=True):
            self._add(found, true)
            self.images += 1

    @property
    def classes(self) -> list[int]:
        """The labels that occur, in order."""
        return sorted(self._groups)

    def average_precision(
        self, iou_threshold: float | Sequence[float] = COCO_THRESHOLDS, *, method: str = "coco", area: str = "all"
    ) -> dict[int, float]:
        """Average precision by class; nan for a class without objects to be found.

        Math:      the mean over thresholds of the mean of p̂(r), the best precision at a recall of at least r, over
                   r = 0, 0.01, …, 1 ("coco"), over r = 0, 0.1, …, 1 ("11point", VOC 2007), or ∫ p̂(r) dr ("area", VOC
                   since 2010). "coco" lets a detection match any free object, the VOC methods only that which it
                   overlaps most; see :mod:`minidl.metrics._matching`
        Args:      iou_threshold: from which a detection is right, one or several. area: a key of AREAS, for "coco"
        """
        thresholds = self._thresholds(iou_threshold)
        if method not in _METHODS:
            raise ArgumentError(f"average_precision: method must be one of {', '.join(_METHODS)}; got {method!r}")
        if area not in AREAS:
            raise ArgumentError(f"average_precision: area must be one of {', '.join(AREAS)}; got {area!r}")
        if method != "coco" and area != "all":
            raise ArgumentError(f"average_precision: area={area!r} is for method='coco'; VOC has no ranges of areas")
        result = {}
        for label in self.classes:
            curves = self._curves(label, thresholds, area, self.max_detections, method != "coco")
            result[label] = float(np.mean([interpolated(*curve, method) for curve in curves])) if curves else np.nan
        return result

    def recall(
        self,
        iou_threshold: float | Sequence[float] = COCO_THRESHOLDS,
        *,
        max_detections: int | None = None,
        area: str = "all",
    ) -> dict[int, float]:
        """The share of objects found by class, with the best `max_detections` of each image; mean over thresholds."""
        thresholds = self._thresholds(iou_threshold)
        most = self.max_detections if max_detections is None else max_detections
        result = {}
        for label in self.classes:
            curves = self._curves(label, thresholds, area, most, False)
            shares = [recall[-1] if recall.size else 0.0 for _, recall in curves]
            result[label] = float(np.mean(shares)) if curves else np.nan
        return result

    def compute(self) -> dict[str, float]:
        """COCO's figures, means over classes: AP, AP50, AP75, APs, APm, APl (areas), AR1, AR10, AR100, ARs, ARm, ARl.

        The number in AR100 is max_detections. nan where there is no object to be found
        """
        sizes = {"s": "small", "m": "medium", "l": "large"}
        ap = {"AP": self.average_precision(), "AP50": self.average_precision(0.5), "AP75": self.average_precision(0.75)}
        ap |= {f"AP{letter}": self.average_precision(area=area) for letter, area in sizes.items()}
        ar = {f"AR{most}": self.recall(max_detections=most) for most in (1, 10, self.max_detections)}
        ar |= {f"AR{letter}": self.recall(area=area) for letter, area in sizes.items()}
        return {name: mean_of(values) for name, values in (ap | ar).items()}

    def _thresholds(self, iou_threshold: Any) -> np.ndarray:
        thresholds = np.atleast_1d(np.asarray(iou_threshold, np.float64))
        if thresholds.ndim != 1 or not thresholds.size or not ((thresholds > 0) & (thresholds <= 1)).all():
            raise ArgumentError(f"DetectionMetrics: iou_threshold must lie in (0, 1], got {iou_threshold!r}")
        return thresholds

    def _curves(
        self, label: int, thresholds: np.ndarray, area: str, most: int, voc: bool
    ) -> list[tuple[np.ndarray, np.ndarray]]:
        """Precision and recall of one class for each threshold; none without objects to be found."""
        groups = self._groups[label]
        if voc:
            matches = [match_voc(group, thresholds) for group in groups]
            scores = [group.scores for group in groups]
        else:
            matches = [match_coco(group, thresholds, AREAS[area], most) for group in groups]
            scores = [group.scores[:most] for group in groups]
        hits, ignored, counts = zip(*matches, strict=True)
        return precision_recall(scores, hits, ignored, sum(counts)) if sum(counts) else []

    def _add(self, found: Mapping[str, Any], true: Mapping[str, Any]) -> None:
        op = f"DetectionMetrics.update: image {self.images}"
        labels, objects = self._labels(found, op, "predictions"), self._labels(true, op, "targets")
        scores = finite_scores(_entry(found, "scores", op, "predictions"), op)
        if scores.shape != labels.shape:
            raise ShapeError(f"{op}: scores {scores.shape} and labels {labels.shape} of predictions must pair up")
        shapes, areas = self._shapes(found, len(labels), op, "predictions")
        object_shapes, object_areas = self._shapes(true, len(objects), op, "targets")
        if self.iou_type == "mask" and len(labels) and len(objects) and shapes.shape[1:] != object_shapes.shape[1:]:
            raise ShapeError(f"{op}: masks of predictions {shapes.shape[1:]}, of targets {object_shapes.shape[1:]}")
        crowd, difficult = (_flags(true, name, len(objects), op) for name in ("iscrowd", "difficult"))
        if true.get("area") is not None:
            object_areas = to_host(true["area"], op, "area").astype(np.float64)
            if object_areas.shape != objects.shape:
                raise ShapeError(
                    f"{op}: area {object_areas.shape} must have one entry for each of {len(objects)} objects"
                )
        overlaps = box_overlaps if self.iou_type == "box" else mask_overlaps
        for label in np.union1d(labels, objects).tolist():
            mine, theirs = np.flatnonzero(labels == label), np.flatnonzero(objects == label)
            mine = mine[np.argsort(-scores[mine], kind="stable")]
            group = Group(
                scores=scores[mine],
                ious=overlaps(shapes[mine], object_shapes[theirs], crowd[theirs])
                if mine.size and theirs.size
                else np.zeros((mine.size, theirs.size)),
                excused=(crowd | difficult)[theirs],
                detection_areas=areas[mine],
                object_areas=object_areas[theirs],
            )
            self._groups.setdefault(label, []).append(group)

    def _labels(self, entries: Mapping[str, Any], op: str, whose: str) -> np.ndarray:
        given = to_host(_entry(entries, "labels", op, whose), op, "labels")
        labels = class_labels(given.astype(np.int64) if given.size == 0 else given, op, f"labels of {whose}")
        if self.num_classes is not None and labels.size and labels.max() >= self.num_classes:
            raise OutOfRangeError(
                f"{op}: {whose} hold the label {labels.max()}, but there are the classes 0 to {self.num_classes - 1}"
            )
        return labels

    def _shapes(self, entries: Mapping[str, Any], count: int, op: str, whose: str) -> tuple[np.ndarray, np.ndarray]:
        """Boxes (N, 4) or masks (N, H, W), and their areas."""
        shapes: np.ndarray
        if self.iou_type == "box":
            boxes = corner_boxes(_entry(entries, "boxes", op, whose), op, f"boxes of {whose}")
            shapes = to_host(boxes, op, "boxes").astype(np.float64)
            areas = box_areas(shapes)
        else:
            masks = to_host(_entry(entries, "masks", op, whose), op, "masks")
            masks = masks[:, 0] if masks.ndim == 4 and masks.shape[1] == 1 else masks
            if masks.ndim != 3 and masks.size:
                raise ShapeError(f"{op}: masks of {whose} must be (N, H, W) or (N, 1, H, W), got {masks.shape}")
            shapes = (masks > 0.5) if masks.ndim == 3 else np.zeros((0, 1, 1), bool)
            areas = mask_areas(shapes)
        what = "boxes" if self.iou_type == "box" else "masks"
        if len(shapes) != count:
            raise ShapeError(f"{op}: {whose} have {len(shapes)} {what} but {count} labels")
        return shapes, areas


def average_precision(
    predictions: Sequence[Mapping[str, Any]],
    targets: Sequence[Mapping[str, Any]],
    iou_threshold: float | Sequence[float] = 0.5,
    *,
    method: str = "area",
    iou_type: str = "box",
    average: str | None = "macro",
) -> float | dict[int, float]:
    """Average precision over classes (mAP), by default that of PASCAL VOC since 2010 at an IoU of 0.5.

    Args:      predictions, targets: as for :meth:`DetectionMetrics.update`. iou_threshold, method: as for
               :meth:`DetectionMetrics.average_precision`; with COCO_THRESHOLDS and "coco" it is COCO's AP.
               iou_type: "box" or "mask". average: "macro": the mean over classes; None: a dictionary by class
    Returns:   in [0, 1]; nan without any object to be found
    """
    if average not in ("macro", None):
        raise ArgumentError(f"average_precision: average={average!r}; choose 'macro' or None")
    metrics = DetectionMetrics(iou_type)
    metrics.update(predictions, targets)
    values = metrics.average_precision(iou_threshold, method=method)
    return values if average is None else mean_of(values)


def mean_of(values: Mapping[int, float]) -> float:
    """The mean over the classes that have a value; nan if none has."""
    known = [value for value in values.values() if not np.isnan(value)]
    return float(np.mean(known)) if known else float("nan")


def _entry(entries: Mapping[str, Any], name: str, op: str, whose: str) -> Any:
    if not isinstance(entries, Mapping):
        raise ArgumentTypeError(f"{op}: {whose} must be a dictionary for each image, got {type(entries).__name__}")
    if name not in entries:
        raise MissingAttributeError(
            f"{op}: {whose} have no {name!r}, only {', '.join(map(repr, entries)) or 'nothing'}"
        )
    return entries[name]


def _flags(entries: Mapping[str, Any], name: str, count: int, op: str) -> np.ndarray:
    if entries.get(name) is None:
        return np.zeros(count, bool)
    flags = to_host(entries[name], op, name).astype(bool)
    if flags.shape != (count,):
        raise ShapeError(f"{op}: {name} {flags.shape} must have one entry for each of {count} objects")
    return flags
