"""Padding layers. See :func:`minidl.functional.pad`."""

from __future__ import annotations

from ..autograd import Tensor
from ..functional._shared import ntuple
from ..functional.pad import pad
from .module import Module

Padding = int | tuple[int, ...]


class _Pad(Module):
    """Args:  padding: one width for every side, or (left, right[, top, bottom[, front, back]])."""

    dims: int
    mode: str

    def __init__(self, padding: Padding) -> None:
        super().__init__()
        self.padding = ntuple(padding, 2 * self.dims, type(self).__name__, "padding", minimum=-(2**31))

    def forward(self, x: Tensor) -> Tensor:
        return pad(x, self.padding, self.mode)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class _ConstantPad(_Pad):
    """Args:  padding: as for the other paddings. value: what to fill with."""

    mode = "constant"

    def __init__(self, padding: Padding, value: float) -> None:
        super().__init__(padding)
        self.value = value

    def forward(self, x: Tensor) -> Tensor:
        return pad(x, self.padding, self.mode, self.value)

    def extra_repr(self) -> str:
        return f"padding={self.padding}, value={self.value}"


class ConstantPad1d(_ConstantPad):
    """Put a constant left and right of the last dimension."""

    dims = 1


class ConstantPad2d(_ConstantPad):
    """Put a constant around the last two dimensions."""

    dims = 2


class ConstantPad3d(_ConstantPad):
    """Put a constant around the last three dimensions."""

    dims = 3


class ZeroPad1d(_Pad):
    """Put zeros left and right of the last dimension."""

    dims, mode = 1, "constant"


class ZeroPad2d(_Pad):
    """Put zeros around the last two dimensions."""

    dims, mode = 2, "constant"


class ZeroPad3d(_Pad):
    """Put zeros around the last three dimensions."""

    dims, mode = 3, "constant"


class ReflectionPad1d(_Pad):
    """Mirror the last dimension at its edges."""

    dims, mode = 1, "reflect"


class ReflectionPad2d(_Pad):
    """Mirror the last two dimensions at their edges."""

    dims, mode = 2, "reflect"


class ReflectionPad3d(_Pad):
    """Mirror the last three dimensions at their edges."""

    dims, mode = 3, "reflect"


class ReplicationPad1d(_Pad):
    """Repeat the edges of the last dimension."""

    dims, mode = 1, "replicate"


class ReplicationPad2d(_Pad):
    """Repeat the edges of the last two dimensions."""

    dims, mode = 2, "replicate"


class ReplicationPad3d(_Pad):
    """Repeat the edges of the last three dimensions."""

    dims, mode = 3, "replicate"


class CircularPad1d(_Pad):
    """Continue the last dimension from its other end."""

    dims, mode = 1, "circular"


class CircularPad2d(_Pad):
    """Continue the last two dimensions from their other ends."""

    dims, mode = 2, "circular"


class CircularPad3d(_Pad):
    """Continue the last three dimensions from their other ends."""

    dims, mode = 3, "circular"
