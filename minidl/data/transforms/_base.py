"""What all transforms share: reading a sample, drawing for it, and composition."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ...autograd import Tensor
from ...backend import Generator, check_generator
from ...errors import ArgumentError, ArgumentTypeError, DeviceError, MissingMethodError, ShapeError
from .._random import augment_generator


def unwrap(value: Any, op: str, name: str) -> tuple[np.ndarray, Callable[[np.ndarray], Any]]:
    """The NumPy array in `value`, and the function that makes a result the same kind of thing again."""
    if isinstance(value, Tensor):
        if not isinstance(value.data, np.ndarray):
            raise DeviceError(f"{op}: {name} is on {value.device}; transforms work on the host, so call .cpu() first")
        return value.data, Tensor
    if isinstance(value, np.ndarray):
        return value, np.asarray
    raise ArgumentTypeError(f"{op}: {name} must be a Tensor or a NumPy array, got {type(value).__name__}")


class Transform:
    """Base of transforms. A subclass defines :meth:`image`, and :meth:`draw` if it is random.

    Args:      generator: what it draws from, by default the stream "augment"
    """

    random = True
    """Whether each image of a batch is drawn for. If not, :meth:`image` gets the whole batch (…, C, H, W) at once."""

    def __init__(self, generator: Generator | None = None):
        self.generator = check_generator(generator, type(self).__name__)

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Any:
        """All random choices for an image of this shape (C, H, W), made before any pixel moves."""

    def image(self, image: np.ndarray, choice: Any) -> np.ndarray:
        """The image (C, H, W) after this choice; the input is not changed."""
        raise MissingMethodError(f"{type(self).__name__} must define image(self, image, choice)")

    def __call__(self, sample: Any) -> Any:
        op, rng = type(self).__name__, augment_generator(self.generator)
        if isinstance(sample, dict):
            if "image" not in sample:
                raise ArgumentError(f"{op}: a dict sample needs an 'image', this one has {list(sample)}")
            image, _ = unwrap(sample["image"], op, "image")
            if image.ndim != 3:
                raise ShapeError(f"{op}: the image of a dict sample must be (C, H, W), got {image.shape}")
            return self._apply(sample, self.draw(rng, image.shape))
        image, wrap = unwrap(sample, op, "image")
        if image.ndim not in (3, 4):
            raise ShapeError(f"{op}: an image must be (C, H, W), or a batch (N, C, H, W), got {image.shape}")
        if image.ndim == 3 or not self.random:
            return wrap(self.image(image, self.draw(rng, image.shape[-3:])))
        if len(image) == 0:
            raise ShapeError(f"{op}: the batch {image.shape} holds no images")
        return wrap(np.stack([self.image(one, self.draw(rng, one.shape)) for one in image]))

    def _apply(self, sample: dict[str, Any], choice: Any) -> dict[str, Any]:
        image, wrap = unwrap(sample["image"], type(self).__name__, "image")
        return {**sample, "image": wrap(self.image(image, choice))}

    def __repr__(self) -> str:
        settings = ", ".join(f"{k}={v!r}" for k, v in vars(self).items() if k != "generator" and not k.startswith("_"))
        return f"{type(self).__name__}({settings})"


class Compose:
    """Transforms one after the other; any callable will do."""

    def __init__(self, transforms: Sequence[Callable[[Any], Any]]):
        self.transforms = list(transforms)
        for transform in self.transforms:
            _check_callable(transform, "Compose")

    def __call__(self, sample: Any) -> Any:
        for transform in self.transforms:
            sample = transform(sample)
        return sample

    def __repr__(self) -> str:
        return f"Compose({self.transforms!r})"


class Lambda:
    """A function as a transform; it gets the whole sample."""

    def __init__(self, fn: Callable[[Any], Any]):
        _check_callable(fn, "Lambda")
        self.fn = fn

    def __call__(self, sample: Any) -> Any:
        return self.fn(sample)

    def __repr__(self) -> str:
        return f"Lambda({getattr(self.fn, '__name__', self.fn)})"


class RandomApply:
    """All of the transforms with probability `p`, else none."""

    def __init__(
        self, transforms: Sequence[Callable[[Any], Any]], p: float = 0.5, *, generator: Generator | None = None
    ):
        self.transform = Compose(transforms)
        self.p = check_probability(p, "RandomApply")
        self.generator = check_generator(generator, "RandomApply")

    def __call__(self, sample: Any) -> Any:
        return self.transform(sample) if augment_generator(self.generator).random() < self.p else sample

    def __repr__(self) -> str:
        return f"RandomApply({self.transform.transforms!r}, p={self.p})"


def _check_callable(transform: Any, op: str) -> None:
    if not callable(transform):
        raise ArgumentTypeError(f"{op}: a transform is a callable, got {type(transform).__name__}")


def check_probability(p: float, op: str) -> float:
    """p, if it lies in 0 … 1."""
    if not 0 <= p <= 1:
        raise ArgumentError(f"{op}: p={p} must lie in 0 … 1")
    return p


def pair(value: Any, op: str, name: str) -> tuple[int, int]:
    """(h, w) from one positive integer or two."""
    values = (value, value) if isinstance(value, int | np.integer) else tuple(value) if np.iterable(value) else ()
    if len(values) != 2 or not all(isinstance(v, int | np.integer) and v > 0 for v in values):
        raise ArgumentError(f"{op}: {name}={value!r} must be a positive integer or two of them, (h, w)")
    return int(values[0]), int(values[1])


def interval(value: Any, op: str, name: str) -> tuple[float, float]:
    """(low, high) from two numbers in this order."""
    values = tuple(value) if np.iterable(value) else ()
    low, high = values if len(values) == 2 else (1, 0)
    if not low <= high:
        raise ArgumentError(f"{op}: {name}={value!r} must be two numbers, (low, high)")
    return float(low), float(high)
