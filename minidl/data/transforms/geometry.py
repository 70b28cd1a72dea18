"""Transforms that move pixels, and with them boxes and masks.

Each of them is an affine map of points together with a way to resample pixels, so a subclass of
:class:`GeometricTransform` states these two and the rest follows.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...backend import Generator
from ...errors import ArgumentError, MissingMethodError, ShapeError
from ._base import Transform, check_probability, interval, pair, unwrap
from ._image import affine_matrix, move_boxes, pad, resize, warp

_PER_OBJECT = ("boxes", "masks", "labels", "scores", "iscrowd", "difficult")
_IDENTITY = np.eye(2, 3)
_PAD_MODES = ("constant", "edge", "reflect", "symmetric")
_INTERPOLATIONS = ("nearest", "bilinear")


class GeometricTransform(Transform):
    """Base of transforms that move pixels. A subclass defines :meth:`move` and :meth:`matrix`.

    Masks and semantic maps are resampled by nearest neighbour. A box becomes the smallest upright box around its moved
    corners, clipped to the image. An object whose box is then empty leaves the sample, with its entries in "boxes",
    "masks", "labels", "scores", "iscrowd" and "difficult".

    Args:      fill: of image pixels from outside. semantic_fill: the same for a semantic map, such as the index to
               ignore
    """

    fill: float = 0.0
    semantic_fill: int = 0

    def move(self, pixels: np.ndarray, choice: Any, fill: float, nearest: bool) -> np.ndarray:
        """The pixels (…, H, W) after this choice."""
        raise MissingMethodError(f"{type(self).__name__} must define move(self, pixels, choice, fill, nearest)")

    def matrix(self, choice: Any, height: int, width: int) -> np.ndarray:
        """(2, 3): where a point (x, y, 1) of an image of this size moves."""
        raise MissingMethodError(f"{type(self).__name__} must define matrix(self, choice, height, width)")

    def image(self, image: np.ndarray, choice: Any) -> np.ndarray:
        return self.move(image, choice, self.fill, nearest=False)

    def _apply(self, sample: dict[str, Any], choice: Any) -> dict[str, Any]:
        op = type(self).__name__
        height, width = unwrap(sample["image"], op, "image")[0].shape[-2:]
        moved = super()._apply(sample, choice)
        for key, ndim, fill in (("masks", 3, 0), ("semantic", 2, self.semantic_fill)):
            if key in sample:
                pixels, wrap = unwrap(sample[key], op, key)
                if pixels.ndim != ndim or pixels.shape[-2:] != (height, width):
                    raise ShapeError(f"{op}: {key} {pixels.shape} does not fit the image of {height}×{width} pixels")
                moved[key] = wrap(self.move(pixels, choice, fill, nearest=True))
        if "boxes" in sample:
            boxes, wrap = unwrap(sample["boxes"], op, "boxes")
            if boxes.ndim != 2 or boxes.shape[1] != 4:
                raise ShapeError(f"{op}: boxes must have shape (K, 4), got {boxes.shape}")
            new_height, new_width = moved["image"].shape[-2:]
            dtype = boxes.dtype if boxes.dtype.kind == "f" else np.dtype(np.float32)
            new_boxes = move_boxes(boxes, self.matrix(choice, height, width), new_height, new_width)
            moved["boxes"] = wrap(new_boxes.astype(dtype))
            _drop_lost(moved, np.all(new_boxes[:, 2:] > new_boxes[:, :2], axis=1), op)
        return moved


def _drop_lost(sample: dict[str, Any], visible: np.ndarray, op: str) -> None:
    if visible.all():
        return
    for key in _PER_OBJECT:
        if key in sample:
            entries, wrap = unwrap(sample[key], op, key)
            if len(entries) != len(visible):
                raise ShapeError(f"{op}: {len(visible)} boxes but {len(entries)} {key}")
            sample[key] = wrap(entries[visible])


class _RandomFlip(GeometricTransform):
    def __init__(self, p: float = 0.5, *, generator: Generator | None = None):
        super().__init__(generator)
        self.p = check_probability(p, type(self).__name__)

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> bool:
        return bool(rng.random() < self.p)


class RandomHorizontalFlip(_RandomFlip):
    """Swap left and right with probability `p`."""

    def move(self, pixels: np.ndarray, choice: bool, fill: float, nearest: bool) -> np.ndarray:
        return pixels[..., ::-1] if choice else pixels

    def matrix(self, choice: bool, height: int, width: int) -> np.ndarray:
        return np.array([[-1.0, 0, width], [0, 1, 0]]) if choice else _IDENTITY


class RandomVerticalFlip(_RandomFlip):
    """Swap top and bottom with probability `p`."""

    def move(self, pixels: np.ndarray, choice: bool, fill: float, nearest: bool) -> np.ndarray:
        return pixels[..., ::-1, :] if choice else pixels

    def matrix(self, choice: bool, height: int, width: int) -> np.ndarray:
        return np.array([[1.0, 0, 0], [0, -1, height]]) if choice else _IDENTITY


class Pad(GeometricTransform):
    """Borders around the image.

    Args:      padding: pixels on every side; or (left and right, top and bottom); or (left, top, right, bottom).
               padding_mode: "constant" (with `fill`), "edge", "reflect" or "symmetric"
    """

    random = False

    def __init__(self, padding: Any, fill: float = 0.0, padding_mode: str = "constant", semantic_fill: int = 0):
        super().__init__()
        self.padding = _borders(padding, "Pad")
        self.padding_mode = _choice(padding_mode, _PAD_MODES, "Pad", "padding_mode")
        self.fill, self.semantic_fill = fill, semantic_fill

    def move(self, pixels: np.ndarray, choice: None, fill: float, nearest: bool) -> np.ndarray:
        return _pad_checked(pixels, self.padding, fill, self.padding_mode, "Pad")

    def matrix(self, choice: None, height: int, width: int) -> np.ndarray:
        return _shift(self.padding[0], self.padding[1])


class CenterCrop(GeometricTransform):
    """The middle of the image; where it is smaller than `size`, with a border of zeros."""

    random = False

    def __init__(self, size: Any):
        super().__init__()
        self.size = pair(size, "CenterCrop", "size")

    def _offset(self, height: int, width: int) -> tuple[int, int]:
        return round((height - self.size[0]) / 2), round((width - self.size[1]) / 2)

    def move(self, pixels: np.ndarray, choice: None, fill: float, nearest: bool) -> np.ndarray:
        height, width = pixels.shape[-2:]
        top, left = self._offset(height, width)
        return pad(pixels, -left, -top, self.size[1] + left - width, self.size[0] + top - height, fill, "constant")

    def matrix(self, choice: None, height: int, width: int) -> np.ndarray:
        top, left = self._offset(height, width)
        return _shift(-left, -top)


class RandomCrop(GeometricTransform):
    """A piece of `size` at a random place, after padding.

    Args:      size: int or (h, w). padding: as for :class:`Pad`. pad_if_needed: pad an image that is too small.
               fill, padding_mode, semantic_fill: as for :class:`Pad`
    Raises:    ShapeError: the padded image is smaller than `size`
    Source:    Krizhevsky, Sutskever & Hinton 2012, section 4.1
    """

    def __init__(
        self,
        size: Any,
        padding: Any = 0,
        pad_if_needed: bool = False,
        fill: float = 0.0,
        padding_mode: str = "constant",
        *,
        semantic_fill: int = 0,
        generator: Generator | None = None,
    ):
        super().__init__(generator)
        self.size = pair(size, "RandomCrop", "size")
        self.padding, self.pad_if_needed = _borders(padding or 0, "RandomCrop"), pad_if_needed
        self.padding_mode = _choice(padding_mode, _PAD_MODES, "RandomCrop", "padding_mode")
        self.fill, self.semantic_fill = fill, semantic_fill

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> tuple[tuple[int, ...], int, int]:
        """The borders to add, then the top and left of the piece."""
        left, top, right, bottom = self.padding
        if self.pad_if_needed:
            more_y = max(0, self.size[0] - shape[1] - top - bottom)
            more_x = max(0, self.size[1] - shape[2] - left - right)
            left, top, right, bottom = left + more_x, top + more_y, right + more_x, bottom + more_y
        free_y = shape[1] + top + bottom - self.size[0]
        free_x = shape[2] + left + right - self.size[1]
        if free_y < 0 or free_x < 0:
            raise ShapeError(
                f"RandomCrop: the image of {shape[1]}×{shape[2]} pixels with padding {self.padding} is smaller than "
                f"the crop {self.size}; resize it, pad it, or set pad_if_needed=True"
            )
        return (left, top, right, bottom), int(rng.integers(free_y + 1)), int(rng.integers(free_x + 1))

    def move(self, pixels: np.ndarray, choice: Any, fill: float, nearest: bool) -> np.ndarray:
        borders, top, left = choice
        padded = _pad_checked(pixels, borders, fill, self.padding_mode, "RandomCrop")
        return padded[..., top : top + self.size[0], left : left + self.size[1]]

    def matrix(self, choice: Any, height: int, width: int) -> np.ndarray:
        borders, top, left = choice
        return _shift(borders[0] - left, borders[1] - top)


class Resize(GeometricTransform):
    """Resample to another size.

    Args:      size: (h, w); or an int for the shorter side, while the sides keep their proportion. interpolation: of
               the image, "bilinear" or "nearest". antialias: when shrinking, average over all pixels that fall into a
               new one
    """

    random = False

    def __init__(self, size: Any, interpolation: str = "bilinear", antialias: bool = True):
        super().__init__()
        self.size = pair(size, "Resize", "size")
        self._keeps_proportion = isinstance(size, int | np.integer)
        self.interpolation = _choice(interpolation, _INTERPOLATIONS, "Resize", "interpolation")
        self.antialias = antialias

    def _new_size(self, height: int, width: int) -> tuple[int, int]:
        if not self._keeps_proportion:
            return self.size
        short = min(height, width)
        return self.size[0] * height // short, self.size[0] * width // short

    def move(self, pixels: np.ndarray, choice: None, fill: float, nearest: bool) -> np.ndarray:
        new_height, new_width = self._new_size(*pixels.shape[-2:])
        return resize(pixels, new_height, new_width, nearest or self.interpolation == "nearest", self.antialias)

    def matrix(self, choice: None, height: int, width: int) -> np.ndarray:
        new_height, new_width = self._new_size(height, width)
        return np.array([[new_width / width, 0, 0], [0, new_height / height, 0]])


class RandomResizedCrop(GeometricTransform):
    """A piece of random area and proportion, resampled to `size`.

    Args:      scale: of the piece's area to the image's. ratio: of its width to its height, drawn evenly in the
               logarithm. interpolation, antialias: as for :class:`Resize`
    Source:    Szegedy et al. 2015, section 6. If ten draws do not fit into the image, the largest piece in its middle
               that obeys `ratio` is taken
    """

    def __init__(
        self,
        size: Any,
        scale: tuple[float, float] = (0.08, 1.0),
        ratio: tuple[float, float] = (3 / 4, 4 / 3),
        interpolation: str = "bilinear",
        antialias: bool = True,
        *,
        generator: Generator | None = None,
    ):
        super().__init__(generator)
        self.size = pair(size, "RandomResizedCrop", "size")
        self.scale = interval(scale, "RandomResizedCrop", "scale")
        self.ratio = interval(ratio, "RandomResizedCrop", "ratio")
        if self.scale[0] < 0 or self.ratio[0] <= 0:
            raise ArgumentError(f"RandomResizedCrop: scale {scale} and ratio {ratio} must be positive")
        self.interpolation = _choice(interpolation, _INTERPOLATIONS, "RandomResizedCrop", "interpolation")
        self.antialias = antialias

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> tuple[int, int, int, int]:
        """Top, left, height and width of the piece."""
        height, width = shape[-2:]
        for _ in range(10):
            area = height * width * rng.uniform(*self.scale)
            ratio = math.exp(rng.uniform(math.log(self.ratio[0]), math.log(self.ratio[1])))
            h, w = round(math.sqrt(area / ratio)), round(math.sqrt(area * ratio))
            if 0 < h <= height and 0 < w <= width:
                return int(rng.integers(height - h + 1)), int(rng.integers(width - w + 1)), h, w
        h = min(height, max(1, round(width / self.ratio[0])))
        w = min(width, max(1, round(height * self.ratio[1])))
        return (height - h) // 2, (width - w) // 2, h, w

    def move(self, pixels: np.ndarray, choice: Any, fill: float, nearest: bool) -> np.ndarray:
        top, left, h, w = choice
        piece = pixels[..., top : top + h, left : left + w]
        return resize(piece, *self.size, nearest or self.interpolation == "nearest", self.antialias)

    def matrix(self, choice: Any, height: int, width: int) -> np.ndarray:
        top, left, h, w = choice
        scale_y, scale_x = self.size[0] / h, self.size[1] / w
        return np.array([[scale_x, 0, -left * scale_x], [0, scale_y, -top * scale_y]])


class RandomAffine(GeometricTransform):
    """Turn, shift, scale and shear about the middle of the image, in a frame that stays.

    Args:      degrees: (low, high) of the angle, clockwise, or one number d for (−d, d). translate: greatest shift as
               fractions of (width, height). scale: (low, high) of the factor. shear: (low, high) of the horizontal
               shear in degrees, or one number, or four for horizontal and vertical. interpolation: of the image. fill:
               of image pixels from outside. semantic_fill: the same for a semantic map
    """

    def __init__(
        self,
        degrees: Any,
        translate: tuple[float, float] | None = None,
        scale: tuple[float, float] | None = None,
        shear: Any = None,
        interpolation: str = "nearest",
        fill: float = 0.0,
        *,
        semantic_fill: int = 0,
        generator: Generator | None = None,
    ):
        super().__init__(generator)
        op = type(self).__name__
        self.degrees = _symmetric(degrees, op, "degrees")
        self.translate = tuple(translate or (0.0, 0.0))
        if len(self.translate) != 2 or not all(0 <= part <= 1 for part in self.translate):
            raise ArgumentError(f"{op}: translate={translate!r} must be two fractions in 0 … 1, of width and height")
        self.scale = interval(scale or (1.0, 1.0), op, "scale")
        if self.scale[0] <= 0:
            raise ArgumentError(f"{op}: scale={scale!r} must be positive")
        shear = 0 if shear is None else shear
        horizontal, vertical = (shear[:2], shear[2:]) if np.size(shear) == 4 else (shear, 0)
        self.shear, self.shear_y = _symmetric(horizontal, op, "shear"), _symmetric(vertical, op, "shear")
        self.interpolation = _choice(interpolation, _INTERPOLATIONS, op, "interpolation")
        self.fill, self.semantic_fill = fill, semantic_fill

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        """The matrix itself."""
        height, width = shape[-2:]
        angle = rng.uniform(*self.degrees)
        greatest_x, greatest_y = self.translate[0] * width, self.translate[1] * height
        shift = (round(rng.uniform(-greatest_x, greatest_x)), round(rng.uniform(-greatest_y, greatest_y)))
        shear = (rng.uniform(*self.shear), rng.uniform(*self.shear_y))
        return affine_matrix((width / 2, height / 2), angle, shift, rng.uniform(*self.scale), shear)

    def move(self, pixels: np.ndarray, choice: np.ndarray, fill: float, nearest: bool) -> np.ndarray:
        return warp(pixels, choice, nearest or self.interpolation == "nearest", fill)

    def matrix(self, choice: np.ndarray, height: int, width: int) -> np.ndarray:
        return choice


class RandomRotation(RandomAffine):
    """Turn about the middle of the image, counter-clockwise, in a frame that stays.

    Args:      degrees: (low, high), or one number d for (−d, d). The rest as for :class:`RandomAffine`
    """

    def __init__(
        self,
        degrees: Any,
        interpolation: str = "nearest",
        fill: float = 0.0,
        *,
        semantic_fill: int = 0,
        generator: Generator | None = None,
    ):
        low, high = _symmetric(degrees, "RandomRotation", "degrees")
        clockwise = (-high, -low)
        super().__init__(
            clockwise, interpolation=interpolation, fill=fill, semantic_fill=semantic_fill, generator=generator
        )


def _shift(x: float, y: float) -> np.ndarray:
    return np.array([[1.0, 0, x], [0, 1, y]])


def _borders(padding: Any, op: str) -> tuple[int, int, int, int]:
    """(left, top, right, bottom) from one, two or four integers."""
    values = (padding,) if isinstance(padding, int | np.integer) else tuple(padding) if np.iterable(padding) else ()
    if len(values) not in (1, 2, 4) or not all(isinstance(v, int | np.integer) and v >= 0 for v in values):
        raise ArgumentError(f"{op}: padding={padding!r} must be 1, 2 or 4 integers ≥ 0")
    left, top, right, bottom = (int(v) for v in values * (4 // len(values)))
    return left, top, right, bottom


def _pad_checked(pixels: np.ndarray, borders: Any, fill: float, mode: str, op: str) -> np.ndarray:
    height, width = pixels.shape[-2:]
    if mode != "constant" and 0 in (height, width):
        raise ShapeError(f"{op}: padding_mode={mode!r} needs pixels to repeat, but the image is {height}×{width}")
    left, top, right, bottom = borders
    return pad(pixels, left, top, right, bottom, fill, mode)


def _symmetric(value: Any, op: str, name: str) -> tuple[float, float]:
    """(low, high), or (−v, v) from one number v ≥ 0."""
    if np.iterable(value):
        return interval(value, op, name)
    if value < 0:
        raise ArgumentError(f"{op}: {name}={value!r} must not be negative, or be two numbers, (low, high)")
    return -float(value), float(value)


def _choice(value: str, known: tuple[str, ...], op: str, name: str) -> str:
    if value not in known:
        raise ArgumentError(f"{op}: {name}={value!r}; choose {', '.join(map(repr, known))}")
    return value
