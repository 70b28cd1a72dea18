"""Operations on boxes and regions of images, with the names, arguments and defaults of ``torchvision.ops``."""

from .boxes import (
    box_area,
    box_convert,
    box_iou,
    clip_boxes_to_image,
    generalized_box_iou,
    generalized_box_iou_loss,
    remove_small_boxes,
)
from .masks import paste_masks
from .nms import batched_nms, nms
from .roi import MultiScaleRoIAlign, RoIAlign, RoIPool, roi_align, roi_pool

__all__ = [
    "MultiScaleRoIAlign",
    "RoIAlign",
    "RoIPool",
    "batched_nms",
    "box_area",
    "box_convert",
    "box_iou",
    "clip_boxes_to_image",
    "generalized_box_iou",
    "generalized_box_iou_loss",
    "nms",
    "paste_masks",
    "remove_small_boxes",
    "roi_align",
    "roi_pool",
]
