"""Sorting and counting. What is sorted is read back through indices, so that gradients follow :func:`gather`."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..autograd import Tensor, check_tensor
from ..backend import array_module
from ..errors import ArgumentError, DtypeError
from ._shared import check_integer, normalize_dim
from .indexing import gather
from .shape import narrow


class SortResult(NamedTuple):
    """The elements in order along a dimension, and where they stood."""

    values: Tensor
    indices: Tensor


class TopKResult(NamedTuple):
    """The k largest or smallest elements along a dimension, and where they stood."""

    values: Tensor
    indices: Tensor


def argsort(x: Tensor, dim: int = -1, descending: bool = False, *, stable: bool = True) -> Tensor:
    """The indices that put `dim` in order; equal elements keep theirs, and NaN counts as the largest.

    Args:      stable: taken for PyTorch's sake; the order is always stable
    Returns:   int64, the shape of x
    """
    x = check_tensor(x, "argsort", "x")
    dim = normalize_dim(dim, x.ndim, "argsort")
    xp = array_module(x.data)
    if not x.ndim:
        return Tensor(xp.zeros((), np.int64))
    if not descending:
        return Tensor(xp.argsort(x.data, axis=dim, kind="stable"))
    backwards = xp.argsort(xp.flip(x.data, dim), axis=dim, kind="stable")  # flipped twice, ties stay in order
    return Tensor(xp.flip(x.shape[dim] - 1 - backwards, dim))


def sort(x: Tensor, dim: int = -1, descending: bool = False, *, stable: bool = True) -> SortResult:
    """The elements in order along `dim`, as the pair (values, indices); see :func:`argsort`.

    Backward:  gx[indices] = gy: each gradient goes back to where its element stood
    """
    indices = argsort(x, dim, descending, stable=stable)
    return SortResult(gather(x, dim, indices), indices)


def topk(x: Tensor, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> TopKResult:
    """The `k` largest (or smallest) elements along `dim` in order, as the pair (values, indices).

    Backward:  as :func:`sort`
    Args:      sorted: taken for PyTorch's sake; the result is always in order
    Edges:     of equal elements the first comes first, which PyTorch does not promise
    Raises:    ArgumentError: fewer than k elements
    """
    x = check_tensor(x, "topk", "x")
    dim = normalize_dim(dim, x.ndim, "topk")
    k = check_integer(k, "topk", "k")
    length = x.shape[dim] if x.ndim else 1
    if not 0 <= k <= length:
        raise ArgumentError(f"topk: k = {k} does not lie in [0, {length}], the length of dimension {dim} of {x.shape}")
    order = argsort(x, dim, descending=largest)
    indices = narrow(order, dim, 0, k) if x.ndim else order
    return TopKResult(gather(x, dim, indices), indices)


def unique(x: Tensor, sorted: bool = True, return_inverse: bool = False, return_counts: bool = False) -> Any:
    """The different values of x in ascending order. No gradient flows.

    Args:      sorted: taken for PyTorch's sake. return_inverse: also, in the shape of x, the place of each element
               among the values. return_counts: also how often each value occurs
    Returns:   a vector, or a tuple that begins with it
    """
    data = check_tensor(x, "unique", "x").data
    found = array_module(data).unique(data, return_inverse=return_inverse, return_counts=return_counts)
    return tuple(Tensor(part) for part in found) if isinstance(found, tuple) else Tensor(found)


def bincount(x: Tensor, weights: Tensor | None = None, minlength: int = 0) -> Tensor:
    """How often each of 0, 1, 2, … occurs in a vector of integers, or with weights their sums. No gradient flows.

    Args:      minlength: the result has at least so many entries
    """
    data = check_tensor(x, "bincount", "x").data
    if data.dtype.kind not in "iu":
        raise DtypeError(f"bincount: x must be an integer tensor, got {x.dtype}")
    if data.ndim != 1 or (data.size and int(data.min()) < 0):
        raise ArgumentError(f"bincount: x must be a vector without negative numbers, got shape {x.shape}: {x!r:.80}")
    if check_integer(minlength, "bincount", "minlength") < 0:
        raise ArgumentError(f"bincount: minlength must not be negative, got {minlength}")
    xp = array_module(data)
    if weights is None:
        return Tensor(xp.bincount(data, minlength=minlength))
    own = check_tensor(weights, "bincount", "weights").data
    if own.shape != data.shape:
        raise ArgumentError(f"bincount: weights have shape {own.shape} but x has {x.shape}")
    counts = xp.bincount(data, own, minlength)
    return Tensor(counts.astype(own.dtype) if own.dtype.kind == "f" else counts)
