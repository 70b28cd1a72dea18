"""What is pasted into scenes: handwritten digits, garments, or shapes that are drawn here."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...errors import ArgumentError, OutOfRangeError, ShapeError
from ..datasets import LabeledImages

SHAPES = ("circle", "square", "triangle", "cross")


class Cutouts:
    """Objects to paste, each a small gray image on black, with a class.

    Args:      images: (M, h, w) float32 in [0, 1]. labels: (M,) class of each, 0 … C−1. classes: their names, by label.
               only: names of the classes to use, by default all of them. gain: the opacity is gain times the image,
               1 at most. shaded: whether its image also tells how bright it is; else it is of one colour
    Attributes: classes: "background", then the names that are used, in their order; so the labels of objects are 1 … C.
               images and labels: those of the objects that are used
    Raises:    ShapeError: images and labels that do not fit. OutOfRangeError: a label that is none of 0 … C−1.
               ArgumentError: an unknown class, one of which there is no object, or a black image
    """

    def __init__(
        self,
        images: np.ndarray,
        labels: np.ndarray,
        classes: Sequence[str],
        *,
        only: Sequence[str] | None = None,
        gain: float = 1.0,
        shaded: bool = False,
    ):
        if images.ndim != 3 or labels.shape != images.shape[:1]:
            raise ShapeError(f"Cutouts: images (M, h, w) with labels (M,) expected, got {images.shape}, {labels.shape}")
        for label in (labels.min(initial=0), labels.max(initial=0)):
            if not 0 <= label < len(classes):
                raise OutOfRangeError(f"Cutouts: label {label} is out of range for {len(classes)} classes")
        only = tuple(classes) if only is None else tuple(only)
        if not only or len(set(only)) < len(only) or not set(only) <= set(classes):
            raise ArgumentError(f"Cutouts: classes to use {only} must be different ones of {', '.join(classes)}")
        new_label = np.zeros(len(classes), np.int64)
        new_label[[list(classes).index(name) for name in only]] = np.arange(1, len(only) + 1)
        labels = new_label[labels]
        if empty := [name for label, name in enumerate(only, 1) if label not in labels]:
            raise ArgumentError(f"Cutouts: there is no object of class {empty[0]!r} to paste")
        self.classes, self.gain, self.shaded = ("background", *only), gain, shaded
        self.images, self.labels = images[labels > 0], labels[labels > 0]
        black = np.flatnonzero(self.images.max(axis=(1, 2)) <= 0)
        if len(black):
            raise ArgumentError(f"Cutouts: image {black[0]} of class {only[self.labels[black[0]] - 1]!r} is all black")

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """(opacity, brightness) of an object, each (h', w') in [0, 1] and without the empty margins."""
        image = self.images[index]
        rows, columns = (np.flatnonzero(image.any(axis=axis)) for axis in (1, 0))
        image = image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        return (image * np.float32(self.gain)).clip(0, 1), image if self.shaded else np.ones_like(image)


def digit_cutouts(digits: LabeledImages, only: Sequence[str] | None = None) -> Cutouts:
    """Strokes of one colour, soft at their edges."""
    return Cutouts(digits.images.data[:, 0], digits.labels.data, digits.classes, only=only)


def garment_cutouts(garments: LabeledImages, only: Sequence[str] | None = None) -> Cutouts:
    """Garments with their shading: what is at least 1/12 as bright as white belongs to the garment."""
    images, labels = garments.images.data[:, 0], garments.labels.data
    return Cutouts(images, labels, garments.classes, only=only, gain=6.0, shaded=True)


def shape_cutouts(count: int, rng: np.random.Generator, only: Sequence[str] | None = None, size: int = 32) -> Cutouts:
    """`count` shapes, the classes in turn, each turned and flattened at random, smoothed by 4×4 points per pixel."""
    fine = 4 * size
    y, x = (np.mgrid[:fine, :fine] + 0.5) * (2 / fine) - 1
    labels = np.arange(count) % len(SHAPES)
    images = np.empty((count, size, size), np.float32)
    for image, label in zip(images, labels, strict=True):
        angle, flatness = rng.uniform(0, 2 * np.pi), rng.uniform(0.7, 1)
        u, v = np.cos(angle) * x + np.sin(angle) * y, (np.cos(angle) * y - np.sin(angle) * x) / flatness
        image[:] = _inside(SHAPES[label], u, v).reshape(size, 4, size, 4).mean(axis=(1, 3))
    return Cutouts(images, labels, SHAPES, only=only)


def _inside(shape: str, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Which points lie in the shape, that itself lies in the unit circle."""
    if shape == "circle":
        return u**2 + v**2 <= 0.9
    if shape == "square":
        return np.maximum(abs(u), abs(v)) <= 0.7
    if shape == "triangle":
        return (v <= 0.5) & (v >= np.sqrt(3) * abs(u) - 1)
    return (np.minimum(abs(u), abs(v)) <= 0.3) & (np.maximum(abs(u), abs(v)) <= 0.9)
