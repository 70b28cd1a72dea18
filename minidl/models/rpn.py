"""The region proposal network: Ren, He, Girshick & Sun 2015, "Faster R-CNN", section 3.1."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .. import functional as F
from .. import nn
from ..autograd import Tensor, no_grad
from ..nn import init
from ..vision import AnchorGenerator, BalancedPositiveNegativeSampler, BoxCoder, Matcher
from ..vision.ops import batched_nms, box_iou, clip_boxes_to_image, remove_small_boxes
from .detection_transform import ImageBatch, Target

SMALLEST = 1e-3
"""Pixels; a proposal with a shorter side is none."""


class RPNHead(nn.Module):
    """At each place, for each of A anchors: whether there is an object, and how to move the anchor to fit it.

    Returns:   forward: of maps (N, C, h, w), for each (N, A, h, w) and (N, 4·A, h, w)
    Source:    figure 3, left
    """

    def __init__(self, in_channels: int, num_anchors: int):
        super().__init__()
        self.conv = nn.Sequential(nn.Sequential(nn.Conv2d(in_channels, in_channels, 3, padding=1), nn.ReLU()))
        self.cls_logits = nn.Conv2d(in_channels, num_anchors, 1)
        self.bbox_pred = nn.Conv2d(in_channels, num_anchors * 4, 1)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                init.normal_(layer.weight, std=0.01)
                init.zeros_(layer.bias)  # type: ignore[arg-type]

    def forward(self, features: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        hidden = [self.conv(x) for x in features]
        return [self.cls_logits(t) for t in hidden], [self.bbox_pred(t) for t in hidden]


class RegionProposalNetwork(nn.Module):
    """Boxes that may hold an object, whichever it is, from the same features that will classify them.

    Math:      an anchor is an object (1) if its IoU with one is ≥ fg_iou_thresh or the largest that this object has
               with any anchor, background (0) if it is < bg_iou_thresh with all, and does not count otherwise; over a
               sample of anchors, loss_objectness is their binary cross-entropy, and loss_rpn_box_reg the smooth L1
               loss, beta = 1/9, of the codes of those that are objects, divided by the number of all in the sample
    Args:      anchor_generator, head: what stands where, and what looks at it. fg_iou_thresh, bg_iou_thresh: above and
               below. batch_size_per_image, positive_fraction: of the sample. pre_nms_top_n, post_nms_top_n:
               {"training": …, "testing": …}, proposals of a level before, of an image after NMS. nms_thresh: of it.
               score_thresh: least probability of a proposal
    Returns:   forward: a list of proposals (L, 4) for each image, the best first, without gradient; and in training
               the two losses
    Source:    section 3.1.2; conventions as in torchvision
    """

    def __init__(
        self,
        anchor_generator: AnchorGenerator,
        head: nn.Module,
        fg_iou_thresh: float,
        bg_iou_thresh: float,
        batch_size_per_image: int,
        positive_fraction: float,
        pre_nms_top_n: Mapping[str, int],
        post_nms_top_n: Mapping[str, int],
        nms_thresh: float,
        score_thresh: float = 0.0,
    ):
        super().__init__()
        self.anchor_generator, self.head = anchor_generator, head
        self.box_coder = BoxCoder((1.0, 1.0, 1.0, 1.0))
        self.matcher = Matcher(fg_iou_thresh, bg_iou_thresh, allow_low_quality_matches=True)
        self.sampler = BalancedPositiveNegativeSampler(batch_size_per_image, positive_fraction)
        self.pre_nms_top_n, self.post_nms_top_n = dict(pre_nms_top_n), dict(post_nms_top_n)
        self.nms_thresh, self.score_thresh = nms_thresh, score_thresh

    def forward(
        self, batch: ImageBatch, features: Mapping[str, Tensor], targets: Sequence[Target] | None = None
    ) -> tuple[list[Tensor], dict[str, Tensor]]:
        maps = list(features.values())
        logits, codes = self.head(maps)
        anchors = self.anchor_generator(batch.images.shape[-2:], maps)[0]  # those of each image
        counts = [level.shape[1] * level.shape[2] * level.shape[3] for level in logits]
        scores = F.cat([_by_anchor(level, 1) for level in logits], dim=1)[..., 0]  # (N, anchors)
        deltas = F.cat([_by_anchor(level, 4) for level in codes], dim=1)  # (N, anchors, 4)
        with no_grad():
            proposals = [
                self.propose(scores[n].detach(), deltas[n].detach(), anchors, size, counts)
                for n, size in enumerate(batch.sizes)
            ]
        return proposals, {} if targets is None else self.losses(scores, deltas, anchors, targets)

    def propose(
        self, scores: Tensor, deltas: Tensor, anchors: Tensor, size: tuple[int, int], counts: Sequence[int]
    ) -> Tensor:
        """The proposals (L, 4) of one image: the best of each level, without those that overlap better ones."""
        mode = "training" if self.training else "testing"
        chosen, levels, start = [], [], 0
        for number, count in enumerate(counts):
            best = scores[start : start + count].topk(min(count, self.pre_nms_top_n[mode])).indices
            chosen.append(best + start)
            levels.append(F.full_like(best, number))
            start += count
        index, level = F.cat(chosen), F.cat(levels)
        boxes = self.box_coder.decode_single(deltas[index], anchors[index])
        boxes, probability = clip_boxes_to_image(boxes, size), scores[index].sigmoid()
        keep = remove_small_boxes(boxes, SMALLEST)
        boxes, probability, level = boxes[keep], probability[keep], level[keep]
        keep = (probability >= self.score_thresh).nonzero()[:, 0]
        boxes, probability, level = boxes[keep], probability[keep], level[keep]
        keep = batched_nms(boxes, probability, level, self.nms_thresh)[: self.post_nms_top_n[mode]]
        return boxes[keep]

    def losses(self, scores: Tensor, deltas: Tensor, anchors: Tensor, targets: Sequence[Target]) -> dict[str, Tensor]:
        """loss_objectness and loss_rpn_box_reg, both 0 where no anchor counts."""
        matched = [self.matcher(box_iou(target["boxes"].to(anchors.dtype), anchors)) for target in targets]
        # a label for each anchor: 1 object, 0 background, −1 neither
        labels = [(m >= 0).to(m.dtype) - (m == Matcher.BETWEEN_THRESHOLDS).to(m.dtype) for m in matched]
        positives, negatives = self.sampler(labels)
        found, wanted, drawn, truth = [], [], [], []
        for n, (m, target) in enumerate(zip(matched, targets, strict=True)):
            objects, others = (mask[n].nonzero()[:, 0] for mask in (positives, negatives))
            if len(objects):
                boxes = target["boxes"].to(anchors.dtype)[m[objects]]
                wanted.append(self.box_coder.encode_single(boxes, anchors[objects]))
                found.append(deltas[n][objects])
            sample = F.cat([objects, others])
            drawn.append(scores[n][sample])
            truth.append(F.cat([F.ones_like(objects), F.zeros_like(others)]).to(scores.dtype))
        count = sum(len(each) for each in drawn)
        nothing = scores.sum() * 0 + deltas.sum() * 0
        objectness = F.binary_cross_entropy_with_logits(F.cat(drawn), F.cat(truth)) if count else nothing
        return {"loss_objectness": objectness, "loss_rpn_box_reg": box_loss(found, wanted, count, nothing)}


def box_loss(found: list[Tensor], wanted: list[Tensor], count: int, nothing: Tensor) -> Tensor:
    """Σ smooth L1 (beta = 1/9) between codes, over `count`; `nothing`, a 0 with a graph, where there are no objects."""
    if not found:
        return nothing
    return F.smooth_l1_loss(F.cat(found), F.cat(wanted), beta=1 / 9, reduction="sum") / count


def _by_anchor(level: Tensor, numbers: int) -> Any:
    """(N, A·numbers, h, w) as (N, h·w·A, numbers), in the order of the anchors."""
    n, channels, h, w = level.shape
    anchors = channels // numbers
    return level.reshape(n, anchors, numbers, h, w).permute(0, 3, 4, 1, 2).reshape(n, h * w * anchors, numbers)
