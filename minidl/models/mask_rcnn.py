"""Mask R-CNN: He, Gkioxari, Dollár & Girshick 2017."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .. import nn
from ..errors import ArgumentError
from ..nn import init
from ..vision.ops import MultiScaleRoIAlign
from ._pretrained import build
from .faster_rcnn import FasterRCNN
from .fpn import ResNetFPN


class MaskRCNNHeads(nn.Sequential):
    """Convolutions of 3×3 with ReLU on the features of a region: (L, C, h, w) → (L, layers[-1], h, w).

    Args:      layers: channels of each
    Source:    figure 4, right
    """

    def __init__(self, in_channels: int, layers: Sequence[int]):
        pairs = zip((in_channels, *layers), layers, strict=False)
        super().__init__(*(nn.Sequential(nn.Conv2d(a, b, 3, padding=1), nn.ReLU()) for a, b in pairs))
        _init(self)


class MaskRCNNPredictor(nn.Sequential):
    """A mask for each class, twice as fine: (L, C, h, w) → logits (L, num_classes, 2h, 2w)."""

    def __init__(self, in_channels: int, dim_reduced: int, num_classes: int):
        super().__init__()
        self.conv5_mask = nn.ConvTranspose2d(in_channels, dim_reduced, 2, stride=2)
        self.relu = nn.ReLU()
        self.mask_fcn_logits = nn.Conv2d(dim_reduced, num_classes, 1)
        _init(self)


def _init(module: nn.Module) -> None:
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
            init.zeros_(layer.bias)  # type: ignore[arg-type]


class MaskRCNN(FasterRCNN):
    """:class:`~minidl.models.FasterRCNN` with a third branch, which says for each region which pixels belong to it.

    =========================  ===================================  =====================
    part of roi_heads          for each region, K classes           output
    =========================  ===================================  =====================
    box branch                 as in Faster R-CNN                   K scores, K boxes
    mask_roi_pool              RoIAlign                             256 × 14 × 14
    mask_head                  four times 3×3, ReLU                 256 × 14 × 14
    mask_predictor             doubled, then 1×1                    K × 28 × 28
    =========================  ===================================  =====================

    Targets have masks (G, H, W) as well, training gives loss_mask too, and detections masks (D, 1, H, W): for each
    pixel the probability to belong to the object. Classes do not compete for a pixel: of the K masks, the one of the
    class that the box branch has found is taken.

    Args:      as those of FasterRCNN; mask_layers, mask_dim_reduced: channels of the default mask_head and of the
               doubled maps; mask_roi_pool, mask_head, mask_predictor: other parts
    Raises:    as FasterRCNN; ShapeError: masks that do not fit the image or the boxes
    Source:    section 3
    """

    def __init__(
        self,
        backbone: nn.Module,
        num_classes: int | None = None,
        *args: Any,
        mask_roi_pool: nn.Module | None = None,
        mask_head: nn.Module | None = None,
        mask_predictor: nn.Module | None = None,
        mask_layers: Sequence[int] = (256, 256, 256, 256),
        mask_dim_reduced: int = 256,
        **settings: Any,
    ):
        super().__init__(backbone, num_classes, *args, **settings)
        heads = self.roi_heads
        if mask_head is None:
            mask_head = MaskRCNNHeads(backbone.out_channels, mask_layers)
        if mask_predictor is None:
            if not mask_layers:
                raise ArgumentError("MaskRCNN: mask_layers is empty; give the channels of one convolution at least")
            mask_predictor = MaskRCNNPredictor(mask_layers[-1], mask_dim_reduced, self.num_classes)
        heads.mask_roi_pool = mask_roi_pool or MultiScaleRoIAlign(["0", "1", "2", "3"], 14, 2)
        heads.mask_head, heads.mask_predictor = mask_head, mask_predictor


def maskrcnn_resnet50_fpn(
    pretrained: bool = False, num_classes: int = 91, trainable_layers: int = 3, **settings: Any
) -> MaskRCNN:
    """:class:`MaskRCNN` on :class:`~minidl.models.ResNetFPN`, 44,401,393 parameters for COCO's 91 classes.

    Args:      as those of :func:`~minidl.models.fasterrcnn_resnet50_fpn`; torchvision's file loads as there
    """
    return build("maskrcnn_resnet50_fpn", pretrained, _mask, num_classes, trainable_layers, **settings)


def _mask(num_classes: int, trainable_layers: int, **settings: Any) -> MaskRCNN:
    return MaskRCNN(ResNetFPN(trainable_layers), num_classes, **settings)
