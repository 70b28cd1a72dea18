"""Faster R-CNN: Ren, He, Girshick & Sun 2015, "Towards real-time object detection with region proposal networks"."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .. import nn
from ..autograd import Tensor
from ..vision import AnchorGenerator
from ._pretrained import build
from .detection_transform import ImageBatch, Target
from .fpn import ResNetFPN
from .generalized_rcnn import GeneralizedRCNN
from .rpn import RegionProposalNetwork, RPNHead


class FasterRCNN(GeneralizedRCNN):
    """A detector whose proposals come from a small network on the features that also classify them.

    ======================  =====================================================  ===========================
    part                    with :class:`~minidl.models.ResNetFPN`, K classes      output
    ======================  =====================================================  ===========================
    transform               shorter side 800, normalized                           N × 3 × H × W
    backbone                five maps, strides 4 to 64                             256 × h × w each
    rpn                     3 anchors at each place, NMS                           1,000 proposals
    roi_heads.box_roi_pool  RoIAlign from the map that suits the size              256 × 7 × 7 each
    roi_heads.box_head      two dense layers                                       1024
    ..    .box_predictor    logits; a box for each class                           K; 4 K
    ..                      scores above 0.05, NMS within each class               boxes, labels, scores
    ======================  =====================================================  ===========================

    A small one, for a single map of stride 8::

        backbone = nn.Sequential(…); backbone.out_channels = 64
        model = FasterRCNN(backbone, 4, min_size=None,
                           rpn_anchor_generator=AnchorGenerator(((16, 32, 64),), ((1.0,),)),
                           box_roi_pool=MultiScaleRoIAlign(["0"], 7, 2), representation_size=128)
        losses = model(images, targets)      # loss_classifier, loss_box_reg, loss_objectness, loss_rpn_box_reg
        sum(losses.values()).backward()

    Args:      backbone to image_std, and settings by keyword (box_…, representation_size, size_divisible): see
               :class:`~minidl.models.GeneralizedRCNN`. rpn_…: see :class:`~minidl.models.RegionProposalNetwork`; by
               default an anchor of 32 to 512 pixels on each of five maps, in three shapes
    Returns:   forward: see :class:`~minidl.models.GeneralizedRCNN`
    Raises:    as :class:`~minidl.models.GeneralizedRCNN`
    Source:    Ren et al. 2015; with a pyramid Lin et al. 2017; names and conventions as in torchvision
    """

    def __init__(
        self,
        backbone: nn.Module,
        num_classes: int | None = None,
        min_size: int | Sequence[int] | None = 800,
        max_size: int = 1333,
        image_mean: Sequence[float] | None = None,
        image_std: Sequence[float] | None = None,
        rpn_anchor_generator: AnchorGenerator | None = None,
        rpn_head: nn.Module | None = None,
        rpn_pre_nms_top_n_train: int = 2000,
        rpn_pre_nms_top_n_test: int = 1000,
        rpn_post_nms_top_n_train: int = 2000,
        rpn_post_nms_top_n_test: int = 1000,
        rpn_nms_thresh: float = 0.7,
        rpn_fg_iou_thresh: float = 0.7,
        rpn_bg_iou_thresh: float = 0.3,
        rpn_batch_size_per_image: int = 256,
        rpn_positive_fraction: float = 0.5,
        rpn_score_thresh: float = 0.0,
        **settings: Any,
    ):
        super().__init__(backbone, num_classes, min_size, max_size, image_mean, image_std, **settings)
        if rpn_anchor_generator is None:
            rpn_anchor_generator = AnchorGenerator((32, 64, 128, 256, 512), (0.5, 1.0, 2.0))
        self.rpn = RegionProposalNetwork(
            rpn_anchor_generator,
            rpn_head or RPNHead(backbone.out_channels, rpn_anchor_generator.num_anchors_per_location()[0]),
            rpn_fg_iou_thresh,
            rpn_bg_iou_thresh,
            rpn_batch_size_per_image,
            rpn_positive_fraction,
            {"training": rpn_pre_nms_top_n_train, "testing": rpn_pre_nms_top_n_test},
            {"training": rpn_post_nms_top_n_train, "testing": rpn_post_nms_top_n_test},
            rpn_nms_thresh,
            rpn_score_thresh,
        )

    def propose(
        self, batch: ImageBatch, features: Mapping[str, Tensor], targets: Sequence[Target] | None
    ) -> tuple[list[Tensor], dict[str, Tensor]]:
        return self.rpn(batch, features, targets)


def fasterrcnn_resnet50_fpn(
    pretrained: bool = False, num_classes: int = 91, trainable_layers: int = 3, **settings: Any
) -> FasterRCNN:
    """:class:`FasterRCNN` on :class:`ResNetFPN`, 41,755,286 parameters for COCO's 91 classes.

    torchvision's file loads::

        model = fasterrcnn_resnet50_fpn()
        model.load_state_dict(minidl.load("fasterrcnn_resnet50_fpn_coco-258fb6c6.pth"))

    Args:      trainable_layers: see :class:`ResNetFPN`. settings: of :class:`FasterRCNN`. For `pretrained` see
               :mod:`minidl.models`
    """
    return build("fasterrcnn_resnet50_fpn", pretrained, _faster, num_classes, trainable_layers, **settings)


def _faster(num_classes: int, trainable_layers: int, **settings: Any) -> FasterRCNN:
    return FasterRCNN(ResNetFPN(trainable_layers), num_classes, **settings)
