"""What every family of operations needs: operands of a common dtype, checked settings, reductions of a loss."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..autograd import Tensor, as_tensor, check_tensor
from ..errors import ArgumentError, ArgumentTypeError, DtypeError, OutOfRangeError

Size = tuple[int, ...]
Ints = int | Sequence[int]  # a setting: one for all spatial dimensions, or one for each
Dims = Ints | None


def operands(a: Any, b: Any, op: str) -> tuple[Tensor, Tensor]:
    """Two operands, at least one of them a Tensor: numbers and integer tensors take the float operand's dtype."""
    if not isinstance(b, Tensor):
        if not isinstance(a, Tensor):
            raise ArgumentTypeError(
                f"{op}: expected at least one Tensor, got {type(a).__name__} and {type(b).__name__}"
            )
        b = as_tensor(b, like=a)
    elif not isinstance(a, Tensor):
        a = as_tensor(a, like=b)
    if a.data.dtype is not b.data.dtype:
        kind_a, kind_b = a.data.dtype.kind, b.data.dtype.kind
        if kind_a == "f" and kind_b != "f":
            b = Tensor(b.data.astype(a.data.dtype))
        elif kind_b == "f" and kind_a != "f":
            a = Tensor(a.data.astype(b.data.dtype))
    return a, b


def floating(x: Any, op: str, name: str = "x") -> Tensor:
    """`x` as a floating-point tensor: integers and booleans become float32, as in PyTorch."""
    x = check_tensor(x, op, name)
    return x if x.data.dtype.kind == "f" else Tensor(x.data.astype(np.float32))


def require_floating(x: Any, op: str, name: str = "x") -> Tensor:
    """`x` if it is a floating-point tensor; else DtypeError: for operations that have no meaning on integers."""
    x = check_tensor(x, op, name)
    if x.dtype.kind != "f":  # a tensor that waits to be computed knows this
        raise DtypeError(
            f"{op}: {name} must be a floating-point tensor, got {x.dtype}; convert it with {name}.to(minidl.float32)"
        )
    return x


def check_integer(value: Any, op: str, name: str) -> int:
    """`value` if it is an integer; else ArgumentTypeError."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise ArgumentTypeError(f"{op}: {name} must be an integer, got {value!r}")
    return int(value)


def integers(values: tuple[Any, ...], op: str, keyword: Any = None) -> tuple[int, ...]:
    """Sizes given one by one, as one sequence, or by keyword."""
    if keyword is not None:
        values = (*values, keyword)
    if len(values) == 1 and isinstance(values[0], Sequence):
        values = tuple(values[0])
    for value in values:
        if isinstance(value, bool) or not isinstance(value, int | np.integer):
            raise ArgumentTypeError(f"{op}: sizes must be integers, got {values}")
    return tuple(int(value) for value in values)


def check_number(value: Any, op: str, name: str) -> float:
    """`value` as a Python float, which promotes no array, if it is a real number; else ArgumentTypeError."""
    if not isinstance(value, int | float | np.integer | np.floating):
        raise ArgumentTypeError(f"{op}: {name} must be a number, got {value!r:.80}")
    return float(value)


def check_keepdim(keepdim: Any, op: str) -> bool:
    """`keepdim` if it is a bool: x.sum(0, 1) does not mean x.sum((0, 1))."""
    if not isinstance(keepdim, bool | np.bool_):
        raise ArgumentTypeError(f"{op}: keepdim must be True or False, got {keepdim!r}; give several dims as one tuple")
    return bool(keepdim)


def normalize_dim(dim: Any, ndim: int, op: str) -> int:
    """A dimension counted from the front, in [0, ndim)."""
    dim = check_integer(dim, op, "dim")
    if not -max(ndim, 1) <= dim < max(ndim, 1):
        raise OutOfRangeError(
            f"{op}: dim {dim} is out of range for a tensor of {ndim} dimensions; "
            f"expected {-max(ndim, 1)} to {max(ndim, 1) - 1}"
        )
    return dim % max(ndim, 1)


def normalize_dims(dim: Dims, ndim: int, op: str) -> tuple[int, ...]:
    """Dimensions counted from the front, all of them for None or (); twice the same one is refused."""
    if dim is None:
        return tuple(range(ndim))
    if not isinstance(dim, int | np.integer | Sequence) or isinstance(dim, str):
        raise ArgumentTypeError(f"{op}: dim must be an integer or a sequence of integers, got {dim!r}")
    dims = tuple(normalize_dim(d, ndim, op) for d in ((dim,) if isinstance(dim, int | np.integer) else dim))
    if len(set(dims)) != len(dims):
        raise ArgumentError(f"{op}: dim {dim} names a dimension twice")
    if ndim == 0:
        return ()
    return dims if dims else tuple(range(ndim))


def ntuple(value: Any, n: int, op: str, name: str, minimum: int = 1) -> tuple[int, ...]:
    """A setting for n spatial dimensions, one integer for all or one for each, none below `minimum`."""
    values = (value,) * n if isinstance(value, int | np.integer) else value
    if not isinstance(values, Sequence) or isinstance(values, str):
        raise ArgumentTypeError(f"{op}: {name} must be an integer or a tuple of {n}, got {value!r}")
    if len(values) == 1:
        values = tuple(values) * n
    if len(values) != n:
        raise ArgumentError(f"{op}: {name} must have 1 or {n} entries, got {value!r}")
    for entry in values:
        if isinstance(entry, bool) or not isinstance(entry, int | np.integer):
            raise ArgumentTypeError(f"{op}: {name} must be made of integers, got {value!r}")
        if entry < minimum:
            raise ArgumentError(f"{op}: {name} must be at least {minimum}, got {value!r}")
    return tuple(int(entry) for entry in values)


def apply_reduction(loss: Tensor, reduction: str, op: str) -> Tensor:
    """The elements of a loss as they are ("none"), their mean or their sum."""
    if reduction == "mean":
        return loss.mean()
    if reduction == "sum":
        return loss.sum()
    if reduction == "none":
        return loss
    raise ArgumentError(f"{op}: reduction must be 'mean', 'sum' or 'none', got {reduction!r}")
