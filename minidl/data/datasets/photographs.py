"""Photographs and textures, out of the scikit-image wheel."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np

from ...errors import ArgumentError, FileFormatError, MissingPackageError
from ._find import Source, find

_FILES = {
    Path(name).stem: name
    for name in (
        "astronaut.png", "brick.png", "camera.png", "cell.png", "chelsea.png", "coffee.png", "coins.png", "grass.png",
        "gravel.png", "hubble_deep_field.jpg", "ihc.png", "microaneurysms.png", "moon.png", "motorcycle_left.png",
        "motorcycle_right.png", "page.png", "retina.jpg", "rocket.jpg", "text.png",
    )
}  # fmt: skip


_MOST_EXPANSION = 8 * 1032  # pixels per byte: deflate's limit, at one bit per pixel


def photograph_names() -> tuple[str, ...]:
    """The names that :func:`photographs` takes."""
    return tuple(_FILES)


def photographs(name: str) -> np.ndarray:
    """A photograph by name, such as "astronaut", "chelsea" (a cat), "coffee", or a texture: "brick", "grass", "gravel".

    Returns:   (C, H, W) float32 in [0, 1]; C is 3 (RGB) or 1 (gray)
    Raises:    ArgumentError: no such name. DatasetError: scikit-image is not installed. MissingPackageError: Pillow
               is not installed
    Source:    scikit-image's ``skimage.data`` (van der Walt et al. 2014); its documentation gives each image's origin
               and licence, in most cases public domain or CC0
    """
    if name not in _FILES:
        raise ArgumentError(f"photographs: there is no {name!r}; there are {', '.join(_FILES)}")
    return decode_image(find(_source(_FILES[name])))


def motorcycle_disparity() -> np.ndarray:
    """How far each pixel of "motorcycle_left" lies to the left in "motorcycle_right".

    Returns:   (H, W) float32, in pixels; nan where it is unknown
    Source:    Scharstein et al. 2014, Middlebury stereo data, a reduced copy in scikit-image
    """
    path = find(_source("motorcycle_disp.npz"))
    try:
        with np.load(path, allow_pickle=False) as archive:
            disparity = archive["arr_0"]
    except (OSError, ValueError, KeyError) as error:
        raise FileFormatError(f"{path} is not the disparity archive of scikit-image: {error}") from None
    return np.where(np.isfinite(disparity), disparity, np.float32(np.nan))


def decode_image(path: Path) -> np.ndarray:
    """A PNG or JPEG file as (C, H, W) float32 in [0, 1]: gray as one channel, all else as RGB.

    Raises:    FileFormatError: damaged, another format, or of more pixels than so few bytes can hold
    """
    try:
        from PIL import Image
    except ImportError as error:
        raise MissingPackageError(f"decoding {path.name} needs Pillow ({error}): pip install pillow") from error
    try:
        data = path.read_bytes()  # from memory, where a decoder that asks for too much gets no more than there is
        with Image.open(io.BytesIO(data), formats=("PNG", "JPEG")) as image:
            if image.width * image.height > _MOST_EXPANSION * len(data):
                raise FileFormatError(f"{path} declares {image.width}×{image.height} pixels, for which it is too short")
            pixels = np.asarray(image.convert("L" if image.mode in ("1", "L") else "RGB"))
    except FileFormatError:
        raise
    except Exception as error:  # Pillow's decoders trip over damage in many ways
        raise FileFormatError(f"{path} is not a whole image: {error}") from None
    channels_first = pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
    return np.ascontiguousarray(channels_first, dtype=np.float32) / np.float32(255)


def _source(filename: str) -> Source:
    return Source(
        "photographs",
        filename,
        remedy="Remedy: pip install scikit-image (the file is read, the package is not imported).",
        wheel=("scikit-image", f"skimage/data/{filename}"),
    )
