"""Proposals without learning: boxes that may hold an object, from merging segments that look alike."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..autograd import Tensor
from ..backend import Generator, check_generator, stream
from ..errors import ArgumentError, MissingPackageError, ShapeError
from ..functional._shared import check_integer, check_number
from .ops._checks import as_tensor

_COLOR_BINS, _TEXTURE_BINS, _DIRECTIONS = 25, 10, 8


def selective_search(
    image: Any,
    *,
    scales: Sequence[float] = (50, 100),
    sigma: float = 0.8,
    min_size: int = 20,
    color_spaces: Sequence[str] = ("hsv", "lab"),
    most: int | None = 2000,
    generator: Generator | None = None,
) -> Tensor:
    """Boxes of segments and of everything they grow into when the two most similar neighbours are merged again and
    again, until one is left.

    Math:      s(a, b) = Σ min of the two colour histograms + Σ min of the two texture histograms + 1 − (|a| + |b|)/|I|
               + 1 − (|box around both| − |a| − |b|)/|I|, and once more without colour: for each scale and colour space
               two hierarchies. In a hierarchy of n regions the one made last has the rank i = 1, the first segment
               i = n; all boxes are sorted by i · u with u uniform in (0, 1), so that large regions tend to come first
               without a fixed order of sizes, and each box is kept once
    Args:      image: (3, H, W) or (1, H, W) or (H, W), uint8 or float in [0, 1]. scales, sigma, min_size: of the
               segmentation by Felzenszwalb & Huttenlocher 2004; a larger scale makes larger segments; sigma and
               min_size in pixels. color_spaces: of "rgb", "hsv", "lab". most: boxes at the most, None for all.
               generator: of the order, by default the stream "data"
    Returns:   (K, 4) float32 boxes (x1, y1, x2, y2), the most promising first
    Raises:    MissingPackageError: scikit-image is not installed. ShapeError, ArgumentError: bad arguments
    Source:    Uijlings et al. 2013, "Selective search for object recognition", sections 3 and 4; their "fast" version
    """
    pixels = _rgb(image)
    try:
        from skimage.color import rgb2hsv, rgb2lab
        from skimage.segmentation import felzenszwalb
    except ImportError:
        raise MissingPackageError(
            "selective_search: scikit-image makes the segments; pip install scikit-image"
        ) from None
    spaces = {"rgb": lambda x: x, "hsv": rgb2hsv, "lab": lambda x: rgb2lab(x) / [100, 255, 255] + [0, 0.5, 0.5]}
    unknown = [space for space in color_spaces if space not in spaces]
    if unknown or not color_spaces or not scales:
        raise ArgumentError(
            f"selective_search: color_spaces={color_spaces!r} must be of {', '.join(spaces)}, and scales={scales!r} "
            "must not be empty"
        )
    rng = (check_generator(generator, "selective_search") or stream("data")).numpy
    sigma, min_size = (
        check_number(sigma, "selective_search", "sigma"),
        check_integer(min_size, "selective_search", "min_size"),
    )
    boxes, order = [], []
    for space in color_spaces:
        converted = np.clip(spaces[space](pixels), 0, 1)
        for scale in scales:
            segments = felzenszwalb(converted, scale=scale, sigma=sigma, min_size=min_size, channel_axis=-1)
            regions, neighbours = _regions(converted, segments)
            for with_color in (True, False):
                hierarchy = _merge(regions, neighbours, pixels.shape[0] * pixels.shape[1], with_color)
                boxes += [region.box for region in reversed(hierarchy)]
                order += (np.arange(1, len(hierarchy) + 1) * rng.random(len(hierarchy))).tolist()
    ranked = np.array(boxes, np.float32)[np.argsort(order, kind="stable")]
    _, first = np.unique(ranked, axis=0, return_index=True)
    return Tensor(ranked[np.sort(first)][:most])


@dataclass
class Region:
    """A segment or several: pixels, (x1, y1, x2, y2), and histograms, each of which sums to 1."""

    size: int
    box: tuple[int, int, int, int]
    color: np.ndarray
    texture: np.ndarray

    def merged(self, other: Region) -> Region:
        """Both together: histograms are means by size, so they need not be counted again."""
        size = self.size + other.size
        share = self.size / size
        return Region(
            size,
            _around(self.box, other.box),
            share * self.color + (1 - share) * other.color,
            share * self.texture + (1 - share) * other.texture,
        )

    def similarity(self, other: Region, pixels: int, with_color: bool) -> float:
        """How well the two fit together; see :func:`selective_search`."""
        x1, y1, x2, y2 = _around(self.box, other.box)
        size = self.size + other.size
        likeness = np.minimum(self.texture, other.texture).sum()
        if with_color:
            likeness += np.minimum(self.color, other.color).sum()
        return float(likeness) + (1 - size / pixels) + (1 - ((x2 - x1) * (y2 - y1) - size) / pixels)


def _around(a: tuple[int, int, int, int], b: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
    return min(a[0], b[0]), min(a[1], b[1]), max(a[2], b[2]), max(a[3], b[3])


def _regions(image: np.ndarray, segments: np.ndarray) -> tuple[list[Region], set[tuple[int, int]]]:
    """The segments with their histograms, and the pairs (a, b), a < b, that touch."""
    labels = np.unique(segments, return_inverse=True)[1].reshape(segments.shape)
    count = int(labels.max()) + 1
    sizes = np.bincount(labels.ravel(), minlength=count)
    rows, columns = np.indices(labels.shape)
    lowest = [np.full(count, axis.max() + 1) for axis in (columns, rows)]
    highest = [np.zeros(count, int) for _ in range(2)]
    for d, axis in enumerate((columns, rows)):
        np.minimum.at(lowest[d], labels.ravel(), axis.ravel())
        np.maximum.at(highest[d], labels.ravel(), axis.ravel() + 1)
    color = _histograms(labels, image, count, _COLOR_BINS)
    texture = _histograms(labels, _derivatives(image), count, _TEXTURE_BINS)
    regions = [
        Region(int(sizes[k]), (int(lowest[0][k]), int(lowest[1][k]), int(highest[0][k]), int(highest[1][k])), *h)
        for k, h in enumerate(zip(color, texture, strict=True))
    ]
    sides = [(labels[:, 1:], labels[:, :-1]), (labels[1:], labels[:-1])]
    pairs = np.concatenate([np.stack([a[a != b], b[a != b]], axis=1) for a, b in sides])
    return regions, {(int(a), int(b)) for a, b in np.unique(np.sort(pairs, axis=1), axis=0)}


def _histograms(labels: np.ndarray, planes: np.ndarray, count: int, bins: int) -> np.ndarray:
    """(count, planes · bins): how the values in [0, 1] of planes (H, W, P) are spread in each segment."""
    number = planes.shape[2]
    places = np.minimum((planes * bins).astype(int), bins - 1) + bins * np.arange(number)
    flat = (labels[..., None] * (number * bins) + places).ravel()
    table = np.bincount(flat, minlength=count * number * bins).reshape(count, number * bins)
    return table / table.sum(1, keepdims=True)


def _derivatives(image: np.ndarray) -> np.ndarray:
    """(H, W, 8·C) in [0, 1]: how steeply each channel rises in eight directions, over the steepest of the image."""
    dy, dx = np.gradient(image, axis=(0, 1)) if min(image.shape[:2]) > 1 else (np.zeros_like(image),) * 2
    angles = 2 * np.pi * np.arange(_DIRECTIONS) / _DIRECTIONS
    rises = np.concatenate([np.maximum(np.cos(a) * dx + np.sin(a) * dy, 0) for a in angles], axis=2)
    return rises / max(rises.max(), 1e-12)


def _merge(segments: list[Region], neighbours: set[tuple[int, int]], pixels: int, with_color: bool) -> list[Region]:
    """All regions of a hierarchy, the segments first, the whole image last."""
    regions = list(segments)
    around: dict[int, set[int]] = {k: set() for k in range(len(regions))}
    for a, b in neighbours:
        around[a].add(b)
        around[b].add(a)
    heap = [(-regions[a].similarity(regions[b], pixels, with_color), a, b) for a, b in sorted(neighbours)]
    heapq.heapify(heap)
    while heap:
        _, a, b = heapq.heappop(heap)
        if a not in around or b not in around:  # one of them has been merged since
            continue
        new = len(regions)
        regions.append(regions[a].merged(regions[b]))
        around[new] = (around.pop(a) | around.pop(b)) - {a, b}
        for other in around[new]:
            around[other] = (around[other] - {a, b}) | {new}
            similarity = regions[other].similarity(regions[new], pixels, with_color)
            heapq.heappush(heap, (-similarity, other, new))
    return regions


def _rgb(image: Any) -> np.ndarray:
    """(H, W, 3) float64 in [0, 1]."""
    tensor = as_tensor(image, "selective_search", "image")
    pixels = tensor.cpu().numpy()
    pixels = pixels[None] if pixels.ndim == 2 else pixels
    if pixels.ndim != 3 or pixels.shape[0] not in (1, 3) or 0 in pixels.shape:
        raise ShapeError(f"selective_search: image must be (3, H, W), (1, H, W) or (H, W), got {tensor.shape}")
    pixels = pixels / 255 if pixels.dtype == np.uint8 else pixels.astype(np.float64)
    if not (pixels.min() >= 0 and pixels.max() <= 1):
        raise ArgumentError(
            f"selective_search: a float image has values in [0, 1], got {pixels.min():.4g} to {pixels.max():.4g}"
        )
    return np.repeat(pixels, 3 // len(pixels), axis=0).transpose(1, 2, 0)
