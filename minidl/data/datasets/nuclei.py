"""Nuclei of cells under a microscope, each with its mask."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...errors import FileFormatError
from .._instances import instance_sample
from ..download import Checksum
from ._find import Source, find
from ._tiff import read_tiff

CLASSES = ("background", "nucleus")
"""Names of the values of the semantic map, and of the labels."""

FIRST_TEST_ROW = 384

_COMMIT = "340332a320f3efe0ac87487da7b000c7b3c743a3"
_SHA256 = {
    "img2d.tif": "f9ccc1571b92c861ff87e28463068b43f61bd47357ed0503f711e5cd1eb97750",
    "mask2d.tif": "59ad5e820b7982ca9d13e946fa6e7f64e2714899e00a2ae6c69aa79aad53d46f",
}
FILES = [
    Source(
        "nuclei",
        name,
        remedy="Remedy: pip install --no-deps stardist==0.9.2 (two files are read, the package is not imported), "
        "connect to the network, or put img2d.tif and mask2d.tif into the cache by hand.",
        wheel=("stardist", f"stardist/data/images/{name}"),
        version="0.9.2",
        urls=[f"https://raw.githubusercontent.com/stardist/stardist/{_COMMIT}/stardist/data/images/{name}"],
        checksum=Checksum("sha256", sha256),
        max_bytes=600_000,
    )
    for name, sha256 in _SHA256.items()
]


def nuclei(download: bool = True) -> tuple[dict[str, Any], dict[str, Any]]:
    """One fluorescence image of 125 nuclei, split by place: (train, test), the upper three quarters and the rest.

    A nucleus that lies in both parts is dropped from both: it is no object, and its pixels have the class to ignore,
    255, in the semantic map. So no part of a test nucleus is ever seen in training.

    The files lie in the wheel of StarDist. Where it is not installed they are taken out of the one on PyPI, and it
    remains not installed.

    Args:      download: whether the network may be asked when the files are nowhere on this machine (3 MB)
    Returns:   train of 384×512 pixels with 89 nuclei, test of 128×512 with 31, each a dict of Tensors as
               :class:`minidl.data.scenes.Scenes` gives it: image (1, H, W) float32 in [0, 1]; boxes (K, 4) float32
               xyxy; labels (K,) int64, all 1; masks (K, H, W) bool; semantic (H, W) int64: 0, 1, or 255
    Raises:    DatasetError: the files are nowhere. FileFormatError: they are not what they should be
    Source:    the example of StarDist (Schmidt et al. 2018), BSD-3; the image is from the Data Science Bowl 2018
               (Caicedo et al. 2019), CC0
    """
    image, owner = (read_tiff(find(source, download)) for source in FILES)
    if image.shape != (512, 512) or owner.shape != image.shape or image.max() > 255 or owner.dtype.kind != "u":
        raise FileFormatError(
            f"nuclei: expected 512×512 pixels up to 255 and a map of the same size, got {image.shape} up to "
            f"{image.max()} and {owner.shape} {owner.dtype}"
        )
    pixels = image[None].astype(np.float32) / np.float32(255)
    upper, lower = slice(None, FIRST_TEST_ROW), slice(FIRST_TEST_ROW, None)
    straddling = np.setdiff1d(np.intersect1d(owner[upper], owner[lower]), [0])
    train, test = (_part(pixels[:, part], owner[part], straddling) for part in (upper, lower))
    return train, test


def _part(pixels: np.ndarray, owner: np.ndarray, straddling: np.ndarray) -> dict[str, Any]:
    whole = np.setdiff1d(owner, np.append(straddling, 0))
    number = np.zeros(int(owner.max()) + 1, np.int64)  # by name in the file
    number[whole] = np.arange(1, len(whole) + 1)
    number[straddling[straddling < len(number)]] = -1
    return instance_sample(pixels, number[owner], np.ones(len(whole), np.int64))
