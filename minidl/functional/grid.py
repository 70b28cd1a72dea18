"""Warping images: a grid of points from an affine map, and sampling at those points (the spatial transformer)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from .. import kernels
from ..autograd import Function, Tensor
from ..backend import array_module
from ..errors import ArgumentError, ShapeError
from ..kernels._cubic import cubic_weights
from ._shared import require_floating
from .creation import as_shape
from .shape import stack

_MODES = ("bilinear", "nearest", "bicubic")
_PADDING_MODES = ("zeros", "border", "reflection")


class GridCoordinates(Function):
    """Positions in pixels of normalized points: piecewise linear, so backward multiplies by constant slopes."""

    saves_inputs = ()
    saves_outputs = ()

    def __init__(self, *, size: tuple[int, ...], **rule: Any):  # rule: mode, padding_mode, align_corners
        self.size, self.rule = size, rule

    def forward(self, points: Any) -> Any:
        positions, slopes = kernels.of(points).grid_coordinates(points, self.size, **self.rule)
        self.save(slopes)
        return positions

    def backward(self, gy: Tensor) -> Tensor:
        return gy * Tensor(self.saved[0])


class WeightedGather(Function):
    """y[n,c,p] = Σ_k w[n,k,p] · x[n,c,index[n,k,p]].

    With :class:`WeightedScatter` and :class:`GatherDot` one of the three derivatives of a trilinear form in gy, w, x;
    the derivatives of any of them are made of the two others.
    """

    saves_outputs = ()

    def forward(self, x: Any, index: Any, weight: Any) -> Any:
        return kernels.of(x).weighted_gather(x, index, weight)

    def backward(self, gy: Tensor) -> tuple[Tensor | None, ...]:
        x, index, weight = self.inputs
        gx = WeightedScatter(length=x.shape[2])(gy, index, weight) if self.needs_input_grad[0] else None
        gw = GatherDot()(x, gy, index) if self.needs_input_grad[2] else None
        return gx, None, gw


class WeightedScatter(Function):
    """gx[n,c,l] = Σ_k,p [index[n,k,p] = l] · w[n,k,p] · gy[n,c,p]."""

    saves_outputs = ()

    def __init__(self, *, length: int):
        self.length = length

    def forward(self, gy: Any, index: Any, weight: Any) -> Any:
        return kernels.of(gy).weighted_scatter(gy, index, weight, self.length)

    def backward(self, ggx: Tensor) -> tuple[Tensor | None, ...]:
        gy, index, weight = self.inputs
        ggy = WeightedGather()(ggx, index, weight) if self.needs_input_grad[0] else None
        gw = GatherDot()(ggx, gy, index) if self.needs_input_grad[2] else None
        return ggy, None, gw


class GatherDot(Function):
    """gw[n,k,p] = Σ_c gy[n,c,p] · x[n,c,index[n,k,p]]."""

    saves_outputs = ()

    def forward(self, x: Any, gy: Any, index: Any) -> Any:
        return kernels.of(x).gather_dot(x, gy, index)

    def backward(self, ggw: Tensor) -> tuple[Tensor | None, ...]:
        x, gy, index = self.inputs
        gx = WeightedScatter(length=x.shape[2])(gy, index, ggw) if self.needs_input_grad[0] else None
        ggy = WeightedGather()(x, index, ggw) if self.needs_input_grad[1] else None
        return gx, ggy, None


def affine_grid(theta: Tensor, size: Sequence[int], align_corners: bool | None = None) -> Tensor:
    """The points of a regular grid, each sent through an affine map: what :func:`grid_sample` takes.

    Math:      grid[n, …, :] = theta[n] · (x, y, 1)ᵀ, where (x, y) runs over the pixel centers of an image of `size` in
               [−1, 1]: x = (2j + 1)/W − 1, or 2j/(W − 1) − 1 with align_corners; (x, y, z, 1)ᵀ for volumes
    Args:      theta: (N, 2, 3), or (N, 3, 4) for volumes. size: of the image to make, (N, C, H, W) or (N, C, D, H, W)
    Returns:   (N, H, W, 2) with (x, y) last, or (N, D, H, W, 3) with (x, y, z); N may be 0, which PyTorch refuses
    Raises:    ShapeError: theta or size of another form
    Source:    Jaderberg et al. 2015, "Spatial transformer networks", section 3.2
    """
    theta = require_floating(theta, "affine_grid", "theta")
    size = as_shape((size,), "affine_grid")
    dims = len(size) - 2
    if dims not in (2, 3) or min(size[1:], default=0) < 1:
        raise ShapeError(f"affine_grid: size must be (N, C, H, W) or (N, C, D, H, W), positive, got {tuple(size)}")
    if theta.shape != (size[0], dims, dims + 1):
        raise ShapeError(
            f"affine_grid: theta has shape {theta.shape} but size {tuple(size)} needs {(size[0], dims, dims + 1)}: "
            "one matrix for each image"
        )
    xp = array_module(theta.data)
    axes = [_centers(xp, n, bool(align_corners)) for n in size[2:]]
    points = [*reversed(xp.meshgrid(*axes, indexing="ij")), xp.ones(size[2:])]
    base = Tensor(xp.stack(points, axis=-1).reshape(-1, dims + 1).astype(theta.dtype))
    return (base @ theta.transpose(1, 2)).reshape(size[0], *size[2:], dims)


def grid_sample(
    x: Tensor,
    grid: Tensor,
    mode: str = "bilinear",
    padding_mode: str = "zeros",
    align_corners: bool | None = None,
) -> Tensor:
    """Read an image at the points of a grid.

    Math:      y[n,c,p] = Σ_k w_k(s) · x[n, c, pixel_k(s)], s the position in pixels of grid point p. On each axis
               s = ((g + 1)·W − 1)/2: −1 and 1 are the edges of the image; or (g + 1)·(W − 1)/2 with align_corners: they
               are the centers of its outer pixels. With t = s − ⌊s⌋,
                 nearest: the pixel at round(s); bilinear: ⌊s⌋ and ⌊s⌋ + 1 with weights 1 − t and t
                 bicubic: ⌊s⌋ − 1 … ⌊s⌋ + 2 with Keys' cubic, a = −0.75
               Outside the image the pixels are 0 ("zeros"), those of the edge ("border") or mirrored ("reflection").
    Backward:  gx[l] = Σ w·gy over the reads of pixel l; gw_k = Σ_c gy · x[pixel_k], and on to the grid through w(s)
    Args:      x: (N, C, H, W), or (N, C, D, H, W) but for bicubic.
               grid: (N, H', W', 2), points (x, y), or (N, D', H', W', 3), points (x, y, z)
    Returns:   (N, C, H', W') or (N, C, D', H', W'). A point that is NaN gives NaN; PyTorch may read other memory there
    Raises:    ShapeError: "grid_sample: grid must be (8, H, W, 2) for x (8, 3, 32, 32), got …"
    Source:    Jaderberg et al. 2015, "Spatial transformer networks", section 3.3; Keys 1981; conventions as in PyTorch
    """
    x, grid = require_floating(x, "grid_sample", "x"), require_floating(grid, "grid_sample", "grid")
    if mode not in _MODES:
        raise ArgumentError(f"grid_sample: mode must be one of {', '.join(_MODES)}; got {mode!r}")
    if padding_mode not in _PADDING_MODES:
        wanted = ", ".join(_PADDING_MODES)
        raise ArgumentError(f"grid_sample: padding_mode must be one of {wanted}; got {padding_mode!r}")
    dims = x.ndim - 2
    if dims not in (2, 3) or 0 in x.shape[2:]:
        raise ShapeError(f"grid_sample: x must be (N, C, H, W) or (N, C, D, H, W) with pixels, got {x.shape}")
    if mode == "bicubic" and dims == 3:
        raise ShapeError(f"grid_sample: mode 'bicubic' takes x (N, C, H, W), got {x.shape}; use 'bilinear' for volumes")
    if grid.ndim != x.ndim or grid.shape[0] != x.shape[0] or grid.shape[-1] != dims:
        form = ", ".join((str(x.shape[0]), *("D", "H", "W")[3 - dims :], str(dims)))
        raise ShapeError(f"grid_sample: grid must be ({form}) for x {x.shape}, got {grid.shape}")

    (count, channels, *size), out_size = x.shape, grid.shape[1:-1]
    rule: dict[str, Any] = {"mode": mode, "padding_mode": padding_mode, "align_corners": bool(align_corners)}
    points = grid.reshape(count, math.prod(out_size), dims).flip(-1).transpose(1, 2)  # (N, D, P), the axes in x's order
    positions = GridCoordinates(size=tuple(size), **rule)(points)
    index, base = kernels.of(x.data).grid_taps(positions.data, tuple(size), **rule)
    weight = _product(_weights(positions, Tensor(base), mode))
    y = WeightedGather()(x.reshape(count, channels, math.prod(size)), Tensor(index), weight)
    return y.reshape(count, channels, *out_size)


def _centers(xp: Any, n: int, align_corners: bool) -> Any:
    """The pixel centers of an axis in [−1, 1]; a single pixel lies at 0."""
    span = n - 1 if align_corners else n
    return (2.0 * xp.arange(n) - (n - 1)) / max(span, 1)


def _weights(positions: Tensor, base: Tensor, mode: str) -> Tensor:
    """The weights of the taps on each axis, (N, D, T, P)."""
    t = positions - base
    if mode == "nearest":
        return stack([t * 0.0 + 1.0], dim=2)  # constant, but of the grid: it gets the gradient 0, not None
    if mode == "bilinear":
        return stack([1.0 - t, t], dim=2)
    return stack(cubic_weights(t), dim=2)


def _product(weights: Tensor) -> Tensor:
    """The weight of each combination of taps, (N, K, P): the product over the axes, the last one fastest."""
    product, *others = weights.unbind(1)
    for other in others:
        count, taps, points = product.shape
        pairs = product.reshape(count, taps, 1, points) * other.reshape(count, 1, other.shape[1], points)
        product = pairs.reshape(count, taps * other.shape[1], points)
    return product
