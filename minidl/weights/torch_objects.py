"""What a PyTorch checkpoint may contain: storages, tensors over them, and plain containers. The list is closed."""

from __future__ import annotations

import math
import reprlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import IO, Any, BinaryIO, Literal

import numpy as np

from ..autograd import Tensor
from ..errors import FileFormatError
from .elements import ELEMENTS, Element, decode
from .pickle_reader import Builder, checked_key, read_pickle

_STORAGE_NAMES = {
    "Double": "float64", "Float": "float32", "Half": "float16", "BFloat16": "bfloat16",
    "Long": "int64", "Int": "int32", "Short": "int16", "Char": "int8", "Byte": "uint8", "Bool": "bool",
}  # fmt: skip

_CHUNK = 1 << 20  # bytes


@dataclass
class Storage:
    """The memory under one or several tensors: a flat array, which may get its values later than the tensors it."""

    element: Element
    array: np.ndarray

    @classmethod
    def empty(cls, element: Element, length: int) -> Storage:
        """Room for `length` elements. The caller has checked that the file has that many."""
        return cls(element, np.empty(length, element.memory))

    def fill(self, file: IO[bytes], byteorder: Literal["little", "big"], what: str) -> None:
        """Read all values, a piece at a time."""
        size, step = self.element.disk.itemsize, _CHUNK // self.element.disk.itemsize
        for start in range(0, len(self.array), step):
            target = self.array[start : start + step]
            data = file.read(len(target) * size)
            if len(data) < len(target) * size:
                raise FileFormatError(
                    f"is truncated: {what} needs {len(self.array) * size} bytes, "
                    f"only {start * size + len(data)} are there"
                )
            target[:] = decode(data, self.element, byteorder)


def read_object(file: BinaryIO, load_storage: Callable[[Element, str, int], Storage]) -> Any:
    """Read one pickle of PyTorch.

    Args:      load_storage: (element, key, length) -> Storage, called for each mention of a storage
    """

    def persistent_load(identifier: Any) -> Storage:
        match identifier:
            # the sixth entry exists in the legacy layout and is None since storages that are views died out with 0.3
            case ("storage", Element() as element, str() as key, str(), int() as length, *view) if (
                length >= 0 and not any(view)
            ):
                return load_storage(element, key, length)
        raise FileFormatError(
            f"its pickle refers to data by {reprlib.repr(identifier)}, which is no storage of numbers"
        )

    return read_pickle(file, find_global, persistent_load)


def find_global(module: str, name: str) -> Any:
    """What a name of Python stands for here; almost none does."""
    if (module, name) in _ALLOWED:
        return _ALLOWED[module, name]
    asked = f"{module}.{name}"
    raise FileFormatError(
        f"its pickle asks for {asked!r:.200}, which was neither imported nor called: {_advice(module, name)}"
    )


def _advice(module: str, name: str) -> str:
    if not module.startswith("torch") or module.startswith("torch.nn.modules"):
        return "weights are tensors in plain containers; where you trust the file, save model.state_dict() in its place"
    if "sparse" in name:
        return "sparse tensors are not supported; save x.to_dense()"
    if "_rebuild_qtensor" in name or name.startswith(("QInt", "QUInt", "qint", "quint")):
        return "quantized tensors are not supported; save x.dequantize()"
    if "complex" in name.lower():
        return "complex tensors are not supported; save torch.view_as_real(x)"
    if name in ("_rebuild_tensor_v3", "UntypedStorage"):
        return "a dtype that minidl does not have; convert it before saving"
    return "minidl reads dense tensors of its own dtypes and bfloat16, and plain containers"


def _rebuild_tensor(storage: Any, offset: Any, shape: Any, strides: Any, *rest: Any) -> Tensor:
    """A tensor over a storage, by ``torch._utils._rebuild_tensor`` and ``_v2``; every number is checked first."""
    if any(rest[2:]):  # after requires_grad and backward_hooks
        raise FileFormatError(
            f"has a lazily negated or conjugated tensor {reprlib.repr(rest[2])}; save x.resolve_neg()"
        )
    plain = isinstance(storage, Storage) and isinstance(shape, tuple) and isinstance(strides, tuple)
    if not plain or len(shape) != len(strides) or len(shape) > 64:
        raise FileFormatError(f"has a malformed tensor: {reprlib.repr((storage, offset, shape, strides))}")
    if any(type(n) is not int or not 0 <= n < 2**62 for n in (offset, *shape, *strides)):
        raise FileFormatError(f"has a tensor of impossible geometry: {reprlib.repr((offset, shape, strides))}")
    length, dtype = len(storage.array), storage.array.dtype
    if math.prod(shape) == 0:
        return Tensor(np.empty(shape, dtype))
    last = offset + sum((n - 1) * stride for n, stride in zip(shape, strides, strict=True))
    if last >= length:
        raise FileFormatError(
            f"has a tensor of shape {shape}, strides {strides} and offset {offset} that reaches element {last} "
            f"of a storage with {length}"
        )
    byte_strides = tuple(stride * dtype.itemsize for stride in strides)
    return Tensor(np.ndarray(shape, dtype, storage.array, offset * dtype.itemsize, byte_strides))


def _rebuild_parameter(data: Any, *requires_grad_and_hooks: Any) -> Tensor:
    if not isinstance(data, Tensor):
        raise FileFormatError(f"has a Parameter made of a {type(data).__name__}")
    return data


def _size(dims: Any) -> tuple:
    if not isinstance(dims, tuple):
        raise FileFormatError(f"has a torch.Size made of a {type(dims).__name__}")
    return dims


def _ordered_dict(pairs: Any = None) -> dict:
    """Python 3 fills an OrderedDict afterwards, Python 2 by a list of pairs. Dicts keep their order by themselves."""
    return {checked_key(key): value for key, value in _taken(pairs)}


def _set(items: Any = None) -> set:
    return {checked_key(item) for item in _taken(items)}


def _taken(items: Any) -> list:
    """The items, moved out of their list: a hostile pickle could otherwise have a long list copied a million times."""
    if items is None:
        return []
    if type(items) is not list:
        raise FileFormatError(f"builds a container from a {type(items).__name__}, not from a list")
    taken = items[:]
    items.clear()
    return taken


def _allowed() -> dict[tuple[str, str], Any]:
    allowed: dict[tuple[str, str], Any] = {
        ("collections", "OrderedDict"): Builder("OrderedDict", _ordered_dict),
        ("builtins", "set"): Builder("set", _set),
        ("__builtin__", "set"): Builder("set", _set),  # Python 2, and protocol 2 of Python 3
        ("torch", "Size"): Builder("torch.Size", _size),
        ("torch._utils", "_rebuild_tensor"): Builder("_rebuild_tensor", _rebuild_tensor),
        ("torch._utils", "_rebuild_tensor_v2"): Builder("_rebuild_tensor_v2", _rebuild_tensor),
        ("torch._utils", "_rebuild_parameter"): Builder("_rebuild_parameter", _rebuild_parameter),
    }
    for prefix, name in _STORAGE_NAMES.items():
        allowed["torch", f"{prefix}Storage"] = ELEMENTS[name]
        allowed["torch.cuda", f"{prefix}Storage"] = ELEMENTS[name]  # saved from a GPU before 1.13
        allowed["torch", name] = ELEMENTS[name].memory
    return allowed


_ALLOWED = _allowed()
