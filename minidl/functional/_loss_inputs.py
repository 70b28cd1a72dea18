"""What the losses ask of their inputs: pairs of equal shape, class scores with their labels, weights."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..autograd import Tensor, check_tensor
from ..backend import array_module, in_range
from ..errors import DtypeError, GradientError, OutOfRangeError, ShapeError
from ._shared import check_integer, operands, require_floating
from .broadcast import broadcast_shapes


def pair(input: Any, target: Any, op: str, names: tuple[str, str] = ("input", "target")) -> tuple[Tensor, Tensor]:
    """Two float tensors of the same shape and dtype; an integer target takes the input's dtype."""
    input, target = require_floating(input, op, names[0]), check_tensor(target, op, names[1])
    input, target = operands(input, target, op)
    if input.shape != target.shape:
        raise ShapeError(
            f"{op}: {names[0]} has shape {input.shape} but {names[1]} has shape {target.shape}; they must be equal "
            "(a loss does not broadcast): reshape or expand one of them"
        )
    if input.dtype != target.dtype:
        raise DtypeError(f"{op}: {names[0]} is {input.dtype} but {names[1]} is {target.dtype}; use .to(dtype)")
    return input, target


def weighted(losses: Tensor, weight: Any, op: str) -> Tensor:
    """The elements of a loss times a weight that is broadcast to them; None leaves them as they are."""
    return losses if weight is None else losses * fitting_weight(weight, losses, op, "weight")


def fitting_weight(weight: Any, input: Tensor, op: str, name: str) -> Tensor:
    """A weight that can be broadcast to the shape of `input`."""
    weight = check_tensor(weight, op, name)
    if broadcast_shapes(op, input.shape, weight.shape) != input.shape:
        raise ShapeError(f"{op}: {name} of shape {weight.shape} does not fit input of shape {input.shape}")
    return weight


def scores(input: Any, op: str) -> tuple[Tensor, int]:
    """Scores of classes (C,) or (N, C, ...), with the dimension of the classes."""
    input = require_floating(input, op, "input")
    if input.ndim == 0:
        raise ShapeError(f"{op}: input must have shape (C,) or (N, C, ...), C classes, got a tensor of no dimensions")
    return input, min(input.ndim - 1, 1)


def class_labels(
    input: Tensor, dim: int, target: Any, op: str, ignore_index: int | None = None
) -> tuple[Any, Any | None]:
    """The label of each element, checked, as an array, and where it was `ignore_index`: there it is 0 (None: nowhere).

    Args:      input: scores whose dimension `dim` holds the classes. target: integers, shaped like input without `dim`
    """
    target = check_tensor(target, op, "target")
    classes, expected = input.shape[dim], input.shape[:dim] + input.shape[dim + 1 :]
    if target.data.dtype.kind not in "iu":
        raise DtypeError(
            f"{op}: target must hold class indices as integers, got {target.dtype}; convert it with .to(minidl.int64)"
        )
    if target.shape != expected:
        if target.shape == input.shape:
            remedy = f"one-hot labels become indices with target.argmax({dim})"
        elif target.numel() == math.prod(expected):
            remedy = f"use target.reshape({expected})"
        else:
            remedy = "give each sample one label"
        raise ShapeError(
            f"{op}: target has shape {target.shape} but input of shape {input.shape} needs class indices of shape "
            f"{expected}; {remedy}"
        )
    labels = target.data
    ignored = None
    if ignore_index is not None:
        ignored = labels == check_integer(ignore_index, op, "ignore_index")
        if isinstance(labels, np.ndarray) and not ignored.any():  # a GPU would have to be waited for
            ignored = None
        else:
            labels = array_module(labels).where(ignored, 0, labels)

    def error() -> Exception:
        outside = (labels < 0) | (labels >= classes)
        return OutOfRangeError(
            f"{op}: target holds the label {int(labels[outside].ravel()[0])} but there are {classes} classes "
            f"(input {input.shape}); labels must be 0 to {classes - 1}"
        )

    return in_range(labels, classes, error).astype(np.int64, copy=False), ignored


def class_weights(input: Tensor, dim: int, weight: Any, op: str) -> Tensor | None:
    """One weight for each class, checked, or None. It is a setting: no gradient is computed for it."""
    if weight is None:
        return None
    weight = check_tensor(weight, op, "weight")
    if weight.shape != (input.shape[dim],):
        raise ShapeError(
            f"{op}: weight has shape {weight.shape} but there are {input.shape[dim]} classes (input {input.shape}); "
            f"give one weight for each class, shape ({input.shape[dim]},)"
        )
    if weight.dtype != input.dtype:
        raise DtypeError(f"{op}: weight is {weight.dtype} but input is {input.dtype}; convert it with .to(dtype)")
    if weight.requires_grad:
        raise GradientError(f"{op}: no gradient is computed for the class weights; pass weight.detach()")
    return weight
