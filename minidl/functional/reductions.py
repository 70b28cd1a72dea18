"""Reductions over dimensions."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple

import numpy as np

from ..autograd import Function, Tensor, check_tensor
from ..backend import array_module
from ..errors import ArgumentError, OutOfRangeError
from ._shared import Dims, check_keepdim, check_number, floating, normalize_dim, normalize_dims, require_floating
from .arithmetic import maximum, minimum
from .broadcast import BroadcastTo, expand
from .casting import as_dtype, to
from .elementwise import exp
from .indexing import ScatterAdd
from .selection import masked_fill
from .shape import Reshape, flip, squeeze, transpose, unsqueeze


def kept_shape(shape: tuple[int, ...], dims: tuple[int, ...]) -> tuple[int, ...]:
    """The shape with the reduced dimensions at length 1."""
    return tuple(1 if i in dims else length for i, length in enumerate(shape))


class Sum(Function):
    """Add up over dimensions; backward repeats the gradient over them."""

    saves_inputs = ()
    saves_outputs = ()

    def __init__(self, *, dims: tuple[int, ...], keepdim: bool):
        self.dims, self.keepdim = dims, keepdim

    def forward(self, x: Any) -> Any:
        return x.sum(axis=self.dims, keepdims=self.keepdim)

    def backward(self, gy: Tensor) -> Tensor:
        shape = self.input_shapes[0]
        if not self.keepdim:
            gy = Reshape(shape=kept_shape(shape, self.dims))(gy)
        return BroadcastTo(shape=shape)(gy)


class Mean(Sum):
    """Sum divided by the number of elements."""

    def forward(self, x: Any) -> Any:
        total = super().forward(x)
        count = math.prod([x.shape[d] for d in self.dims])
        return total / total.dtype.type(count)  # 0/0 = nan over no elements; divided, since 49 · (1/49) is not 1

    def backward(self, gy: Tensor) -> Tensor:
        count = math.prod([self.input_shapes[0][d] for d in self.dims])
        return super().backward(gy * (1 / count if count else math.nan))


class Var(Function):
    """The variance: squared deviations from the mean, added up, over `count`."""

    saves_inputs = (0,)
    saves_outputs: ClassVar[tuple[int, ...] | None] = ()

    def __init__(self, *, dims: tuple[int, ...], count: float):
        self.dims, self.count = dims, count

    def forward(self, x: Any) -> Any:
        deviation = x - (x.mean(axis=self.dims, keepdims=True) if x.size else 0)
        return (deviation * deviation).sum(axis=self.dims, keepdims=True) / x.dtype.type(self.count)

    def backward(self, gy: Tensor) -> Tensor:
        (x,) = self.inputs
        return (x - mean(x, self.dims, keepdim=True)) * (gy * (2 / self.count if self.count else math.nan))


class Std(Var):
    """y = √variance, so ∂y = ∂variance / 2y; the gradient at 0 is taken as 0, as in PyTorch."""

    saves_outputs = (0,)

    def forward(self, x: Any) -> Any:
        return array_module(x).sqrt(super().forward(x))

    def backward(self, gy: Tensor) -> Tensor:
        y = self.output(0)
        slope = masked_fill(0.5 / masked_fill(y, y == 0, 1.0), y == 0, 0.0)
        return super().backward(gy * slope)


class Extreme(Function):
    """The largest (or smallest) element; equal ones share the gradient."""

    saves_inputs = (0,)
    saves_outputs = (0,)

    def __init__(self, *, dims: tuple[int, ...], largest: bool):
        self.dims, self.largest = dims, largest

    def forward(self, x: Any) -> Any:
        return (x.max if self.largest else x.min)(axis=self.dims, keepdims=True)

    def backward(self, gy: Tensor) -> Tensor:
        x, y = self.input_arrays[0], self.output_arrays[0]
        winners = ((x == y) | ((x != x) & (y != y))).astype(x.dtype)  # a NaN wins
        return gy * Tensor(winners / winners.sum(axis=self.dims, keepdims=True, dtype=x.dtype))


class ExtremeAlong(Function):
    """The largest (or smallest) element along one dimension and its index, which gets the gradient."""

    saves_inputs = ()
    saves_outputs = (1,)
    non_differentiable = (1,)

    def __init__(self, *, dim: int, largest: bool):
        self.dim, self.largest = dim, largest

    def forward(self, x: Any) -> Any:
        xp = array_module(x)
        index = xp.expand_dims((x.argmax if self.largest else x.argmin)(axis=self.dim), self.dim)
        return xp.take_along_axis(x, index, axis=self.dim), index

    def backward(self, gy: Tensor, _: None) -> Tensor:
        return ScatterAdd(dim=self.dim, shape=self.input_shapes[0])(gy, self.output(1))


class LogSumExp(Function):
    """log Σ exp(x), shifted by the maximum so that nothing overflows."""

    saves_inputs = (0,)
    saves_outputs = (0,)
    name = "logsumexp"

    def __init__(self, *, dims: tuple[int, ...]):
        self.dims = dims

    def forward(self, x: Any) -> Any:
        xp = array_module(x)
        if not x.size:  # log 0
            return xp.log(x.sum(axis=self.dims, keepdims=True))
        shift = x.max(axis=self.dims, keepdims=True)
        shift = xp.where(xp.isfinite(shift), shift, xp.zeros_like(shift))
        return xp.log(xp.exp(x - shift).sum(axis=self.dims, keepdims=True)) + shift

    def backward(self, gy: Tensor) -> Tensor:
        (x,), y = self.inputs, self.output(0)
        return gy * exp(x - masked_fill(y, y == -math.inf, 0.0))


class CumSum(Function):
    """Running sums along one dimension; backward runs from the other end."""

    saves_inputs = ()
    saves_outputs = ()
    name = "cumsum"

    def __init__(self, *, dim: int):
        self.dim = dim

    def forward(self, x: Any) -> Any:
        return x.cumsum(axis=self.dim)

    def backward(self, gy: Tensor) -> Tensor:
        return flip(CumSum(dim=self.dim)(flip(gy, self.dim)), self.dim)


class Prod(Function):
    """The product along one dimension; each factor's gradient is the product of the others."""

    saves_inputs = (0,)
    saves_outputs = (0,)

    def __init__(self, *, dim: int):
        self.dim = dim

    def forward(self, x: Any) -> Any:
        return x.prod(axis=self.dim, keepdims=True)

    def backward(self, gy: Tensor) -> Tensor:
        (x,) = self.inputs
        if bool((self.input_arrays[0] != 0).all()):
            return gy * (self.output(0) / x)
        last = transpose(x, self.dim, -1)  # with a zero among them the others must be multiplied out
        length = last.shape[-1]
        own = Tensor(array_module(x.data).eye(length, dtype=bool))
        others = masked_fill(expand(unsqueeze(last, -2), (*last.shape[:-1], length, length)), own, 1.0)
        return gy * transpose(squeeze(Prod(dim=others.ndim - 1)(others), -1), self.dim, -1)


def _without(x: Tensor, dims: tuple[int, ...], keepdim: bool) -> Tensor:
    """Drop the reduced dimensions, which stand at length 1, unless they are to stay."""
    check_keepdim(keepdim, "reduction")
    return x if keepdim else Reshape(shape=tuple(n for d, n in enumerate(x.shape) if d not in dims))(x)


def _accumulated(x: Any, dtype: Any, op: str) -> Tensor:
    """x in the dtype in which it adds up: what is asked for, and int64 for integers and booleans."""
    x = check_tensor(x, op, "x")
    if dtype is not None:
        return to(x, dtype=as_dtype(dtype))
    return x if x.data.dtype.kind == "f" else to(x, dtype=np.int64)


def sum(x: Tensor, dim: Dims = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """The sum over `dim` (an integer, a tuple, or None for all). Integers and booleans add up as int64.

    Backward:  gx = gy repeated over the summed dimensions
    Returns:   without the summed dimensions, or with them at length 1 if keepdim
    """
    x = _accumulated(x, dtype, "sum")
    return Sum(dims=normalize_dims(dim, x.ndim, "sum"), keepdim=check_keepdim(keepdim, "sum"))(x)


def mean(x: Tensor, dim: Dims = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """The arithmetic mean over `dim`; nan over no elements.

    Backward:  gx = gy / n, repeated over the averaged dimensions
    Raises:    DtypeError: an integer tensor; say dtype=minidl.float32
    """
    x = check_tensor(x, "mean", "x") if dtype is None else to(x, dtype=as_dtype(dtype))
    x = require_floating(x, "mean")
    return Mean(dims=normalize_dims(dim, x.ndim, "mean"), keepdim=check_keepdim(keepdim, "mean"))(x)


def var(
    x: Tensor, dim: Dims = None, unbiased: bool | None = None, keepdim: bool = False, *, correction: float = 1
) -> Tensor:
    """The variance over `dim`.

    Math:      y = Σ (x − mean x)² / (n − correction); nan or inf where n ≤ correction
    Backward:  gx = gy · 2 (x − mean x) / (n − correction)
    Args:      correction: 1 for the unbiased estimate (Bessel), 0 for the mean square. unbiased: PyTorch's older
               spelling of correction 1 (True) or 0 (False)
    """
    return _variance(Var, x, dim, unbiased, keepdim, correction, "var")


def std(
    x: Tensor, dim: Dims = None, unbiased: bool | None = None, keepdim: bool = False, *, correction: float = 1
) -> Tensor:
    """The square root of :func:`var`.  Backward: gx = gy (x − mean x) / ((n − correction) y), 0 where y = 0.

    Edges:     computed in x's dtype: beyond 1e19 the variance of float32 numbers is ∞, and below 1e-23 it is 0, with no
               gradient; PyTorch adds up in float64
    """
    return _variance(Std, x, dim, unbiased, keepdim, correction, "std")


def _variance(
    function: type[Var], x: Any, dim: Dims, unbiased: bool | None, keepdim: bool, correction: float, op: str
) -> Tensor:
    x = require_floating(x, op)
    if isinstance(dim, bool):  # var(False), PyTorch's older spelling again
        dim, unbiased = None, dim
    dims = normalize_dims(dim, x.ndim, op)
    correction = check_number(correction if unbiased is None else bool(unbiased), op, "correction")
    count = math.prod(x.shape[d] for d in dims) - correction
    return _without(function(dims=dims, count=count if count > 0 else 0)(x), dims, keepdim)


def _require_elements(x: Tensor, dims: tuple[int, ...], op: str) -> None:
    if 0 in [x.shape[d] for d in dims]:
        raise OutOfRangeError(f"{op}: no elements to choose from along {dims} of a tensor of shape {x.shape}")


def _extreme(x: Any, dim: Dims, keepdim: bool, op: str) -> Tensor:
    x = check_tensor(x, op, "x")
    dims = normalize_dims(dim, x.ndim, op)
    _require_elements(x, dims, op)
    return _without(Extreme(dims=dims, largest=op in ("amax", "max"))(x), dims, keepdim)


def amax(x: Tensor, dim: Dims = None, keepdim: bool = False) -> Tensor:
    """The largest element over `dim`; NaN where there is one. Equal ones share the gradient; NaN takes it (in PyTorch
    the gradient is NaN too)."""
    return _extreme(x, dim, keepdim, "amax")


def amin(x: Tensor, dim: Dims = None, keepdim: bool = False) -> Tensor:
    """The smallest element over `dim`; NaN where there is one. The gradient goes as in :func:`amax`."""
    return _extreme(x, dim, keepdim, "amin")


def _extreme_along(x: Any, dim: Any, keepdim: bool, op: str, pairwise: Callable[..., Tensor]) -> Any:
    x = check_tensor(x, op, "x")
    if isinstance(dim, Tensor):
        return pairwise(x, dim)
    if dim is None:
        return _extreme(x, None, keepdim, op)
    dim, keepdim = normalize_dim(dim, x.ndim, op), check_keepdim(keepdim, op)
    flat = x.ndim == 0
    x = x.reshape(1) if flat else x
    _require_elements(x, (dim,), op)
    values, indices = ExtremeAlong(dim=dim, largest=op == "max")(x)
    kind = MaxResult if op == "max" else MinResult
    return kind(*(_without(y, (dim,), keepdim and not flat) for y in (values, indices)))


class MaxResult(NamedTuple):
    """The largest elements along a dimension, and where they stand."""

    values: Tensor
    indices: Tensor


class MinResult(NamedTuple):
    """The smallest elements along a dimension, and where they stand."""

    values: Tensor
    indices: Tensor


def max(x: Tensor, dim: int | Tensor | None = None, keepdim: bool = False) -> Any:
    """The largest element; with `dim` the pair (values, indices) along it, the first index under ties.

    Args:      dim: None for the whole tensor; a Tensor for the elementwise :func:`maximum`
    Backward:  with `dim` gy goes to the element that was chosen; without it equal ones share it
    """
    return _extreme_along(x, dim, keepdim, "max", maximum)


def min(x: Tensor, dim: int | Tensor | None = None, keepdim: bool = False) -> Any:
    """The smallest element; see :func:`max`."""
    return _extreme_along(x, dim, keepdim, "min", minimum)


def _arg(x: Any, dim: int | None, keepdim: bool, op: str) -> Tensor:
    x = check_tensor(x, op, "x")
    data = x.data.reshape(-1) if dim is None or x.ndim == 0 else x.data
    axis = 0 if dim is None else normalize_dim(dim, x.ndim, op)
    _require_elements(Tensor(data), (axis,), op)
    index = array_module(data).asarray(getattr(data, op)(axis=axis))
    if check_keepdim(keepdim, op):
        index = index.reshape((1,) * x.ndim) if dim is None else array_module(data).expand_dims(index, axis)
    return Tensor(index)


def argmax(x: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """The index of the largest element, the first under ties; without `dim` in the flattened tensor."""
    return _arg(x, dim, keepdim, "argmax")


def argmin(x: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """The index of the smallest element, the first under ties; without `dim` in the flattened tensor."""
    return _arg(x, dim, keepdim, "argmin")


def logsumexp(x: Tensor, dim: Dims = None, keepdim: bool = False) -> Tensor:
    """log Σ exp(x) over `dim`, safe from overflow.  Backward: gy · softmax(x), 0 if all are −∞ (in PyTorch NaN)."""
    x = floating(x, "logsumexp")
    dims = normalize_dims(dim, x.ndim, "logsumexp")
    return _without(LogSumExp(dims=dims)(x), dims, keepdim)


def norm(x: Tensor, p: float | str = "fro", dim: Dims = None, keepdim: bool = False) -> Tensor:
    """The p-norm of the elements over `dim`.

    Math:      (Σ |x|^p)^(1/p); p = inf the largest, −inf the smallest |x|, 0 the number of elements other than 0
    Backward:  p = 2: gy · x / y. At the zero vector the gradient is 0, as in PyTorch
    Args:      p: a number, or "fro" for 2
    """
    x = require_floating(x, "norm")
    dims = normalize_dims(dim, x.ndim, "norm")
    if p == "fro":
        p = 2.0
    if isinstance(p, str) or isinstance(p, bool):
        raise ArgumentError(f"norm: p must be a number or 'fro', got {p!r}")
    p = check_number(p, "norm", "p")
    if p == math.inf:
        return amax(x.abs(), dims, keepdim)
    if p == -math.inf:
        return amin(x.abs(), dims, keepdim)
    if p == 0:
        return sum(to(x != 0, dtype=x.dtype), dims, keepdim)
    if p == 1:
        return sum(x.abs(), dims, keepdim)
    if p == 2:
        powers = x * x
    elif 0 < p < 1:  # steep at 0: nothing flows there, as in PyTorch
        powers = masked_fill(masked_fill(x.abs(), x == 0, 1.0) ** p, x == 0, 0.0)
    else:
        powers = x.abs() ** p
    return root(sum(powers, dims, keepdim), p)


def root(x: Tensor, p: float) -> Tensor:
    """x^(1/p). At 0 the gradient, which is infinite for p > 1, is taken as 0, as in PyTorch."""
    zero = x == 0
    return masked_fill(masked_fill(x, zero, 1.0) ** (1 / p), zero, 0.0)


def prod(x: Tensor, dim: int | None = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """The product of the elements, of all or along one dimension. Integers and booleans multiply as int64.

    Backward:  gxᵢ = gy · Π_{j≠i} xⱼ, which is y / xᵢ where no factor is 0
    """
    x = _accumulated(x, dtype, "prod")
    if dim is None:
        y = Prod(dim=0)(x.reshape(-1))
        return y.reshape((1,) * x.ndim if keepdim else ())
    dim = normalize_dim(dim, x.ndim, "prod")
    return _without(Prod(dim=dim)(x), (dim,), keepdim) if x.ndim else x


def cumsum(x: Tensor, dim: int, *, dtype: Any = None) -> Tensor:
    """Running sums y[i] = x[0] + … + x[i] along one dimension.  Backward: the same from the other end."""
    x = _accumulated(x, dtype, "cumsum")
    dim = normalize_dim(dim, x.ndim, "cumsum")
    return CumSum(dim=dim)(x) if x.ndim else x


def cumprod(x: Tensor, dim: int, *, dtype: Any = None) -> Tensor:
    """Running products y[i] = x[0] · … · x[i] along one dimension.

    Backward:  gx[j] = Σ_{i≥j} gy[i] · Π_{k≤i, k≠j} x[k]
    Edges:     those are products, where PyTorch divides by x[j]: by its way NaN for ∞ / ∞, and 0 after an underflow
    """
    x = _accumulated(x, dtype, "cumprod")
    dim = normalize_dim(dim, x.ndim, "cumprod")
    if not x.ndim:
        return x
    last = transpose(x, dim, -1)
    length = last.shape[-1]
    later = Tensor(array_module(x.data).triu(array_module(x.data).ones((length, length), bool), 1))
    factors = masked_fill(expand(unsqueeze(last, -2), (*last.shape[:-1], length, length)), later, 1.0)
    return transpose(squeeze(Prod(dim=factors.ndim - 1)(factors), -1), dim, -1)


def any(x: Tensor, dim: Dims = None, keepdim: bool = False) -> Tensor:
    """Whether some element is not 0."""
    x = check_tensor(x, "any", "x")
    dims = normalize_dims(dim, x.ndim, "any")
    return Tensor(array_module(x.data).asarray((x.data != 0).any(axis=dims, keepdims=check_keepdim(keepdim, "any"))))


def all(x: Tensor, dim: Dims = None, keepdim: bool = False) -> Tensor:
    """Whether no element is 0."""
    x = check_tensor(x, "all", "x")
    dims = normalize_dims(dim, x.ndim, "all")
    return Tensor(array_module(x.data).asarray((x.data != 0).all(axis=dims, keepdims=check_keepdim(keepdim, "all"))))
