"""Rearranging elements: shapes, orders, pieces and joins. Backward rearranges the gradient the other way."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import kernels
from ..autograd import Function, Tensor, check_tensor
from ..backend import array_module
from ..errors import ArgumentError, ArgumentTypeError, ShapeError
from ._shared import check_integer, integers, normalize_dim, normalize_dims, operands
from .broadcast import expand


class _Rearrange(Function):
    saves_inputs = ()
    saves_outputs = ()


class Reshape(_Rearrange):
    is_view = True

    def __init__(self, *, shape: tuple[int, ...]):
        self.shape = shape

    def forward(self, x: Any) -> Any:
        if not x.flags.c_contiguous:
            x = kernels.of(x).contiguous(x)  # large images lie in memory by pixels, and are copied on all cores
        return x.reshape(self.shape)

    def backward(self, gy: Tensor) -> Tensor:
        return Reshape(shape=self.input_shapes[0])(gy)


class Permute(_Rearrange):
    is_view = True

    def __init__(self, *, dims: tuple[int, ...]):
        self.dims = dims

    def forward(self, x: Any) -> Any:
        return x.transpose(self.dims)

    def backward(self, gy: Tensor) -> Tensor:
        return Permute(dims=tuple(int(i) for i in np.argsort(self.dims)))(gy)


class Flip(_Rearrange):
    is_view = True

    def __init__(self, *, dims: tuple[int, ...]):
        self.dims = dims

    def forward(self, x: Any) -> Any:
        return array_module(x).flip(x, self.dims)

    def backward(self, gy: Tensor) -> Tensor:
        return Flip(dims=self.dims)(gy)


class Roll(_Rearrange):
    def __init__(self, *, shifts: tuple[int, ...], dims: tuple[int, ...]):
        self.shifts, self.dims = shifts, dims

    def forward(self, x: Any) -> Any:
        return array_module(x).roll(x, self.shifts, self.dims)

    def backward(self, gy: Tensor) -> Tensor:
        return Roll(shifts=tuple(-shift for shift in self.shifts), dims=self.dims)(gy)


class Cat(_Rearrange):
    def __init__(self, *, dim: int):
        self.dim = dim

    def forward(self, *arrays: Any) -> Any:
        return array_module(arrays[0]).concatenate(arrays, axis=self.dim)

    def backward(self, gy: Tensor) -> tuple[Tensor | None, ...]:
        gradients: list[Tensor | None] = []
        start = 0
        for shape, need in zip(self.input_shapes, self.needs_input_grad, strict=True):
            stop = start + shape[self.dim]
            gradients.append(Narrow(dim=self.dim, start=start, stop=stop)(gy) if need else None)
            start = stop
        return tuple(gradients)


class Narrow(_Rearrange):
    """The slice [start, stop) of one dimension. Adjoint: :class:`Embed`."""

    is_view = True

    def __init__(self, *, dim: int, start: int, stop: int):
        self.dim, self.start, self.stop = dim, start, stop

    def forward(self, x: Any) -> Any:
        return x[(slice(None),) * self.dim + (slice(self.start, self.stop),)]

    def backward(self, gy: Tensor) -> Tensor:
        return Embed(dim=self.dim, start=self.start, length=self.input_shapes[0][self.dim])(gy)


class Embed(_Rearrange):
    """Zeros with x at [start, start + its length) of one dimension. Adjoint: :class:`Narrow`."""

    def __init__(self, *, dim: int, start: int, length: int):
        self.dim, self.start, self.length = dim, start, length

    def forward(self, x: Any) -> Any:
        shape = x.shape[: self.dim] + (self.length,) + x.shape[self.dim + 1 :]
        y = array_module(x).zeros(shape, x.dtype)
        y[(slice(None),) * self.dim + (slice(self.start, self.start + x.shape[self.dim]),)] = x
        return y

    def backward(self, gy: Tensor) -> Tensor:
        return Narrow(dim=self.dim, start=self.start, stop=self.start + self.input_shapes[0][self.dim])(gy)


def _dim_of(x: Tensor, dim: Any, op: str) -> int:
    """A dimension of x counted from the front, where x must have one."""
    if not x.ndim:
        raise ShapeError(f"{op}: expects at least 1 dimension, got a tensor without any")
    return normalize_dim(dim, x.ndim, op)


def _resolve_shape(shape: tuple[int, ...], numel: int, old: tuple[int, ...], op: str) -> tuple[int, ...]:
    """The shape with its −1 worked out."""
    known = math.prod(size for size in shape if size != -1)
    if shape.count(-1) > 1 or any(size < -1 for size in shape):
        raise ShapeError(f"{op}: {shape} is not a shape; sizes are not negative, but for one −1 that is worked out")
    if -1 in shape and known and numel % known == 0:
        shape = tuple(numel // known if size == -1 else size for size in shape)
    if -1 in shape or math.prod(shape) != numel:
        raise ShapeError(f"{op}: shape {shape} does not fit {numel} elements (tensor of shape {old})")
    return shape


def reshape(x: Tensor, *sizes: Any, shape: Any = None) -> Tensor:
    """The same elements, in row-major order, in another shape.

    Args:      sizes: the shape as integers or one tuple, or as the keyword shape; one −1 is worked out
    Returns:   a view where the memory layout allows one, else a copy
    Raises:    ShapeError: the number of elements would change
    """
    x = check_tensor(x, "reshape", "x")
    wanted = integers(sizes, "reshape", shape)
    return Reshape(shape=_resolve_shape(wanted, x.numel(), x.shape, "reshape"))(x)


def view(x: Tensor, *sizes: Any, size: Any = None) -> Tensor:
    """:func:`reshape`. PyTorch refuses a view that needs a copy; here the copy is made."""
    return reshape(x, *sizes, shape=size)


def flatten(x: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """Merge dimensions start_dim … end_dim into one: a pure reshape, with no arithmetic.

    Source:    LeCun et al. 1998, the step from feature maps to the fully connected layers
    """
    x = check_tensor(x, "flatten", "x")
    start, end = normalize_dim(start_dim, x.ndim, "flatten"), normalize_dim(end_dim, x.ndim, "flatten")
    if start > end:
        raise ArgumentError(f"flatten: start_dim {start_dim} lies behind end_dim {end_dim} (shape {x.shape})")
    merged = math.prod(x.shape[start : end + 1])
    return Reshape(shape=x.shape[:start] + (merged,) + x.shape[end + 1 :])(x)


def unflatten(x: Tensor, dim: int, sizes: Sequence[int]) -> Tensor:
    """Split dimension `dim` into `sizes`, of which one may be −1."""
    x = check_tensor(x, "unflatten", "x")
    dim = _dim_of(x, dim, "unflatten")
    inner = _resolve_shape(integers((sizes,), "unflatten"), x.shape[dim], x.shape, "unflatten")
    return Reshape(shape=x.shape[:dim] + inner + x.shape[dim + 1 :])(x)


def squeeze(x: Tensor, dim: int | Sequence[int] | None = None) -> Tensor:
    """Drop dimensions of length 1: all, or those of `dim` that have it."""
    x = check_tensor(x, "squeeze", "x")
    dims = normalize_dims(dim, x.ndim, "squeeze")
    return Reshape(shape=tuple(n for i, n in enumerate(x.shape) if n != 1 or i not in dims))(x)


def unsqueeze(x: Tensor, dim: int) -> Tensor:
    """Insert a dimension of length 1 at `dim`."""
    x = check_tensor(x, "unsqueeze", "x")
    dim = normalize_dim(dim, x.ndim + 1, "unsqueeze")
    return Reshape(shape=x.shape[:dim] + (1,) + x.shape[dim:])(x)


def permute(x: Tensor, *order: Any, dims: Any = None) -> Tensor:
    """Reorder dimensions: y.shape[i] = x.shape[order[i]]; a view. `dims` is the order as a keyword."""
    x = check_tensor(x, "permute", "x")
    wanted = integers(order, "permute", dims)
    if len(wanted) != x.ndim:
        raise ShapeError(f"permute: {wanted} does not name each of the {x.ndim} dimensions of shape {x.shape} once")
    return Permute(dims=normalize_dims(wanted, x.ndim, "permute"))(x)


def transpose(x: Tensor, dim0: int, dim1: int) -> Tensor:
    """Swap two dimensions; a view."""
    x = check_tensor(x, "transpose", "x")
    i, j = normalize_dim(dim0, x.ndim, "transpose"), normalize_dim(dim1, x.ndim, "transpose")
    order = list(range(x.ndim))
    if x.ndim:
        order[i], order[j] = order[j], order[i]
    return Permute(dims=tuple(order))(x)


def t(x: Tensor) -> Tensor:
    """The transpose of a matrix; vectors as they are.

    Raises:    ShapeError: more than 2 dimensions
    """
    if check_tensor(x, "t", "x").ndim > 2:
        raise ShapeError(f"t: expects at most 2 dimensions, got shape {x.shape}; use x.mT or x.permute(...)")
    return Permute(dims=tuple(reversed(range(x.ndim))))(x)


def mT(x: Tensor) -> Tensor:
    """The transpose of each matrix in the last two dimensions."""
    if check_tensor(x, "mT", "x").ndim < 2:
        raise ShapeError(f"mT: expects at least 2 dimensions, got shape {x.shape}")
    return transpose(x, -2, -1)


def repeat(x: Tensor, *counts: Any, repeats: Any = None) -> Tensor:
    """The tensor laid side by side with itself: counts[i] times along dimension i, counted from the right.

    Args:      counts: integers or one tuple, or the keyword repeats; more than the dimensions add some in front
    """
    x = check_tensor(x, "repeat", "x")
    counts = integers(counts, "repeat", repeats)
    if len(counts) < x.ndim or any(count < 0 for count in counts):
        raise ShapeError(
            f"repeat: {counts} must give a count ≥ 0 for each of the {x.ndim} dimensions of shape {x.shape}"
        )
    shape = (1,) * (len(counts) - x.ndim) + x.shape
    split = tuple(n for length in shape for n in (1, length))
    tiled = tuple(n for count, length in zip(counts, shape, strict=True) for n in (count, length))
    whole = tuple(count * length for count, length in zip(counts, shape, strict=True))
    return reshape(expand(reshape(x, split), tiled), whole)


def flip(x: Tensor, dims: int | Sequence[int], *more: int) -> Tensor:
    """Reverse the order along `dims`."""
    x = check_tensor(x, "flip", "x")
    wanted = (dims, *more) if isinstance(dims, int | np.integer) else dims
    return x if wanted == () or wanted == [] else Flip(dims=normalize_dims(wanted, x.ndim, "flip"))(x)


def roll(x: Tensor, shifts: int | Sequence[int], dims: int | Sequence[int] | None = None) -> Tensor:
    """Shift along `dims`; what leaves at one end enters at the other. Without dims the flattened tensor is shifted."""
    x = check_tensor(x, "roll", "x")
    steps = integers((shifts,), "roll")
    if dims is None:
        if len(steps) != 1:
            raise ArgumentError(f"roll: {len(steps)} shifts {shifts} need as many dims")
        return reshape(Roll(shifts=steps, dims=(0,))(reshape(x, -1)), x.shape)
    where = tuple(normalize_dim(d, x.ndim, "roll") for d in (dims if isinstance(dims, Sequence) else (dims,)))
    if len(steps) != len(where):
        raise ArgumentError(f"roll: {len(steps)} shifts {shifts} but {len(where)} dims {dims}")
    return Roll(shifts=steps, dims=where)(x) if x.ndim else x


def check_tensors(tensors: Any, op: str) -> list[Tensor]:
    """A sequence of at least one Tensor, as a list."""
    if isinstance(tensors, Tensor) or not isinstance(tensors, Sequence):
        raise ArgumentTypeError(f"{op}: expects a sequence of Tensors, got {type(tensors).__name__}")
    if not tensors:
        raise ArgumentError(f"{op}: expects at least one Tensor, got an empty sequence")
    return [check_tensor(x, op, f"tensors[{i}]") for i, x in enumerate(tensors)]


def cat(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """Join tensors along an existing dimension; all others must agree.

    Backward:  each tensor gets its slice of gy
    """
    parts = check_tensors(tensors, "cat")
    parts = [x for x in parts if x.shape != (0,)] or parts[:1]  # an empty vector fits everywhere, as in PyTorch
    dim = _dim_of(parts[0], dim, "cat")
    rest = [x.shape[:dim] + x.shape[dim + 1 :] for x in parts]
    if any(x.ndim != parts[0].ndim for x in parts) or any(r != rest[0] for r in rest):
        raise ShapeError(f"cat: shapes {', '.join(str(x.shape) for x in parts)} differ outside dimension {dim}")
    widest = max(parts, key=lambda x: (x.data.dtype.kind == "f", x.data.dtype.itemsize))
    return Cat(dim=dim)(*[operands(x, widest, "cat")[0] for x in parts])


def stack(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """Join tensors of one shape along a new dimension."""
    parts = check_tensors(tensors, "stack")
    if any(x.shape != parts[0].shape for x in parts):
        raise ShapeError(f"stack: shapes must be equal, got {', '.join(str(x.shape) for x in parts)}")
    return cat([unsqueeze(x, dim) for x in parts], normalize_dim(dim, parts[0].ndim + 1, "stack"))


def split(x: Tensor, split_size: int | Sequence[int], dim: int = 0) -> tuple[Tensor, ...]:
    """Cut along `dim` into pieces of one size (the last may be smaller) or of the given sizes."""
    x = check_tensor(x, "split", "x")
    dim = _dim_of(x, dim, "split")
    length = x.shape[dim]
    if not isinstance(split_size, Sequence):
        size = check_integer(split_size, "split", "split_size")
        if size < 1:
            raise ArgumentError(f"split: the size of a piece must be at least 1, got {size}")
        sizes = [min(size, length - start) for start in range(0, length, size)] or [0]
    else:
        sizes = [check_integer(size, "split", "each size") for size in split_size]
        if sum(sizes) != length or any(size < 0 for size in sizes):
            raise ShapeError(
                f"split: sizes {sizes} do not add up to {length}, the length of dimension {dim} of {x.shape}"
            )
    stops = np.cumsum(sizes).tolist()
    return tuple(Narrow(dim=dim, start=stop - size, stop=stop)(x) for size, stop in zip(sizes, stops, strict=True))


def chunk(x: Tensor, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
    """Cut along `dim` into at most `chunks` pieces of equal size (the last may be smaller)."""
    x = check_tensor(x, "chunk", "x")
    if check_integer(chunks, "chunk", "chunks") < 1:
        raise ArgumentError(f"chunk: chunks must be at least 1, got {chunks}")
    length = x.shape[_dim_of(x, dim, "chunk")]
    return split(x, -(-length // chunks) if length else [0] * chunks, dim)


def unbind(x: Tensor, dim: int = 0) -> tuple[Tensor, ...]:
    """The slices along `dim`, without that dimension."""
    x = check_tensor(x, "unbind", "x")
    dim = _dim_of(x, dim, "unbind")
    return tuple(squeeze(piece, dim) for piece in split(x, 1, dim)) if x.shape[dim] else ()


def narrow(x: Tensor, dim: int, start: int, length: int) -> Tensor:
    """The slice [start, start + length) of dimension `dim`; a view. A negative start counts from the end."""
    x = check_tensor(x, "narrow", "x")
    dim = _dim_of(x, dim, "narrow")
    start, length = check_integer(start, "narrow", "start"), check_integer(length, "narrow", "length")
    start += x.shape[dim] if start < 0 else 0
    if not 0 <= start <= start + length <= x.shape[dim]:
        raise ArgumentError(f"narrow: [{start}, {start + length}) does not lie in dimension {dim} of shape {x.shape}")
    return Narrow(dim=dim, start=start, stop=start + length)(x)
