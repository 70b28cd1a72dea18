"""Detections of one class against its objects: overlaps, who matches whom, and the curve of precision over recall."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Group:
    """The detections of one class in one image, the best first, and its objects.

    ious: (D, G); of a crowd, the share of the detection that lies in it. excused: (G,) objects that need not be found;
    areas in pixels
    """

    scores: np.ndarray
    ious: np.ndarray
    excused: np.ndarray
    detection_areas: np.ndarray
    object_areas: np.ndarray


def box_overlaps(detections: np.ndarray, objects: np.ndarray, crowd: np.ndarray) -> np.ndarray:
    """(D, G) intersection over union of boxes, or over the detection where the object is a crowd."""
    low = np.maximum(detections[:, None, :2], objects[None, :, :2])
    high = np.minimum(detections[:, None, 2:], objects[None, :, 2:])
    common = (high - low).clip(0, None).prod(2)
    return _over_union(common, box_areas(detections), box_areas(objects), crowd)


def mask_overlaps(detections: np.ndarray, objects: np.ndarray, crowd: np.ndarray) -> np.ndarray:
    """The same of masks (D, H, W) and (G, H, W): all intersections are one matrix product."""
    rows, columns = (masks.reshape(len(masks), -1).astype(np.float32) for masks in (detections, objects))
    common = (rows @ columns.T).astype(np.float64)  # counts below 2^24 are exact
    return _over_union(common, mask_areas(detections), mask_areas(objects), crowd)


def box_areas(boxes: np.ndarray) -> np.ndarray:
    """(N,) of boxes (N, 4)."""
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])


def mask_areas(masks: np.ndarray) -> np.ndarray:
    """(N,) pixels of masks (N, H, W)."""
    return np.count_nonzero(masks, axis=(1, 2)).astype(np.float64)


def _over_union(common: np.ndarray, a: np.ndarray, b: np.ndarray, crowd: np.ndarray) -> np.ndarray:
    union = np.where(crowd, a[:, None], a[:, None] + b - common)
    return np.divide(common, union, out=np.zeros_like(common), where=union > 0)


def match_coco(
    group: Group, thresholds: np.ndarray, area_range: tuple[float, float], most: int
) -> tuple[np.ndarray, np.ndarray, int]:
    """COCO's matching: each detection in turn takes the object that it overlaps most and that is still free.

    An object to be found goes before one that is excused, which may be taken by many. Objects outside the range of
    areas are excused as well, and so are detections there that match nothing.

    Returns:   hits and ignored, (T, D) each, of the best `most` detections; how many objects are to be found
    """
    low, high = area_range
    out_of_range = (group.object_areas < low) | (group.object_areas > high)
    excused, ious = group.excused | out_of_range, group.ious[:most]
    hits, ignored = (np.zeros((len(thresholds), len(ious)), bool) for _ in range(2))
    free = np.ones((len(thresholds), len(excused)), bool)
    least = np.minimum(thresholds, 1 - 1e-10)[:, None]
    for d, overlaps in enumerate(ious):
        possible = (overlaps >= least) & free
        wanted = possible & ~excused
        possible = np.where(wanted.any(1, keepdims=True), wanted, possible)
        matched = possible.any(1)
        if matched.any():
            ranked = np.where(possible, overlaps, -1)[:, ::-1]  # of equals the last one
            which = len(overlaps) - 1 - ranked.argmax(1)[matched]
            ignored[matched, d], hits[matched, d] = excused[which], ~excused[which]
            free[np.flatnonzero(matched), which] = group.excused[which]
    outside = (group.detection_areas[:most] < low) | (group.detection_areas[:most] > high)
    ignored |= ~hits & outside
    return hits, ignored, int((~excused).sum())


def match_voc(group: Group, thresholds: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
    """PASCAL VOC's matching: each detection looks only at the object that it overlaps most.

    If that is excused, the detection does not count; if a better detection has it, the second is a false alarm.
    """
    hits, ignored = (np.zeros((len(thresholds), len(group.ious)), bool) for _ in range(2))
    free = np.ones((len(thresholds), len(group.excused)), bool)
    for d, overlaps in enumerate(group.ious if len(group.excused) else ()):
        which = int(overlaps.argmax())
        overlapping = overlaps[which] >= thresholds
        if group.excused[which]:
            ignored[:, d] = overlapping
        else:
            hits[:, d] = overlapping & free[:, which]
            free[:, which] &= ~overlapping
    return hits, ignored, int((~group.excused).sum())


def precision_recall(
    scores: Sequence[np.ndarray], hits: Sequence[np.ndarray], ignored: Sequence[np.ndarray], count: int
) -> list[tuple[np.ndarray, np.ndarray]]:
    """(precision, recall) after each detection of all images, the best first, for each threshold.

    Args:      scores: (D,) for each image. hits, ignored: (T, D) for each image. count: objects to be found, > 0
    """
    order = np.argsort(-np.concatenate(scores), kind="stable")
    right, counted = np.concatenate(hits, 1)[:, order], ~np.concatenate(ignored, 1)[:, order]
    curves = []
    for hit, counts in zip(right, counted, strict=True):
        found, wrong = np.cumsum(hit & counts), np.cumsum(~hit & counts)
        curves.append((found / np.maximum(found + wrong, 1), found / count))
    return curves


def interpolated(precision: np.ndarray, recall: np.ndarray, method: str) -> float:
    """The average precision of a curve: the mean of the best precision that is left at each recall.

    Math:      p̂(r) = max of precision where recall ≥ r, 0 where none. "coco": the mean over r = 0, 0.01, …, 1;
               "11point": over r = 0, 0.1, …, 1; "area": ∫₀¹ p̂(r) dr
    """
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    if method == "area":
        return float((np.diff(recall, prepend=0.0) * envelope).sum())
    at = np.linspace(0, 1, 101 if method == "coco" else 11)
    return float(np.append(envelope, 0.0)[np.searchsorted(recall, at, side="left")].mean())
