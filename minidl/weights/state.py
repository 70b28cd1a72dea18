"""A nested state as a flat dict of named arrays plus a JSON tree that says where each belongs, and back.

In the tree a number, string, bool or None stands for itself, ``{"tensor": name}`` for an array, and for containers
``{"list": [node, …]}``, ``{"tuple": [node, …]}`` and ``{"dict": [[key, node], …]}``, with str or int keys, in order.
An array's name is its path joined by "/", so that the names of a flat state dict are its own keys and other programs
can read the file. The tree holds the names, so nothing depends on splitting them.

What is stored is ``{"minidl": 1, "sha256": digest, "state": tree}``: the version of this format, and a hash of the tree
and of every array, so that damage anywhere shows. A tree alone, without the two, is from before there was a version.
"""

from __future__ import annotations

import hashlib
import json
import reprlib
from typing import Any

import numpy as np

from .. import backend
from ..autograd import Tensor
from ..autograd.tensor import SUPPORTED_DTYPES
from ..errors import ArgumentError, ArgumentTypeError, DtypeError, FileFormatError

_VERSION = 1
_RESERVED = "__metadata__"  # safetensors keeps this name for itself


def flatten(state: dict) -> tuple[dict[str, np.ndarray], str]:
    """The arrays by name (in host memory, contiguous, native byte order) and the stored tree as JSON text."""
    if not isinstance(state, dict):
        raise ArgumentTypeError(f"save: a state is a dict, such as model.state_dict(), not a {type(state).__name__}")
    arrays: dict[str, np.ndarray] = {}

    def encode(value: Any, path: tuple) -> Any:
        if isinstance(value, Tensor):
            value = value.data
        if backend.is_array(value):
            name = _new_name(path, arrays)
            arrays[name] = _storable(value, name)
            return {"tensor": name}
        if isinstance(value, np.generic):
            value = value.item()
        if isinstance(value, dict):
            return {"dict": [[_checked_key(key, path), encode(item, (*path, key))] for key, item in value.items()]}
        if isinstance(value, list | tuple):
            kind = "list" if isinstance(value, list) else "tuple"
            return {kind: [encode(item, (*path, i)) for i, item in enumerate(value)]}
        if value is None or isinstance(value, bool | int | float | str):
            return value
        raise ArgumentTypeError(
            f"save: state{_subscripts(path)} is a {type(value).__name__}; a file holds tensors, arrays, dicts, lists, "
            f"tuples, numbers, strings, bools and None"
        )

    try:
        tree = encode(state, ())
        return arrays, json.dumps({"minidl": _VERSION, "sha256": _digest(arrays, tree), "state": tree})
    except RecursionError:
        raise ArgumentError("save: the state contains itself, or is nested hundreds of levels deep") from None


def unflatten(arrays: dict[str, np.ndarray], tree: str | None) -> dict:
    """The state again, with Tensors. Without a tree (a file that minidl did not write) the names are the keys.

    Raises:    FileFormatError: the digest is another, so the file is damaged; or the version is
    """
    tensors = {name: Tensor(array) for name, array in arrays.items()}
    if tree is None:
        return tensors
    top = _checked_tree(arrays, tree)
    used = set()

    def decode(node: Any) -> Any:
        if not isinstance(node, dict):
            return node
        ((kind, content),) = node.items()
        if kind == "tensor":
            if content not in tensors:
                raise FileFormatError(f"lacks the tensor {content!r} that its table of contents names")
            used.add(content)
            return tensors[content]
        if kind == "dict":
            return {key: decode(item) for key, item in content}
        return {"list": list, "tuple": tuple}[kind](decode(item) for item in content)

    state = decode(top)
    if used != set(tensors):
        raise FileFormatError(f"holds tensors that its table of contents does not name: {sorted(set(tensors) - used)}")
    return state


def _checked_tree(arrays: dict[str, np.ndarray], text: str) -> Any:
    """The tree out of the stored text, if the digest is that of what was read."""
    stored = json.loads(text)
    if not isinstance(stored, dict) or len(stored) == 1:
        return stored
    if stored.keys() != {"minidl", "sha256", "state"}:
        raise FileFormatError(f"has a damaged table of contents, with the keys {reprlib.repr(list(stored))}")
    if stored["minidl"] != _VERSION:
        raise FileFormatError(
            f"is of version {reprlib.repr(stored['minidl'])}, this minidl reads version {_VERSION}; it is damaged, or "
            f"of a newer minidl: pip install --upgrade minidl"
        )
    if (digest := _digest(arrays, stored["state"])) != stored["sha256"]:
        raise FileFormatError(
            f"is damaged: its content has the sha256 {digest}, but was saved with {reprlib.repr(stored['sha256'])}; "
            f"use another copy"
        )
    return stored["state"]


def _digest(arrays: dict[str, np.ndarray], tree: Any) -> str:
    """The hash of a tree and its arrays: names, dtypes, shapes and little-endian values, in the order of names."""
    digest = hashlib.sha256(json.dumps(tree).encode())
    for name, array in sorted(arrays.items()):
        digest.update(f"{json.dumps(name)} {array.dtype.name} {array.shape} ".encode())
        little = array.astype(array.dtype.newbyteorder("<"), order="C", copy=False)
        digest.update(little.reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def _new_name(path: tuple, taken: dict) -> str:
    """A readable name that no other array has, without the two things that a zip or UTF-8 cannot hold."""
    name = "/".join(map(str, path)).encode("utf-8", "replace").decode().replace("\0", "?")
    while name in taken or name == _RESERVED:
        name += "~"
    return name


def _storable(array: Any, name: str) -> np.ndarray:
    native = array.dtype.newbyteorder("=")
    if native not in SUPPORTED_DTYPES:
        raise DtypeError(f"save: {name!r} has dtype {array.dtype}; minidl has {', '.join(map(str, SUPPORTED_DTYPES))}")
    array = np.asarray(backend.to_numpy(array), dtype=native, order="C")
    if array.dtype.kind == "b":  # a True that lies in memory as 2 is stored as 1
        return np.asarray(array.view(np.uint8) != 0)
    return array


def _checked_key(key: Any, path: tuple) -> str | int:
    if isinstance(key, bool) or not isinstance(key, str | int):
        raise ArgumentTypeError(f"save: state{_subscripts(path)} has the key {key!r}; keys are strings or integers")
    return key


def _subscripts(path: tuple) -> str:
    return "".join(f"[{key!r}]" for key in path)
