"""What a caller passes as boxes, checked: four finite numbers each, corners in order."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...autograd import Tensor
from ...backend import check, is_array, to_numpy
from ...errors import ArgumentError, ArgumentTypeError, DtypeError, ShapeError


def as_tensor(value: Any, op: str, name: str) -> Tensor:
    """A Tensor as it is; an array, a list or a number of numbers as a Tensor without a gradient."""
    if isinstance(value, Tensor):
        return value
    try:
        array = value if is_array(value) else np.asarray(value)
    except ValueError as error:  # a ragged list
        raise ShapeError(f"{op}: {name} is not a rectangular array ({error})") from None
    if array.dtype.kind not in "biuf":
        raise ArgumentTypeError(f"{op}: {name} must be a Tensor or an array of numbers, got {type(value).__name__}")
    if isinstance(value, list | tuple) and array.dtype == np.float64:
        array = array.astype(np.float32)
    return Tensor(array)


def as_boxes(value: Any, op: str, name: str = "boxes", dims: int | None = 2) -> Tensor:
    """Boxes (N, 4), or (…, 4) with dims=None; an empty list has none. Their order is not looked at."""
    boxes = as_tensor(value, op, name)
    if boxes.shape == (0,) and not isinstance(value, Tensor):
        boxes = Tensor(np.zeros((0, 4), np.float32))
    if boxes.ndim < 1 or boxes.shape[-1] != 4 or (dims is not None and boxes.ndim != dims):
        wanted = "(…, 4)" if dims is None else "(N, 4)"
        raise ShapeError(f"{op}: {name} must be {wanted}, four numbers for each box, got {boxes.shape}")
    if boxes.dtype == np.bool_:
        raise DtypeError(f"{op}: {name} must hold numbers, got bool")
    return boxes


def corner_boxes(
    value: Any, op: str, name: str = "boxes", *, dims: int | None = 2, image: int | None = None, sized: bool = False
) -> Tensor:
    """Boxes (x1, y1, x2, y2) that are checked by :func:`check_corners`."""
    boxes = as_boxes(value, op, name, dims)
    check_corners(boxes, op, name, image=image, sized=sized)
    return boxes


def check_corners(boxes: Any, op: str, name: str = "boxes", *, image: int | None = None, sized: bool = False) -> None:
    """Each box is finite, x1 ≤ x2 and y1 ≤ y2; with `sized` x1 < x2 and y1 < y2.

    Args:      boxes: Tensor (…, 4). image: the number of the image that they belong to, for the message
    Raises:    ArgumentError: "roi_align: box 2 of boxes[0] has x2 = 8 < x1 = 30: (30.0, 20.0, 8.0, 9.0). …"; on a GPU
               with the next result that comes to the host
    """
    data = boxes.data
    low, high = data[..., :2], data[..., 2:]
    good = (low < high) if sized else (low <= high)  # false for NaN
    if data.dtype.kind == "f":
        good = good & (abs(low) < np.inf) & (abs(high) < np.inf)
    whose = name if image is None else f"{name}[{image}]"
    check(~good, lambda: ArgumentError(f"{op}: {_complaint(to_numpy(data).reshape(-1, 4), whose, sized)}"))


def _complaint(boxes: np.ndarray, whose: str, sized: bool) -> str:
    """What is wrong with the first box that is wrong."""
    low, high = boxes[:, :2], boxes[:, 2:]
    good = (low < high if sized else low <= high).all(1) & np.isfinite(boxes).all(1)
    which = int(np.flatnonzero(~good)[0])
    box = boxes[which]
    shown = "(" + ", ".join(f"{float(value):.7g}" for value in box) + ")"
    about = f"box {which} of {whose} is {shown}"
    if not np.isfinite(box).all():
        return f"{about}, which is not finite; a loss that has become NaN makes such boxes: lower the learning rate"
    for axis, first, second in (("x", box[0], box[2]), ("y", box[1], box[3])):
        if second < first:
            advice = "the corners are the wrong way round"
            if box[2] > 0 and box[3] > 0:
                advice = "is it (x, y, width, height)? Then box_convert(boxes, 'xywh', 'xyxy') makes corners of it"
            return f"{about}: {axis}2 = {second:.7g} < {axis}1 = {first:.7g}. Boxes are (x1, y1, x2, y2); {advice}"
    return f"{about}, which has no area; leave such boxes out with remove_small_boxes"
