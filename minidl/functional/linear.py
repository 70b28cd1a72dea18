"""Fully connected layers: every output is a weighted sum of all inputs."""

from __future__ import annotations

import math
from typing import Any

from .. import kernels
from ..autograd import FusedFunction, Tensor, check_tensor
from ..errors import ShapeError
from ._shared import require_floating
from .linalg import matmul
from .shape import squeeze, transpose, unsqueeze


class Linear(FusedFunction):
    """Matrix product and bias in one. See :func:`linear`."""

    saves_inputs = (0, 1, 2)
    saves_outputs = ()

    def forward(self, x: Any, w: Any, b: Any = None) -> Any:
        y = kernels.of(x).matmul(_rows(x), w.T)
        if b is not None:
            y += b
        return y.reshape(*x.shape[:-1], len(w))

    def backward_array(self, gy: Any) -> Any:
        x, w = self.input_arrays[:2]
        needs = self.needs_input_grad
        rows, gy_rows = _rows(x), _rows(gy)
        matmul = kernels.of(gy).matmul
        gx = matmul(gy_rows, w).reshape(x.shape) if needs[0] else None
        gw = matmul(gy_rows.T, rows) if needs[1] else None
        if len(needs) == 2:
            return gx, gw
        return gx, gw, gy_rows.sum(axis=0) if needs[2] else None

    def composite(self, x: Tensor, w: Tensor, b: Tensor | None = None) -> Tensor:
        y = matmul(x, transpose(w, 0, 1))
        return y if b is None else y + b


def _rows(x: Any) -> Any:
    """All but the last dimension as one."""
    return x.reshape(math.prod(x.shape[:-1]), x.shape[-1])


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """The affine map of the last dimension.

    Math:      y[…, o] = Σ_i w[o, i] · x[…, i] + b[o], that is y = x wᵀ + b
    Backward:  gx = gy w;  gw = gyᵀ x and gb = Σ gy, over all but the last dimension
    Args:      x: (..., I). weight: (O, I), or (I,) for one output without a dimension of its own. bias: (O,) or None
    Returns:   (..., O)
    Raises:    ShapeError: "linear: x has 5 features but weight (10, 4) expects 4 (x (8, 5))"
    """
    x, weight = require_floating(x, "linear"), require_floating(weight, "linear", "weight")
    if weight.ndim == 1:
        bias = None if bias is None else check_tensor(bias, "linear", "bias").reshape(-1)
        return squeeze(linear(x, unsqueeze(weight, 0), bias), -1)
    if weight.ndim != 2:
        raise ShapeError(f"linear: weight must have shape (out, in), got {weight.shape}")
    if x.ndim == 0 or x.shape[-1] != weight.shape[1]:
        features = x.shape[-1] if x.ndim else "no"
        raise ShapeError(
            f"linear: x has {features} features but weight {weight.shape} expects {weight.shape[1]} (x {x.shape}); "
            "the last dimension of x holds the features: flatten it or transpose it"
        )
    if bias is None:
        return Linear()(x, weight)
    if check_tensor(bias, "linear", "bias").shape != (weight.shape[0],):
        raise ShapeError(
            f"linear: bias has shape {bias.shape} but weight {weight.shape} makes {weight.shape[0]} outputs; "
            f"bias must have shape ({weight.shape[0]},)"
        )
    return Linear()(x, weight, bias)


def bilinear(x1: Tensor, x2: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """A form of two vectors, linear in each.

    Math:      y[…, o] = Σ_ij x1[…, i] · w[o, i, j] · x2[…, j] + b[o]
    Args:      x1: (..., I). x2: (..., J), the same but for the last dimension. weight: (O, I, J). bias: (O,) or None
    Returns:   (..., O)
    """
    for name, x in (("x1", x1), ("x2", x2), ("weight", weight)):
        require_floating(x, "bilinear", name)
    if weight.ndim != 3:
        raise ShapeError(f"bilinear: weight must have shape (out, in1, in2), got {weight.shape}")
    outputs, size1, size2 = weight.shape
    if x1.shape[-1:] != (size1,) or x2.shape[-1:] != (size2,) or x1.shape[:-1] != x2.shape[:-1]:
        raise ShapeError(
            f"bilinear: x1 {x1.shape} and x2 {x2.shape} do not fit weight {weight.shape}; they must be (..., {size1}) "
            f"and (..., {size2}) with equal leading dimensions"
        )
    rows1, rows2 = x1.reshape(-1, size1), x2.reshape(-1, size2)
    forms = (matmul(rows1, weight) * rows2).sum(-1)  # (O, N)
    y = transpose(forms, 0, 1).reshape(*x1.shape[:-1], outputs)
    if bias is None:
        return y
    if check_tensor(bias, "bilinear", "bias").shape != (outputs,):
        raise ShapeError(f"bilinear: bias has shape {bias.shape} but weight {weight.shape} makes {outputs} outputs")
    return y + bias
