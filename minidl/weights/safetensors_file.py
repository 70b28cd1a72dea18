"""The safetensors format, through the ``safetensors`` package: an 8-byte length, a JSON header, raw little-endian data.

The tree of :mod:`.state` is in the header's metadata, which says "format": "minidl" too, so that one that is damaged
beyond recognition is missed.

Source: https://github.com/huggingface/safetensors
"""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType
from typing import BinaryIO

import numpy as np

from ..errors import FileFormatError, MissingPackageError
from .elements import ELEMENTS, decode

_ELEMENT_OF = {
    "F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16", "BOOL": "bool",
    "I64": "int64", "I32": "int32", "I16": "int16", "I8": "int8", "U8": "uint8",
}  # fmt: skip


def write(path: Path, arrays: dict[str, np.ndarray], tree: str) -> None:
    """Write named arrays and the tree.

    Raises:    OSError: the disk
    """
    safetensors = _require("safetensors.numpy")
    try:
        safetensors.save_file(arrays, path, metadata={"format": "minidl", "minidl": tree})
    except _require("safetensors").SafetensorError as error:  # which is how the package reports a full disk
        raise OSError(str(error)) from error


def read(file: BinaryIO) -> tuple[dict[str, np.ndarray], str | None]:
    """The arrays by name, and the tree if minidl wrote the file. The package checks the header against the file."""
    safetensors = _require("safetensors")
    arrays = {}
    for name, entry in sorted(safetensors.deserialize(file.read()), key=lambda item: item[0]):  # it comes in any order
        if entry["dtype"] not in _ELEMENT_OF:
            raise FileFormatError(f"tensor {name!r} has dtype {entry['dtype']}, which minidl does not have")
        element = ELEMENTS[_ELEMENT_OF[entry["dtype"]]]
        arrays[name] = decode(entry["data"], element).reshape(entry["shape"])
    with safetensors.safe_open(file.name, framework="numpy") as opened:
        metadata = opened.metadata() or {}
    if metadata.get("format") == "minidl" and "minidl" not in metadata:
        raise FileFormatError("is damaged: it is of minidl, but lacks the table of contents")
    return arrays, metadata.get("minidl")


def _require(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise MissingPackageError(
            f"a .safetensors file needs the safetensors package ({error}): pip install safetensors, or use .npz"
        ) from error
