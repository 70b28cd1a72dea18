"""Augmentation that mixes the images of a batch, and their labels with them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...backend import Generator, check_generator
from ...errors import ArgumentError, OutOfRangeError, ShapeError
from .._random import augment_generator
from ._base import unwrap


class _Mix:
    def __init__(self, alpha: float = 1.0, num_classes: int | None = None, *, generator: Generator | None = None):
        if not 0 < alpha < math.inf:
            raise ArgumentError(f"{type(self).__name__}: alpha={alpha} must be positive and finite")
        self.alpha, self.num_classes = alpha, num_classes
        self.generator = check_generator(generator, type(self).__name__)

    def __call__(self, images: Any, labels: Any) -> tuple[Any, Any]:
        op, rng = type(self).__name__, augment_generator(self.generator)
        pixels, wrap_images = unwrap(images, op, "images")
        classes, wrap_labels = unwrap(labels, op, "labels")
        if pixels.ndim != 4 or len(pixels) != len(classes) or pixels.dtype.kind != "f":
            raise ShapeError(
                f"{op}: expected float images (N, C, H, W) and N labels, got {pixels.dtype} {pixels.shape} "
                f"and {classes.shape}"
            )
        target = self._probabilities(classes, pixels.dtype)
        partner = rng.permutation(len(pixels))
        mixed, share = self._mix(rng, pixels, partner, float(rng.beta(self.alpha, self.alpha)))
        return wrap_images(mixed), wrap_labels(share * target + (1 - share) * target[partner])

    def _mix(self, rng: np.random.Generator, pixels: np.ndarray, partner: np.ndarray, share: float) -> Any:
        """The batch mixed with its partners, and each image's share in itself."""

    def _probabilities(self, labels: np.ndarray, dtype: np.dtype) -> np.ndarray:
        op = type(self).__name__
        if labels.ndim == 2:
            if self.num_classes not in (None, labels.shape[1]):
                raise ShapeError(f"{op}: labels {labels.shape} for num_classes={self.num_classes}")
            return labels.astype(dtype)
        if labels.ndim != 1 or labels.dtype.kind not in "iu" or self.num_classes is None:
            raise ArgumentError(
                f"{op}: labels {labels.dtype} {labels.shape} must be class indices (N,), with num_classes given, or "
                "probabilities (N, num_classes)"
            )
        if labels.size and not 0 <= labels.min() <= labels.max() < self.num_classes:
            raise OutOfRangeError(f"{op}: labels {labels.min()} … {labels.max()} for num_classes={self.num_classes}")
        return np.eye(self.num_classes, dtype=dtype)[labels]


class MixUp(_Mix):
    """Blend each image of a batch, and its label, with a random partner: ``images, labels = mixup(images, labels)``.

    In a :class:`~minidl.data.DataLoader` it ends the making of a batch:
    ``collate_fn=lambda samples: mixup(*default_collate(samples))``.

    Math:      x' = λ x_i + (1 − λ) x_j,  y' = λ y_i + (1 − λ) y_j,  λ ~ Beta(α, α), one λ per batch
    Args:      num_classes: needed where labels are class indices. The call takes images (N, C, H, W) float, and labels
               (N,) class indices or (N, num_classes) probabilities
    Returns:   images, and labels as probabilities (N, num_classes), which :func:`minidl.functional.cross_entropy` takes
    Source:    Zhang et al. 2018, equation 2
    """

    def _mix(self, rng: np.random.Generator, pixels: np.ndarray, partner: np.ndarray, share: float) -> Any:
        return share * pixels + (1 - share) * pixels[partner], share


class CutMix(_Mix):
    """Paste a random rectangle of a partner into each image of a batch; labels mix by area. Called as :class:`MixUp`.

    Math:      the rectangle has the image's proportion, the area 1 − λ, λ ~ Beta(α, α), and a uniform centre; y' uses
               the area that is left after clipping at the edge
    Source:    Yun et al. 2019, equations 1 and 2
    """

    def _mix(self, rng: np.random.Generator, pixels: np.ndarray, partner: np.ndarray, share: float) -> Any:
        height, width = pixels.shape[-2:]
        row, column = rng.integers(height), rng.integers(width)
        half_h, half_w = (round(side * math.sqrt(1 - share) / 2) for side in (height, width))
        top, bottom = max(row - half_h, 0), min(row + half_h, height)
        left, right = max(column - half_w, 0), min(column + half_w, width)
        mixed = pixels.copy()
        mixed[..., top:bottom, left:right] = pixels[partner][..., top:bottom, left:right]
        return mixed, float(1 - (bottom - top) * (right - left) / (height * width))
