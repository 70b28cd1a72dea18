"""The tensor: an array, and its place in the graph of operations that made it.

It knows no mathematics: every operation, operators included, is a function of :mod:`minidl.functional` and attached
from there as a method, so that there is one definition of each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ..backend import Device, array_module, device_of, is_array, to_numpy
from ..errors import (
    ArgumentTypeError,
    DeviceError,
    DtypeError,
    GradientError,
    InPlaceError,
    MissingAttributeError,
    OutOfRangeError,
    ShapeError,
)

if TYPE_CHECKING:
    from .function import Function

SUPPORTED_DTYPES = tuple(
    np.dtype(name) for name in ("float32", "float64", "float16", "int64", "int32", "int16", "int8", "uint8", "bool")
)


class RemovableHandle:
    """What registering a hook returns: ``handle.remove()`` takes the hook away again; also a context manager."""

    def __init__(self, hooks: list[Callable[..., Any]], hook: Callable[..., Any]):
        self._hooks, self._hook = hooks, hook
        hooks.append(hook)

    def remove(self) -> None:
        """Take the hook away; a second call does nothing."""
        self._hooks[:] = [hook for hook in self._hooks if hook is not self._hook]

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(self, *exception: object) -> None:
        self.remove()


class Tensor:
    """An N-dimensional array that can remember how it was made.

    Args:      data: NumPy or CuPy array, taken as it is (see :func:`minidl.tensor` for lists and numbers)
               requires_grad: whether a backward pass leaves a gradient in ``grad``
    Attributes: data: the array. grad: Tensor or None. grad_fn: the Function that made it, None for a leaf
    Raises:    ArgumentTypeError: data is no array. DtypeError: a dtype that minidl does not have
    """

    __slots__ = ("_hooks", "_output_index", "_requires_grad", "_version", "data", "grad", "grad_fn")
    __array_ufunc__ = None  # numpy_array * tensor is ours to do, not NumPy's
    edges: ClassVar[tuple[()]] = ()  # a leaf in the graph leads nowhere
    _output_metas: ClassVar[tuple[None]] = (None,)  # and has one gradient

    def __init__(self, data: Any, requires_grad: bool = False):
        if isinstance(data, np.generic):  # what NumPy makes of an array without dimensions
            data = np.asarray(data)
        if not is_array(data):
            raise ArgumentTypeError(
                f"Tensor: expected a NumPy or CuPy array, got {type(data).__name__}; "
                "use minidl.tensor(...) for lists and numbers"
            )
        if data.dtype not in SUPPORTED_DTYPES or not data.dtype.isnative:
            raise DtypeError(
                f"Tensor: dtype {data.dtype} is not supported; minidl has {', '.join(map(str, SUPPORTED_DTYPES))}"
            )
        self.data = data
        self.grad: Tensor | None = None
        self.grad_fn: Function | None = None
        self._output_index = 0
        self._hooks: list[Callable[..., Any]] | None = None
        self._version = 0
        self._requires_grad = False
        if requires_grad:
            self.requires_grad = True

    # What it is ------------------------------------------------------------------------------------------------------

    @property
    def shape(self) -> tuple[int, ...]:
        """The length of each dimension."""
        return self.data.shape

    @property
    def ndim(self) -> int:
        """The number of dimensions."""
        return self.data.ndim

    @property
    def dtype(self) -> np.dtype:
        """The type of the elements, a NumPy dtype."""
        return self.data.dtype

    @property
    def device(self) -> Device:
        """Where the array lives."""
        return device_of(self.data)

    @property
    def itemsize(self) -> int:
        """Bytes of one element."""
        return self.data.itemsize

    @property
    def nbytes(self) -> int:
        """Bytes of all elements."""
        return self.data.nbytes

    def size(self, dim: int | None = None) -> Any:
        """The shape, or its entry `dim`."""
        if dim is None:
            return self.shape
        if isinstance(dim, bool) or not isinstance(dim, int | np.integer):
            raise ArgumentTypeError(f"size: dim must be an integer, got {dim!r}")
        if not -self.ndim <= dim < self.ndim:
            raise OutOfRangeError(f"size: dim {dim} is out of range for a tensor of shape {self.shape}")
        return self.shape[dim]

    def numel(self) -> int:
        """The number of elements."""
        return self.data.size

    def dim(self) -> int:
        """The number of dimensions."""
        return self.data.ndim

    def is_floating_point(self) -> bool:
        """Whether the elements are floating-point numbers."""
        return self.data.dtype.kind == "f"

    def is_contiguous(self) -> bool:
        """Whether the elements lie in memory in row-major order without gaps."""
        return bool(self.data.flags.c_contiguous)

    # Its place in the graph ------------------------------------------------------------------------------------------

    @property
    def requires_grad(self) -> bool:
        """Whether gradients flow to this tensor. Only a leaf can be told to stop; use ``detach()`` elsewhere."""
        return self._requires_grad

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        if value and self.data.dtype.kind != "f":
            raise DtypeError(
                f"requires_grad: only floating-point tensors can require gradients, this one is {self.dtype}"
            )
        if not value and self.grad_fn is not None:
            raise GradientError(
                f"requires_grad: cannot be switched off for the result of {self.grad_fn.name}; use x.detach() instead"
            )
        self._requires_grad = bool(value)

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        """Set ``requires_grad`` and return the tensor itself."""
        self.requires_grad = requires_grad
        return self

    @property
    def is_leaf(self) -> bool:
        """Whether the user made it, rather than a recorded operation."""
        return self.grad_fn is None

    def detach(self) -> Tensor:
        """A tensor with the same array and no history: gradients do not flow through it."""
        return Tensor(self.data)

    def bump_version(self) -> None:
        """Declare that ``data`` was written to in place, as optimizers do: a graph that has saved it refuses to run."""
        self._version += 1

    def backward(
        self, gradient: Tensor | None = None, retain_graph: bool | None = None, create_graph: bool = False
    ) -> None:
        """Add the gradients of this tensor to ``grad`` of every leaf that it depends on.

        Math:      x.grad += Jᵀ · gradient for each leaf x, J = ∂self/∂x
        Args:      gradient: the cotangent, of this tensor's shape; may be left out for one element (then 1).
                   retain_graph: keep what the graph has saved, for another pass (default: ``create_graph``).
                   create_graph: record the backward pass itself, for gradients of gradients
        Raises:    GradientError: nothing here requires a gradient, the graph was already freed, or the gradient is
                   missing or does not fit. InPlaceError: a saved tensor was changed since
        """
        from .engine import backward

        backward(self, gradient, retain_graph=retain_graph, create_graph=create_graph)

    def register_hook(self, hook: Callable[[Tensor], Tensor | None]) -> RemovableHandle:
        """Call ``hook(gradient)`` when this tensor's gradient is complete; a Tensor that it returns takes its place."""
        if not self._requires_grad:
            raise GradientError(
                "register_hook: this tensor does not require a gradient, so no gradient will ever reach it"
            )
        if self.grad_fn is not None:
            return RemovableHandle(self.grad_fn.output_hooks(self._output_index), hook)
        if self._hooks is None:
            self._hooks = []
        return RemovableHandle(self._hooks, hook)

    def retain_grad(self) -> None:
        """Let ``backward`` add the gradient of this tensor to its ``grad`` although it is not a leaf."""
        if not self._requires_grad:
            raise GradientError(
                "retain_grad: this tensor does not require a gradient, so no gradient will ever reach it"
            )
        if self.grad_fn is not None:
            self.grad_fn.retained = {**(self.grad_fn.retained or {}), self._output_index: self}

    # Leaving the engine ----------------------------------------------------------------------------------------------

    def numpy(self) -> np.ndarray:
        """The NumPy array itself, sharing memory.

        Raises:    DeviceError: the tensor is on a GPU. GradientError: it requires a gradient (``detach()`` it first)
        """
        if not isinstance(self.data, np.ndarray):
            raise DeviceError(f"numpy: the tensor is on {self.device}; call .cpu() first")
        if self._requires_grad:
            raise GradientError(
                "numpy: the tensor requires a gradient, which an array cannot carry; use x.detach().numpy()"
            )
        return self.data

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self.numpy(), dtype=dtype, copy=copy)

    def item(self) -> Any:
        """The one element as a Python number."""
        if self.data.size != 1:
            raise ShapeError(f"item: needs a tensor of one element, this one has {self.data.size} (shape {self.shape})")
        return to_numpy(self.data).item()

    def tolist(self) -> Any:
        """The elements as nested lists of Python numbers."""
        return to_numpy(self.data).tolist()

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __index__(self) -> int:
        if self.data.dtype.kind not in "iu":
            raise ArgumentTypeError(f"only an integer tensor of one element can be an index, this one is {self.dtype}")
        return int(self.item())

    def __bool__(self) -> bool:
        if self.data.size != 1:
            raise ShapeError(
                f"the truth value of a tensor of shape {self.shape} is ambiguous; use (x != 0).sum() > 0 or x.numel()"
            )
        return bool(self.item())

    # As a container --------------------------------------------------------------------------------------------------

    def __len__(self) -> int:
        if self.ndim == 0:
            raise ArgumentTypeError("len() of a tensor without dimensions")
        return self.data.shape[0]

    def __iter__(self) -> Iterator[Tensor]:
        if self.ndim == 0:
            raise ArgumentTypeError("iteration over a tensor without dimensions")
        return (self[i] for i in range(self.data.shape[0]))

    def __contains__(self, value: Any) -> bool:
        return bool(self.eq(value).any())

    def __setitem__(self, index: Any, value: Any) -> None:
        raise InPlaceError(
            "tensors cannot be assigned into: what the graph has saved would change. Build a new tensor with "
            "where(mask, a, b), scatter_add, pad or cat; or write to x.data[...] of a tensor that no graph uses"
        )

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            advice = "; tensors are not changed in place: use the function without the underscore, or x.grad = None"
            raise MissingAttributeError(
                f"a Tensor has no attribute {name!r}{advice if name.endswith('_') and name[0] != '_' else ''}"
            )

    __hash__ = object.__hash__

    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
        if self.grad_fn is not None:
            raise GradientError(
                f"deepcopy: only leaf tensors can be copied, this one was made by {self.grad_fn.name}; use x.detach()"
            )
        copy = type(self)(self.data.copy(order="K"), requires_grad=self._requires_grad)
        memo[id(self)] = copy
        if self.grad is not None:
            copy.grad = self.grad.detach().__deepcopy__(memo)
        return copy

    def __format__(self, spec: str) -> str:
        return format(self.item(), spec) if spec or self.ndim == 0 else repr(self)

    def __repr__(self) -> str:
        prefix = f"{'parameter' if type(self).__name__ == 'Parameter' else 'tensor'}("
        text = np.array2string(to_numpy(self.data), separator=", ", precision=4, threshold=200, prefix=prefix)
        notes = "" if self.data.dtype in (np.float32, np.int64, np.bool_) else f", dtype={self.dtype}"
        if self.device.type != "cpu":
            notes += f", device='{self.device}'"
        if self.grad_fn is not None:
            notes += f", grad_fn=<{self.grad_fn.name}>"
        elif self._requires_grad:
            notes += ", requires_grad=True"
        return f"{prefix}{text}{notes})"

    if TYPE_CHECKING:  # attached by minidl.functional

        def __getattr__(self, name: str) -> Any: ...
        def __getitem__(self, index: Any) -> Tensor: ...
        def __neg__(self) -> Tensor: ...
        def __abs__(self) -> Tensor: ...
        def __invert__(self) -> Tensor: ...
        def __add__(self, other: Any) -> Tensor: ...
        def __radd__(self, other: Any) -> Tensor: ...
        def __sub__(self, other: Any) -> Tensor: ...
        def __rsub__(self, other: Any) -> Tensor: ...
        def __mul__(self, other: Any) -> Tensor: ...
        def __rmul__(self, other: Any) -> Tensor: ...
        def __truediv__(self, other: Any) -> Tensor: ...
        def __rtruediv__(self, other: Any) -> Tensor: ...
        def __floordiv__(self, other: Any) -> Tensor: ...
        def __mod__(self, other: Any) -> Tensor: ...
        def __pow__(self, other: Any) -> Tensor: ...
        def __rpow__(self, other: Any) -> Tensor: ...
        def __pos__(self) -> Tensor: ...
        def __matmul__(self, other: Any) -> Tensor: ...
        def __rmatmul__(self, other: Any) -> Tensor: ...
        def __lt__(self, other: Any) -> Tensor: ...
        def __le__(self, other: Any) -> Tensor: ...
        def __gt__(self, other: Any) -> Tensor: ...
        def __ge__(self, other: Any) -> Tensor: ...
        def __and__(self, other: Any) -> Tensor: ...
        def __or__(self, other: Any) -> Tensor: ...
        def __xor__(self, other: Any) -> Tensor: ...
        def __eq__(self, other: Any) -> Tensor: ...  # type: ignore[override]
        def __ne__(self, other: Any) -> Tensor: ...  # type: ignore[override]


def _wrap(array: Any) -> Tensor:
    """A Tensor around an array that the engine made: no questions asked, for speed."""
    y = Tensor.__new__(Tensor)
    y.data = array
    y.grad = y.grad_fn = y._hooks = None
    y._output_index = y._version = 0
    y._requires_grad = False
    return y


def check_tensor(value: Any, op: str, name: str) -> Tensor:
    """`value` if it is a Tensor; else ArgumentTypeError that names the operation and the argument."""
    if not isinstance(value, Tensor):
        raise ArgumentTypeError(
            f"{op}: {name} must be a Tensor, got {type(value).__name__}; wrap it with minidl.tensor(...)"
        )
    return value


def as_tensor(value: Any, like: Tensor) -> Tensor:
    """`value` as an operand beside `like`: tensors as they are, arrays wrapped, numbers so that `like`'s dtype stays.

    Python and NumPy scalars never promote a tensor of the same kind; a float beside an integer tensor is float32.
    """
    if isinstance(value, Tensor):
        return value
    dtype = like.data.dtype
    if isinstance(value, (float, np.floating)):  # tuples, which are faster here than unions of types
        if dtype.kind != "f":
            dtype = np.dtype(np.float32)
    elif isinstance(value, (int, np.integer)) and not isinstance(value, bool):
        if dtype.kind == "b":
            dtype = np.dtype(np.int64)
    elif is_array(value):
        return Tensor(value)
    elif not isinstance(value, (bool, np.bool_)):
        raise ArgumentTypeError(f"expected a Tensor, an array or a real number, got {type(value).__name__}")
    try:
        with np.errstate(over="ignore"):  # 1e39 is ∞ in float32, as in PyTorch
            if isinstance(like.data, np.ndarray):
                return _wrap(np.asarray(value, dtype=dtype))
            return _wrap(array_module(like.data).full((), value, dtype))  # made there, not sent
    except OverflowError:
        raise OutOfRangeError(f"{value} does not fit into a tensor of dtype {dtype}") from None
