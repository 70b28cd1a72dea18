"""Loading a state dict: all of it or nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from .. import backend
from ..autograd import Tensor
from ..errors import ArgumentTypeError, StateDictError


class IncompatibleKeys(NamedTuple):
    """What :meth:`minidl.nn.Module.load_state_dict` could not match."""

    missing_keys: list[str]
    unexpected_keys: list[str]

    def __repr__(self) -> str:
        if not (self.missing_keys or self.unexpected_keys):
            return "<All keys matched successfully>"
        return f"IncompatibleKeys(missing_keys={self.missing_keys}, unexpected_keys={self.unexpected_keys})"


def load_state(
    own: dict[str, Tensor], state_dict: Mapping[str, Any], strict: bool, optional: set[str], owner: str
) -> IncompatibleKeys:
    """Copy values into the tensors of the same names. See :meth:`minidl.nn.Module.load_state_dict`.

    Args:      own: the tensors to write into. optional: names that are not missed. owner: for messages
    """
    if not isinstance(state_dict, Mapping):
        raise ArgumentTypeError(f"load_state_dict: expected a dict of tensors, got a {type(state_dict).__name__}")
    given = {
        name: value.data if isinstance(value, Tensor) else value for name, value in state_dict.items() if name in own
    }
    missing = [name for name in own if name not in given and name not in optional]
    unexpected = [name for name in state_dict if name not in own]
    misshaped = [
        f"{name!r} is {own[name].shape} in the model but {_shape_or_type(value)} in the state dict"
        for name, value in given.items()
        if not backend.is_array(value) or value.shape != own[name].shape
    ]
    if misshaped or (strict and (missing or unexpected)):
        raise StateDictError(
            f"load_state_dict: the state dict does not fit {owner}; nothing was loaded"
            + _list_of("missing keys", [repr(name) for name in missing] if strict else [])
            + _list_of("unexpected keys", [repr(name) for name in unexpected] if strict else [])
            + _list_of("different shapes", misshaped)
            + ("" if misshaped else "\n  strict=False loads the keys that match")
        )
    for name, value in given.items():
        own[name].data[...] = backend.to_device(value, own[name].device)
        own[name].bump_version()
    return IncompatibleKeys(missing, unexpected)


def _shape_or_type(value: Any) -> str:
    return str(value.shape) if backend.is_array(value) else f"a {type(value).__name__}"


def _list_of(title: str, entries: list[str]) -> str:
    return f"\n  {title}: " + ", ".join(entries) if entries else ""
