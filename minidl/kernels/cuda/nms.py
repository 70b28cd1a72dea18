"""Greedy non-maximum suppression: n² bits of overlaps in parallel, then one block that goes through the boxes."""

from __future__ import annotations

from typing import Any

import cupy
import numpy as np

from ._compile import launch, launch_blocks
from ._half import in_single


@in_single
def nms(boxes: Any, iou_threshold: float) -> Any:
    """Which of the boxes stay: those that no box before them that stays overlaps by more than the threshold.

    Math:      keep[j] = no i < j with keep[i] and |A_i ∩ A_j|/(|A_i| + |A_j| − |A_i ∩ A_j|) > iou_threshold
    Args:      boxes: (N, 4) float (x1, y1, x2, y2), the best first
    Returns:   (N,) bool
    """
    boxes, count = cupy.ascontiguousarray(boxes), len(boxes)
    words = -(-count // 64)
    keep, bits, removed = cupy.zeros(count, bool), cupy.zeros((count, words), np.uint64), cupy.zeros(words, np.uint64)
    if count:
        settings = count, words, float(iou_threshold)
        launch("nms", "overlap_bits", count * words, (bits, boxes, *settings), boxes.dtype)
        launch_blocks("nms", "keep_greedily", (1,), (keep, removed, bits, count, words), boxes.dtype)
    return keep
