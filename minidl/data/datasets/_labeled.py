"""What every classification data set of this package returns."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...autograd import Tensor
from ...backend import Generator
from ..dataset import TensorDataset, stratified_split


class LabeledImages(TensorDataset):
    """Images with a class each: sample i is ``(images[i], labels[i])``.

    Attributes: images: Tensor (N, C, H, W) float32 in [0, 1]. labels: Tensor (N,) int64. classes: their names, by label
    """

    def __init__(self, images: np.ndarray, labels: np.ndarray, classes: Sequence[str]):
        super().__init__(images, labels)
        self.classes = tuple(classes)

    @property
    def images(self) -> Tensor:
        return self.tensors[0]

    @property
    def labels(self) -> Tensor:
        return self.tensors[1]


def from_bytes(images: np.ndarray, labels: np.ndarray, classes: Sequence[str]) -> LabeledImages:
    """uint8 (N, H, W) or (N, C, H, W) images and labels of any integer type, as float32 in [0, 1] and int64."""
    pixels = images.astype(np.float32) / np.float32(255)
    return LabeledImages(pixels[:, None] if pixels.ndim == 3 else pixels, labels.astype(np.int64), classes)


def split_by_class(whole: LabeledImages, test_fraction: float, seed: int) -> tuple[LabeledImages, LabeledImages]:
    """A stratified train and test part that depends on `seed` alone and leaves the random streams as they were."""
    parts = stratified_split(whole.labels, test_fraction, Generator(seed))
    train, test = (LabeledImages(whole.images.data[part], whole.labels.data[part], whole.classes) for part in parts)
    return train, test
