"""Anchors: the boxes of several sizes and shapes that stand at every place of a feature map."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import nn
from ..autograd import Tensor
from ..backend import to_device
from ..errors import ArgumentError, ShapeError


class AnchorGenerator(nn.Module):
    """The anchors of all levels of a feature pyramid, in the order in which a region proposal network scores them.

    Math:      an anchor of size s and aspect ratio r = h/w has h = s √r and w = s/√r, its corners rounded to whole
               pixels around 0; at the place (i, j) of a map with the stride (d_y, d_x) its center is (j·d_x, i·d_y).
               A stride is the size of the padded image over that of the map, rounded down
    Args:      sizes: for each level a tuple of sizes in pixels, or one size for each level. aspect_ratios: for each
               level a tuple of h/w, or one tuple for all levels
    Source:    Ren et al. 2015, "Faster R-CNN", section 3.1; Lin et al. 2017, "Feature pyramid networks", section 4.1;
               conventions as in torchvision
    """

    def __init__(
        self,
        sizes: Sequence[Any] = ((128, 256, 512),),
        aspect_ratios: Sequence[Any] = ((0.5, 1.0, 2.0),),
    ):
        super().__init__()
        self.sizes = tuple(tuple(s) if isinstance(s, list | tuple) else (s,) for s in sizes)
        levels = [tuple(r) for r in aspect_ratios if isinstance(r, list | tuple)]
        self.aspect_ratios = tuple(levels) if levels else (tuple(aspect_ratios),) * len(self.sizes)
        if len(self.sizes) != len(self.aspect_ratios):
            raise ArgumentError(
                f"AnchorGenerator: sizes of {len(self.sizes)} levels but aspect_ratios of {len(self.aspect_ratios)}"
            )
        for name, values in (("sizes", self.sizes), ("aspect_ratios", self.aspect_ratios)):
            if not values or any(len(level) == 0 or min(level) <= 0 for level in values):
                raise ArgumentError(
                    f"AnchorGenerator: {name} must be positive, with one at least on each level: {values}"
                )
        self.cell_anchors = [_cell(s, r) for s, r in zip(self.sizes, self.aspect_ratios, strict=True)]

    def num_anchors_per_location(self) -> list[int]:
        """For each level, how many anchors stand at one place."""
        return [len(s) * len(r) for s, r in zip(self.sizes, self.aspect_ratios, strict=True)]

    def grid_anchors(self, grid_sizes: Sequence[Sequence[int]], strides: Sequence[Sequence[int]]) -> list[np.ndarray]:
        """For each level (h·w·A, 4) float32, from the sizes (h, w) of the maps and their strides (d_y, d_x): row by
        row, and the A anchors of one place together."""
        if not len(grid_sizes) == len(strides) == len(self.cell_anchors):
            raise ShapeError(
                f"AnchorGenerator: {len(grid_sizes)} feature maps were given, but there are sizes for "
                f"{len(self.cell_anchors)} levels"
            )
        anchors = []
        for (height, width), (dy, dx), cell in zip(grid_sizes, strides, self.cell_anchors, strict=True):
            y, x = np.meshgrid(np.arange(height) * dy, np.arange(width) * dx, indexing="ij")
            shifts = np.stack([x, y, x, y], axis=-1).reshape(-1, 1, 4)
            anchors.append((shifts + cell).reshape(-1, 4).astype(np.float32))
        return anchors

    def forward(
        self, image_size: Sequence[int], feature_maps: Sequence[Tensor], *, images: int | None = None
    ) -> list[Tensor]:
        """For each image the anchors of all levels.

        Args:      image_size: (height, width) of the padded batch. feature_maps: (N, C, h, w) of each level
        Returns:   N times (or `images` times) the same (Σ h·w·A, 4), of the dtype and on the device of the features
        """
        sizes = [(features.shape[-2], features.shape[-1]) for features in feature_maps]
        height, width = image_size
        if any(h < 1 or w < 1 or h > height or w > width for h, w in sizes):
            raise ShapeError(f"AnchorGenerator: feature maps {sizes} do not fit an image of {height} × {width}")
        levels = self.grid_anchors(sizes, [(height // h, width // w) for h, w in sizes])
        like = feature_maps[0]
        anchors = Tensor(to_device(np.concatenate(levels).astype(like.dtype), like.device))
        return [anchors] * (like.shape[0] if images is None else images)

    def extra_repr(self) -> str:
        return f"sizes={self.sizes}, aspect_ratios={self.aspect_ratios}"


def _cell(sizes: Sequence[float], ratios: Sequence[float]) -> np.ndarray:
    """(A, 4) anchors around 0: every size with the first ratio, then with the next."""
    root = np.sqrt(np.array(ratios, np.float32))
    scale = np.array(sizes, np.float32)
    w, h = ((1 / root)[:, None] * scale).ravel(), (root[:, None] * scale).ravel()
    return np.rint(np.stack([-w, -h, w, h], axis=1) / 2).astype(np.float32)
