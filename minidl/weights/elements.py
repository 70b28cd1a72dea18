"""How an element looks in a file, and as what it lives in memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np


@dataclass(frozen=True)
class Element:
    """A dtype by name: how it lies in a file (`disk`) and what minidl makes of it (`memory`)."""

    name: str
    disk: np.dtype
    memory: np.dtype


ELEMENTS = {
    name: Element(name, np.dtype(disk), np.dtype(memory))
    for name, disk, memory in [
        ("float64", "<f8", "float64"),
        ("float32", "<f4", "float32"),
        ("float16", "<f2", "float16"),
        ("bfloat16", "<u2", "float32"),  # the upper half of a float32: widened, without loss
        ("int64", "<i8", "int64"),
        ("int32", "<i4", "int32"),
        ("int16", "<i2", "int16"),
        ("int8", "<i1", "int8"),
        ("uint8", "<u1", "uint8"),
        ("bool", "<u1", "bool"),  # read as bytes, so that a byte such as 2 becomes a proper True
    ]
}


def decode(data: Any, element: Element, byteorder: Literal["little", "big"] = "little") -> np.ndarray:
    """The bytes of a file as an array; shares the memory of `data` where nothing has to change."""
    raw = np.frombuffer(data, element.disk.newbyteorder(byteorder))
    if element.name == "bfloat16":
        return (raw.astype(np.uint32) << 16).view(np.float32)
    return raw.astype(element.memory, copy=False)
