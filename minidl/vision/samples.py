"""Pictures of generators: samples in a grid, the grid as it changes over a training, walks through the latent space.

A generator's images have a range, [−1, 1] after a tanh and [0, 1] after a sigmoid, which becomes black to white::

    figure = panels([grid(batch, value_range=(-1, 1)) for batch in recorder.batches], titles)
    animate([grid(batch, value_range=(-1, 1)) for batch in recorder.batches], "digits.gif")
    row = grid(gan.sample(z=latent_path(gan.noise(4), 8)), columns=8)

with :func:`minidl.vision.draw.panels`, and ``recorder`` a :class:`minidl.training.FixedNoiseSamples`.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..autograd import Tensor
from ..backend import to_device, to_numpy
from ..errors import ArgumentError, MissingPackageError, ShapeError


def grid(
    images: Any,
    *,
    columns: int | None = None,
    value_range: tuple[float, float] = (0.0, 1.0),
    gap: int = 1,
    background: float = 0.5,
) -> np.ndarray:
    """Many images as one, row by row.

    Args:      images: (N, C, H, W) with C = 1 or 3, or (N, H, W), a tensor or an array. columns: by default as many as
               make the grid square. value_range: what becomes 0 and 1; what lies outside is clipped. gap: pixels
               between the images and around them, of gray `background`, 0 … 1
    Returns:   (3, rows · (H + gap) + gap, columns · (W + gap) + gap) float32 in [0, 1]
    Raises:    ShapeError: other shapes, or no images. ArgumentError: columns < 1, gap < 0, or an empty value_range
    """
    pixels = to_numpy(images.detach().data) if isinstance(images, Tensor) else np.asarray(images)
    if pixels.ndim == 3:
        pixels = pixels[:, None]
    if pixels.ndim != 4 or pixels.shape[1] not in (1, 3) or not pixels.size:
        raise ShapeError(
            f"grid: images must be (N, 1, H, W), (N, 3, H, W) or (N, H, W), at least one; got {pixels.shape}"
        )
    count, _, height, width = pixels.shape
    columns = math.ceil(math.sqrt(count)) if columns is None else columns
    low, high = value_range
    if columns < 1 or gap < 0 or not low < high:
        raise ArgumentError(
            f"grid: needs columns ≥ 1, gap ≥ 0 and value_range (low, high) with low < high, got {columns}, {gap} and "
            f"{value_range}"
        )
    rows = -(-count // columns)
    pixels = ((pixels.astype(np.float32) - low) / (high - low)).clip(0, 1)
    result = np.full((3, rows * (height + gap) + gap, columns * (width + gap) + gap), background, np.float32)
    for number, image in enumerate(pixels):
        top, left = (
            gap + place * (side + gap) for place, side in zip(divmod(number, columns), (height, width), strict=True)
        )
        result[:, top : top + height, left : left + width] = image
    return result


def latent_path(points: Any, steps: int = 8, *, spherical: bool = True, closed: bool = False) -> Tensor:
    """Latent vectors on the way from each point to the next: what a generator makes of them shows if it is smooth.

    Math:      spherical:  z(t) = (sin((1 − t) ω) a + sin(t ω) b) / sin ω, ω the angle between a and b, so that the
                           lengths in between are those of the points, where the normal distribution has its mass;
                           where sin ω vanishes, or with spherical=False:  z(t) = (1 − t) a + t b;  t = 0, 1/steps, …
    Args:      points: (K, L), K ≥ 2. steps: vectors from one point to the next. closed: whether the last leads back to
               the first, for animations that repeat
    Returns:   (steps · (K − 1) + 1, L), or (steps · K, L) if closed, of the points' dtype and device
    Raises:    ShapeError: not two points or more. ArgumentError: steps < 1
    Source:    White 2016, "Sampling generative networks", section 2.1
    """
    z = to_numpy(points.detach().data) if isinstance(points, Tensor) else np.asarray(points, np.float32)
    if z.ndim != 2 or len(z) < 2:
        raise ShapeError(f"latent_path: points must have shape (K, L) with K ≥ 2, got {z.shape}")
    if steps < 1:
        raise ArgumentError(f"latent_path: steps must be at least 1, got {steps}")
    stops = [*z, z[0]] if closed else [*z]
    path = [
        _between(a, b, step / steps, spherical)
        for a, b in zip(stops[:-1], stops[1:], strict=True)
        for step in range(steps)
    ]
    path += [] if closed else [stops[-1]]
    found = np.stack(path).astype(z.dtype)
    return Tensor(to_device(found, points.device) if isinstance(points, Tensor) else found)


def animate(
    frames: Sequence[Any],
    path: str | os.PathLike,
    *,
    titles: Sequence[str] | None = None,
    seconds: float = 0.25,
    side: float = 4.0,
) -> Path:
    """Images one after the other, as a GIF that repeats.

    Args:      frames: (3, H, W) or (H, W) images in [0, 1], as from :func:`grid`, all of one size. titles: one for
               each. seconds: how long each is shown. side: of the larger side, in inches of 100 pixels
    Returns:   the path of the file
    Raises:    MissingPackageError: Matplotlib or Pillow is not installed. ShapeError: sizes that differ.
               ArgumentError: no frames, titles that do not fit, or a path that does not end in ".gif"
    """
    try:
        from matplotlib import pyplot
        from matplotlib.animation import PillowWriter
    except ImportError as error:
        raise MissingPackageError(
            f"samples.animate needs Matplotlib and Pillow ({error}): pip install matplotlib"
        ) from error
    target, images = Path(path), [_hwc(frame) for frame in frames]
    if not images or not seconds > 0 or target.suffix.lower() != ".gif":
        raise ArgumentError(
            f"animate: needs at least one frame, seconds > 0 and a path that ends in .gif, got {len(images)}, "
            f"{seconds} and {target.name!r}"
        )
    if titles is not None and len(titles) != len(images):
        raise ArgumentError(f"animate: {len(images)} frames but {len(titles)} titles; give one for each, or none")
    if len(shapes := {image.shape for image in images}) > 1:
        raise ShapeError(f"animate: all frames must have one size, got {sorted(shapes)}")
    height, width = images[0].shape[:2]
    scale = side / max(height, width)
    margin = 0.35 if titles else 0.0
    figure = pyplot.figure(figsize=(scale * width, scale * height + margin), dpi=100)
    axes = figure.add_axes((0, 0, 1, scale * height / (scale * height + margin)))
    axes.set_axis_off()
    shown = axes.imshow(images[0], interpolation="nearest", aspect="auto", vmin=0, vmax=1)
    heading = axes.set_title(titles[0] if titles else "", fontsize=11)

    writer = PillowWriter(fps=1 / seconds)  # type: ignore[arg-type]
    try:
        with writer.saving(figure, target, figure.dpi):
            for number, image in enumerate(images):
                shown.set_data(image)
                heading.set_text(titles[number] if titles else "")
                writer.grab_frame()
    finally:
        pyplot.close(figure)
    return target


def _between(a: np.ndarray, b: np.ndarray, t: float, spherical: bool) -> np.ndarray:
    length = float(np.linalg.norm(a) * np.linalg.norm(b))
    if spherical and length:
        angle = math.acos(min(max(float(a @ b) / length, -1.0), 1.0))
        if math.sin(angle) > 1e-6:
            return (math.sin((1 - t) * angle) * a + math.sin(t * angle) * b) / math.sin(angle)
    return (1 - t) * a + t * b


def _hwc(frame: Any) -> np.ndarray:
    """(H, W, 3) in [0, 1]."""
    pixels = np.asarray(frame.detach().numpy() if isinstance(frame, Tensor) else frame)
    if pixels.ndim == 2:
        pixels = np.stack([pixels] * 3)
    if pixels.ndim != 3 or len(pixels) != 3:
        raise ShapeError(f"animate: a frame must be (3, H, W) or (H, W), got {pixels.shape}")
    return pixels.transpose(1, 2, 0).astype(np.float32).clip(0, 1)
