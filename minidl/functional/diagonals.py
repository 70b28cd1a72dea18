"""Diagonals and triangles of matrices, and of stacks of them."""

from __future__ import annotations

from typing import Any

from ..autograd import Tensor, check_tensor
from ..backend import array_module
from ..errors import ArgumentError, ShapeError
from ._shared import check_integer, normalize_dim
from .indexing import IndexPutAdd, getitem
from .reductions import sum
from .selection import masked_fill
from .shape import permute


def _places(x: Tensor, rows: int, columns: int, offset: int) -> tuple[Any, Any]:
    """The indices, arrays beside x, of the diagonal that starts `offset` columns to the right (below 0: rows down)."""
    row, column = max(-offset, 0), max(offset, 0)
    steps = array_module(x.data).arange(max(min(rows - row, columns - column), 0))
    return steps + row, steps + column


def diagonal(x: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Tensor:
    """The elements x[i, i + offset] of two dimensions, which the result has as its last one.

    Backward:  gy is put back on the diagonal of zeros
    """
    x = check_tensor(x, "diagonal", "x")
    if x.ndim < 2:
        raise ShapeError(f"diagonal: expects at least 2 dimensions, got shape {x.shape}")
    first, second = normalize_dim(dim1, x.ndim, "diagonal"), normalize_dim(dim2, x.ndim, "diagonal")
    if first == second:
        raise ArgumentError(f"diagonal: dim1 and dim2 are both {first}; they must differ")
    rest = [d for d in range(x.ndim) if d not in (first, second)]
    places = _places(x, x.shape[first], x.shape[second], check_integer(offset, "diagonal", "offset"))
    return getitem(permute(x, *rest, first, second), (..., *places))


def diag(x: Tensor, diagonal: int = 0) -> Tensor:
    """Of a matrix its diagonal; of a vector the square matrix that has it there, and zeros elsewhere.

    Args:      diagonal: 0 the main one, k > 0 the k-th above it, k < 0 below
    Raises:    ShapeError: neither a vector nor a matrix
    """
    x = check_tensor(x, "diag", "x")
    offset = check_integer(diagonal, "diag", "diagonal")
    if x.ndim == 2:
        rows, columns = x.shape
        return getitem(x, _places(x, rows, columns, offset))
    if x.ndim != 1:
        raise ShapeError(f"diag: expects a vector or a matrix, got shape {x.shape}")
    size = x.shape[0] + abs(offset)
    return IndexPutAdd(index=_places(x, size, size, offset), shape=(size, size))(x)


def trace(x: Tensor) -> Tensor:
    """The sum of the diagonal of a matrix."""
    if check_tensor(x, "trace", "x").ndim != 2:
        raise ShapeError(f"trace: expects a matrix, got shape {x.shape}")
    return sum(diagonal(x))


def _triangle(x: Any, offset: Any, op: str) -> Tensor:
    x = check_tensor(x, op, "x")
    if x.ndim < 2:
        raise ShapeError(f"{op}: expects at least 2 dimensions, got shape {x.shape}")
    xp = array_module(x.data)
    offset = check_integer(offset, op, "diagonal")
    kept = xp.tri(*x.shape[-2:], offset if op == "tril" else offset - 1, dtype=bool)
    return masked_fill(x, Tensor(~kept if op == "tril" else kept), 0)


def tril(x: Tensor, diagonal: int = 0) -> Tensor:
    """The lower triangle of the last two dimensions, up to and with the given diagonal; zeros above it."""
    return _triangle(x, diagonal, "tril")


def triu(x: Tensor, diagonal: int = 0) -> Tensor:
    """The upper triangle of the last two dimensions, from the given diagonal on; zeros below it."""
    return _triangle(x, diagonal, "triu")
