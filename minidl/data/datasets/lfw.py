"""Faces and non-faces of 25×25 pixels, out of the scikit-image wheel."""

from __future__ import annotations

import numpy as np

from ...errors import FileFormatError
from ._find import Source, find
from ._labeled import LabeledImages, split_by_class

_FILE = Source(
    "lfw_subset",
    "lfw_subset.npy",
    remedy="Remedy: pip install scikit-image (the file is read, the package is not imported).",
    wheel=("scikit-image", "skimage/data/lfw_subset.npy"),
)


def lfw_subset(test_fraction: float = 0.2, seed: int = 0) -> tuple[LabeledImages, LabeledImages]:
    """100 faces and 100 patches without a face: (train, test), the same share of both in each.

    Args:      test_fraction: share of each class that goes to test. seed: of the split
    Returns:   images (N, 1, 25, 25) float32 in [0, 1]; labels (N,) int64; classes "face", "no face"
    Source:    Huang et al. 2007, Labeled Faces in the Wild; the crops are those of scikit-image
    """
    path = find(_FILE)
    try:
        images = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise FileFormatError(f"{path} is not a whole .npy file: {error}") from None
    if images.shape != (200, 25, 25):
        raise FileFormatError(f"{path} holds the shape {images.shape}, but (200, 25, 25) is expected")
    whole = LabeledImages(images[:, None].astype(np.float32), np.repeat([0, 1], 100), ["face", "no face"])
    return split_by_class(whole, test_fraction, seed)
