"""Heads on regions: Girshick 2015, "Fast R-CNN", and the masks of He et al. 2017, "Mask R-CNN"."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .. import functional as F
from .. import nn
from ..autograd import Tensor, no_grad
from ..errors import ShapeError
from ..vision import BalancedPositiveNegativeSampler, BoxCoder, Matcher
from ..vision.ops import batched_nms, box_iou, clip_boxes_to_image, remove_small_boxes, roi_align
from .detection_transform import Target
from .rpn import box_loss

SMALLEST = 1e-2
"""Pixels; a detection with a shorter side is none."""


class TwoMLPHead(nn.Module):
    """Two dense layers on the features of a region: (L, C, h, w) → (L, representation_size).

    Source:    Lin et al. 2017, "Feature pyramid networks", section 4.2
    """

    def __init__(self, in_channels: int, representation_size: int):
        super().__init__()
        self.fc6 = nn.Linear(in_channels, representation_size)
        self.fc7 = nn.Linear(representation_size, representation_size)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.fc7(F.relu(self.fc6(x.flatten(1)))))


class FastRCNNPredictor(nn.Module):
    """For each region the logits of all classes, (L, K), and for each class the code of its box, (L, 4·K)."""

    def __init__(self, in_channels: int, num_classes: int):
        super().__init__()
        self.cls_score = nn.Linear(in_channels, num_classes)
        self.bbox_pred = nn.Linear(in_channels, num_classes * 4)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = x.flatten(1)
        return self.cls_score(x), self.bbox_pred(x)


class RoIHeads(nn.Module):
    """What is in each proposal, and where exactly; with a mask branch, which pixels of it.

    Math:      a proposal has the class of the object that it overlaps most, if their IoU is ≥ fg_iou_thresh, and is
               background (class 0) if it is < bg_iou_thresh; objects themselves are proposals in training. Over a
               sample, loss_classifier is the cross-entropy, loss_box_reg the smooth L1 loss (beta = 1/9) of the codes
               of the true class, of objects only, divided by the number of all; loss_mask is the binary cross-entropy
               of the true class's mask, M × M, in the proposals that are objects
    Args:      box_roi_pool: (maps, boxes, sizes of the images) → (L, C, h, w), such as MultiScaleRoIAlign. box_head:
               → (L, D). box_predictor: → logits (L, K) and codes (L, 4·K). fg_iou_thresh, bg_iou_thresh,
               batch_size_per_image, positive_fraction: of the sample. bbox_reg_weights: of :class:`BoxCoder`.
               score_thresh, nms_thresh, detections_per_img: least score, greatest IoU of two boxes of a class, and
               number of detections. mask_roi_pool, mask_head, mask_predictor: of the mask branch, or None
    Returns:   forward: in evaluation, for each image boxes (D, 4), labels (D,) and scores (D,), the best first, and
               masks (D, 1, M, M), probabilities within the box; in training, the losses
    Source:    Girshick 2015, section 2.3; He et al. 2017, section 3; conventions as in torchvision
    """

    def __init__(
        self,
        box_roi_pool: nn.Module,
        box_head: nn.Module,
        box_predictor: nn.Module,
        fg_iou_thresh: float = 0.5,
        bg_iou_thresh: float = 0.5,
        batch_size_per_image: int = 512,
        positive_fraction: float = 0.25,
        bbox_reg_weights: Sequence[float] | None = None,
        score_thresh: float = 0.05,
        nms_thresh: float = 0.5,
        detections_per_img: int = 100,
        mask_roi_pool: nn.Module | None = None,
        mask_head: nn.Module | None = None,
        mask_predictor: nn.Module | None = None,
    ):
        super().__init__()
        self.matcher = Matcher(fg_iou_thresh, bg_iou_thresh, allow_low_quality_matches=False)
        self.sampler = BalancedPositiveNegativeSampler(batch_size_per_image, positive_fraction)
        self.box_coder = BoxCoder((10.0, 10.0, 5.0, 5.0) if bbox_reg_weights is None else bbox_reg_weights)
        self.box_roi_pool, self.box_head, self.box_predictor = box_roi_pool, box_head, box_predictor
        self.score_thresh, self.nms_thresh, self.detections_per_img = score_thresh, nms_thresh, detections_per_img
        self.mask_roi_pool, self.mask_head, self.mask_predictor = mask_roi_pool, mask_head, mask_predictor

    def forward(
        self,
        features: Mapping[str, Tensor],
        proposals: Sequence[Tensor],
        sizes: Sequence[tuple[int, int]],
        targets: Sequence[Target] | None = None,
    ) -> tuple[list[Target], dict[str, Tensor]]:
        if targets is None:
            return self.detect(features, proposals, sizes), {}
        boxes, labels, matched = self.sample(proposals, targets)
        logits, codes = self.look(features, boxes, sizes)
        if logits.ndim != 2 or codes.shape != (len(logits), 4 * logits.shape[1]):
            raise ShapeError(
                f"RoIHeads: box_predictor must give (L, K) and (L, 4·K), got {logits.shape}, {codes.shape}"
            )
        losses = self.box_losses(logits, codes, boxes, labels, matched, targets)
        if self.mask_predictor is not None:
            losses["loss_mask"] = self.mask_loss(features, boxes, labels, matched, sizes, targets)
        return [], losses

    def look(
        self, features: Mapping[str, Tensor], boxes: Sequence[Tensor], sizes: Sequence[tuple[int, int]]
    ) -> tuple[Tensor, Tensor]:
        """Logits and codes of the boxes of all images."""
        return self.box_predictor(self.box_head(self.box_roi_pool(features, boxes, sizes)))

    # ------------------------------------------------------------------ training

    @no_grad()
    def sample(
        self, proposals: Sequence[Tensor], targets: Sequence[Target]
    ) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
        """For each image the boxes to learn from, their classes, and the objects they answer for (0 where none)."""
        every, labels, matched = [], [], []
        for boxes, target in zip(proposals, targets, strict=True):
            objects = target["boxes"].to(boxes.dtype)
            boxes = F.cat([boxes.detach(), objects])
            found = self.matcher(box_iou(objects, boxes))
            index = found.clamp(min=0)
            known = target["labels"][index] if len(objects) else index
            label = F.where(found >= 0, known, F.where(found == Matcher.BETWEEN_THRESHOLDS, -1, 0))
            every.append(boxes)
            labels.append(label)
            matched.append(index)
        positives, negatives = self.sampler(labels)
        chosen = [(p + n).nonzero()[:, 0] for p, n in zip(positives, negatives, strict=True)]
        parts = (every, labels, matched)
        return tuple([each[c] for each, c in zip(part, chosen, strict=True)] for part in parts)  # type: ignore[return-value]

    def box_losses(
        self,
        logits: Tensor,
        codes: Tensor,
        boxes: Sequence[Tensor],
        labels: Sequence[Tensor],
        matched: Sequence[Tensor],
        targets: Sequence[Target],
    ) -> dict[str, Tensor]:
        """loss_classifier and loss_box_reg, both 0 where nothing was drawn."""
        truth = F.cat(list(labels))
        nothing = logits.sum() * 0 + codes.sum() * 0
        found, wanted = [], []
        objects = (truth > 0).nonzero()[:, 0]
        if len(objects):
            chosen = codes.reshape(len(codes), -1, 4)[objects, truth[objects]]
            found.append(chosen)
            of_objects = _boxes_of_objects(boxes, labels, matched, targets)
            wanted = [self.box_coder.encode_single(true, box) for box, true in of_objects]
        return {
            "loss_classifier": F.cross_entropy(logits, truth) if len(truth) else nothing,
            "loss_box_reg": box_loss(found, wanted, len(truth), nothing),
        }

    def mask_loss(
        self,
        features: Mapping[str, Tensor],
        boxes: Sequence[Tensor],
        labels: Sequence[Tensor],
        matched: Sequence[Tensor],
        sizes: Sequence[tuple[int, int]],
        targets: Sequence[Target],
    ) -> Tensor:
        """Binary cross-entropy of the mask of the true class, within the boxes that are objects; 0 without any."""
        positive = [(label > 0).nonzero()[:, 0] for label in labels]
        regions = [box[index] for box, index in zip(boxes, positive, strict=True)]
        logits = self._mask_logits(features, regions, sizes)
        classes = F.cat([label[index] for label, index in zip(labels, positive, strict=True)])
        if not len(classes):
            return logits.sum() * 0
        side, wanted = logits.shape[-1], []
        for region, index, match, target in zip(regions, positive, matched, targets, strict=True):
            if len(index):
                masks = target["masks"][:, None].to(logits.dtype)
                rois = F.cat([match[index][:, None].to(region.dtype), region], dim=1)
                wanted.append(roi_align(masks, rois, side)[:, 0].detach())
        chosen = logits[F.arange(len(classes), device=logits.device), classes]
        return F.binary_cross_entropy_with_logits(chosen, F.cat(wanted))

    def _mask_logits(
        self, features: Mapping[str, Tensor], boxes: Sequence[Tensor], sizes: Sequence[tuple[int, int]]
    ) -> Tensor:
        assert self.mask_roi_pool is not None and self.mask_head is not None and self.mask_predictor is not None
        return self.mask_predictor(self.mask_head(self.mask_roi_pool(features, boxes, sizes)))

    # ------------------------------------------------------------------ evaluation

    @no_grad()
    def detect(
        self, features: Mapping[str, Tensor], proposals: Sequence[Tensor], sizes: Sequence[tuple[int, int]]
    ) -> list[Target]:
        """For each image boxes, labels, scores, and with a mask branch masks of the boxes."""
        logits, codes = self.look(features, proposals, sizes)
        classes = logits.shape[1]
        scores = logits.softmax(1)
        boxes = self.box_coder.decode(codes, proposals) if len(scores) else codes.reshape(0, classes, 4)
        detections, start = [], 0
        for each, size in zip(proposals, sizes, strict=True):
            part = slice(start, start := start + len(each))
            detections.append(self.select(boxes[part], scores[part], size))
        if self.mask_predictor is not None:
            probabilities = self._mask_logits(features, [found["boxes"] for found in detections], sizes).sigmoid()
            start = 0
            for found in detections:
                labels = found["labels"]
                of_image = probabilities[start : start + len(labels)]
                found["masks"] = of_image[F.arange(len(labels), device=labels.device), labels][:, None]
                start += len(labels)
        return detections

    def select(self, boxes: Tensor, scores: Tensor, size: tuple[int, int]) -> Target:
        """The detections of one image: each class of each proposal, without the background, thinned by NMS.

        Args:      boxes: (L, K, 4). scores: (L, K). size: (h, w) of the image
        """
        count, classes = scores.shape
        boxes = clip_boxes_to_image(boxes, size)[:, 1:].reshape(count * (classes - 1), 4)
        labels = F.arange(1, classes, device=scores.device).expand(count, classes - 1).reshape(-1)
        scores = scores[:, 1:].reshape(-1)
        keep = (scores > self.score_thresh).nonzero()[:, 0]
        boxes, scores, labels = boxes[keep], scores[keep], labels[keep]
        keep = remove_small_boxes(boxes, SMALLEST)
        boxes, scores, labels = boxes[keep], scores[keep], labels[keep]
        keep = batched_nms(boxes, scores, labels, self.nms_thresh)[: self.detections_per_img]
        return {"boxes": boxes[keep], "labels": labels[keep], "scores": scores[keep]}


def _boxes_of_objects(
    boxes: Sequence[Tensor], labels: Sequence[Tensor], matched: Sequence[Tensor], targets: Sequence[Target]
) -> list[tuple[Tensor, Tensor]]:
    """For each image that has any, the boxes of the sample that are objects, and the true boxes."""
    pairs = []
    for box, label, match, target in zip(boxes, labels, matched, targets, strict=True):
        index = (label > 0).nonzero()[:, 0]
        if len(index):
            pairs.append((box[index], target["boxes"].to(box.dtype)[match[index]]))
    return pairs
