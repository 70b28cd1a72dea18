"""Transforms of images, which take boxes and masks along.

A sample is an image, (C, H, W) array or Tensor, or a dict with

====================  =================================================================================================
"image"               (C, H, W)
"boxes"               (K, 4) as x1, y1, x2, y2 in pixels, where pixel (row i, column j) covers j … j+1 and i … i+1
"masks"               (K, H, W), one per object, bool or integer
"semantic"            (H, W) integer, one class per pixel
"labels", …           anything else stays as it is
====================  =================================================================================================

Every entry but "image" may be missing. What comes as an array leaves as an array, what comes as a Tensor as a Tensor. A
batch (N, C, H, W) of plain images works too, and each of its images is drawn for anew. Random transforms draw from the
stream "augment", or from the `generator` given to their constructor; in a :class:`~minidl.data.DataLoader` leave that
out, then the batches do not depend on the number of workers.
"""

from ._base import Compose, Lambda, RandomApply, Transform
from .geometry import (
    CenterCrop,
    GeometricTransform,
    Pad,
    RandomAffine,
    RandomCrop,
    RandomHorizontalFlip,
    RandomResizedCrop,
    RandomRotation,
    RandomVerticalFlip,
    Resize,
)
from .mixing import CutMix, MixUp
from .pixels import (
    ColorJitter,
    ConvertImageDtype,
    Cutout,
    GaussianNoise,
    Normalize,
    RandomErasing,
    ToTensor,
)

__all__ = [
    "CenterCrop",
    "ColorJitter",
    "Compose",
    "ConvertImageDtype",
    "CutMix",
    "Cutout",
    "GaussianNoise",
    "GeometricTransform",
    "Lambda",
    "MixUp",
    "Normalize",
    "Pad",
    "RandomAffine",
    "RandomApply",
    "RandomCrop",
    "RandomErasing",
    "RandomHorizontalFlip",
    "RandomResizedCrop",
    "RandomRotation",
    "RandomVerticalFlip",
    "Resize",
    "ToTensor",
    "Transform",
]
