"""Resizing images: interpolate, and its transpose, which is its gradient."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import kernels
from ..autograd import Function, Tensor, check_tensor
from ..errors import ArgumentError, ArgumentTypeError, DtypeError, ShapeError

# mode -> the kernel's name for it, and how many spatial dimensions it takes
_MODES = {
    "nearest": ("nearest", (1, 2, 3)),
    "nearest-exact": ("nearest-exact", (1, 2, 3)),
    "area": ("area", (1, 2, 3)),
    "linear": ("linear", (1,)),
    "bilinear": ("linear", (2,)),
    "trilinear": ("linear", (3,)),
    "bicubic": ("cubic", (2,)),
}
_ALIGNABLE = ("linear", "bilinear", "trilinear", "bicubic")


class Interpolate(Function):
    """y = A x with a constant matrix A, so gx = Aᵀ gy."""

    saves_inputs = ()
    saves_outputs = ()

    def __init__(self, *, size: tuple[int, ...], **rule: Any):  # rule: mode, align_corners, scales
        self.size, self.rule = size, rule

    def forward(self, x: Any) -> Any:
        return kernels.of(x).resize(x, self.size, **self.rule)

    def backward(self, gy: Tensor) -> Tensor:
        return InterpolateAdjoint(size=self.input_shapes[0][2:], **self.rule)(gy)


class InterpolateAdjoint(Function):
    """gx = Aᵀ gy; the gradient of a transpose is the matrix again."""

    saves_inputs = ()
    saves_outputs = ()

    def __init__(self, *, size: tuple[int, ...], **rule: Any):
        self.size, self.rule = size, rule

    def forward(self, gy: Any) -> Any:
        return kernels.of(gy).resize_adjoint(gy, self.size, **self.rule)

    def backward(self, ggx: Tensor) -> Tensor:
        return Interpolate(size=self.input_shapes[0][2:], **self.rule)(ggx)


def interpolate(
    x: Tensor,
    size: int | Sequence[int] | None = None,
    scale_factor: float | Sequence[float] | None = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
) -> Tensor:
    """Resize the spatial dimensions of a batch to `size`, or by `scale_factor`.

    Math:      y[n,c,j] = Σ_i A[j₁,i₁] ⋯ A[j_d,i_d] · x[n,c,i], a small constant matrix A for each axis. With ratio r =
               input/output size (or 1/scale_factor), output pixel j lies at s = (j + ½)·r − ½, and
                 nearest: copies pixel ⌊j·r⌋; nearest-exact: pixel ⌊(j + ½)·r⌋
                 (bi-, tri-)linear: weighs ⌊s⌋ and ⌊s⌋ + 1 by 1 − t and t, t = s − ⌊s⌋
                 bicubic: weighs ⌊s⌋ − 1 … ⌊s⌋ + 2 by Keys' cubic with a = −0.75
                 area: averages the pixels that the output pixel covers, as adaptive_avg_pool does
               align_corners: s = j·(input − 1)/(output − 1), the centers of the outer pixels coincide
    Backward:  gx = Aᵀ gy, the adjoint of the same matrices
    Args:      x: (N, C, L), (N, C, H, W) or (N, C, D, H, W); nearest takes any dtype.
               size, scale_factor: one of the two, a number or one for each spatial dimension; sizes are rounded down.
               align_corners: for the linear and cubic modes; None is False.
               recompute_scale_factor: take r from the sizes even where scale_factor is given
    Returns:   (N, C, *size)
    Raises:    ArgumentError: "interpolate: give size or scale_factor, got both …", or an unknown mode;
               ShapeError: "interpolate: mode 'bilinear' takes x (N, C, H, W), got (3, 8, 8) …"
    Source:    Keys 1981, "Cubic convolution interpolation"; conventions as in PyTorch, without antialiasing
    """
    x = check_tensor(x, "interpolate", "x")
    if not isinstance(mode, str) or mode not in _MODES:
        raise ArgumentError(f"interpolate: mode must be one of {', '.join(_MODES)}; got {mode!r}")
    kernel_mode, ranks = _MODES[mode]
    spatial = x.shape[2:]
    if len(spatial) not in ranks:
        forms = " or ".join(("(N, C, L)", "(N, C, H, W)", "(N, C, D, H, W)")[n - 1] for n in ranks)
        raise ShapeError(f"interpolate: mode {mode!r} takes x {forms}, got {x.shape}; unsqueeze x or change the mode")
    if 0 in x.shape[1:]:
        raise ShapeError(f"interpolate: x {x.shape} has an empty dimension; only the batch may be empty")
    if x.dtype.kind != "f" and not mode.startswith("nearest"):
        raise DtypeError(f"interpolate: mode {mode!r} averages, so x must be floating, got {x.dtype}; use x.to(dtype)")
    if align_corners is not None and mode not in _ALIGNABLE:
        raise ArgumentError(
            f"interpolate: align_corners={align_corners} has no meaning for mode {mode!r}; leave it out "
            f"(it belongs to {', '.join(_ALIGNABLE)})"
        )
    size, scales = _target(spatial, size, scale_factor, recompute_scale_factor)
    return Interpolate(size=size, mode=kernel_mode, align_corners=bool(align_corners), scales=scales)(x)


def _target(
    spatial: tuple[int, ...], size: Any, scale_factor: Any, recompute: bool | None
) -> tuple[tuple[int, ...], tuple[float | None, ...]]:
    """The output size, and the scale factors that positions are computed from (None: from the sizes)."""
    unknown = (None,) * len(spatial)
    if (size is None) == (scale_factor is None):
        raise ArgumentError(
            f"interpolate: give size or scale_factor, got {'neither' if size is None else 'both'} "
            f"(size {size}, scale_factor {scale_factor})"
        )
    if size is not None:
        sizes = _each(size, len(spatial), "size", int | np.integer)
        if min(sizes) < 1:
            raise ArgumentError(f"interpolate: size must be positive, got {size}")
        if recompute:
            raise ArgumentError(f"interpolate: recompute_scale_factor has no meaning with size {size}; leave it out")
        return tuple(map(int, sizes)), unknown
    scales = tuple(map(float, _each(scale_factor, len(spatial), "scale_factor", int | float | np.number)))
    if not all(0 < scale < math.inf for scale in scales):
        raise ArgumentError(f"interpolate: scale_factor must be positive and finite, got {scale_factor}")
    sizes = tuple(math.floor(n * scale) for n, scale in zip(spatial, scales, strict=True))
    if 0 in sizes:
        raise ShapeError(
            f"interpolate: scale_factor {scale_factor} makes {spatial} into {sizes}; each size × scale must reach 1"
        )
    return sizes, unknown if recompute else scales


def _each(value: Any, n: int, name: str, kind: Any) -> tuple[Any, ...]:
    """One number for each of n spatial dimensions, from one for all or from a sequence of n."""
    values = tuple(value) if isinstance(value, Sequence) and not isinstance(value, str) else (value,) * n
    if not all(isinstance(entry, kind) and not isinstance(entry, bool) for entry in values):
        wanted = "integers" if name == "size" else "numbers"
        raise ArgumentTypeError(f"interpolate: {name} must be made of {wanted}, got {value!r}")
    if len(values) != n:
        raise ShapeError(f"interpolate: {name} {value} has {len(values)} entries for {n} spatial dimensions; give {n}")
    return values
