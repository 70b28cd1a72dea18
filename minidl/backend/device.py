"""Devices by name: ``"cpu"``, ``"cuda"``, ``"cuda:1"``."""

from __future__ import annotations

import re
from typing import Any

from ..errors import ArgumentTypeError, DeviceError
from ._cupy import import_cupy, require_cupy


class Device:
    """Where an array lives.

    Args:      name: "cpu", "cuda" (the same as "cuda:0"), "cuda:N", or a Device
    Raises:    DeviceError: an unknown name. Whether a CUDA device is really there is asked when it is used
    """

    __slots__ = ("index", "type")
    type: str
    index: int

    def __init__(self, name: str | Device = "cpu"):
        if isinstance(name, Device):
            self.type, self.index = name.type, name.index
            return
        if not isinstance(name, str):
            raise ArgumentTypeError(f"Device: expected a name such as 'cpu' or 'cuda:0', got {type(name).__name__}")
        match = re.fullmatch(r"(cpu|cuda)(?::(\d+))?", name)
        if match is None or (match[1] == "cpu" and match[2] not in (None, "0")):
            raise DeviceError(f"unknown device {name!r}: minidl knows 'cpu', 'cuda' and 'cuda:N'")
        self.type = match[1]
        self.index = int(match[2] or 0)

    def check_usable(self) -> None:
        """Raise DeviceError unless arrays can be made on this device."""
        if self.type == "cuda":
            count = require_cupy().cuda.runtime.getDeviceCount()
            if self.index >= count:
                raise DeviceError(
                    f"device '{self}' does not exist: this machine has {count} CUDA device(s), numbered from 0"
                )

    def __eq__(self, other: Any) -> bool:
        if isinstance(other, str):
            return str(self) == ("cuda:0" if other == "cuda" else other)
        return isinstance(other, Device) and (self.type, self.index) == (other.type, other.index)

    def __hash__(self) -> int:
        return hash(str(self))

    def __str__(self) -> str:
        return "cpu" if self.type == "cpu" else f"cuda:{self.index}"

    def __repr__(self) -> str:
        return f"device({str(self)!r})"


CPU = Device("cpu")


def cuda_is_available() -> bool:
    """Whether CuPy imports here and sees at least one CUDA device."""
    return not isinstance(import_cupy(), str)
