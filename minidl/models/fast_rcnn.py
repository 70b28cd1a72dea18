"""Fast R-CNN: Girshick 2015."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .. import nn
from ..autograd import Tensor
from ..errors import ArgumentError, ShapeError
from ..vision.ops._checks import corner_boxes
from .detection_transform import DetectionTransform, ImageBatch, Target, resize_boxes
from .faster_rcnn import IMAGENET_MEAN, IMAGENET_STD, make_heads
from .generalized_rcnn import GeneralizedRCNN, backbone_channels


class FastRCNN(GeneralizedRCNN):
    """A detector that looks at the image once, and at proposals from elsewhere in its features.

    ``model(images, targets, proposals)`` in training, ``model(images, proposals=proposals)`` in evaluation, where
    proposals are (L, 4) boxes for each image, such as :func:`minidl.vision.selective_search` finds.

    Args:      as those of :class:`~minidl.models.FasterRCNN`, without a network for proposals
    Returns:   forward: see :class:`~minidl.models.GeneralizedRCNN`; the losses are loss_classifier and loss_box_reg
    Raises:    as :class:`~minidl.models.FasterRCNN`, for proposals too
    Source:    section 2. Deviations: two dense layers of representation_size, RoIAlign unless box_roi_pool says
               otherwise, and sampling as in :class:`~minidl.models.RoIHeads`
    """

    def __init__(
        self,
        backbone: nn.Module,
        num_classes: int | None = None,
        min_size: int | Sequence[int] | None = 800,
        max_size: int = 1333,
        image_mean: Sequence[float] | None = None,
        image_std: Sequence[float] | None = None,
        box_roi_pool: nn.Module | None = None,
        box_head: nn.Module | None = None,
        box_predictor: nn.Module | None = None,
        box_score_thresh: float = 0.05,
        box_nms_thresh: float = 0.5,
        box_detections_per_img: int = 100,
        box_fg_iou_thresh: float = 0.5,
        box_bg_iou_thresh: float = 0.5,
        box_batch_size_per_image: int = 512,
        box_positive_fraction: float = 0.25,
        bbox_reg_weights: Sequence[float] | None = None,
        *,
        representation_size: int = 1024,
        size_divisible: int = 32,
    ):
        heads = make_heads(
            type(self).__name__, backbone_channels(backbone, type(self).__name__), num_classes, box_roi_pool, box_head,
            box_predictor, representation_size, fg_iou_thresh=box_fg_iou_thresh, bg_iou_thresh=box_bg_iou_thresh,
            batch_size_per_image=box_batch_size_per_image, positive_fraction=box_positive_fraction,
            bbox_reg_weights=bbox_reg_weights, score_thresh=box_score_thresh, nms_thresh=box_nms_thresh,
            detections_per_img=box_detections_per_img,
        )  # fmt: skip
        mean, std = image_mean or IMAGENET_MEAN, image_std or IMAGENET_STD
        super().__init__(backbone, heads, DetectionTransform(min_size, max_size, mean, std, size_divisible))

    def forward(
        self, images: Any, targets: Sequence[Target] | None = None, proposals: Sequence[Any] | None = None
    ) -> Any:
        images = self._checked_images(images)
        if proposals is None:
            raise ArgumentError("FastRCNN: proposals are needed, (L, 4) boxes for each image, e.g. selective_search's")
        if len(proposals) != len(images):
            raise ShapeError(f"FastRCNN: {len(images)} images but proposals of {len(proposals)}")
        self._proposals = [
            (corner_boxes(boxes, "FastRCNN", "proposals", image=number), image.shape[1:])
            for number, (boxes, image) in enumerate(zip(proposals, images, strict=True))
        ]
        return super().forward(images, targets)

    def propose(
        self, batch: ImageBatch, features: Mapping[str, Tensor], targets: Sequence[Target] | None
    ) -> tuple[list[Tensor], dict[str, Tensor]]:
        dtype = batch.images.dtype
        pairs = zip(self._proposals, batch.sizes, strict=True)
        return [resize_boxes(boxes.to(dtype), (size[0], size[1]), new) for (boxes, size), new in pairs], {}
