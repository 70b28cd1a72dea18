"""Boxes as offsets from other boxes: what a detector regresses."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from .. import functional as F
from ..autograd import Tensor
from ..errors import ArgumentError, ShapeError
from ..functional._shared import check_number, require_floating
from .ops._checks import corner_boxes


class BoxCoder:
    """Encodes boxes relative to proposals or anchors, and decodes what a network predicts in that code.

    Math:      with the center (x, y) and the size (w, h) of a box, and (x_a, y_a, w_a, h_a) of its proposal,
               t = (w_x (x − x_a)/w_a, w_y (y − y_a)/h_a, w_w log(w/w_a), w_h log(h/h_a))
    Args:      weights: (w_x, w_y, w_w, w_h); (10, 10, 5, 5) makes targets of Fast R-CNN about as large as 1.
               bbox_xform_clip: the largest log(w/w_a) that is decoded, so that exp stays finite
    Source:    Girshick et al. 2014, "R-CNN", appendix C; conventions as in torchvision
    """

    def __init__(
        self,
        weights: Sequence[float] = (1.0, 1.0, 1.0, 1.0),
        bbox_xform_clip: float = math.log(1000.0 / 16),
    ):
        if len(weights) != 4:
            raise ArgumentError(f"BoxCoder: weights must be four numbers, for x, y, width and height, got {weights!r}")
        self.weights = tuple(check_number(weight, "BoxCoder", "weights") for weight in weights)
        if min(self.weights) <= 0:
            raise ArgumentError(f"BoxCoder: weights must be positive, got {weights!r}")
        self.bbox_xform_clip = check_number(bbox_xform_clip, "BoxCoder", "bbox_xform_clip")

    def encode(self, reference_boxes: Sequence[Any], proposals: Sequence[Any]) -> list[Tensor]:
        """For each image the codes (L, 4) of its reference boxes relative to its proposals, both (L, 4) in pairs.

        Raises:    ArgumentError: a box without area, with NaN or with corners the wrong way round, by image and box
        """
        if len(reference_boxes) != len(proposals):
            raise ShapeError(
                f"BoxCoder.encode: reference_boxes of {len(reference_boxes)} images but proposals of {len(proposals)}"
            )
        return [
            self._encode(
                corner_boxes(boxes, "BoxCoder.encode", "reference_boxes", image=image, sized=True),
                corner_boxes(around, "BoxCoder.encode", "proposals", image=image, sized=True),
                image,
            )
            for image, (boxes, around) in enumerate(zip(reference_boxes, proposals, strict=True))
        ]

    def encode_single(self, reference_boxes: Any, proposals: Any) -> Tensor:
        """The codes (L, 4) of boxes (L, 4) relative to proposals (L, 4)."""
        return self._encode(
            corner_boxes(reference_boxes, "BoxCoder.encode_single", "reference_boxes", sized=True),
            corner_boxes(proposals, "BoxCoder.encode_single", "proposals", sized=True),
        )

    def decode(self, rel_codes: Tensor, boxes: Sequence[Any]) -> Tensor:
        """The boxes that codes mean.

        Args:      rel_codes: (ΣL, 4·C), or anything that reshapes to it: codes for each of C classes. boxes: for each
                   image the (L, 4) proposals that the codes are relative to
        Returns:   (ΣL, C, 4)
        """
        each = [corner_boxes(entry, "BoxCoder.decode", image=image) for image, entry in enumerate(boxes)]
        if not each:
            raise ShapeError("BoxCoder.decode: boxes is empty; give the (L, 4) proposals of each image")
        proposals = F.cat(each)
        if len(proposals):
            rel_codes = rel_codes.reshape(len(proposals), -1)
        decoded = self.decode_single(rel_codes, proposals)
        return decoded.reshape(len(proposals), -1, 4) if len(proposals) else decoded.reshape(0, 1, 4)

    def decode_single(self, rel_codes: Tensor, boxes: Any) -> Tensor:
        """Boxes (L, 4·C) from codes (L, 4·C) relative to boxes (L, 4)."""
        rel_codes = require_floating(rel_codes, "BoxCoder.decode_single", "rel_codes")
        boxes = corner_boxes(boxes, "BoxCoder.decode_single").to(rel_codes.dtype)
        if rel_codes.ndim != 2 or len(rel_codes) != len(boxes) or rel_codes.shape[1] % 4:
            raise ShapeError(
                f"BoxCoder.decode_single: rel_codes must be ({len(boxes)}, 4·C), four for each class of each box, got "
                f"{rel_codes.shape}"
            )
        x, y, w, h = (part.unsqueeze(1) for part in _centers(boxes))
        wx, wy, ww, wh = self.weights
        codes = rel_codes.reshape(len(boxes), rel_codes.shape[1] // 4, 4)
        dx, dy, dw, dh = codes.unbind(-1)
        center_x, center_y = dx / wx * w + x, dy / wy * h + y
        half_w = 0.5 * ((dw / ww).clamp(max=self.bbox_xform_clip).exp() * w)
        half_h = 0.5 * ((dh / wh).clamp(max=self.bbox_xform_clip).exp() * h)
        corners = center_x - half_w, center_y - half_h, center_x + half_w, center_y + half_h
        return F.stack(list(corners), dim=-1).reshape(*rel_codes.shape)

    def _encode(self, boxes: Tensor, proposals: Tensor, image: int | None = None) -> Tensor:
        if boxes.shape != proposals.shape:
            where = "" if image is None else f" of image {image}"
            raise ShapeError(
                f"BoxCoder.encode: boxes {boxes.shape} and proposals {proposals.shape}{where} must pair up"
            )
        boxes = boxes.to(proposals.dtype) if boxes.dtype.kind == "f" else boxes.float()
        x, y, w, h = _centers(boxes)
        at_x, at_y, at_w, at_h = _centers(proposals.to(boxes.dtype))
        wx, wy, ww, wh = self.weights
        codes = wx * (x - at_x) / at_w, wy * (y - at_y) / at_h, ww * (w / at_w).log(), wh * (h / at_h).log()
        return F.stack(list(codes), dim=1)

    def __repr__(self) -> str:
        return f"BoxCoder(weights={self.weights}, bbox_xform_clip={self.bbox_xform_clip:.4g})"


def _centers(boxes: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Center and size of boxes (L, 4), each (L,)."""
    x1, y1, x2, y2 = boxes.unbind(1)
    w, h = x2 - x1, y2 - y1
    return x1 + 0.5 * w, y1 + 0.5 * h, w, h
