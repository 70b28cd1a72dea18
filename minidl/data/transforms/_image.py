"""Arithmetic of images as arrays (…, H, W): resampling, padding, boxes, colours. No random numbers here."""

from __future__ import annotations

import math

import numpy as np


def as_dtype(values: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Float results in the dtype of the image: rounded and clipped if that is an integer type, > ½ if it is bool."""
    if dtype == np.bool_:
        return values > 0.5
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        return np.rint(values).clip(limits.min, limits.max).astype(dtype)
    return values.astype(dtype, copy=False)


def pad(pixels: np.ndarray, left: int, top: int, right: int, bottom: int, fill: float, mode: str) -> np.ndarray:
    """Borders around the last two dimensions; a negative width cuts."""
    height, width = pixels.shape[-2:]
    pixels = pixels[..., max(-top, 0) : height - max(-bottom, 0), max(-left, 0) : width - max(-right, 0)]
    if mode != "constant":
        widths = [(0, 0)] * (pixels.ndim - 2) + [(max(top, 0), max(bottom, 0)), (max(left, 0), max(right, 0))]
        return np.pad(pixels, widths, mode=mode)  # type: ignore[call-overload]
    padded = np.full((*pixels.shape[:-2], height + top + bottom, width + left + right), fill, pixels.dtype)
    rows, columns = pixels.shape[-2:]
    padded[..., max(top, 0) : max(top, 0) + rows, max(left, 0) : max(left, 0) + columns] = pixels
    return padded


def resize(pixels: np.ndarray, height: int, width: int, nearest: bool, antialias: bool) -> np.ndarray:
    """Resample the last two dimensions to (height, width).

    Pixel centres lie at j + ½. Bilinear resampling is separable, so it is a matrix for the rows and one for the
    columns.
    """
    old_height, old_width = pixels.shape[-2:]
    if nearest:
        rows = ((np.arange(height) + 0.5) * old_height / height).astype(np.int64)
        columns = ((np.arange(width) + 0.5) * old_width / width).astype(np.int64)
        return pixels[..., rows[:, None], columns]
    working = np.result_type(pixels.dtype, np.float32)
    down = _bilinear_weights(old_height, height, antialias).astype(working)
    across = _bilinear_weights(old_width, width, antialias).astype(working)
    return as_dtype(down @ pixels.astype(working, copy=False) @ across.T, pixels.dtype)


def _bilinear_weights(old: int, new: int, antialias: bool) -> np.ndarray:
    """(new, old): a triangle around each new centre; when shrinking with antialias as wide as the new pixels."""
    scale = old / new
    centres = (np.arange(new) + 0.5) * scale - 0.5
    distance = np.abs(centres[:, None] - np.arange(old)) / (max(scale, 1.0) if antialias else 1.0)
    weights = np.maximum(0.0, 1.0 - distance)
    return weights / weights.sum(axis=1, keepdims=True)


def warp(pixels: np.ndarray, forward: np.ndarray, nearest: bool, fill: float) -> np.ndarray:
    """Move the pixels (…, H, W) by an affine map of points, in a frame that stays; what comes from outside is `fill`.

    Args:      forward: (2, 3), old point (x, y, 1) → new point, where pixel centres lie at (j + ½, i + ½)
    """
    height, width = pixels.shape[-2:]
    ((a, b, shift_x), (c, d, shift_y)) = forward.tolist()
    x, y = np.arange(width) + (0.5 - shift_x), np.arange(height)[:, None] + (0.5 - shift_y)
    determinant = a * d - b * c
    old_x, old_y = (d * x - b * y) / determinant, (a * y - c * x) / determinant
    framed = pad(pixels, 1, 1, 1, 1, fill, "constant")  # so that a neighbour outside is the fill
    stride = width + 2
    flat = framed.reshape(*pixels.shape[:-2], (height + 2) * stride)
    if nearest:
        rows = np.floor(old_y + 1e-9).clip(-1, height).astype(np.int64) + 1
        columns = np.floor(old_x + 1e-9).clip(-1, width).astype(np.int64) + 1
        return flat[..., rows * stride + columns]
    old_x, old_y = (old_x + 0.5).clip(0, width + 1), (old_y + 0.5).clip(0, height + 1)
    left, top = np.minimum(old_x.astype(np.int64), width), np.minimum(old_y.astype(np.int64), height)
    working = np.result_type(pixels.dtype, np.float32)
    u, v = (old_x - left).astype(working), (old_y - top).astype(working)
    corner, flat = top * stride + left, flat.astype(working, copy=False)
    upper = (1 - u) * flat[..., corner] + u * flat[..., corner + 1]
    lower = (1 - u) * flat[..., corner + stride] + u * flat[..., corner + stride + 1]
    return as_dtype((1 - v) * upper + v * lower, pixels.dtype)


def affine_matrix(
    center: tuple[float, float], angle: float, shift: tuple[float, float], scale: float, shear: tuple[float, float]
) -> np.ndarray:
    """(2, 3): scale, shear and turn about `center`, then shift.

    Math:      p' = R(angle) · [1 0; −tan s_y 1] · [1 −tan s_x; 0 1] · scale · (p − center) + center + shift;
               y points down, so a positive angle turns clockwise. Angles are in degrees
    """
    turn, shear_x, shear_y = math.radians(angle), math.tan(math.radians(shear[0])), math.tan(math.radians(shear[1]))
    rotation = np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]])
    linear = rotation @ np.array([[1, 0], [-shear_y, 1]]) @ np.array([[1, -shear_x], [0, 1]]) * scale
    origin = np.array(center)
    return np.column_stack([linear, origin - linear @ origin + np.array(shift)])


def move_boxes(boxes: np.ndarray, forward: np.ndarray, height: int, width: int) -> np.ndarray:
    """Boxes (K, 4) around their moved corners, clipped to an image of the new size."""
    corners = boxes[:, [[0, 1], [2, 1], [2, 3], [0, 3]]] @ forward[:, :2].T + forward[:, 2]  # (K, 4, 2)
    moved = np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1)
    return moved.clip(0, [width, height, width, height])


def to_gray(image: np.ndarray) -> np.ndarray:
    """(1, H, W) luma of an RGB image (ITU-R BT.601)."""
    weights = np.array([0.299, 0.587, 0.114], dtype=image.dtype)
    return np.tensordot(weights, image, axes=1)[None]


def turn_hue(image: np.ndarray, turns: float) -> np.ndarray:
    """An RGB image (3, H, W) in [0, 1] with its hue moved around the circle by `turns` (1 is all the way).

    Source:    Smith 1978, the hexcone model (HSV)
    """
    value, lowest = image.max(axis=0), image.min(axis=0)
    chroma = value - lowest
    red, green, blue = image
    safe = np.where(chroma > 0, chroma, 1)
    sector = np.where(
        value == red,
        (green - blue) / safe % 6,
        np.where(value == green, (blue - red) / safe + 2, (red - green) / safe + 4),
    )
    sector = sector + np.asarray(6 * turns, image.dtype)
    position = (np.array([5, 3, 1], image.dtype)[:, None, None] + sector) % 6
    return value - chroma * np.minimum(position, 4 - position).clip(0, 1)
