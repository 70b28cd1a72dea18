"""Greedy non-maximum suppression, by definition."""

from __future__ import annotations

import numpy as np


def nms(boxes: np.ndarray, iou_threshold: float) -> np.ndarray:
    """Which of the boxes stay: those that no box before them that stays overlaps by more than the threshold.

    Math:      keep[j] = no i < j with keep[i] and |A_i ∩ A_j|/(|A_i| + |A_j| − |A_i ∩ A_j|) > iou_threshold
    Args:      boxes: (N, 4) float (x1, y1, x2, y2), the best first
    Returns:   (N,) bool
    """
    keep = np.ones(len(boxes), bool)
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    for j in range(len(boxes)):
        for i in range(j):
            width = max(min(boxes[i, 2], boxes[j, 2]) - max(boxes[i, 0], boxes[j, 0]), boxes.dtype.type(0))
            height = max(min(boxes[i, 3], boxes[j, 3]) - max(boxes[i, 1], boxes[j, 1]), boxes.dtype.type(0))
            common = width * height
            union = areas[i] + areas[j] - common
            if keep[i] and union > 0 and float(common / union) > iou_threshold:
                keep[j] = False
                break
    return keep
