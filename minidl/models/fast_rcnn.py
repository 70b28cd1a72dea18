"""Fast R-CNN: Girshick 2015."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..autograd import Tensor
from ..errors import ArgumentError, ShapeError
from ..vision.ops._checks import corner_boxes
from .detection_transform import ImageBatch, Target, resize_boxes
from .generalized_rcnn import GeneralizedRCNN


class FastRCNN(GeneralizedRCNN):
    """A detector that looks at the image once, and at proposals from elsewhere in its features.

    ``model(images, targets, proposals)`` in training, ``model(images, proposals=proposals)`` in evaluation, where
    proposals are (L, 4) boxes for each image, such as :func:`minidl.vision.selective_search` finds.

    Args:      see :class:`~minidl.models.GeneralizedRCNN`
    Returns:   forward: see there; the losses are loss_classifier and loss_box_reg
    Raises:    as there; for proposals as for boxes
    Source:    section 2. Deviations: two dense layers of representation_size, RoIAlign unless box_roi_pool says
               otherwise, and sampling as in :class:`~minidl.models.RoIHeads`
    """

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
