"""What all detectors on regions share: from images to features, to proposals, to detections or losses."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .. import nn
from ..autograd import Tensor, check_tensor
from ..backend import check, to_numpy
from ..errors import (
    ArgumentError,
    ArgumentTypeError,
    DtypeError,
    MissingAttributeError,
    MissingMethodError,
    OutOfRangeError,
    ShapeError,
)
from ..vision.ops import MultiScaleRoIAlign
from ..vision.ops._checks import corner_boxes
from .detection_transform import DetectionTransform, ImageBatch, Target
from .roi_heads import FastRCNNPredictor, RoIHeads, TwoMLPHead

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class GeneralizedRCNN(nn.Module):
    """A detector: transform, backbone, proposals, heads on regions. A subclass says where proposals come from.

    In training ``model(images, targets)`` gives a dict of losses, to be added up; in evaluation ``model(images)`` gives
    for each image a dict of boxes (D, 4), labels (D,) and scores (D,), the best first, in pixels of the first image.

    Args:      backbone: images → a map (N, out_channels, h, w), or a dict of them, the finest first; has
               `out_channels`. num_classes: K, the background included; None with a box_predictor. min_size: pixels of
               the shorter side, or None to leave images as they are. max_size: limit of the longer side. image_mean,
               image_std: by default ImageNet's. size_divisible: see :class:`~minidl.models.DetectionTransform`.
               box_roi_pool, box_head, box_predictor: by default RoIAlign of 7 × 7 from the maps "0" to "3", two dense
               layers of representation_size, logits and boxes. Others: see :class:`~minidl.models.RoIHeads`
    Raises:    MissingAttributeError: a backbone without out_channels, a box_predictor without cls_score. ArgumentError:
               num_classes and box_predictor both or neither. In forward, naming image and box: ArgumentError: a box
               without area, with NaN, or with corners the wrong way round; OutOfRangeError: a label that is no object;
               ShapeError, DtypeError
    """

    def __init__(
        self,
        backbone: nn.Module,
        num_classes: int | None = None,
        min_size: int | Sequence[int] | None = 800,
        max_size: int = 1333,
        image_mean: Sequence[float] | None = None,
        image_std: Sequence[float] | None = None,
        *,
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
        representation_size: int = 1024,
        size_divisible: int = 32,
    ):
        super().__init__()
        name = type(self).__name__
        if not hasattr(backbone, "out_channels"):
            raise MissingAttributeError(
                f"{name}: the backbone must have the attribute out_channels, the number of channels of each of its "
                f"maps; {type(backbone).__name__} has not"
            )
        if (num_classes is None) == (box_predictor is None):
            raise ArgumentError(f"{name}: give either num_classes (got {num_classes}) or a box_predictor, one of them")
        if box_predictor is not None and not hasattr(getattr(box_predictor, "cls_score", None), "out_features"):
            raise MissingAttributeError(
                f"{name}: the box_predictor must have a layer cls_score, whose out_features counts the classes; "
                f"{type(box_predictor).__name__} has not"
            )
        if box_roi_pool is None:
            box_roi_pool = MultiScaleRoIAlign(["0", "1", "2", "3"], 7, 2)
        if box_head is None:
            bins = math.prod(box_roi_pool.output_size)
            box_head = TwoMLPHead(backbone.out_channels * bins, representation_size)
        if num_classes is not None:
            box_predictor = FastRCNNPredictor(representation_size, num_classes)
        assert box_predictor is not None
        mean, std = image_mean or IMAGENET_MEAN, image_std or IMAGENET_STD
        self.transform = DetectionTransform(min_size, max_size, mean, std, size_divisible)
        self.backbone = backbone
        self.roi_heads = RoIHeads(
            box_roi_pool, box_head, box_predictor, box_fg_iou_thresh, box_bg_iou_thresh, box_batch_size_per_image,
            box_positive_fraction, bbox_reg_weights, box_score_thresh, box_nms_thresh, box_detections_per_img,
        )  # fmt: skip

    def propose(
        self, batch: ImageBatch, features: Mapping[str, Tensor], targets: Sequence[Target] | None
    ) -> tuple[list[Tensor], dict[str, Tensor]]:
        """Proposals (L, 4) for each image, and losses of whatever made them."""
        raise MissingMethodError(f"{type(self).__name__} must define propose(self, batch, features, targets)")

    def forward(self, images: Any, targets: Sequence[Target] | None = None) -> Any:
        images = self._checked_images(images)
        if self.training:
            targets = self._checked_targets(images, targets)
        batch, moved = self.transform(images, targets if self.training else None)
        features = self.features(batch.images)
        proposals, losses = self.propose(batch, features, moved)
        detections, more = self.roi_heads(features, proposals, batch.sizes, moved)
        if self.training:
            return {**more, **losses}
        return self.transform.postprocess(detections, batch.sizes, [image.shape[-2:] for image in images])

    def features(self, images: Tensor) -> dict[str, Tensor]:
        """The backbone's maps by name; a single one is called "0"."""
        maps = self.backbone(images)
        return {"0": maps} if isinstance(maps, Tensor) else dict(maps)

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True) -> Any:
        """As :meth:`Module.load_state_dict`; names that torchvision used before 2022 are understood as well, and what a
        batch norm has counted is left out where it is frozen here."""
        own = self.state_dict()
        renamed = {_new_name(name): value for name, value in state_dict.items()}
        fitting = {
            name: value for name, value in renamed.items() if name in own or not name.endswith(".num_batches_tracked")
        }
        return super().load_state_dict(fitting, strict)

    def _checked_images(self, images: Any) -> list[Tensor]:
        name = type(self).__name__
        if isinstance(images, np.ndarray):
            images = Tensor(images)
        if isinstance(images, Tensor):
            if images.ndim != 4:
                raise ShapeError(f"{name}: images must be (N, C, H, W) or a list of (C, H, W), got {images.shape}")
            return list(images.unbind(0))
        images = [Tensor(image) if isinstance(image, np.ndarray) else image for image in images]
        if not images:
            raise ArgumentError(f"{name}: images is empty; give one at least")
        return [check_tensor(image, name, f"images[{number}]") for number, image in enumerate(images)]

    def _checked_targets(self, images: Sequence[Tensor], targets: Any) -> list[Target]:
        """New dicts, with boxes, labels and perhaps masks that fit the images and each other."""
        name = type(self).__name__
        if targets is None:
            raise ArgumentError(f"{name}: training needs targets; call eval() for detections")
        if len(targets) != len(images):
            raise ShapeError(f"{name}: {len(images)} images but {len(targets)} targets")
        pairs = zip(images, targets, strict=True)
        return [self._checked_target(number, image, target) for number, (image, target) in enumerate(pairs)]

    def _checked_target(self, number: int, image: Tensor, target: Any) -> Target:
        name, where = type(self).__name__, f"targets[{number}]"
        needed = ["boxes", "labels"] + (["masks"] if self.roi_heads.mask_predictor is not None else [])
        if not isinstance(target, Mapping):
            raise ArgumentTypeError(f"{name}: {where} must be a dict with {', '.join(needed)}, got {type(target)}")
        if missing := [key for key in needed if key not in target]:
            raise ArgumentError(f"{name}: {where} has no {missing[0]!r}, only {', '.join(map(repr, target))}")
        checked = {key: Tensor(target[key]) if isinstance(target[key], np.ndarray) else target[key] for key in needed}
        boxes = checked["boxes"] = corner_boxes(checked["boxes"], name, "targets", image=number, sized=True)
        labels = checked["labels"]
        if labels.dtype.kind not in "iu":
            raise DtypeError(f"{name}: labels of {where} must be integers, got {labels.dtype}")
        if labels.shape != boxes.shape[:1]:
            raise ShapeError(f"{name}: {where} has {len(boxes)} boxes but labels {tuple(labels.shape)}")
        classes = self.num_classes
        wrong = (labels.data < 1) | (labels.data >= classes)

        def error() -> Exception:
            which = int(np.flatnonzero(to_numpy(wrong))[0])
            return OutOfRangeError(
                f"{name}: box {which} of {where} has the label {int(labels.data[which])}; labels of objects are 1 to "
                f"{classes - 1} for num_classes={classes}, and 0 is the background"
            )

        check(wrong, error)
        if "masks" in checked and checked["masks"].shape != (len(boxes), *image.shape[1:]):
            raise ShapeError(
                f"{name}: masks of {where} must be ({len(boxes)}, {image.shape[1]}, {image.shape[2]}), one for each "
                f"box and as large as the image, got {tuple(checked['masks'].shape)}"
            )
        return {**checked, "labels": labels.to(np.int64)}

    @property
    def num_classes(self) -> int:
        """K, the background included."""
        return self.roi_heads.box_predictor.cls_score.out_features


def _new_name(name: str) -> str:
    name = re.sub(r"^(rpn\.head\.conv)\.(weight|bias)$", r"\1.0.0.\2", name)
    name = re.sub(r"^(backbone\.fpn\.(?:inner|layer)_blocks\.\d+)\.(weight|bias)$", r"\1.0.\2", name)
    return re.sub(
        r"^(roi_heads\.mask_head)\.mask_fcn(\d)\.(weight|bias)$",
        lambda found: f"{found[1]}.{int(found[2]) - 1}.0.{found[3]}",
        name,
    )
