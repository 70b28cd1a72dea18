"""More ways to rearrange, each put together from those of shape.py, whose gradients they inherit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..autograd import Tensor, check_tensor
from ..backend import to_device, to_numpy
from ..errors import ArgumentError, OutOfRangeError, ShapeError
from ._shared import check_integer, integers, normalize_dim, normalize_dims
from .broadcast import broadcast_shapes, expand
from .indexing import index_select
from .shape import cat, check_tensors, narrow, permute, repeat, reshape, squeeze, transpose


def movedim(x: Tensor, source: int | Sequence[int], destination: int | Sequence[int]) -> Tensor:
    """Dimensions `source` moved to the places `destination`; the others keep their order. A view."""
    x = check_tensor(x, "movedim", "x")
    old, new = normalize_dims(source, x.ndim, "movedim"), normalize_dims(destination, x.ndim, "movedim")
    if len(old) != len(new):
        raise ArgumentError(f"movedim: source {source} and destination {destination} must name as many dimensions")
    order = [d for d in range(x.ndim) if d not in old]
    for place, d in sorted(zip(new, old, strict=True)):
        order.insert(place, d)
    return permute(x, *order)


def swapaxes(x: Tensor, axis0: int, axis1: int) -> Tensor:
    """:func:`transpose` under NumPy's name."""
    return transpose(x, axis0, axis1)


def select(x: Tensor, dim: int, index: int) -> Tensor:
    """The slice number `index` of dimension `dim`, without that dimension; a view."""
    x = check_tensor(x, "select", "x")
    if not x.ndim:
        raise OutOfRangeError("select: a tensor without dimensions has no slices")
    dim = normalize_dim(dim, x.ndim, "select")
    index = check_integer(index, "select", "index")
    length = x.shape[dim]
    if not -length <= index < length:
        raise OutOfRangeError(f"select: index {index} is out of range for dimension {dim} of shape {x.shape}")
    return squeeze(narrow(x, dim, index % length, 1), dim)


def expand_as(x: Tensor, other: Tensor) -> Tensor:
    """:func:`expand` to the shape of `other`."""
    return expand(x, check_tensor(other, "expand_as", "other").shape)


def view_as(x: Tensor, other: Tensor) -> Tensor:
    """:func:`reshape` to the shape of `other`."""
    return reshape(x, check_tensor(other, "view_as", "other").shape)


def ravel(x: Tensor) -> Tensor:
    """All elements as one vector."""
    return reshape(x, -1)


def tile(x: Tensor, *dims: Any) -> Tensor:
    """:func:`repeat`, where missing counts in front are 1."""
    x = check_tensor(x, "tile", "x")
    counts = integers(dims, "tile")
    return repeat(x, (1,) * (x.ndim - len(counts)) + counts)


def repeat_interleave(x: Tensor, repeats: int | Tensor, dim: int | None = None) -> Tensor:
    """Each slice of `dim` several times in a row; without dim, each element of the flattened tensor.

    Args:      repeats: how often, one number for all or an integer vector with one for each slice
    """
    x = check_tensor(x, "repeat_interleave", "x")
    if dim is None:
        x, dim = reshape(x, -1), 0
    dim = normalize_dim(dim, x.ndim, "repeat_interleave")
    counts = to_numpy(repeats.data) if isinstance(repeats, Tensor) else np.asarray(repeats)  # they set the shape
    length = x.shape[dim] if x.ndim else 1
    if counts.dtype.kind not in "iu" or counts.ndim > 1 or counts.size not in (1, length) or (counts < 0).any():
        raise ArgumentError(f"repeat_interleave: repeats must be 1 or {length} integers ≥ 0, got {repeats!r:.80}")
    return index_select(x, dim, Tensor(to_device(np.arange(length).repeat(counts), x.device)))


def hstack(tensors: Sequence[Tensor]) -> Tensor:
    """Join side by side: vectors along dimension 0, the rest along 1."""
    parts = [reshape(x, 1) if x.ndim == 0 else x for x in check_tensors(tensors, "hstack")]
    return cat(parts, 0 if parts[0].ndim == 1 else 1)


def vstack(tensors: Sequence[Tensor]) -> Tensor:
    """Join on top of each other: along dimension 0, vectors as rows."""
    return cat([reshape(x, 1, -1) if x.ndim < 2 else x for x in check_tensors(tensors, "vstack")], 0)


def meshgrid(*tensors: Any, indexing: str = "ij") -> tuple[Tensor, ...]:
    """The coordinates of a grid: for vectors of lengths (I, J, …) a tensor of shape (I, J, …) for each.

    Math:      y₀[i, j] = a[i], y₁[i, j] = b[j]
    Args:      tensors: vectors (or one sequence of them). indexing: "ij" as above, "xy" with the first two dimensions
               of the results swapped
    """
    parts = tuple(tensors[0]) if len(tensors) == 1 and isinstance(tensors[0], Sequence) else tensors
    if indexing not in ("ij", "xy"):
        raise ArgumentError(f"meshgrid: indexing must be 'ij' or 'xy', got {indexing!r}")
    if not parts:
        raise ArgumentError("meshgrid: expects at least one Tensor")
    for x in parts:
        if check_tensor(x, "meshgrid", "tensors").ndim > 1:
            raise ShapeError(f"meshgrid: expects vectors, got shape {x.shape}")
    lengths = tuple(x.numel() for x in parts)
    grids = tuple(
        expand(reshape(x, (1,) * i + (-1,) + (1,) * (len(parts) - i - 1)), lengths) for i, x in enumerate(parts)
    )
    return tuple(transpose(y, 0, 1) for y in grids) if indexing == "xy" and len(parts) > 1 else grids


def broadcast_tensors(*tensors: Tensor) -> tuple[Tensor, ...]:
    """All tensors expanded to their common shape."""
    parts = [check_tensor(x, "broadcast_tensors", f"tensors[{i}]") for i, x in enumerate(tensors)]
    shape = broadcast_shapes("broadcast_tensors", *(x.shape for x in parts))
    return tuple(expand(x, shape) for x in parts)
