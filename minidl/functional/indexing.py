"""Reading by indices, and its adjoint, adding into places. Each backward is the other one."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import kernels
from ..autograd import Function, Tensor, check_tensor
from ..backend import array_module, in_range, is_array
from ..errors import ArgumentError, ArgumentTypeError, DtypeError, IndexTypeError, OutOfRangeError, ShapeError
from ._shared import normalize_dim
from .broadcast import broadcast_shapes, expand
from .selection import check_mask


class GetItem(Function):
    """x[index]. Adjoint: :class:`IndexPutAdd`."""

    saves_inputs = ()
    saves_outputs = ()
    is_view = True
    name = "getitem"

    def __init__(self, *, index: tuple[Any, ...]):
        self.index = index

    def forward(self, x: Any) -> Any:
        try:
            return x[self.index]
        except IndexError as error:
            raise OutOfRangeError(f"indexing: {error} (tensor of shape {x.shape})") from None
        except TypeError as error:  # x[1.5:]
            raise ArgumentTypeError(f"indexing: {error}, got {self.index}") from None
        except ValueError as error:  # x[::0]
            raise ArgumentError(f"indexing: {error}, got {self.index}") from None

    def backward(self, gy: Tensor) -> Tensor:
        return IndexPutAdd(index=self.index, shape=self.input_shapes[0])(gy)


class IndexPutAdd(Function):
    """Zeros with x added at [index], as often as a place is named. Adjoint: :class:`GetItem`."""

    saves_inputs = ()
    saves_outputs = ()

    def __init__(self, *, index: tuple[Any, ...], shape: tuple[int, ...]):
        self.index, self.shape = index, shape

    def forward(self, x: Any) -> Any:
        return kernels.of(x).index_put_add(self.shape, self.index, x)

    def backward(self, gy: Tensor) -> Tensor:
        return GetItem(index=self.index)(gy)


class Gather(Function):
    """y[i, j] = x[i, index[i, j]] along a dimension. Adjoint: :class:`ScatterAdd`."""

    saves_inputs = (1,)
    saves_outputs = ()

    def __init__(self, *, dim: int):
        self.dim = dim

    def forward(self, x: Any, index: Any) -> Any:
        cropped = tuple(slice(None) if d == self.dim else slice(n) for d, n in enumerate(index.shape))
        return array_module(x).take_along_axis(x[cropped], index, axis=self.dim)

    def backward(self, gy: Tensor) -> tuple[Tensor, None]:
        return ScatterAdd(dim=self.dim, shape=self.input_shapes[0])(gy, self.inputs[1]), None


class ScatterAdd(Function):
    """Zeros with y[i, index[i, j]] += x[i, j] along a dimension. Adjoint: :class:`Gather`."""

    saves_inputs = (1,)
    saves_outputs = ()

    def __init__(self, *, dim: int, shape: tuple[int, ...]):
        self.dim, self.shape = dim, shape

    def forward(self, x: Any, index: Any) -> Any:
        return kernels.of(x).scatter_add(self.shape, self.dim, index, x)

    def backward(self, gy: Tensor) -> tuple[Tensor, None]:
        return Gather(dim=self.dim)(gy, self.inputs[1]), None


def _index_entry(entry: Any, x: Tensor) -> Any:
    """An entry of an index as NumPy takes it: tensors and lists as arrays, the rest as it is."""
    if isinstance(entry, Tensor):
        entry = entry.data
    elif isinstance(entry, list | range):
        try:
            entry = array_module(x.data).asarray(entry)
        except ValueError:
            raise ArgumentError(f"indexing: the list {entry} is ragged, so it is no index") from None
        if entry.size == 0:
            entry = entry.astype(np.int64)
    elif isinstance(entry, np.ndarray) and not isinstance(x.data, np.ndarray):
        entry = array_module(x.data).asarray(entry)  # once, for forward and backward
    if is_array(entry):
        if entry.dtype.kind not in "biu":
            raise IndexTypeError(f"indexing: an index must be of integers or booleans, not of {entry.dtype}")
        if entry.dtype == np.uint8 and entry.ndim:
            raise IndexTypeError("indexing: is a uint8 tensor a mask or a list of places? Write .bool() or .long()")
        return entry if entry.dtype.kind == "b" else entry.astype(np.int64, copy=False)
    if entry is None or entry is Ellipsis or isinstance(entry, slice | bool | int | np.integer | np.bool_):
        return entry
    raise IndexTypeError(
        f"indexing: an index is made of integers, slices, None, ... and tensors, got {type(entry).__name__} {entry!r}"
    )


def getitem(x: Tensor, index: Any) -> Tensor:
    """x[index]: integers, slices, None, ..., integer and boolean tensors, as NumPy and PyTorch read them.

    Backward:  gy is added to zeros at [index]; a place that was read twice gets both
    Raises:    OutOfRangeError: an index outside the tensor
    """
    entries = index if isinstance(index, tuple) else (index,)
    return GetItem(index=tuple(_index_entry(entry, x) for entry in entries))(x)


def check_index(index: Any, length: int, op: str) -> Tensor:
    """An integer tensor whose values lie in [0, length), as int64: places computed from it must not overflow."""
    index = check_tensor(index, op, "index")
    if index.data.dtype.kind not in "iu":
        raise DtypeError(f"{op}: index must be an integer tensor, got {index.dtype}")
    places = index.data

    def error() -> Exception:
        low, high = int(places.min()), int(places.max())
        return OutOfRangeError(f"{op}: index {low if low < 0 else high} is out of range for length {length}")

    checked = in_range(places, length, error).astype(np.int64, copy=False)
    return index if checked is places else Tensor(checked)


def gather(x: Tensor, dim: int, index: Tensor) -> Tensor:
    """Pick along one dimension.

    Math:      y[i, j, k] = x[i, index[i, j, k], k]  for dim = 1
    Backward:  gx[i, index[i, j, k], k] += gy[i, j, k]
    Args:      index: integers, as many dimensions as x, none longer than x's but `dim`
    Returns:   the shape of index
    """
    x = check_tensor(x, "gather", "x")
    dim = normalize_dim(dim, x.ndim, "gather")
    index = check_index(index, x.shape[dim] if x.ndim else 1, "gather")
    _check_index_shape(index, x, dim, "gather", "x")
    return Gather(dim=dim)(x, index) if x.ndim else x.clone()


def _check_index_shape(index: Tensor, other: Tensor, dim: int | None, op: str, name: str) -> None:
    if index.ndim != other.ndim or any(
        a > b for d, (a, b) in enumerate(zip(index.shape, other.shape, strict=True)) if d != dim
    ):
        raise ShapeError(f"{op}: index of shape {index.shape} does not fit within {name} of shape {other.shape}")


def scatter_add(x: Tensor, dim: int, index: Tensor, src: Tensor) -> Tensor:
    """Add along one dimension into places given by an index; x itself is not changed.

    Math:      y = x, then y[i, index[i, j, k], k] += src[i, j, k]  for dim = 1
    Backward:  gx = gy, gsrc = gather(gy, dim, index)
    Args:      index: integers, as many dimensions as x; src at least as long in each
    """
    x, src = check_tensor(x, "scatter_add", "x"), check_tensor(src, "scatter_add", "src")
    dim = normalize_dim(dim, x.ndim, "scatter_add")
    index = check_index(index, x.shape[dim] if x.ndim else 1, "scatter_add")
    _check_index_shape(index, x, dim, "scatter_add", "x")
    _check_index_shape(index, src, None, "scatter_add", "src")
    if not x.ndim:
        return x + src
    if src.shape != index.shape:
        src = getitem(src, tuple(slice(n) for n in index.shape))
    return x + ScatterAdd(dim=dim, shape=x.shape)(src, index)


def masked_select(x: Tensor, mask: Tensor) -> Tensor:
    """The elements where `mask` holds, as a vector; x and mask are broadcast together.

    Raises:    DtypeError: mask is not boolean
    """
    x, mask = check_tensor(x, "masked_select", "x"), check_mask(mask, "masked_select", "mask")
    shape = broadcast_shapes("masked_select", x.shape, mask.shape)
    return getitem(expand(x, shape), expand(mask, shape))


def index_select(x: Tensor, dim: int, index: Tensor) -> Tensor:
    """The slices of `dim` that a vector of indices names, in its order."""
    x = check_tensor(x, "index_select", "x")
    dim = normalize_dim(dim, x.ndim, "index_select")
    index = check_index(index, x.shape[dim] if x.ndim else 1, "index_select")
    if index.ndim > 1 or (not x.ndim and index.numel() != 1):
        raise ShapeError(f"index_select: index must be a vector, got shape {index.shape} (x {x.shape})")
    if not x.ndim:
        return x.clone()
    return GetItem(index=(slice(None),) * dim + (index.data.reshape(-1),))(x)


def take_along_dim(x: Tensor, indices: Tensor, dim: int | None = None) -> Tensor:
    """Pick along one dimension with broadcasting elsewhere: what argmax and argsort return reads the values back."""
    x = check_tensor(x, "take_along_dim", "x")
    indices = check_tensor(indices, "take_along_dim", "indices")
    if dim is None:
        return gather(x.reshape(-1), 0, indices.reshape(-1))
    if indices.ndim != x.ndim:
        raise ShapeError(
            f"take_along_dim: indices of shape {indices.shape} need as many dimensions as x of shape {x.shape}"
        )
    dim = normalize_dim(dim, x.ndim, "take_along_dim")
    rest = broadcast_shapes(
        "take_along_dim",
        x.shape[:dim] + (1,) + x.shape[dim + 1 :],
        indices.shape[:dim] + (1,) + indices.shape[dim + 1 :],
    )
    spread = expand(indices, rest[:dim] + (indices.shape[dim],) + rest[dim + 1 :])
    return gather(expand(x, rest[:dim] + (x.shape[dim],) + rest[dim + 1 :]), dim, spread)
