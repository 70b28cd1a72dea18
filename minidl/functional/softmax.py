"""Softmax and its logarithm: scores along one dimension become probabilities."""

from __future__ import annotations

from typing import Any

from ..autograd import FusedFunction, Tensor, check_tensor
from ..backend import array_module
from ._shared import normalize_dim, require_floating
from .casting import as_dtype, to


def shifted(x: Any, axis: Any) -> Any:
    """x minus its largest value along `axis`: the softmax stays the same, and its exponentials do not overflow."""
    return x - x.max(axis=axis, keepdims=True)  # a row of −inf has no softmax: it becomes nan


class _AlongDim(FusedFunction):
    saves_inputs = (0,)
    saves_outputs = (0,)

    def __init__(self, *, dim: int):
        self.dim = dim


class Softmax(_AlongDim):
    """See :func:`softmax`."""

    def forward(self, x: Any) -> Any:
        y = shifted(x, self.dim)
        array_module(x).exp(y, out=y)
        y /= y.sum(axis=self.dim, keepdims=True)
        return y

    def backward_array(self, gy: Any) -> Any:
        y = self.output_arrays[0]
        gx = gy * y
        gx -= y * gx.sum(axis=self.dim, keepdims=True)
        return gx

    def composite(self, x: Tensor) -> Tensor:
        e = (x - Tensor(x.data.max(axis=self.dim, keepdims=True))).exp()
        return e / e.sum(self.dim, keepdim=True)


class LogSoftmax(_AlongDim):
    """See :func:`log_softmax`."""

    def forward(self, x: Any) -> Any:
        xp = array_module(x)
        y = shifted(x, self.dim)
        y -= xp.log(xp.exp(y).sum(axis=self.dim, keepdims=True))
        return y

    def backward_array(self, gy: Any) -> Any:
        y = self.output_arrays[0]
        gx = array_module(y).exp(y)
        gx *= gy.sum(axis=self.dim, keepdims=True)
        return gy - gx

    def composite(self, x: Tensor) -> Tensor:
        z = x - Tensor(x.data.max(axis=self.dim, keepdims=True))
        return z - z.exp().sum(self.dim, keepdim=True).log()


def softmax(x: Tensor, dim: int, dtype: Any = None) -> Tensor:
    """Positive numbers that sum to 1 along `dim`, in the proportions eˣ.

    Math:      y_i = e^(x_i − m) / Σ_j e^(x_j − m), m = max_j x_j, which cancels out and prevents overflow
    Backward:  ∂y_i/∂x_j = y_i (δ_ij − y_j), so gx = y · (gy − Σ_j gy_j y_j)
    Args:      dim: required. dtype: convert x to it first
    Returns:   x's shape; nan where all of a row is −inf
    Source:    Bridle 1990
    """
    return _along(Softmax, x, dim, dtype, "softmax")


def log_softmax(x: Tensor, dim: int, dtype: Any = None) -> Tensor:
    """The logarithm of :func:`softmax`, without the underflow of taking the two apart.

    Math:      y_i = (x_i − m) − log Σ_j e^(x_j − m), m = max_j x_j
    Backward:  ∂y_i/∂x_j = δ_ij − e^(y_j), so gx = gy − e^y · Σ_j gy_j
    """
    return _along(LogSoftmax, x, dim, dtype, "log_softmax")


def softmin(x: Tensor, dim: int, dtype: Any = None) -> Tensor:
    """softmax(−x)."""
    return softmax(-check_tensor(x, "softmin", "x"), dim, dtype=dtype)


def _along(function: type[_AlongDim], x: Any, dim: int, dtype: Any, op: str) -> Tensor:
    x = check_tensor(x, op, "x")
    x = require_floating(x if dtype is None else to(x, dtype=as_dtype(dtype)), op)
    dim = normalize_dim(dim, x.ndim, op)
    if x.ndim == 0:
        return function(dim=0)(x.reshape(1)).reshape(())
    return function(dim=dim)(x) if x.shape[dim] else x.clone()
