"""Masks of objects, from the small grid of a box to the image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ... import functional as F
from ...autograd import Tensor, no_grad
from ...backend import to_numpy
from ...errors import ShapeError
from ._checks import as_tensor, corner_boxes
from .boxes import _image_size


@no_grad()
def paste_masks(masks: Any, boxes: Any, img_shape: Sequence[int], padding: int = 1) -> Tensor:
    """Masks of boxes as masks of the whole image: each is resized to its box and laid there.

    A mask gets a border of `padding` zeros and its box grows with it, so that the interpolation can fall to 0 at the
    edge; then the corners are cut down to integers.

    Args:      masks: (K, 1, M, M) probabilities. boxes: (K, 4). img_shape: (height, width). padding: pixels of the mask
    Returns:   (K, 1, height, width), 0 outside the boxes; without gradient
    Raises:    ShapeError: shapes that do not fit. ArgumentError: a box with NaN or corners the wrong way round
    Source:    He et al. 2017, "Mask R-CNN", section 3.1; conventions as torchvision's paste_masks_in_image
    """
    masks, boxes = as_tensor(masks, "paste_masks", "masks"), corner_boxes(boxes, "paste_masks")
    height, width = _image_size(img_shape, "paste_masks")
    if masks.ndim != 4 or masks.shape[1] != 1 or masks.shape[2] != masks.shape[3] or 0 in masks.shape[1:]:
        raise ShapeError(f"paste_masks: masks must be (K, 1, M, M), got {masks.shape}")
    if len(masks) != len(boxes):
        raise ShapeError(f"paste_masks: {len(masks)} masks but {len(boxes)} boxes")
    masks = masks if masks.dtype.kind == "f" else masks.to(np.float32)
    side = masks.shape[-1]
    corners = to_numpy(boxes.data).astype(np.promote_types(boxes.dtype, np.float32))
    scale = corners.dtype.type((side + 2 * padding) / side)
    half = (corners[:, 2:] - corners[:, :2]) * corners.dtype.type(0.5) * scale
    center = (corners[:, 2:] + corners[:, :2]) * corners.dtype.type(0.5)
    grown = np.concatenate([center - half, center + half], axis=1).astype(np.int64).tolist()
    padded = F.pad(masks, (padding,) * 4)
    canvases = [_paste(padded[k : k + 1], box, height, width) for k, box in enumerate(grown)]
    return F.cat(canvases) if canvases else Tensor(masks.data.reshape(0, 1, 1, 1).repeat(height, 2).repeat(width, 3))


def _paste(mask: Tensor, box: list[int], height: int, width: int) -> Tensor:
    """(1, 1, height, width): the mask, resized to the box, on a canvas of zeros."""
    x1, y1, x2, y2 = box
    inside = F.interpolate(mask, size=(max(y2 - y1 + 1, 1), max(x2 - x1 + 1, 1)), mode="bilinear")
    top, left, bottom, right = max(y1, 0), max(x1, 0), min(y2 + 1, height), min(x2 + 1, width)
    if bottom <= top or right <= left:
        return F.zeros(1, 1, height, width, dtype=mask.dtype, device=mask.device)
    visible = inside[:, :, top - y1 : bottom - y1, left - x1 : right - x1]
    return F.pad(visible, (left, width - right, top, height - bottom))
