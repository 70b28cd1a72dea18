"""Transforms that change the values of pixels and leave them where they are."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ...autograd import Tensor
from ...backend import Generator
from ...errors import ArgumentError, ArgumentTypeError, DtypeError, ShapeError
from ._base import Transform, check_probability, interval
from ._image import as_dtype, to_gray, turn_hue


class ToTensor:
    """An image as cameras and files give it, (H, W) or (H, W, C), as a Tensor (C, H, W).

    uint8 becomes float32 in [0, 1]; another dtype keeps its values. In a dict sample only the image is converted. Takes
    arrays and what NumPy can read as one, such as a Pillow image.
    """

    def __call__(self, sample: Any) -> Any:
        if isinstance(sample, dict):
            return {**sample, "image": self(sample["image"])}
        pixels = np.asarray(sample)
        if pixels.dtype.kind not in "buif":
            raise ArgumentTypeError(f"ToTensor: expected an array or a Pillow image, got {type(sample).__name__}")
        if pixels.ndim not in (2, 3):
            raise ShapeError(f"ToTensor: expected (H, W) or (H, W, C), got {pixels.shape}")
        channels_first = np.ascontiguousarray(pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1))
        return Tensor(
            convert_range(channels_first, np.dtype(np.float32)) if pixels.dtype == np.uint8 else channels_first
        )

    def __repr__(self) -> str:
        return "ToTensor()"


def convert_range(pixels: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """To another dtype, where [0, 1] in floats stands for 0 … 255 in uint8."""
    if pixels.dtype == np.uint8 and dtype.kind == "f":
        return pixels.astype(dtype) / dtype.type(255)
    if pixels.dtype.kind == "f" and dtype == np.uint8:
        return as_dtype(pixels * 255, dtype)
    if pixels.dtype == dtype or pixels.dtype.kind == dtype.kind == "f":
        return pixels.astype(dtype, copy=False)
    raise DtypeError(f"ConvertImageDtype: from {pixels.dtype} to {dtype}; it converts between uint8 and floats")


class ConvertImageDtype(Transform):
    """Between uint8 (0 … 255) and floats ([0, 1])."""

    random = False

    def __init__(self, dtype: Any = np.float32):
        super().__init__()
        self.dtype = np.dtype(dtype)

    def image(self, image: np.ndarray, choice: None) -> np.ndarray:
        return convert_range(image, self.dtype)


class Normalize(Transform):
    """(x − mean) / std for each channel.

    Raises:    ArgumentError: a std of 0. ShapeError: as many means as channels are needed. DtypeError: not a float
               image
    """

    random = False

    def __init__(self, mean: float | Sequence[float], std: float | Sequence[float]):
        super().__init__()
        self.mean = np.atleast_1d(np.asarray(mean, dtype=np.float64))
        self.std = np.atleast_1d(np.asarray(std, dtype=np.float64))
        if not (self.std > 0).all():
            raise ArgumentError(f"Normalize: std={std} must be positive")

    def image(self, image: np.ndarray, choice: None) -> np.ndarray:
        _check_float(image, "Normalize")
        channels = image.shape[-3]
        for name, values in (("mean", self.mean), ("std", self.std)):
            if len(values) not in (1, channels):
                raise ShapeError(f"Normalize: {len(values)} values of {name} for {channels} channels of {image.shape}")
        mean, std = (values.astype(image.dtype)[:, None, None] for values in (self.mean, self.std))
        return (image - mean) / std


class ColorJitter(Transform):
    """Change brightness, contrast, saturation and hue by random amounts, in random order.

    Args:      brightness, contrast, saturation: the factor is drawn from (max(0, 1 − v), 1 + v), or from (low, high).
               hue: drawn from (−v, v), v ≤ ½, or from (low, high), in turns of the colour circle
    Raises:    DtypeError: not a float image in [0, 1]. ShapeError: not 1 or 3 channels; gray has no saturation or hue
    Source:    Howard 2013, section 2.2
    """

    def __init__(
        self,
        brightness: Any = 0.0,
        contrast: Any = 0.0,
        saturation: Any = 0.0,
        hue: Any = 0.0,
        *,
        generator: Generator | None = None,
    ):
        super().__init__(generator)
        self.brightness = _around(brightness, 1.0, 0.0, math.inf, "brightness")
        self.contrast = _around(contrast, 1.0, 0.0, math.inf, "contrast")
        self.saturation = _around(saturation, 1.0, 0.0, math.inf, "saturation")
        self.hue = _around(hue, 0.0, -0.5, 0.5, "hue")

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Any:
        """(order, the four amounts)"""
        amounts = [rng.uniform(*bounds) for bounds in (self.brightness, self.contrast, self.saturation, self.hue)]
        return rng.permutation(4).tolist(), amounts

    def image(self, image: np.ndarray, choice: Any) -> np.ndarray:
        _check_float(image, "ColorJitter")
        if image.shape[0] not in (1, 3):
            raise ShapeError(f"ColorJitter: an image has 1 or 3 channels, got {image.shape}")
        order, amounts = choice
        steps = (_brighten, _contrast, _saturate, _hue)
        neutral = (1.0, 1.0, 1.0, 0.0)
        for step in order:
            if amounts[step] != neutral[step]:
                image = steps[step](image, amounts[step])
        return image


def _brighten(image: np.ndarray, factor: float) -> np.ndarray:
    return (image * factor).clip(0, 1)


def _contrast(image: np.ndarray, factor: float) -> np.ndarray:
    mean = (to_gray(image) if len(image) == 3 else image).mean(dtype=image.dtype)
    return (mean + (image - mean) * factor).clip(0, 1)


def _saturate(image: np.ndarray, factor: float) -> np.ndarray:
    if len(image) == 1:
        return image
    gray = to_gray(image)
    return (gray + (image - gray) * factor).clip(0, 1)


def _hue(image: np.ndarray, turns: float) -> np.ndarray:
    return image if len(image) == 1 else turn_hue(image, turns)


class RandomErasing(Transform):
    """Overwrite a random rectangle, with probability `p`.

    Args:      scale: (low, high) of its area to the image's. ratio: (low, high) of its height to its width, drawn
               evenly in the logarithm. value: a number, one per channel, or "random" for normal noise
    Source:    Zhong et al. 2020, algorithm 1; gives up after ten rectangles that do not fit
    """

    def __init__(
        self,
        p: float = 0.5,
        scale: tuple[float, float] = (0.02, 0.33),
        ratio: tuple[float, float] = (0.3, 3.3),
        value: Any = 0.0,
        *,
        generator: Generator | None = None,
    ):
        super().__init__(generator)
        self.p = check_probability(p, "RandomErasing")
        self.scale = interval(scale, "RandomErasing", "scale")
        self.ratio = interval(ratio, "RandomErasing", "ratio")
        if self.scale[0] < 0 or self.scale[1] > 1 or self.ratio[0] <= 0:
            raise ArgumentError(f"RandomErasing: scale {scale} must lie in 0 … 1 and ratio {ratio} above 0")
        if isinstance(value, str) and value != "random":
            raise ArgumentError(f"RandomErasing: value={value!r}; choose a number, one per channel, or 'random'")
        self.value = value

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Any:
        """Top, left and the values (C, h, w) or (C or 1, 1, 1); None to leave the image alone."""
        channels, height, width = shape
        if rng.random() >= self.p:
            return None
        for _ in range(10):
            area = height * width * rng.uniform(*self.scale)
            ratio = math.exp(rng.uniform(math.log(self.ratio[0]), math.log(self.ratio[1])))
            h, w = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
            if h < height and w < width:
                top, left = int(rng.integers(height - h + 1)), int(rng.integers(width - w + 1))
                noise = rng.standard_normal((channels, h, w)) if isinstance(self.value, str) else None
                return top, left, h, w, noise
        return None

    def image(self, image: np.ndarray, choice: Any) -> np.ndarray:
        if choice is None:
            return image
        top, left, h, w, noise = choice
        values = np.atleast_1d(self.value)[:, None, None] if noise is None else noise
        if noise is None and len(values) not in (1, len(image)):
            raise ShapeError(f"RandomErasing: {len(values)} values for {len(image)} channels of {image.shape}")
        erased = image.copy()
        erased[:, top : top + h, left : left + w] = values
        return erased


class Cutout(Transform):
    """Overwrite squares at random places, which may hang over the edge.

    Args:      size: side in pixels. holes: how many squares. value: what is written
    Source:    DeVries & Taylor 2017, section 3.2
    """

    def __init__(self, size: int, holes: int = 1, value: float = 0.0, *, generator: Generator | None = None):
        super().__init__(generator)
        if not all(isinstance(value, int | np.integer) and value >= 1 for value in (size, holes)):
            raise ArgumentError(f"Cutout: size={size!r} and holes={holes!r} must be integers, at least 1")
        self.size, self.holes, self.value = size, holes, value

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        """(holes, 2): row and column of the centres"""
        return rng.integers(0, shape[-2:], size=(self.holes, 2))

    def image(self, image: np.ndarray, choice: np.ndarray) -> np.ndarray:
        cut = image.copy()
        for row, column in (choice - self.size // 2).tolist():
            cut[:, max(row, 0) : max(row + self.size, 0), max(column, 0) : max(column + self.size, 0)] = self.value
        return cut


class GaussianNoise(Transform):
    """Add normal noise to a float image, and clip the sum to [0, 1] unless `clip` is False."""

    def __init__(self, mean: float = 0.0, sigma: float = 0.1, clip: bool = True, *, generator: Generator | None = None):
        super().__init__(generator)
        if not 0 <= sigma < math.inf:
            raise ArgumentError(f"GaussianNoise: sigma={sigma} must be finite and not negative")
        self.mean, self.sigma, self.clip = mean, sigma, clip

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        return rng.normal(self.mean, self.sigma, shape)

    def image(self, image: np.ndarray, choice: np.ndarray) -> np.ndarray:
        _check_float(image, "GaussianNoise")
        noisy = image + choice.astype(image.dtype)
        return noisy.clip(0, 1) if self.clip else noisy


def _check_float(image: np.ndarray, op: str) -> None:
    if image.dtype.kind != "f":
        raise DtypeError(
            f"{op}: the image is {image.dtype}; use ConvertImageDtype() first, which gives floats in [0, 1]"
        )


def _around(value: Any, center: float, lowest: float, highest: float, name: str) -> tuple[float, float]:
    """(low, high) as given, or (center − v, center + v) from one number v ≥ 0, within the allowed bounds."""
    if not np.iterable(value):
        if value < 0:
            raise ArgumentError(f"ColorJitter: {name}={value} must not be negative, or be two numbers, (low, high)")
        value = (max(center - value, lowest), center + value) if name != "hue" else (-value, value)
    low, high = interval(value, "ColorJitter", name)
    if low < lowest or high > highest:
        raise ArgumentError(f"ColorJitter: {name}={value} must lie in {lowest} … {highest}")
    return low, high
