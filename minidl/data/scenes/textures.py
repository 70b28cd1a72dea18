"""What scenes are set on: photographs and textures, some of them for tests only; or waves, which need no file."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..datasets.photographs import photographs
from ..transforms._image import resize

TRAIN_PHOTOGRAPHS = ("astronaut", "brick", "chelsea", "coffee", "coins", "grass", "ihc", "moon", "motorcycle_left")
TEST_PHOTOGRAPHS = ("camera", "gravel", "hubble_deep_field", "retina", "rocket")
"""No part of any of these is ever seen in training."""


def photograph_textures(names: Sequence[str]) -> list[np.ndarray]:
    """Photographs by name (:func:`minidl.data.datasets.photographs`), (C, H, W) float32 in [0, 1], C = 1 or 3."""
    return [photographs(name) for name in names]


def wave_textures(count: int, rng: np.random.Generator, size: int = 128) -> list[np.ndarray]:
    """Coloured sums of eight plane waves, (3, size, size) float32 in [0, 1], each about a mean colour of its own.

    Math:      t_c(p) = m_c + Σ_k a_kc · cos(2π (f_k · p / size + φ_k)),   f_k up to 12 periods in each direction
    """
    rows, columns = np.mgrid[:size, :size] / size
    textures = []
    for _ in range(count):
        mean, weights = rng.uniform(0.25, 0.75, (3, 1, 1)), rng.uniform(-0.1, 0.1, (3, 8))
        down, across = rng.uniform(-12, 12, (2, 8, 1, 1))
        waves = np.cos(2 * np.pi * (down * rows + across * columns + rng.random((8, 1, 1))))
        textures.append((mean + np.tensordot(weights, waves, axes=1)).clip(0, 1).astype(np.float32))
    return textures


def random_crop(texture: np.ndarray, height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    """A part of the texture at random place, size and orientation, as an RGB image (3, height, width).

    The part is one to two times as large as the image, and no larger than the texture, which may be the smaller of the
    two. Half of the images are mirrored.
    """
    rows, columns = texture.shape[1:]
    zoom = min(rng.uniform(1, 2), rows / height, columns / width)
    part_rows, part_columns = max(1, int(height * zoom)), max(1, int(width * zoom))
    top, left = rng.integers(rows - part_rows + 1), rng.integers(columns - part_columns + 1)
    part = texture[:, top : top + part_rows, left : left + part_columns]
    image = resize(part[:, :, :: rng.choice((-1, 1))], height, width, nearest=False, antialias=True)
    return np.repeat(image, 3 // len(image), axis=0)
