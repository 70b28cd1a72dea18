"""Moving channels into space and back: sub-pixel upsampling."""

from __future__ import annotations

import math
from typing import Any

from ..autograd import Function, Tensor, check_tensor
from ..errors import ArgumentError, ShapeError
from ._shared import check_integer


class PixelShuffle(Function):
    """A permutation of the elements: its gradient is the inverse permutation."""

    saves_inputs = ()
    saves_outputs = ()

    def __init__(self, *, factor: int):
        self.factor = factor

    def forward(self, x: Any) -> Any:
        r, (*batch, c, h, w) = self.factor, x.shape
        x = x.reshape(math.prod(batch), c // r**2, r, r, h, w)
        return x.transpose(0, 1, 4, 2, 5, 3).reshape(*batch, c // r**2, h * r, w * r)

    def backward(self, gy: Tensor) -> Tensor:
        return PixelUnshuffle(factor=self.factor)(gy)


class PixelUnshuffle(Function):
    """The inverse of PixelShuffle."""

    saves_inputs = ()
    saves_outputs = ()

    def __init__(self, *, factor: int):
        self.factor = factor

    def forward(self, x: Any) -> Any:
        r, (*batch, c, h, w) = self.factor, x.shape
        x = x.reshape(math.prod(batch), c, h // r, r, w // r, r)
        return x.transpose(0, 1, 3, 5, 2, 4).reshape(*batch, c * r**2, h // r, w // r)

    def backward(self, gy: Tensor) -> Tensor:
        return PixelShuffle(factor=self.factor)(gy)


def pixel_shuffle(x: Tensor, upscale_factor: int) -> Tensor:
    """Each group of r² channels becomes one channel of r times the height and width.

    Math:      y[…, c, h·r + i, w·r + j] = x[…, c·r² + i·r + j, h, w], r = upscale_factor
    Backward:  gx = pixel_unshuffle(gy, r)
    Args:      x: (…, C·r², H, W)
    Returns:   (…, C, H·r, W·r)
    Raises:    ShapeError: "pixel_shuffle: 6 channels are not a multiple of r² = 4 (x (1, 6, 2, 2)) …"
    Source:    Shi et al. 2016, "Real-time single image and video super-resolution …", equation 4
    """
    r = _check(x, upscale_factor, "pixel_shuffle")
    if x.shape[-3] % r**2:
        raise ShapeError(
            f"pixel_shuffle: {x.shape[-3]} channels are not a multiple of r² = {r**2} (x {x.shape}); "
            f"give C·{r**2} channels or another upscale_factor"
        )
    return PixelShuffle(factor=r)(x)


def pixel_unshuffle(x: Tensor, downscale_factor: int) -> Tensor:
    """Each r × r square of pixels becomes one pixel of r² times the channels: the inverse of :func:`pixel_shuffle`.

    Math:      y[…, c·r² + i·r + j, h, w] = x[…, c, h·r + i, w·r + j], r = downscale_factor
    Backward:  gx = pixel_shuffle(gy, r)
    Args:      x: (…, C, H·r, W·r)
    Returns:   (…, C·r², H, W)
    Raises:    ShapeError: "pixel_unshuffle: height 5 and width 4 are not multiples of r = 2 …"
    """
    r = _check(x, downscale_factor, "pixel_unshuffle")
    h, w = x.shape[-2:]
    if h % r or w % r:
        raise ShapeError(
            f"pixel_unshuffle: height {h} and width {w} are not multiples of r = {r} (x {x.shape}); pad or crop x first"
        )
    return PixelUnshuffle(factor=r)(x)


def _check(x: Any, factor: Any, op: str) -> int:
    if check_tensor(x, op, "x").ndim < 3:
        raise ShapeError(f"{op}: x needs dimensions (…, C, H, W), got {x.shape}; unsqueeze it")
    if check_integer(factor, op, "the factor") < 1:
        raise ArgumentError(f"{op}: the factor must be at least 1, got {factor}")
    return int(factor)
