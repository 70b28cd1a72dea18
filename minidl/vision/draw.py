"""Pictures of what a network sees and finds: colours over images, boxes, legends, panels side by side.

What makes images returns arrays; what makes figures needs Matplotlib, which is imported when it is called::

    figure = panels([image, overlay(image, truth), overlay(image, found)], ["image", "truth", "found"])
    legend(figure, classes)
    draw_boxes(figure.axes[0], boxes, labels=labels, classes=classes)

An image is an array or a tensor on the host, (H, W), (1, H, W) or (3, H, W), uint8 or float in [0, 1].
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..autograd import Tensor
from ..errors import ArgumentError, DtypeError, MissingPackageError, OutOfRangeError, ShapeError

IGNORED = (0.88, 0.88, 0.75)
"""Colour of pixels that are not counted."""


def palette(count: int) -> np.ndarray:
    """Colours of the classes 0 … count−1: black for the background, then hues that differ most between neighbours.

    Math:      hue of class k = k·(√5 − 1)/2 mod 1, so that any number of classes share the circle nearly evenly; odd
               classes bright and full, even ones paler
    Returns:   (count, 3) float32 in [0, 1], RGB; the first colours do not depend on `count`
    """
    if count < 1:
        raise ArgumentError(f"palette: count={count} must be at least 1")
    k = np.arange(count)
    saturation, value = np.where(k % 2, 0.95, 0.6), np.where(k % 2, 1.0, 0.9)
    sector = (np.array([5, 3, 1]) + 6 * (k * (math.sqrt(5) - 1) / 2 % 1)[:, None]) % 6
    colors = value[:, None] * (1 - saturation[:, None] * np.minimum(sector, 4 - sector).clip(0, 1))
    colors[0] = 0
    return colors.astype(np.float32)


def colorize(semantic: Any, *, colors: np.ndarray | None = None, ignore_index: int = 255) -> np.ndarray:
    """A map of classes as an image.

    Args:      semantic: (H, W) integers. colors: (C, 3), by default :func:`palette`. ignore_index: the class that is
               not counted, drawn in :data:`IGNORED`
    Returns:   (3, H, W) float32 in [0, 1]
    Raises:    ShapeError, DtypeError: not such a map. OutOfRangeError: a class without a colour
    """
    labels = _array(semantic)
    if labels.ndim != 2:
        raise ShapeError(f"colorize: a map of classes is (H, W), got {labels.shape}")
    if labels.dtype.kind not in "iub":
        raise DtypeError(f"colorize: classes are integers, got {labels.dtype}; take the argmax of scores first")
    counted = labels != ignore_index
    if colors is None:
        colors = palette(int(labels.max(initial=0, where=counted)) + 1)
    wrong = counted & ((labels < 0) | (labels >= len(colors)))
    if wrong.any():
        raise OutOfRangeError(f"colorize: class {labels[wrong][0]} has no colour, there are {len(colors)}")
    table = np.concatenate([colors, [IGNORED]]).astype(np.float32)
    return np.ascontiguousarray(table[np.where(counted, labels, len(colors))].transpose(2, 0, 1))


def overlay(
    image: Any, semantic: Any, *, opacity: float = 0.5, colors: np.ndarray | None = None, ignore_index: int = 255
) -> np.ndarray:
    """The image with its classes in colour; the background, class 0, stays as it is.

    Args:      opacity: of the colours, 0 … 1. semantic, colors, ignore_index: as for :func:`colorize`
    Returns:   (3, H, W) float32 in [0, 1]
    """
    pixels, tint = _rgb(image, "overlay"), colorize(semantic, colors=colors, ignore_index=ignore_index)
    if tint.shape != pixels.shape:
        raise ShapeError(f"overlay: a map of {tint.shape[1:]} pixels does not fit an image of {pixels.shape[1:]}")
    return _blend(pixels, tint, _array(semantic) != 0, opacity, "overlay")


def overlay_masks(image: Any, masks: Any, *, opacity: float = 0.5, colors: np.ndarray | None = None) -> np.ndarray:
    """The image with each object in a colour of its own, later ones over earlier ones.

    Args:      masks: (K, H, W) bool, or probabilities, of which those above ½ count. colors: (K, 3), by default those
               of :func:`palette` without black
    Returns:   (3, H, W) float32 in [0, 1]
    """
    pixels, inside = _rgb(image, "overlay_masks"), _array(masks)
    if inside.ndim != 3 or inside.shape[1:] != pixels.shape[1:]:
        raise ShapeError(f"overlay_masks: masks (K, H, W) expected for an image {pixels.shape}, got {inside.shape}")
    colors = palette(len(inside) + 1)[1:] if colors is None else colors
    if len(colors) < len(inside):
        raise ShapeError(f"overlay_masks: {len(inside)} masks but {len(colors)} colors")
    tint, owned = pixels, np.zeros(pixels.shape[1:], bool)
    for mask, color in zip(inside > 0.5, colors, strict=False):
        tint, owned = np.where(mask, np.reshape(color, (3, 1, 1)), tint), owned | mask
    return _blend(pixels, tint, owned, opacity, "overlay_masks")


def show(axes: Any, image: Any, title: str | None = None) -> None:
    """Draw an image on Matplotlib axes, without ticks, such that x and y count pixels from the upper left corner."""
    pixels = _rgb(image, "show")
    height, width = pixels.shape[1:]
    axes.imshow(pixels.transpose(1, 2, 0), extent=(0, width, height, 0), interpolation="nearest")
    axes.set_axis_off()
    if title is not None:
        axes.set_title(title)


def panels(
    images: Sequence[Any], titles: Sequence[str] | None = None, *, columns: int | None = None, side: float = 2.5
) -> Any:
    """Images side by side, row by row.

    Args:      titles: one for each image; or one for each column, where there are fewer. columns: by default all images
               in one row. side: width of each panel in inches
    Returns:   a Matplotlib figure; ``figure.axes[k]`` is the k-th panel
    Raises:    MissingPackageError: Matplotlib is not installed. ArgumentError: no images, or titles that do not fit
    """
    pyplot = _pyplot("panels")
    columns = len(images) if columns is None else columns
    if not len(images) or columns < 1:
        raise ArgumentError(f"panels: at least one image and one column are needed, got {len(images)} and {columns}")
    titles = [] if titles is None else list(titles)
    if len(titles) not in (0, columns, len(images)):
        raise ArgumentError(
            f"panels: {len(titles)} titles for {len(images)} images in {columns} columns; give one for each image, or "
            "one for each column"
        )
    slopes = [pixels.shape[1] / pixels.shape[2] for pixels in (_rgb(image, "panels") for image in images)]
    heights = [max(slopes[start : start + columns]) for start in range(0, len(images), columns)]
    figure, grid = pyplot.subplots(
        len(heights),
        columns,
        figsize=(side * columns, side * sum(heights)),
        height_ratios=heights,
        squeeze=False,
        layout="constrained",
    )
    for axes, image, title in zip(grid.flat, images, titles + [None] * len(images), strict=False):
        show(axes, image, title)
    for axes in grid.flat[len(images) :]:
        axes.remove()
    return figure


def legend(
    figure: Any, classes: Sequence[str], *, labels: Sequence[int] | None = None, colors: np.ndarray | None = None
) -> Any:
    """The names of the classes beside their colours, below a figure.

    Args:      figure: of :func:`panels`, or any other. classes: names by label. labels: those to list, by default all.
               colors: (C, 3), by default :func:`palette`
    Returns:   Matplotlib's legend
    """
    _pyplot("legend")
    from matplotlib.patches import Patch

    colors = palette(len(classes)) if colors is None else colors
    listed = list(range(len(classes)) if labels is None else map(int, labels))
    for label in listed:
        if not 0 <= label < min(len(classes), len(colors)):
            raise OutOfRangeError(f"legend: there is no label {label}: {len(classes)} classes, {len(colors)} colors")
    handles = [Patch(color=tuple(colors[label]), label=classes[label]) for label in listed]
    return figure.legend(handles=handles, loc="outside lower center", ncols=min(len(handles), 6), frameon=False)


def draw_boxes(
    axes: Any,
    boxes: Any,
    *,
    labels: Any = None,
    scores: Any = None,
    classes: Sequence[str] | None = None,
    colors: np.ndarray | None = None,
) -> None:
    """Boxes on axes that show an image (:func:`show`, :func:`panels`), with what is known of them in words.

    Args:      boxes: (K, 4), (x1, y1, x2, y2) in pixels. labels: (K,) class of each, which gives the colour; without
               them each box has a colour of its own. scores: (K,). classes: names by label. colors: (C, 3), by label,
               by default :func:`palette`
    Raises:    ShapeError: not as many labels or scores as boxes. OutOfRangeError: a label without a name or colour.
               ArgumentError: a box whose second corner is not to the lower right of its first
    """
    pyplot = _pyplot("draw_boxes")
    corners = _array(boxes)
    if corners.ndim != 2 or corners.shape[1] != 4:
        raise ShapeError(f"draw_boxes: boxes must have shape (K, 4), got {corners.shape}")
    if not (good := (corners[:, 2:] >= corners[:, :2]).all(axis=1)).all():
        number = int(good.argmin())
        raise ArgumentError(f"draw_boxes: box {number} is {corners[number].tolist()}; x1 ≤ x2 and y1 ≤ y2 are needed")
    count = len(corners)
    given = np.arange(1, count + 1) if labels is None else _array(labels)
    certain = None if scores is None else _array(scores)
    for name, values in (("labels", given), ("scores", certain)):
        if values is not None and values.shape != (count,):
            raise ShapeError(f"draw_boxes: {count} boxes but {name} of shape {values.shape}")
    colors = palette(int(given.max(initial=0)) + 1) if colors is None else colors
    classes = None if labels is None else classes
    for number, (label, (x1, y1, x2, y2)) in enumerate(zip(given.tolist(), corners.tolist(), strict=True)):
        if not 0 <= label < min(len(colors), len(colors if classes is None else classes)):
            raise OutOfRangeError(f"draw_boxes: box {number} has the label {label}, without a name or a colour")
        color = tuple(colors[label])
        name = "" if labels is None else str(label) if classes is None else classes[label]
        score = "" if certain is None else f"{certain[number]:.2f}"
        axes.add_patch(pyplot.Rectangle((x1, y1), x2 - x1, y2 - y1, fill=False, edgecolor=color, linewidth=1.5))
        if words := f"{name} {score}".strip():
            back = {"facecolor": color, "edgecolor": "none", "pad": 0.8}
            axes.text(x1, y1, words, fontsize=7, va="bottom", color="black", bbox=back, clip_on=True)


def _array(value: Any) -> np.ndarray:
    return value.detach().numpy() if isinstance(value, Tensor) else np.asarray(value)


def _rgb(image: Any, op: str) -> np.ndarray:
    """(3, H, W) float32 in [0, 1]."""
    pixels = _array(image)
    if pixels.ndim == 2:
        pixels = pixels[None]
    if pixels.ndim != 3 or len(pixels) not in (1, 3):
        raise ShapeError(f"{op}: an image is (H, W), (1, H, W) or (3, H, W), got {pixels.shape}")
    if pixels.dtype == np.uint8:
        pixels = pixels / np.float32(255)
    elif pixels.dtype.kind not in "fb":
        raise DtypeError(f"{op}: an image is uint8 or float, got {pixels.dtype}")
    return np.repeat(pixels.astype(np.float32).clip(0, 1), 3 // len(pixels), axis=0)


def _blend(pixels: np.ndarray, tint: np.ndarray, where: np.ndarray, opacity: float, op: str) -> np.ndarray:
    if not 0 <= opacity <= 1:
        raise ArgumentError(f"{op}: opacity={opacity} must lie in 0 … 1")
    return np.where(where, (1 - opacity) * pixels + opacity * tint, pixels).astype(np.float32)


def _pyplot(op: str) -> Any:
    try:
        from matplotlib import pyplot
    except ImportError as error:
        raise MissingPackageError(f"draw.{op} needs Matplotlib ({error}): pip install matplotlib") from error
    return pyplot
