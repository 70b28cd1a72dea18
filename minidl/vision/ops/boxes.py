"""Boxes: their areas, overlaps and formats. A box is (x1, y1, x2, y2) in pixels, and its area (x2 − x1)·(y2 − y1).

All are made of differentiable operations; names, arguments and defaults are those of ``torchvision.ops``. Boxes are
Tensors, or arrays and lists, of which Tensors are made.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ... import functional as F
from ...autograd import Tensor
from ...backend import check
from ...errors import ArgumentError, DtypeError, ShapeError
from ...functional._shared import apply_reduction, check_number
from ._checks import as_boxes, as_tensor, corner_boxes

_FORMATS = ("xyxy", "xywh", "cxcywh")


def box_area(boxes: Any) -> Tensor:
    """(N,) (x2 − x1)·(y2 − y1) of boxes (N, 4), or of (…, 4)."""
    return _area(corner_boxes(boxes, "box_area", dims=None))


def box_convert(boxes: Any, in_fmt: str, out_fmt: str) -> Tensor:
    """Boxes in another format.

    Args:      boxes: (…, 4). in_fmt, out_fmt: "xyxy", the corners (x1, y1, x2, y2); "xywh", a corner and the size
               (x1, y1, w, h); "cxcywh", the center and the size
    Raises:    ArgumentError: an unknown format, corners that are the wrong way round, or a size below 0
    """
    for name, value in (("in_fmt", in_fmt), ("out_fmt", out_fmt)):
        if value not in _FORMATS:
            raise ArgumentError(f"box_convert: {name} must be one of {', '.join(_FORMATS)}, got {value!r}")
    if in_fmt == "xyxy":
        boxes = corner_boxes(boxes, "box_convert", dims=None)
    else:
        boxes = as_boxes(boxes, "box_convert", dims=None)
        sizes = boxes.data[..., 2:]

        def error() -> Exception:
            least = float(sizes.min())
            return ArgumentError(f"box_convert: a size in boxes is {least:.7g}, below 0; are they {in_fmt} boxes?")

        check(sizes < 0, error)
    return boxes if in_fmt == out_fmt else _from_corners(_to_corners(boxes, in_fmt), out_fmt)


def _to_corners(boxes: Tensor, form: str) -> Tensor:
    if form == "xyxy":
        return boxes
    x, y, w, h = boxes.unbind(-1)
    if form == "xywh":
        return F.stack([x, y, x + w, y + h], dim=-1)
    return F.stack([x - 0.5 * w, y - 0.5 * h, x + 0.5 * w, y + 0.5 * h], dim=-1)


def _from_corners(boxes: Tensor, form: str) -> Tensor:
    if form == "xyxy":
        return boxes
    x1, y1, x2, y2 = boxes.unbind(-1)
    corner_or_center = (x1, y1) if form == "xywh" else ((x1 + x2) / 2, (y1 + y2) / 2)
    return F.stack([*corner_or_center, x2 - x1, y2 - y1], dim=-1)


def box_iou(boxes1: Any, boxes2: Any) -> Tensor:
    """The overlap of each pair of boxes: intersection over union.

    Math:      IoU[i, j] = |A_i ∩ B_j| / |A_i ∪ B_j|; NaN for two boxes without area
    Args:      boxes1: (N, 4). boxes2: (M, 4)
    Returns:   (N, M), in [0, 1]
    Raises:    ShapeError: other shapes. ArgumentError: a box with NaN or corners the wrong way round
    """
    boxes1, boxes2 = _two_sets(boxes1, boxes2, "box_iou")
    intersection, union = _intersection_and_union(boxes1.unsqueeze(1), boxes2.unsqueeze(0))
    return intersection / union


def generalized_box_iou(boxes1: Any, boxes2: Any) -> Tensor:
    """IoU, less the share of the smallest enclosing box C that neither fills: it tells how far apart boxes are.

    Math:      GIoU[i, j] = IoU − (|C| − |A_i ∪ B_j|)/|C|
    Args:      boxes1: (N, 4). boxes2: (M, 4)
    Returns:   (N, M), in (−1, 1]
    Raises:    as :func:`box_iou`
    Source:    Rezatofighi et al. 2019, "Generalized intersection over union", algorithm 1
    """
    boxes1, boxes2 = _two_sets(boxes1, boxes2, "generalized_box_iou")
    boxes1, boxes2 = boxes1.unsqueeze(1), boxes2.unsqueeze(0)
    intersection, union = _intersection_and_union(boxes1, boxes2)
    enclosing = _enclosing_area(boxes1, boxes2)
    return intersection / union - (enclosing - union) / enclosing


def generalized_box_iou_loss(boxes1: Any, boxes2: Any, reduction: str = "none", eps: float = 1e-7) -> Tensor:
    """1 − GIoU of boxes pair by pair: a loss of boxes with a gradient also where they do not overlap.

    Math:      L = 1 − (|A∩B|/(|A∪B| + ε) − (|C| − |A∪B|)/(|C| + ε)), C the smallest box around both
    Backward:  composed, by either set; 0 from the intersection of boxes that do not overlap
    Args:      boxes1, boxes2: both (N, 4) or (4,). reduction: "none", "mean" or "sum". eps: keeps the ratios finite
    Returns:   (N,), or () after "mean" (0 of no boxes) or "sum"
    Raises:    ShapeError: shapes that differ. ArgumentError: an unknown reduction, a box with NaN or corners the wrong
               way round
    Source:    Rezatofighi et al. 2019, "Generalized intersection over union", algorithm 2
    """
    op = "generalized_box_iou_loss"
    first = _floating(corner_boxes(boxes1, op, "boxes1", dims=None))
    second = _floating(corner_boxes(boxes2, op, "boxes2", dims=None))
    if first.shape != second.shape:
        raise ShapeError(f"{op}: boxes1 {first.shape} and boxes2 {second.shape} differ; the loss pairs them one by one")
    eps = check_number(eps, op, "eps")
    intersection, union = _intersection_and_union(first, second)
    enclosing = _enclosing_area(first, second)
    loss = 1.0 - (intersection / (union + eps) - (enclosing - union) / (enclosing + eps))
    return apply_reduction(loss, "sum" if reduction == "mean" and loss.numel() == 0 else reduction, op)


def clip_boxes_to_image(boxes: Any, size: Sequence[int]) -> Tensor:
    """Boxes cut at the edges of an image.

    Args:      boxes: (…, 4). size: (height, width) of the image
    Returns:   as boxes; a box outside has lost its area
    """
    boxes = corner_boxes(boxes, "clip_boxes_to_image", dims=None)
    height, width = _image_size(size, "clip_boxes_to_image")
    x1, y1, x2, y2 = boxes.unbind(-1)
    corners = x1.clamp(0, width), y1.clamp(0, height), x2.clamp(0, width), y2.clamp(0, height)
    return F.stack(list(corners), dim=-1)


def remove_small_boxes(boxes: Any, min_size: float) -> Tensor:
    """(K,) int64: the indices of the boxes (N, 4) whose both sides are at least `min_size` pixels."""
    boxes = corner_boxes(boxes, "remove_small_boxes")
    sides = boxes.data[:, 2:] - boxes.data[:, :2]
    return Tensor((sides >= check_number(min_size, "remove_small_boxes", "min_size")).all(1).nonzero()[0])


def _area(boxes: Tensor) -> Tensor:
    x1, y1, x2, y2 = boxes.unbind(-1)
    return (x2 - x1) * (y2 - y1)


def _intersection_and_union(boxes1: Tensor, boxes2: Tensor) -> tuple[Tensor, Tensor]:
    """Areas of A ∩ B and A ∪ B, with broadcasting."""
    low = F.maximum(boxes1[..., :2], boxes2[..., :2])
    high = F.minimum(boxes1[..., 2:], boxes2[..., 2:])
    width, height = (high - low).clamp(min=0).unbind(-1)
    intersection = width * height
    return intersection, _area(boxes1) + _area(boxes2) - intersection


def _enclosing_area(boxes1: Tensor, boxes2: Tensor) -> Tensor:
    low = F.minimum(boxes1[..., :2], boxes2[..., :2])
    high = F.maximum(boxes1[..., 2:], boxes2[..., 2:])
    width, height = (high - low).unbind(-1)
    return width * height


def _two_sets(boxes1: Any, boxes2: Any, op: str) -> tuple[Tensor, Tensor]:
    return _floating(corner_boxes(boxes1, op, "boxes1")), _floating(corner_boxes(boxes2, op, "boxes2"))


def _floating(boxes: Tensor) -> Tensor:
    return boxes if boxes.dtype.kind == "f" else boxes.to(np.float32)


def _image_size(size: Any, op: str) -> tuple[int, int]:
    sizes = as_tensor(list(size) if isinstance(size, tuple) else size, op, "size")
    if sizes.shape != (2,):
        raise ShapeError(f"{op}: size must be (height, width), got {size!r}")
    if sizes.dtype.kind not in "iu":
        raise DtypeError(f"{op}: size must be two integers (height, width), got {size!r}")
    height, width = sizes.tolist()
    return height, width
