"""Normalization within each sample: group, layer, instance and root-mean-square norm."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import kernels
from ..autograd import FusedFunction, Tensor
from ..errors import ShapeError
from ._shared import ntuple, require_floating
from .creation import as_shape
from .norm import affine_inputs, batch_norm, check_channels, check_eps, check_statistics, track


class GroupNorm(FusedFunction):
    """Group norm: (y, mean, biased variance), the statistics of each group of each sample.

    Math:      x is seen as (N, G, K, S): G groups of K channels with S positions. μ and σ² over (K, S);
               x̂ = (x − μ)/√(σ² + ε);  y[n,g,k,s] = γ[g,k]·x̂[n,g,k,s] + β[g,k]
    Backward:  as in batch norm (:class:`minidl.functional.norm.BatchNorm`), but γ varies within a group:
               g = γ·gy;  gx = (g − mean(g) − x̂·mean(g·x̂))/√(σ² + ε), means over (K, S);
               gγ[g,k] = Σ_n,s gy·x̂,  gβ[g,k] = Σ_n,s gy
    Source:    Wu & He 2018, equations 1, 2, 6, 7
    """

    saves_outputs = ()
    non_differentiable = (1, 2)

    def __init__(self, *, view: tuple[int, int, int, int], eps: float):
        self.view, self.eps = view, eps

    def forward(self, x: Any, *affine: Any) -> Any:
        weight, bias = self._per_channel(affine)
        y, mean, var = kernels.of(x).group_norm(x.reshape(self.view), weight, bias, self.eps)
        self.save(mean, var)
        return y.reshape(x.shape), mean.astype(x.dtype), var.astype(x.dtype)

    def backward_array(self, gy: Any, *_: Any) -> Any:
        x, *affine = self.input_arrays
        weight, _ = self._per_channel(affine)
        mean, var = self.saved
        gradients = kernels.of(x).group_norm_backward(
            gy.reshape(self.view), x.reshape(self.view), weight, mean, var, self.eps
        )
        return tuple(gradient.reshape(a.shape) for gradient, a in zip(gradients, self.input_arrays, strict=False))

    def composite(self, x: Tensor, *affine: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        view = x.reshape(self.view)
        mean = view.mean(dim=(2, 3), keepdim=True)
        centered = view - mean
        var = (centered * centered).mean(dim=(2, 3), keepdim=True)
        weight, bias = self._per_channel(affine)
        y = centered / (var + self.eps).sqrt()
        if weight is not None:
            y = y * weight.unsqueeze(-1)
        if bias is not None:
            y = y + bias.unsqueeze(-1)
        return y.reshape(x.shape), mean.detach().reshape(self.view[:2]), var.detach().reshape(self.view[:2])

    def _per_channel(self, affine: Sequence[Any]) -> Sequence[Any]:
        """weight and bias as (G, K), None where there is none."""
        return (*(parameter.reshape(self.view[1:3]) for parameter in affine), None, None)[:2]


class LayerNorm(GroupNorm):
    """Layer norm is group norm with one group, in which each value is a channel of its own: view (N, 1, D, 1)."""


class InstanceNorm(GroupNorm):
    """Instance norm is group norm in which each channel is a group of its own: view (N, C, 1, S)."""


def group_norm(
    x: Tensor, num_groups: int, weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5
) -> Tensor:
    """Normalize groups of channels of each sample, then scale and shift every channel.

    Math:      y = γ_c·(x − μ)/√(σ² + ε) + β_c, μ and σ² (biased) over the C/num_groups channels of a group
    Backward:  the derivation is at :class:`GroupNorm`
    Args:      x: (N, C, ...) float. num_groups: divides C. weight, bias: (C,) or None
    Returns:   like x; it does not depend on the rest of the batch
    Edges:     beyond 1e19 the σ² of float32 numbers is ∞, which makes 1/σ 0; PyTorch then has NaN
    Raises:    ShapeError: fewer than 2 dimensions, C not divisible, or a single value in all.
               ArgumentError: num_groups below 1
    Source:    Wu & He 2018
    """
    require_floating(x, "group_norm")
    channels = check_channels(x, "group_norm")
    eps = check_eps("group_norm", eps)
    (num_groups,) = ntuple(num_groups, 1, "group_norm", "num_groups")
    if channels[0] % num_groups:
        raise ShapeError(
            f"group_norm: the {channels[0]} channels of x {x.shape} must be divisible by num_groups, got {num_groups}"
        )
    if x.numel() == num_groups:
        raise ShapeError(
            f"group_norm: Expected more than 1 value per channel when training, got x {x.shape} in {num_groups} groups"
        )
    affine = affine_inputs("group_norm", x, channels, weight, bias)
    view = (x.shape[0], num_groups, channels[0] // num_groups, math.prod(x.shape[2:]))
    return GroupNorm(view=view, eps=eps)(x, *affine)[0]


def layer_norm(
    x: Tensor,
    normalized_shape: int | Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """Normalize the last dimensions of each sample, then scale and shift every element of them.

    Math:      y = γ·(x − μ)/√(σ² + ε) + β, μ and σ² (biased) over the last dimensions; γ and β per element
    Backward:  the derivation is at :class:`GroupNorm`
    Args:      x: (..., *normalized_shape) float. weight, bias: normalized_shape, or None
    Returns:   like x
    Edges:     as :func:`group_norm`
    Raises:    ShapeError: x does not end in normalized_shape, or that is empty
    Source:    Ba, Kiros, Hinton 2016, section 3
    """
    require_floating(x, "layer_norm")
    shape = check_normalized_shape("layer_norm", x, normalized_shape)
    eps = check_eps("layer_norm", eps)
    affine = affine_inputs("layer_norm", x, shape, weight, bias)
    view = (math.prod(x.shape[: x.ndim - len(shape)]), 1, math.prod(shape), 1)
    return LayerNorm(view=view, eps=eps)(x, *affine)[0]


def check_normalized_shape(op: str, x: Tensor, normalized_shape: int | Sequence[int]) -> tuple[int, ...]:
    """normalized_shape as a tuple that x ends in."""
    shape = as_shape((normalized_shape,), op)
    if not shape or x.shape[-len(shape) :] != shape:
        raise ShapeError(
            f"{op}: normalized_shape {shape} must name one or more of the last dimensions of x, got x {x.shape}"
        )
    return shape


def instance_norm(
    x: Tensor,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Normalize every channel of every sample by itself, then scale and shift it.

    Math:      y = γ_c·(x − μ_nc)/√(σ²_nc + ε) + β_c, μ and σ² (biased) over the positions
    Backward:  the derivation is at :class:`GroupNorm`
    Args:      x: (N, C, L, ...) float. running_mean, running_var: (C,), updated by the batch's average (variance
               unbiased); with use_input_stats=False they are what is normalized by. weight, bias: (C,) or None
    Returns:   like x, for an empty batch too, which PyTorch refuses
    Edges:     as :func:`group_norm`
    Raises:    ShapeError: a single position per channel, or parameters that are not (C,). ArgumentError: see
               :func:`batch_norm`
    Source:    Ulyanov, Vedaldi, Lempitsky 2016
    """
    require_floating(x, "instance_norm")
    channels = check_channels(x, "instance_norm")
    if not use_input_stats:
        return batch_norm(x, running_mean, running_var, weight, bias, training=False, eps=eps)
    eps = check_eps("instance_norm", eps)
    check_statistics("instance_norm", x, running_mean, running_var)
    count = math.prod(x.shape[2:])
    if count == 1:
        raise ShapeError(
            f"instance_norm: Expected more than 1 spatial element when training, got x {x.shape}, whose variance is 0; "
            "use a larger image, or layer_norm"
        )
    affine = affine_inputs("instance_norm", x, channels, weight, bias)
    y, mean, var = InstanceNorm(view=(x.shape[0], x.shape[1], 1, count), eps=eps)(x, *affine)
    if x.numel():
        track(running_mean, mean.data.mean(0), momentum)
        track(running_var, var.data.mean(0) * (count / (count - 1)), momentum)
    return y


def rms_norm(
    x: Tensor, normalized_shape: int | Sequence[int], weight: Tensor | None = None, eps: float | None = None
) -> Tensor:
    """Divide the last dimensions of each sample by their root mean square, then scale every element of them.

    Math:      y = γ·x / √(mean(x²) + ε): layer norm that leaves the mean where it is
    Args:      x: (..., *normalized_shape) float. weight: normalized_shape, or None. eps: None for that of the dtype
    Returns:   like x
    Raises:    ShapeError: x does not end in normalized_shape, or that is empty
    Source:    Zhang & Sennrich 2019, equation 4
    """
    require_floating(x, "rms_norm")
    shape = check_normalized_shape("rms_norm", x, normalized_shape)
    affine = affine_inputs("rms_norm", x, shape, weight, None)
    eps = float(np.finfo(x.dtype).eps) if eps is None else eps
    eps = check_eps("rms_norm", eps)
    dims = tuple(range(x.ndim - len(shape), x.ndim))
    y = x * ((x * x).mean(dim=dims, keepdim=True) + eps).rsqrt()
    return y * affine[0] if affine else y
