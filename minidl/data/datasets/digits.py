"""Handwritten digits of 8×8 pixels, out of the scikit-learn wheel."""

from __future__ import annotations

import numpy as np

from ._csv import read_table
from ._find import Source, find
from ._labeled import LabeledImages, split_by_class

_FILE = Source(
    "digits",
    "digits.csv.gz",
    remedy="Remedy: pip install scikit-learn (the file is read, the package is not imported).",
    wheel=("scikit-learn", "sklearn/datasets/data/digits.csv.gz"),
)


def digits(test_fraction: float = 0.2, seed: int = 0) -> tuple[LabeledImages, LabeledImages]:
    """1,797 handwritten digits of 8×8 pixels: (train, test), the same share of each class in both.

    Args:      test_fraction: share of each class that goes to test. seed: of the split
    Returns:   images (N, 1, 8, 8) float32 in [0, 1] (the file's 0 … 16 divided by 16), labels (N,) int64, classes "0" …
               "9"; 1,438 train and 359 test at the default fraction
    Raises:    DatasetError: the file is nowhere. FileFormatError: it is not what it should be
    Source:    Alpaydin & Kaynak 1998, Optical Recognition of Handwritten Digits (the test set), UCI, CC BY 4.0; here
               the copy in scikit-learn, BSD-3
    """
    table = read_table(find(_FILE), columns=65, highest=16)
    images = table[:, :64].reshape(-1, 1, 8, 8).astype(np.float32) / np.float32(16)
    whole = LabeledImages(images, table[:, 64].astype(np.int64), [str(digit) for digit in range(10)])
    return split_by_class(whole, test_fraction, seed)
