"""Padding layers. See :func:`minidl.functional.pad`."""

from __future__ import annotations

from typing import ClassVar

from .. import functional as F
from ..autograd import Tensor
from ..functional._shared import ntuple
from .module import Module

Padding = int | tuple[int, ...]


class _Pad(Module):
    """Args:  padding: one width for every side, or (left, right[, top, bottom[, front, back]])."""

    _dims: ClassVar[int]
    _mode: ClassVar[str]

    def __init__(self, padding: Padding):
        super().__init__()
        self.padding = ntuple(padding, 2 * self._dims, type(self).__name__, "padding", minimum=-(2**31))

    def forward(self, x: Tensor) -> Tensor:
        return F.pad(x, self.padding, self._mode)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class _ConstantPad(_Pad):
    """Args:  padding: as for the other paddings. value: what to fill with."""

    _mode = "constant"

    def __init__(self, padding: Padding, value: float):
        super().__init__(padding)
        self.value = value

    def forward(self, x: Tensor) -> Tensor:
        return F.pad(x, self.padding, self._mode, self.value)

    def extra_repr(self) -> str:
        return f"padding={self.padding}, value={self.value}"


class ConstantPad1d(_ConstantPad):
    """Put a constant left and right of the last dimension."""

    _dims = 1


class ConstantPad2d(_ConstantPad):
    """Put a constant around the last two dimensions."""

    _dims = 2


class ConstantPad3d(_ConstantPad):
    """Put a constant around the last three dimensions."""

    _dims = 3


class ZeroPad1d(_Pad):
    """Put zeros left and right of the last dimension."""

    _dims, _mode = 1, "constant"


class ZeroPad2d(_Pad):
    """Put zeros around the last two dimensions."""

    _dims, _mode = 2, "constant"


class ZeroPad3d(_Pad):
    """Put zeros around the last three dimensions."""

    _dims, _mode = 3, "constant"


class ReflectionPad1d(_Pad):
    """Mirror the last dimension at its edges."""

    _dims, _mode = 1, "reflect"


class ReflectionPad2d(_Pad):
    """Mirror the last two dimensions at their edges."""

    _dims, _mode = 2, "reflect"


class ReflectionPad3d(_Pad):
    """Mirror the last three dimensions at their edges."""

    _dims, _mode = 3, "reflect"


class ReplicationPad1d(_Pad):
    """Repeat the edges of the last dimension."""

    _dims, _mode = 1, "replicate"


class ReplicationPad2d(_Pad):
    """Repeat the edges of the last two dimensions."""

    _dims, _mode = 2, "replicate"


class ReplicationPad3d(_Pad):
    """Repeat the edges of the last three dimensions."""

    _dims, _mode = 3, "replicate"


class CircularPad1d(_Pad):
    """Continue the last dimension from its other end."""

    _dims, _mode = 1, "circular"


class CircularPad2d(_Pad):
    """Continue the last two dimensions from their other ends."""

    _dims, _mode = 2, "circular"


class CircularPad3d(_Pad):
    """Continue the last three dimensions from their other ends."""

    _dims, _mode = 3, "circular"
