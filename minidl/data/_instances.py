"""A sample with several objects, from the image and a map that says which object each pixel belongs to."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from ..autograd import Tensor

IGNORE = 255
"""Class of the pixels of a semantic map that neither loss nor metric counts."""


def instance_sample(image: np.ndarray, owner: np.ndarray, labels: np.ndarray, ignore_border: int = 0) -> dict[str, Any]:
    """Everything that can be known about the objects, from the one map; so boxes, masks and classes agree.

    Args:      image: (C, H, W). owner: (H, W) integers: 0 is background, k + 1 the k-th object, −1 a pixel to ignore.
               Each object has a pixel. labels: (K,) class of each object, 1 … C. ignore_border: pixels of the semantic
               map to ignore on either side of an outline, as the white outlines of PASCAL VOC are
    Returns:   a dict of Tensors, as transforms take it: image; boxes (K, 4) float32, (x1, y1, x2, y2) from the first
               to behind the last pixel; labels (K,) int64; masks (K, H, W) bool; semantic (H, W) int64, 0 background
    """
    masks = owner == np.arange(1, len(labels) + 1)[:, None, None]
    semantic = np.append(labels, [IGNORE, 0]).astype(np.int64)[owner - 1]  # −1 → the last but one, 0 → the last
    if ignore_border:
        semantic[_near_outlines(owner, ignore_border)] = IGNORE
    sample = {
        "image": image,
        "boxes": _tight_boxes(masks),
        "labels": np.asarray(labels, np.int64),
        "masks": masks,
        "semantic": semantic,
    }
    return {key: Tensor(array) for key, array in sample.items()}


def _tight_boxes(masks: np.ndarray) -> np.ndarray:
    height, width = masks.shape[1:]
    left, top = (masks.any(axis=axis).argmax(axis=1) for axis in (1, 2))
    turned = masks[:, ::-1, ::-1]
    right, bottom = (turned.any(axis=axis).argmax(axis=1) for axis in (1, 2))
    return np.stack([left, top, width - right, height - bottom], axis=1).astype(np.float32)


def _near_outlines(owner: np.ndarray, distance: int) -> np.ndarray:
    """(H, W) bool: pixels with a pixel of another owner in the square window of 2·distance + 1 around them."""
    highest = lowest = np.pad(owner, distance, mode="edge")
    for axis in (0, 1):
        highest = sliding_window_view(highest, 2 * distance + 1, axis).max(axis=-1)
        lowest = sliding_window_view(lowest, 2 * distance + 1, axis).min(axis=-1)
    return np.not_equal(highest, lowest)
