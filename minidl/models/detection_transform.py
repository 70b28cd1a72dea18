"""What comes before and after a detector: images of any size into one batch, and its boxes and masks back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from .. import functional as F
from .. import nn
from ..autograd import Tensor
from ..backend import stream
from ..errors import ArgumentError, DtypeError, ShapeError
from ..vision.ops import paste_masks

Target = dict[str, Any]


class ImageBatch(NamedTuple):
    """Images side by side: (N, C, H, W), padded by zeros on the right and below, and the size of each, (h, w)."""

    images: Tensor
    sizes: list[tuple[int, int]]


class DetectionTransform(nn.Module):
    """Normalizes images, resizes them and pads them to one size; and takes detections back to the first size.

    Math:      x ← (x − mean) / std; the scale is min(min_size / shorter side, max_size / longer side), bilinear; masks
               by the nearest pixel, boxes by new size / old size along each axis
    Args:      min_size: pixels; of several, training draws one each time and evaluation takes the last. None leaves
               images as they are. max_size: pixels. image_mean, image_std: one number per channel. size_divisible: the
               batch is padded to a multiple of this many pixels, the largest stride
    Source:    Ren et al. 2015, section 3.3; conventions as torchvision's GeneralizedRCNNTransform
    """

    def __init__(
        self,
        min_size: int | Sequence[int] | None,
        max_size: int,
        image_mean: Sequence[float],
        image_std: Sequence[float],
        size_divisible: int = 32,
    ):
        super().__init__()
        self.min_size = (min_size,) if isinstance(min_size, int) else None if min_size is None else tuple(min_size)
        self.max_size, self.size_divisible = max_size, size_divisible
        self.image_mean, self.image_std = list(image_mean), list(image_std)
        if self.min_size is not None and (not self.min_size or min(*self.min_size, max_size) < 1):
            raise ArgumentError(f"DetectionTransform: min_size={min_size}, max_size={max_size} must be positive")

    def forward(
        self, images: Sequence[Tensor], targets: Sequence[Target] | None = None
    ) -> tuple[ImageBatch, list[Target] | None]:
        """The batch, and new targets that fit it."""
        resized, moved = [], []
        for number, image in enumerate(images):
            if image.ndim != 3 or len(image) != len(self.image_mean):
                raise ShapeError(
                    f"detector: images[{number}] must be ({len(self.image_mean)}, H, W), got {tuple(image.shape)}"
                )
            if image.dtype.kind != "f":
                raise DtypeError(f"detector: images[{number}] must be float in [0, 1], got {image.dtype}")
            image, target = self.resize(self.normalize(image), None if targets is None else targets[number])
            resized.append(image)
            moved.append(target)
        sizes = [(image.shape[1], image.shape[2]) for image in resized]
        height, width = (
            -(-max(side) // self.size_divisible) * self.size_divisible for side in zip(*sizes, strict=True)
        )
        padded = [F.pad(image, (0, width - w, 0, height - h)) for image, (h, w) in zip(resized, sizes, strict=True)]
        return ImageBatch(F.stack(padded), sizes), None if targets is None else moved  # type: ignore[return-value]

    def normalize(self, image: Tensor) -> Tensor:
        """(x − mean) / std of a (C, H, W)."""
        mean, std = (
            F.tensor(np.array(values, image.dtype)[:, None, None], device=image.device)
            for values in (self.image_mean, self.image_std)
        )
        return (image - mean) / std

    def resize(self, image: Tensor, target: Target | None) -> tuple[Tensor, Target | None]:
        """An image (C, H, W) and its target at the size that the network sees."""
        if self.min_size is None:
            return image, target
        height, width = image.shape[1:]
        shorter = self.min_size[-1]
        if self.training and len(self.min_size) > 1:
            shorter = self.min_size[int(stream("augmentation").numpy.integers(len(self.min_size)))]
        scale = np.float32(
            min(np.float32(shorter) / min(height, width), np.float32(self.max_size) / max(height, width))
        )
        size = int(np.floor(height * float(scale))), int(np.floor(width * float(scale)))
        image = F.interpolate(image[None], size, mode="bilinear")[0]
        if target is None:
            return image, None
        target = {**target, "boxes": resize_boxes(target["boxes"], (height, width), size)}
        if "masks" in target:
            masks = target["masks"]
            if len(masks):
                masks = F.interpolate(masks[:, None].to(np.float32), size, mode="nearest")[:, 0].to(np.uint8)
            else:
                masks = F.zeros(0, *size, dtype=np.uint8, device=image.device)
            target["masks"] = masks
        return image, target

    def postprocess(
        self, detections: list[Target], sizes: Sequence[tuple[int, int]], first_sizes: Sequence[tuple[int, int]]
    ) -> list[Target]:
        """Boxes, and masks (K, 1, M, M) of boxes as masks (K, 1, H, W), in the images as they came."""
        for found, size, first in zip(detections, sizes, first_sizes, strict=True):
            found["boxes"] = resize_boxes(found["boxes"], size, first)
            if "masks" in found:
                found["masks"] = paste_masks(found["masks"], found["boxes"], first)
        return detections

    def extra_repr(self) -> str:
        return f"min_size={self.min_size}, max_size={self.max_size}, mean={self.image_mean}, std={self.image_std}"


def resize_boxes(boxes: Tensor, size: tuple[int, int], new_size: tuple[int, int]) -> Tensor:
    """(K, 4) boxes of an image of `size` (h, w) in the image of `new_size`."""
    dtype = boxes.dtype.type
    y, x = (dtype(new) / dtype(old) for new, old in zip(new_size, size, strict=True))
    return boxes * F.tensor(np.array([x, y, x, y], boxes.dtype), device=boxes.device)
