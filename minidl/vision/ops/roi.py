"""Features of regions: RoIAlign, RoIPool, and RoIAlign over the levels of a feature pyramid."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ... import functional as F
from ... import nn
from ...autograd import Tensor
from ...backend import array_module, device_of, in_range
from ...errors import ArgumentError, DeviceError, MissingAttributeError, OutOfRangeError, ShapeError
from ...functional._shared import Ints, check_integer, check_number, ntuple, require_floating
from ...functional.roi import RoIAlign as _RoIAlign
from ...functional.roi import RoIPool as _RoIPool
from ._checks import as_tensor, check_corners, corner_boxes


def roi_align(
    input: Tensor,
    boxes: Any,
    output_size: Ints,
    spatial_scale: float = 1.0,
    sampling_ratio: int = -1,
    aligned: bool = False,
) -> Tensor:
    """Features of boxes, each sampled on a grid of the same size, without rounding any coordinate.

    Math:      y[k,c,i,j] = the mean over S × S points in the bin (i, j) of box k of x[n_k, c], bilinearly interpolated;
               S = sampling_ratio, or as many as the bin has pixels (rounded up) where it is not positive. A pixel has
               its value at integer coordinates; a point up to one pixel outside has that of the edge, further 0
    Backward:  linear in the features: gx = the transpose, each gradient back to the four pixels around each of its
               points. No gradient by the boxes, as in torchvision
    Args:      input: (N, C, H, W) float. boxes: a list with (L, 4) boxes (x1, y1, x2, y2) for each image, or (K, 5)
               with the number of the image first. output_size: of the grid, int or (h, w). spatial_scale: pixels of the
               features per pixel of the boxes, such as 1/16. aligned: boxes count pixels by their edges, features by
               their centers, so half a pixel is subtracted; without it as in the first Mask R-CNN, and boxes are then
               at least one pixel wide and high
    Returns:   (K, C, h, w)
    Raises:    ShapeError: shapes that do not fit. OutOfRangeError: a number of an image that there is not.
               ArgumentError: a box with NaN or corners the wrong way round
    Source:    He et al. 2017, "Mask R-CNN", section 3; conventions as in torchvision
    """
    op = "roi_align"
    rois = _regions(input, boxes, op)
    out_h, out_w = ntuple(output_size, 2, op, "output_size")
    ratio = check_integer(sampling_ratio, op, "sampling_ratio")
    rule = {"spatial_scale": _scale(spatial_scale, op), "sampling_ratio": ratio, "aligned": bool(aligned)}
    return _RoIAlign(out_size=(out_h, out_w), **rule)(input, rois)


def roi_pool(input: Tensor, boxes: Any, output_size: Ints, spatial_scale: float = 1.0) -> Tensor:
    """Features of boxes, the largest of each of h × w bins, whose edges are rounded to whole pixels.

    Math:      y[k,c,i,j] = max of x[n_k, c] over the pixels of bin (i, j), 0 if it has none: the corners of the box,
               scaled, are rounded, and both belong to it; bins start at ⌊i·height/h⌋ and end before ⌈(i + 1)·height/h⌉,
               so neighbours may share a row
    Backward:  each gradient goes to the pixel that won, the first of equals
    Args:      as :func:`roi_align`
    Returns:   (K, C, h, w)
    Raises:    as :func:`roi_align`
    Source:    Girshick 2015, "Fast R-CNN", section 2.1; conventions as in torchvision
    """
    rois = _regions(input, boxes, "roi_pool")
    out_h, out_w = ntuple(output_size, 2, "roi_pool", "output_size")
    return _RoIPool(out_size=(out_h, out_w), spatial_scale=_scale(spatial_scale, "roi_pool"))(input, rois)[0]


class RoIAlign(nn.Module):
    """:func:`roi_align` with fixed settings."""

    def __init__(self, output_size: Ints, spatial_scale: float, sampling_ratio: int, aligned: bool = False):
        super().__init__()
        self.output_size, self.spatial_scale = output_size, spatial_scale
        self.sampling_ratio, self.aligned = sampling_ratio, aligned

    def forward(self, input: Tensor, rois: Any) -> Tensor:
        return roi_align(input, rois, self.output_size, self.spatial_scale, self.sampling_ratio, self.aligned)

    def extra_repr(self) -> str:
        return (
            f"output_size={self.output_size}, spatial_scale={self.spatial_scale}, "
            f"sampling_ratio={self.sampling_ratio}, aligned={self.aligned}"
        )


class RoIPool(nn.Module):
    """:func:`roi_pool` with fixed settings."""

    def __init__(self, output_size: Ints, spatial_scale: float):
        super().__init__()
        self.output_size, self.spatial_scale = output_size, spatial_scale

    def forward(self, input: Tensor, rois: Any) -> Tensor:
        return roi_pool(input, rois, self.output_size, self.spatial_scale)

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}, spatial_scale={self.spatial_scale}"


class MultiScaleRoIAlign(nn.Module):
    """RoIAlign over a feature pyramid: each box is read from the level whose stride fits its size.

    Math:      level = ⌊canonical_level + log₂(√area / canonical_scale)⌋, kept within the levels that there are. The
               scale of a level is the power of two nearest to the size of its map over that of the largest image
    Args:      featmap_names: of the levels that are used, the finest first. output_size: int or (h, w). sampling_ratio:
               as for :func:`roi_align`. canonical_scale: pixels; a box of this size is read from canonical_level, where
               level l has the stride 2^l
    Source:    Lin et al. 2017, "Feature pyramid networks", equation 1; as in torchvision, not `aligned`
    """

    def __init__(
        self,
        featmap_names: Sequence[str],
        output_size: Ints,
        sampling_ratio: int,
        *,
        canonical_scale: int = 224,
        canonical_level: int = 4,
    ):
        super().__init__()
        self.featmap_names = list(featmap_names)
        self.output_size = ntuple(output_size, 2, "MultiScaleRoIAlign", "output_size")
        self.sampling_ratio = check_integer(sampling_ratio, "MultiScaleRoIAlign", "sampling_ratio")
        self.canonical_scale, self.canonical_level = canonical_scale, canonical_level

    def forward(self, x: Mapping[str, Tensor], boxes: Sequence[Any], image_shapes: Sequence[tuple[int, int]]) -> Tensor:
        """Features of the boxes of all images, in their order.

        Args:      x: {name: (N, C, H, W)}; other names are left out. boxes: (L, 4) for each image, in pixels of the
                   padded images. image_shapes: (height, width) of each image
        Returns:   (ΣL, C, h, w)
        """
        op = "MultiScaleRoIAlign"
        missing = [name for name in self.featmap_names if name not in x]
        if missing:
            raise MissingAttributeError(f"{op}: there is no feature map {missing[0]!r}, only {', '.join(map(repr, x))}")
        maps = [x[name] for name in self.featmap_names]
        if not image_shapes:
            raise ArgumentError(f"{op}: image_shapes is empty; give (height, width) of each image")
        largest = max(shape[0] for shape in image_shapes), max(shape[1] for shape in image_shapes)
        scales = [_power_of_two(level, largest) for level in maps]
        rois = _regions(maps[0], list(boxes), op)
        settings = self.output_size, self.sampling_ratio
        if len(maps) == 1:
            return roi_align(maps[0], rois, settings[0], scales[0], settings[1])
        levels = self.levels(rois[:, 1:], scales)
        xp = array_module(levels)
        places = [xp.flatnonzero(levels == level) for level in range(len(maps))]
        parts = [
            roi_align(features, Tensor(rois.data[which]), settings[0], scale, settings[1])
            for features, which, scale in zip(maps, places, scales, strict=True)
        ]
        return F.cat(parts)[Tensor(xp.argsort(xp.concatenate(places)))]

    def levels(self, boxes: Tensor, scales: Sequence[float]) -> Any:
        """(K,) int64: the position in `featmap_names` of the level from which each box (K, 4) is read."""
        lowest, highest = -math.log2(scales[0]), -math.log2(scales[-1])
        data = boxes.data
        xp = array_module(data)
        side = xp.sqrt((data[:, 2] - data[:, 0]) * (data[:, 3] - data[:, 1]))
        nearest = xp.maximum(side, 1e-6) / data.dtype.type(self.canonical_scale)  # a box without area: the finest
        level = xp.floor(self.canonical_level + xp.log2(nearest) + data.dtype.type(1e-6))
        return (level.clip(lowest, highest) - lowest).astype(np.int64)

    def extra_repr(self) -> str:
        return (
            f"featmap_names={self.featmap_names}, output_size={self.output_size}, sampling_ratio={self.sampling_ratio}"
        )


def _power_of_two(features: Tensor, image: tuple[int, int]) -> float:
    return 2.0 ** round(math.log2(features.shape[-2] / image[0]))


def _scale(value: Any, op: str) -> float:
    scale = check_number(value, op, "spatial_scale")
    if not 0 < scale < math.inf:
        raise ArgumentError(f"{op}: spatial_scale must be positive and finite, got {value}; it is 1/stride")
    return scale


def _regions(input: Tensor, boxes: Any, op: str) -> Tensor:
    """(K, 5) regions, checked, of the dtype of the features."""
    require_floating(input, op, "input")
    if input.ndim != 4 or 0 in input.shape[1:]:
        raise ShapeError(f"{op}: input must be (N, C, H, W) with pixels, got {input.shape}")
    if isinstance(boxes, list | tuple):
        if len(boxes) != input.shape[0]:
            raise ShapeError(f"{op}: boxes of {len(boxes)} images were given for {input.shape[0]} images")
        each = [corner_boxes(entry, op, f"boxes[{n}]") for n, entry in enumerate(boxes)]
        counted = [F.pad(entry.detach(), (1, 0), value=n) for n, entry in enumerate(each)]
        dtype = input.dtype
        rois = F.cat([entry.to(dtype) for entry in counted]) if counted else Tensor(np.zeros((0, 5), dtype))
    else:
        rois = as_tensor(boxes, op, "boxes").detach()
        if rois.ndim != 2 or rois.shape[1] != 5:
            raise ShapeError(
                f"{op}: boxes must be (K, 5), each with the number of its image before its corners, or a list with "
                f"(L, 4) for each image; got {rois.shape}"
            )
        check_corners(rois[:, 1:], op)
        rois = rois.to(input.dtype)
    if device_of(rois.data) != device_of(input.data):
        raise DeviceError(f"{op}: boxes are on {rois.device} but input is on {input.device}; move the boxes there")
    if isinstance(boxes, list | tuple):
        return rois
    images = rois.data[:, 0]

    def error() -> Exception:
        wrong = images[(images < 0) | (images >= input.shape[0])]
        return OutOfRangeError(f"{op}: boxes name the image {float(wrong[0]):g}, but input has {input.shape[0]} images")

    checked = in_range(images, input.shape[0], error)
    if checked is images:
        return rois
    xp = array_module(images)
    return Tensor(xp.concatenate([checked[:, None], rois.data[:, 1:]], axis=1))
