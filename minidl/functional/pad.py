"""Padding and cropping."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import kernels
from ..autograd import Function, Tensor, check_tensor
from ..errors import ArgumentError, ArgumentTypeError, ShapeError
from ._shared import check_number

_MODES = ("constant", "reflect", "replicate", "circular")
Widths = tuple[tuple[int, int], ...]


class Pad(Function):
    """Copies of pixels around the image: linear but for the constant, so gx is the transpose applied to gy."""

    saves_inputs = ()
    saves_outputs = ()

    def __init__(self, *, widths: Widths, mode: str, value: float = 0.0):
        self.widths, self.mode, self.value = widths, mode, value

    def forward(self, x: Any) -> Any:
        return kernels.of(x).pad(x, self.widths, mode=self.mode, value=self.value)

    def backward(self, gy: Tensor) -> Tensor:
        return PadAdjoint(widths=self.widths, mode=self.mode)(gy)


class PadAdjoint(Function):
    """Every pixel collects the gradients of its copies; the gradient of the collecting is copying."""

    saves_inputs = ()
    saves_outputs = ()

    def __init__(self, *, widths: Widths, mode: str):
        self.widths, self.mode = widths, mode

    def forward(self, gy: Any) -> Any:
        return kernels.of(gy).pad_adjoint(gy, self.widths, mode=self.mode)

    def backward(self, ggx: Tensor) -> Tensor:
        return Pad(widths=self.widths, mode=self.mode)(ggx)


def pad(x: Tensor, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> Tensor:
    """Make the last dimensions of x larger (or, with negative widths, smaller).

    Math:      y[j] = x[i(j − before)] along each padded dimension, i the identity inside. Outside 0 … n − 1
                 constant: y = value; replicate: the edge pixel; circular: i(k) = k mod n;
                 reflect: i(−k) = k, i(n − 1 + k) = n − 1 − k, mirrored without repeating the edge
               Negative widths crop first.
    Backward:  gx[i] = Σ gy over the copies of pixel i
    Args:      x: any shape. pad: (left, right, top, bottom, …): the last dimension first, two widths for each.
               value: for mode "constant", default 0
    Returns:   x's shape, before + after larger in each padded dimension
    Raises:    ShapeError: "pad: reflect needs widths below the size, got (3, 0) for size 3 …"
    """
    x = check_tensor(x, "pad", "x")
    if mode not in _MODES:
        raise ArgumentError(f"pad: mode must be one of {', '.join(_MODES)}; got {mode!r}")
    value = 0.0 if value is None else check_number(value, "pad", "value")
    if mode != "constant" and value:
        raise ArgumentError(f"pad: mode {mode!r} takes no value, got {value}; leave it out or use mode 'constant'")
    return Pad(widths=_widths(x.shape, pad, mode), mode=mode, value=value)(x)


def _widths(shape: tuple[int, ...], pad: Any, mode: str) -> Widths:
    """(before, after) for each of the last dimensions, in their order, checked."""
    if not isinstance(pad, Sequence) or not all(isinstance(width, int | np.integer) for width in pad):
        raise ArgumentTypeError(f"pad: pad must be a sequence of integers (left, right, top, bottom, …), got {pad!r}")
    if len(pad) % 2 or len(pad) > 2 * len(shape):
        raise ShapeError(
            f"pad: got {len(pad)} widths {tuple(pad)} for x {shape}; give two for each padded dimension, the last "
            f"dimension first, at most {2 * len(shape)}"
        )
    widths = tuple((int(pad[i]), int(pad[i + 1])) for i in range(len(pad) - 2, -1, -2))
    for size, (before, after) in zip(shape[len(shape) - len(widths) :], widths, strict=True):
        kept = size + min(before, 0) + min(after, 0)
        if kept < 0 or (kept == 0 and mode != "constant" and (before, after) != (0, 0)):
            raise ShapeError(f"pad: widths {(before, after)} leave {kept} of size {size} (x {shape}); crop less")
        most = {"reflect": kept - 1, "circular": kept}.get(mode)
        if most is not None and max(before, after) > max(most, 0):
            rule = "below the size" if mode == "reflect" else "up to the size"
            raise ShapeError(
                f"pad: {mode} needs widths {rule}, got {(before, after)} for size {kept} "
                f"(x {shape}, pad {tuple(pad)}); pad less, or use mode 'replicate'"
            )
    return widths
