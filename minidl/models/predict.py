"""Predicting whole images: of any size, and of such a size that the network cannot hold them at once."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np

from .. import nn
from ..autograd import Tensor, check_tensor, no_grad
from ..backend import array_module
from ..errors import ArgumentError, ArgumentTypeError, ShapeError
from ..nn.module import same_mode_afterwards


def predict_image(
    model: nn.Module, image: Tensor, *, stride: int = 32, tile: int | None = 384, overlap: int = 64
) -> Tensor:
    """The scores of every pixel of one image, which is continued by reflection to whole strides, then cropped back.

    An image larger than a tile is taken tile by tile. A tile reaches `overlap` pixels into the part of each neighbour,
    and that one into its own, so two tiles share a band of 2·overlap. In the quarter of the band at a tile's own edge,
    where the network lacks the most surroundings, the tile counts nothing, and over the middle half one tile fades into
    the other. So memory holds the result and what the network needs for one tile, whatever the size of the image:
    less than 1 GiB in all for 2,000 × 2,000 pixels and the U-Net of the paper.

    Math:      y = Σ_t a_t b_tᵀ · model(tile t), for the rows and columns of the tile, with Σ_t a_t b_tᵀ = 1 at every
               pixel. Across an inner edge, at the distance d + ½ from it, the weight before division by the sum is
               min(1, max(0, (d + ½ − overlap/2) / overlap)), and 1 at the edge of the image
    Args:      model: (1, C, h, w) → (1, K, h, w), or a dict with that as "out", as torchvision's networks give; run in
               evaluation mode without gradients. image: (C, H, W), on the model's device. stride: the network's, to
               whose multiples the image is enlarged, and at whose multiples tiles begin; 2 to the number of halvings.
               tile: side in pixels, or None to take the image at once. overlap: in pixels; both in whole strides
    Returns:   (K, H, W), to which no graph leads. If the network sees no farther than overlap / 2 pixels around a
               pixel, the same as with tile=None
    Raises:    ShapeError: no such image, or scores of another size than the tile. ArgumentError: tile or overlap that
               are no multiples of stride, or an overlap of half a tile or more. ArgumentTypeError: no scores
    Source:    Ronneberger et al. 2015, figure 2, for tiles and reflection; their tiles meet, where these fade
    """
    op = "predict_image"
    if not isinstance(model, nn.Module):
        raise ArgumentTypeError(f"{op}: model must be a Module, got {type(model).__name__}")
    image = check_tensor(image, op, "image")
    if image.ndim != 3 or 0 in image.shape:
        raise ShapeError(
            f"{op}: image must be (C, H, W) with at least one pixel, got {image.shape}; give one at a time"
        )
    _check_settings(stride, tile, overlap)
    xp, pixels = array_module(image.data), image.data
    rows, columns = (_tiles(size, stride, tile, overlap) for size in image.shape[1:])
    result: Any = None
    with same_mode_afterwards(model), no_grad():
        model.eval()
        for (top, down, a), (left, across, b) in product(rows, columns):
            x = pixels[:, xp.asarray(down)][:, :, xp.asarray(across)]
            y = _scores(model(Tensor(x[None])), x.shape[1:])
            if result is None:
                result = xp.zeros((len(y), *image.shape[1:]), y.dtype)
            part = result[:, top : top + len(a), left : left + len(b)]  # ends where the image does
            weight = xp.asarray(a[:, None] * b, y.dtype)
            part += (weight * y)[:, : part.shape[1], : part.shape[2]]
    return Tensor(result)


def _check_settings(stride: int, tile: int | None, overlap: int) -> None:
    settings = (
        [("stride", stride, 1)] if tile is None else [("stride", stride, 1), ("tile", tile, 1), ("overlap", overlap, 0)]
    )
    for name, value, least in settings:
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
            raise ArgumentError(f"predict_image: {name} must be an integer from {least}, got {value!r}")
        if value % stride:
            raise ArgumentError(
                f"predict_image: {name}={value} is no multiple of stride={stride}; the nearest ones are "
                f"{value // stride * stride} and {(value // stride + 1) * stride}"
            )
    if tile is not None and 2 * overlap >= tile:
        raise ArgumentError(
            f"predict_image: overlap={overlap} leaves a tile of {tile} pixels no part of its own; take less than "
            f"{tile / 2:g}, or a larger tile"
        )


def _tiles(size: int, stride: int, tile: int | None, overlap: int) -> list[tuple[int, np.ndarray, np.ndarray]]:
    """Along one axis: where each tile begins, which pixels it shows, and with what weights it counts."""
    enlarged = -(-size // stride) * stride
    length = enlarged if tile is None else min(tile, enlarged)
    last = enlarged - length
    starts = [*range(0, last, max(length - 2 * overlap, 1)), last]
    shown = np.arange(enlarged) % max(2 * size - 2, 1)
    shown = np.minimum(shown, 2 * size - 2 - shown)  # there and back again, without repeating the edge
    fade = ((np.arange(length) + 0.5 - overlap / 2) / max(overlap, 1)).clip(0, 1)
    weights = np.zeros((len(starts), enlarged))
    for weight, start in zip(weights, starts, strict=True):
        part = weight[start : start + length]
        part[:] = 1
        if start > 0:
            part[:] = fade
        if start < last:
            part *= fade[::-1]
    weights /= weights.sum(axis=0)
    ends = [start + length for start in starts]
    return [(a, shown[a:b], w[a:b]) for a, b, w in zip(starts, ends, weights, strict=True)]


def _scores(output: Any, size: tuple[int, ...]) -> Any:
    """The array (K, h, w) in what the model gave for a tile of this size."""
    y = output.get("out") if isinstance(output, dict) else output
    if not isinstance(y, Tensor):
        got = f"a dict of {list(output)}" if isinstance(output, dict) else f"a {type(output).__name__}"
        raise ArgumentTypeError(f"predict_image: the model must give a Tensor of scores, or it as 'out', got {got}")
    if y.ndim != 4 or y.shape[2:] != tuple(size):
        raise ShapeError(
            f"predict_image: the model gives {y.shape} for a tile (1, C, {size[0]}, {size[1]}); it must give "
            "every pixel its scores, (1, K, h, w) of the same h and w (for a UNet: padding=1)"
        )
    return y.data[0]
