"""Integers as vectors: learnt ones (embedding) and fixed ones (one-hot)."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..autograd import Function, Tensor, check_tensor
from ..backend import array_module, in_range
from ..errors import ArgumentError, DtypeError, OutOfRangeError, ShapeError
from ._shared import check_integer, require_floating
from .indexing import IndexPutAdd
from .selection import masked_fill


class Embedding(Function):
    """Rows of a table. Backward adds each row's gradients up, leaving out the padding."""

    saves_inputs = ()
    saves_outputs = ()

    def __init__(self, *, indices: Any, padding_idx: int | None):
        self.indices, self.padding_idx = indices, padding_idx

    def forward(self, weight: Any) -> Any:
        return weight[self.indices]

    def backward(self, gy: Tensor) -> Tensor:
        if self.padding_idx is not None:
            gy = masked_fill(gy, Tensor(self.indices == self.padding_idx).unsqueeze(-1), 0.0)
        return IndexPutAdd(index=(self.indices,), shape=self.input_shapes[0])(gy)


def embedding(indices: Tensor, weight: Tensor, padding_idx: int | None = None) -> Tensor:
    """The rows of a table that integers name.

    Math:      y[…, d] = weight[indices[…], d], which is one_hot(indices) · weight
    Backward:  gweight[v] = Σ of gy over the places whose index is v; 0 for v = padding_idx
    Args:      indices: integers, any shape. weight: (V, D). padding_idx: a row that is not trained (−1: the last)
    Returns:   (*indices.shape, D)
    Raises:    OutOfRangeError: "embedding: index 7 is out of range for a table of 5 rows".
               DtypeError: indices are no integers
    """
    places = _integers(indices, "embedding")
    weight = require_floating(weight, "embedding", "weight")
    if weight.ndim != 2:
        raise ShapeError(f"embedding: weight must have shape (rows, dimensions), got {weight.shape}")
    rows = weight.shape[0]
    places = _in_range(places, rows, f"a table of {rows} rows", "embedding")
    if padding_idx is not None:
        if not -rows <= padding_idx < rows:
            raise OutOfRangeError(f"embedding: padding_idx {padding_idx} is out of range for a table of {rows} rows")
        padding_idx %= rows
    return Embedding(indices=places, padding_idx=padding_idx)(weight)


def one_hot(indices: Tensor, num_classes: int = -1) -> Tensor:
    """For each index a vector of zeros with a one at that place.

    Args:      indices: integers, any shape. num_classes: the vectors' length; −1: one more than the largest index
    Returns:   (*indices.shape, num_classes), int64
    Raises:    OutOfRangeError: an index outside [0, num_classes)
    """
    places = _integers(indices, "one_hot")
    num_classes = check_integer(num_classes, "one_hot", "num_classes")
    if num_classes == -1:
        if places.size == 0:
            raise ArgumentError(f"one_hot: no indices (shape {places.shape}), so num_classes must be given")
        num_classes = int(places.max()) + 1
    elif num_classes < 1:
        raise ArgumentError(f"one_hot: num_classes must be positive, or -1 to work it out, got {num_classes}")
    places = _in_range(places, num_classes, f"{num_classes} classes", "one_hot")
    return Tensor((places[..., None] == array_module(places).arange(num_classes)).astype(np.int64))


def _integers(indices: Any, op: str) -> Any:
    indices = check_tensor(indices, op, "indices")
    if indices.data.dtype.kind not in "iu":
        raise DtypeError(f"{op}: indices must be integers, got {indices.dtype}; convert them with .to(minidl.int64)")
    return indices.data


def _in_range(places: Any, length: int, what: str, op: str) -> Any:
    def error() -> Exception:
        outside = places[(places < 0) | (places >= length)]
        return OutOfRangeError(f"{op}: index {int(outside.ravel()[0])} is out of range for {what}")

    return in_range(places, length, error)
