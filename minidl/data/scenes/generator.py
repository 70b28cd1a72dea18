"""The generator: objects pasted on textures, with the truth about each pixel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...autograd import Tensor
from ...backend import one_blas_thread
from ...errors import ArgumentError
from .._instances import instance_sample
from ..collate import default_collate
from ..dataset import Dataset, TensorDataset, check_index
from ..transforms._base import interval, pair
from ..transforms._image import resize
from .cutouts import Cutouts
from .textures import random_crop

_PLACES_TO_TRY = 20
_LEAST_CONTRAST = 0.3


class Scenes(Dataset):
    """Scenes with exact truth, made when they are asked for: objects at random place and scale on random textures.

    Objects are pasted one after the other, each over the earlier ones. A pixel belongs to the last object that is at
    least half opaque there; so masks are disjoint and show what is visible, and boxes are tight around that. No object
    is hidden by more than 1 − `min_visible` of its pixels: where an object would do that in each of 20 places, it is
    left out, and a crowded scene has fewer objects than was drawn. All objects lie within the frame, and they are
    listed from the lowest to the topmost.

    Each scene follows from `seed` and its index alone. An object has one colour, never close to the mean
    of what it covers.

    Args:      length: number of scenes. cutouts: the objects. textures: arrays (C, h, w) in [0, 1], C = 1 or 3. size:
               (H, W) in pixels. objects: (fewest, most) in a scene, before some are left out. scale: longer side of an
               object, (smallest, largest) as a share of the frame's shorter side. min_visible: share of an object's
               pixels that stays in sight, above 0; with 1 nothing overlaps. ignore_border: so many pixels on either
               side of an outline have the class 255 in the semantic map. seed: integers ≥ 0, one or several
    Returns:   sample i is a dict of Tensors, as transforms take it: image (3, H, W) float32 in [0, 1]; boxes (K, 4)
               float32, (x1, y1, x2, y2) from the first to behind the last visible pixel; labels (K,) int64, 1 … C;
               masks (K, H, W) bool; semantic (H, W) int64, 0 is background. Without objects K = 0
    Raises:    ArgumentError: a setting outside its range. OutOfRangeError: an index that is none of 0 … length−1
    Attributes: classes: names by label, "background" first
    """

    def __init__(
        self,
        length: int,
        cutouts: Cutouts,
        textures: Sequence[np.ndarray],
        *,
        size: int | tuple[int, int] = 96,
        objects: tuple[int, int] = (1, 4),
        scale: tuple[float, float] = (0.25, 0.6),
        min_visible: float = 0.5,
        ignore_border: int = 0,
        seed: int | Sequence[int] = 0,
    ):
        self.length, self.cutouts, self.textures = _whole(length, "length"), cutouts, list(textures)
        self.size, self.scale = pair(size, "Scenes", "size"), interval(scale, "Scenes", "scale")
        self.fewest, self.most = (_whole(count, "objects") for count in interval(objects, "Scenes", "objects"))
        self.min_visible, self.ignore_border = min_visible, _whole(ignore_border, "ignore_border")
        self.seed = [_whole(part, "seed") for part in (seed if np.iterable(seed) else [seed])]
        if not self.textures or any(t.ndim != 3 or len(t) not in (1, 3) for t in self.textures):
            shapes = [texture.shape for texture in self.textures]
            raise ArgumentError(
                f"Scenes: at least one texture (1, h, w) or (3, h, w) is needed, got the shapes {shapes}"
            )
        if not 0 < self.scale[0] <= self.scale[1] <= 1:
            raise ArgumentError(
                f"Scenes: scale={scale} must lie in 0 … 1, without 0: a share of the frame's shorter side"
            )
        if not 0 < min_visible <= 1:
            raise ArgumentError(f"Scenes: min_visible={min_visible} must lie in 0 … 1, without 0")

    @property
    def classes(self) -> tuple[str, ...]:
        return self.cutouts.classes

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> dict[str, Any]:
        number = check_index(index, len(self), "Scenes") % len(self)
        with one_blas_thread():  # resizing rounds in the same way on any number of cores
            return self._make(np.random.Generator(np.random.SFC64(np.random.SeedSequence([*self.seed, number]))))

    def _make(self, rng: np.random.Generator) -> dict[str, Any]:
        image = random_crop(self.textures[rng.integers(len(self.textures))], *self.size, rng)
        owner = np.zeros(self.size, np.int64)
        least = np.zeros(1, np.int64)  # by owner: how many pixels must stay in sight; of the background none
        labels = []
        for _ in range(rng.integers(self.fewest, self.most + 1)):
            which = int(rng.integers(len(self.cutouts)))
            opacity, brightness = self._scaled(which, rng)
            solid = opacity >= 0.5
            place = self._free_place(solid, owner, least, rng)
            if place is not None:
                _paste(image[(slice(None), *place)], opacity, brightness, rng)
                labels.append(self.cutouts.labels[which])
                owner[place][solid] = len(labels)
                least = np.append(least, np.ceil(self.min_visible * solid.sum()).astype(np.int64))
        return instance_sample(image.clip(0, 1), owner, np.array(labels, np.int64), self.ignore_border)

    def _scaled(self, which: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Opacity and brightness of an object at a random size; somewhere the opacity is 1."""
        opacity, brightness = self.cutouts[which]
        side = rng.uniform(*self.scale) * min(self.size)
        height, width = (max(1, round(side * length / max(opacity.shape))) for length in opacity.shape)
        opacity, brightness = (resize(part, height, width, False, antialias=True) for part in (opacity, brightness))
        return opacity / opacity.max(), brightness

    def _free_place(
        self, solid: np.ndarray, owner: np.ndarray, least: np.ndarray, rng: np.random.Generator
    ) -> tuple[slice, slice] | None:
        """A random place where the object leaves enough of every other in sight; None if none was found."""
        in_sight = np.bincount(owner.ravel(), minlength=len(least))
        for _ in range(_PLACES_TO_TRY):
            top, left = (rng.integers(frame - own + 1) for frame, own in zip(owner.shape, solid.shape, strict=True))
            place = slice(top, top + solid.shape[0]), slice(left, left + solid.shape[1])
            hidden = np.bincount(owner[place][solid], minlength=len(least))
            if (in_sight - hidden >= least).all():
                return place
        return None

    def semantic_pairs(self) -> TensorDataset:
        """All scenes at once, for semantic segmentation: images (N, 3, H, W) and their semantic maps (N, H, W)."""
        images = np.empty((len(self), 3, *self.size), np.float32)
        maps = np.empty((len(self), *self.size), np.int64)
        for number in range(len(self)):
            scene = self[number]
            images[number], maps[number] = scene["image"].data, scene["semantic"].data
        return TensorDataset(images, maps)


def collate_scenes(samples: Sequence[dict[str, Any]]) -> tuple[Tensor, list[dict[str, Any]]]:
    """A batch for a detector: images (N, 3, H, W), and the other entries of each sample as a list of N dicts.

    Raises:    ShapeError: images of different sizes
    """
    images = default_collate([sample["image"] for sample in samples])
    return images, [{key: entry for key, entry in sample.items() if key != "image"} for sample in samples]


def _paste(under: np.ndarray, opacity: np.ndarray, brightness: np.ndarray, rng: np.random.Generator) -> None:
    """Blend an object into a part (3, h, w) of the image, in a colour that differs from the mean of what it covers.

    Math:      x ← α·b·c + (1 − α)·x;   where no channel of c differs by 0.3 from that mean, c ← (c + ½) mod 1, which
               differs by 0.2 in every channel
    """
    covered = np.tensordot(under, opacity, axes=2) / opacity.sum()
    colour = rng.random(3, np.float32)
    if abs(colour - covered).max() < _LEAST_CONTRAST:
        colour = (colour + np.float32(0.5)) % 1
    under *= 1 - opacity
    under += colour[:, None, None] * (opacity * brightness)


def _whole(value: Any, name: str) -> int:
    if not isinstance(value, int | float | np.integer) or value < 0 or value % 1:
        raise ArgumentError(f"Scenes: {name}={value!r} must be a whole number, 0 or more")
    return int(value)
