"""Convolution: which way to take.

`winograd` for 3×3 with stride 1; `depthwise` for one kernel per channel; `columns` (im2col by blocks, and 1×1 as a
plain product) for other images without groups; `general` for the rest: groups, three dimensions, half precision.
:data:`paths` counts what was taken, for tests and the curious.
"""

from __future__ import annotations

import math
from collections import Counter

import numpy as np

from ...errors import ArgumentTypeError
from . import conv_columns, conv_depthwise, conv_general, winograd
from ._layout import FEW, finish
from .conv_columns import Geometry
from .unfold import Ints, Pairs, Windows, spatial

paths: Counter[str] = Counter()
"""How often each path was taken: "winograd", "columns", "depthwise" or "general" among them, and what for."""

WINOGRAD_CHANNELS = 8
"""Channels, in and out, below which the 36 products of Winograd's algorithm are too thin."""

_winograd = True


def get_winograd() -> bool:
    """Whether :func:`set_winograd` has it on."""
    return _winograd


def set_winograd(enabled: bool) -> None:
    """Allow Winograd's algorithm for 3×3 convolutions of float32 (the default), or do without.

    It makes 4×4 outputs with 36 instead of 144 multiplications, at the price of rounding: errors of 3·10⁻⁶ to 2·10⁻⁵ of
    the largest output instead of 10⁻⁷ to 10⁻⁶. float64 never uses it.

    Raises:    ArgumentTypeError: enabled is not a bool
    """
    global _winograd
    if not isinstance(enabled, bool):
        raise ArgumentTypeError(f"set_winograd: enabled must be True or False, got {enabled!r}")
    _winograd = enabled


def conv(
    x: np.ndarray,
    w: np.ndarray,
    bias: np.ndarray | None = None,
    plus: np.ndarray | None = None,
    relu: bool = False,
    *,
    stride: Ints,
    padding: Pairs,
    dilation: Ints,
    groups: int,
) -> np.ndarray:
    """The cross-correlation of x (N, C, *size) with w (O, C / groups, *kernel), plus bias (O,): (N, O, *out).

    With `plus`, an array like the result, their sum; with `relu`, the ReLU of all that.
    """
    if not _has_fast_path(x, w.shape[1], groups, len(w)):
        paths["general conv"] += 1
        y = conv_general.conv(x, w, stride=stride, padding=padding, dilation=dilation, groups=groups)
        finish(y, None if bias is None else bias.reshape(-1, *(1,) * (y.ndim - 2)), plus, relu)
        return y
    if x.ndim == 3:
        settings = _flat_settings(stride, padding, dilation, groups)
        return conv(_flat(x), _flat(w), bias, None if plus is None else _flat(plus), relu, **settings).squeeze(2)
    x, padding = _cropped(x, padding)
    at = _geometry(w.shape[2:], stride, padding, dilation, x.shape[2:])
    if groups > 1:
        paths["depthwise conv"] += 1
        return conv_depthwise.conv(x, w, at, bias, plus, relu)
    if _suits_winograd(x, w.shape, stride, dilation):
        paths["winograd conv"] += 1
        return winograd.conv(x, w, padding, bias, plus, relu)  # type: ignore[arg-type]
    paths["columns conv"] += 1
    return conv_columns.conv(x, w, at, bias, plus, relu)


def conv_input_grad(
    gy: np.ndarray, w: np.ndarray, *, size: Ints, stride: Ints, padding: Pairs, dilation: Ints, groups: int
) -> np.ndarray:
    """The gradient of conv with respect to its input: (N, C, *size)."""
    settings = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    strided, dilated = max(stride) > 1, max(dilation) > 1
    fast = _has_fast_path(gy, w.shape[1], groups, len(w)) and not (strided and dilated and groups > 1)
    if not fast or min(p for pair in padding for p in pair) < 0:
        paths["general conv_input_grad"] += 1
        return conv_general.conv_input_grad(gy, w, size=size, **settings)  # type: ignore[arg-type]
    if gy.ndim == 3:
        settings = _flat_settings(stride, padding, dilation, groups)
        return conv_input_grad(_flat(gy), _flat(w), size=(1, *size), **settings).squeeze(2)  # type: ignore[arg-type]
    at = _geometry(w.shape[2:], stride, padding, dilation, size)
    if groups > 1:
        paths["depthwise conv_input_grad"] += 1
        return conv_depthwise.input_grad(gy, w, size, at)  # type: ignore[arg-type]
    if math.prod(gy.shape[2:]) == 1:
        paths["pixel conv_input_grad"] += 1
        return conv_columns.pixel_input_grad(gy, w, size, at)  # type: ignore[arg-type]
    if w.shape[1] < FEW and len(w) >= 2 * w.shape[1]:
        paths["spread conv_input_grad"] += 1
        return conv_columns.spread_input_grad(gy, w, size, at)  # type: ignore[arg-type]
    if strided and dilated:
        paths["general conv_input_grad"] += 1
        return conv_general.conv_input_grad(gy, w, size=size, **settings)  # type: ignore[arg-type]
    if strided:
        paths["phases conv_input_grad"] += 1
        return conv_columns.strided_input_grad(gy, w, size, at)  # type: ignore[arg-type]
    # With stride 1 it is the convolution of gy with the kernel turned, and the input and output channels exchanged.
    turned = np.flip(w, (2, 3)).swapaxes(0, 1)
    padding = tuple(
        (d * (k - 1) - low, n - i + low)
        for k, d, (low, _), n, i in zip(w.shape[2:], dilation, padding, size, gy.shape[2:], strict=True)
    )
    return conv(gy, turned, stride=stride, padding=padding, dilation=dilation, groups=1)


def conv_weight_grad(
    x: np.ndarray, gy: np.ndarray, *, kernel_size: Ints, stride: Ints, padding: Pairs, dilation: Ints, groups: int
) -> np.ndarray:
    """The gradient of conv with respect to its weight: (O, C / groups, *kernel_size)."""
    settings = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    if not _has_fast_path(x, x.shape[1] // groups, groups, gy.shape[1]) or not gy.size:
        paths["general conv_weight_grad"] += 1
        return conv_general.conv_weight_grad(x, gy, kernel_size=kernel_size, **settings)  # type: ignore[arg-type]
    if x.ndim == 3:
        settings = _flat_settings(stride, padding, dilation, groups)
        return conv_weight_grad(_flat(x), _flat(gy), kernel_size=(1, *kernel_size), **settings).squeeze(2)  # type: ignore[arg-type]
    x, padding = _cropped(x, padding)
    at = _geometry(kernel_size, stride, padding, dilation, x.shape[2:])._replace(out=gy.shape[2:])
    if groups > 1:
        paths["depthwise conv_weight_grad"] += 1
        return conv_depthwise.weight_grad(x, gy, at)
    if _suits_winograd(x, (gy.shape[1], x.shape[1], *kernel_size), stride, dilation):
        paths["winograd conv_weight_grad"] += 1
        return winograd.weight_grad(x, gy, padding)  # type: ignore[arg-type]
    paths["columns conv_weight_grad"] += 1
    return conv_columns.weight_grad(x, gy, at)


def _has_fast_path(x: np.ndarray, group_in: int, groups: int, out_channels: int) -> bool:
    """Images and sequences, in single or double precision, without groups or with one channel in each."""
    depthwise = group_in == 1 and groups == out_channels
    return x.ndim <= 4 and x.dtype.char in "fd" and x.size > 0 and (groups == 1 or depthwise)


def _suits_winograd(x: np.ndarray, shape: tuple[int, ...], stride: Ints, dilation: Ints) -> bool:
    return (
        _winograd
        and shape[2:] == (3, 3)
        and stride == dilation == (1, 1)
        and x.dtype == np.float32
        and min(shape[:2]) >= WINOGRAD_CHANNELS
    )


def _geometry(kernel: Ints, stride: Ints, padding: Pairs, dilation: Ints, size: Ints) -> Geometry:
    out = Windows(kernel, stride, padding, dilation).out_size(size)
    (top, _), (left, _) = padding
    return Geometry(kernel, stride, (top, left), dilation, out)  # type: ignore[arg-type]


def _cropped(x: np.ndarray, padding: Pairs) -> tuple[np.ndarray, Pairs]:
    """Negative padding is a smaller image."""
    if min(p for pair in padding for p in pair) >= 0:
        return x, padding
    x = x[spatial(slice(max(-low, 0), n - max(-high, 0)) for (low, high), n in zip(padding, x.shape[2:], strict=True))]
    return x, tuple((max(low, 0), max(high, 0)) for low, high in padding)


def _flat(x: np.ndarray) -> np.ndarray:
    """A sequence as an image of one row."""
    return x[:, :, None]


def _flat_settings(stride: Ints, padding: Pairs, dilation: Ints, groups: int) -> dict:
    return {"stride": (1, *stride), "padding": ((0, 0), *padding), "dilation": (1, *dilation), "groups": groups}
