"""Batch normalization, local response normalization, and scaling to unit length."""

from __future__ import annotations

import math
from typing import Any

from .. import kernels
from ..autograd import FusedFunction, Tensor, check_tensor, is_grad_enabled
from ..autograd.deferred import deferred_of
from ..backend import array_module
from ..errors import ArgumentError, ShapeError
from ._affine import Affine
from ._conv_sum import normalized_conv
from ._shared import check_number, ntuple, require_floating
from .elementwise import MaskedGradient


class BatchNorm(FusedFunction):
    """Batch norm by the statistics of the batch: (y, mean, biased variance).

    Math:      μ = mean(x), σ² = mean((x − μ)²) over the m values of a channel;  s = √(σ² + ε);  x̂ = (x − μ)/s;
               y = γ·x̂ + β
    Backward:  gγ = Σ gy·x̂,  gβ = Σ gy, and with g = γ·gy the gradient of x̂:
               μ and s depend on every x: ∂μ/∂xᵢ = 1/m, and since ∂σ²/∂xᵢ = 2(xᵢ − μ)/m (the part through μ is
               Σ(xⱼ − μ) = 0), ∂s/∂xᵢ = (xᵢ − μ)/(m·s) = x̂ᵢ/m.
               By the quotient rule ∂x̂ⱼ/∂xᵢ = (δᵢⱼ − 1/m − x̂ᵢ·x̂ⱼ/m)/s. Summed against gⱼ:
               gx = (g − mean(g) − x̂·mean(g·x̂)) / s
               What is left of g is orthogonal to 1 and (but for ε) to x̂: shifting or scaling a channel changes nothing.
    Source:    Ioffe & Szegedy 2015, Algorithm 1
    """

    saves_outputs = ()
    non_differentiable = (1, 2)

    def __init__(self, *, eps: float):
        self.eps = eps

    def forward(self, x: Any, weight: Any = None, bias: Any = None) -> Any:
        mean, var = kernels.of(x).batch_norm_statistics(x)
        self.save(mean, var)
        y = Affine([(x, weight, bias, mean, var, self.eps)], [])
        return y, mean.astype(x.dtype), var.astype(x.dtype)

    def backward(self, *gys: Tensor) -> Any:
        masked = deferred_of(gys[0])
        if isinstance(masked, MaskedGradient) and not is_grad_enabled():
            return tuple(map(Tensor, self.backward_array(masked.gy, relu_output=masked.y)))
        return super().backward(*gys)

    def backward_array(self, *gys: Any, relu_output: Any = None) -> Any:
        gy, (x, weight) = gys[0], (*self.input_arrays, None)[:2]
        mean, var = self.saved
        gradients = kernels.of(x).batch_norm_backward(gy, x, weight, mean, var, self.eps, relu_output)
        return gradients[: len(self.input_arrays)]

    def composite(self, x: Tensor, *affine: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        axes = (0, *range(2, x.ndim))
        mean = x.mean(dim=axes, keepdim=True)
        centered = x - mean
        var = (centered * centered).mean(dim=axes, keepdim=True)
        y = _scale_and_shift(centered / (var + self.eps).sqrt(), *affine)
        return y, mean.detach().flatten(), var.detach().flatten()


class BatchNormEval(FusedFunction):
    """Batch norm by given statistics, which are constants: for each channel a scale and a shift.

    Math:      y = γ·(x − μ)/√(σ² + ε) + β
    Backward:  gx = gy·γ/√(σ² + ε), gγ = Σ gy·(x − μ)/√(σ² + ε), gβ = Σ gy
    """

    saves_outputs = ()

    def __init__(self, *, eps: float):
        self.eps = eps

    def forward(self, x: Any, mean: Any, var: Any, weight: Any = None, bias: Any = None) -> Any:
        return Affine([(x, weight, bias, mean, var, self.eps)], [])

    def backward_array(self, gy: Any) -> Any:
        x, mean, var, weight = (*self.input_arrays, None)[:4]
        gx, *gaffine = kernels.of(x).batch_norm_eval_backward(gy, x, weight, mean, var, self.eps)
        return (gx, None, None, *gaffine)[: len(self.input_arrays)]

    def composite(self, x: Tensor, mean: Tensor, var: Tensor, *affine: Tensor) -> Tensor:
        per_channel = (1, -1) + (1,) * (x.ndim - 2)
        x_hat = (x - mean.reshape(per_channel)) / (var.reshape(per_channel) + self.eps).sqrt()
        return _scale_and_shift(x_hat, *affine)


def _scale_and_shift(x_hat: Tensor, weight: Tensor | None = None, bias: Tensor | None = None) -> Tensor:
    """γ·x̂ + β for each channel of x̂ (N, C, ...), where there are γ and β."""
    per_channel = (1, -1) + (1,) * (x_hat.ndim - 2)
    y = x_hat if weight is None else x_hat * weight.reshape(per_channel)
    return y if bias is None else y + bias.reshape(per_channel)


def batch_norm(
    x: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Normalize every channel over the batch and all positions, then scale and shift it.

    Math:      y = γ·(x − μ)/√(σ² + ε) + β; μ and σ² (biased) of the batch in training, else the running ones.
               Training also sets running ← (1 − momentum)·running + momentum·(μ, unbiased variance m/(m−1)·σ²)
    Backward:  the derivation is at :class:`BatchNorm`
    Args:      x: (N, C, ...) float. running_mean, running_var: (C,), updated in training (each gets a new array; those
               that earlier results were computed with stay as they were), needed in evaluation. They get no gradient.
               weight, bias: γ and β, (C,), or None for 1 and 0
    Returns:   like x
    Raises:    ShapeError: fewer than 2 dimensions, a parameter that is not (C,), or one value per channel in training.
               ArgumentError: no running statistics in evaluation; eps not above 0 (evaluation: below 0)
    Source:    Ioffe & Szegedy 2015
    """
    require_floating(x, "batch_norm")
    channels = check_channels(x, "batch_norm")
    affine = affine_inputs("batch_norm", x, channels, weight, bias)
    check_statistics("batch_norm", x, running_mean, running_var)
    eps = check_eps("batch_norm", eps)
    if not training:
        if running_mean is None or running_var is None:
            raise ArgumentError(
                "batch_norm: evaluation needs running_mean and running_var; pass both, or training=True"
            )
        function = BatchNormEval(eps=eps)
        if (y := normalized_conv(function, x, running_mean, running_var, weight, bias, eps)) is not None:
            return y
        return function(x, constant(running_mean), constant(running_var), *affine)
    if not eps > 0:
        raise ArgumentError(f"batch_norm: eps must be positive in training, got {eps}")
    count = x.numel() // max(channels[0], 1)
    if count == 1:
        raise ShapeError(
            f"batch_norm: Expected more than 1 value per channel when training, got x {x.shape}, "
            "whose variance is 0; use a larger batch, or evaluation mode"
        )
    y, mean, var = BatchNorm(eps=eps)(x, *affine)
    if count:
        track(running_mean, mean.data, momentum)
        track(running_var, var.data * (count / (count - 1)), momentum)
    return y


def check_channels(x: Tensor, op: str) -> tuple[int]:
    """The shape (C,) of a parameter for x (N, C, ...)."""
    if x.ndim < 2:
        raise ShapeError(f"{op}: x must be (N, C, ...), with at least 2 dimensions, got shape {x.shape}")
    return (x.shape[1],)


def check_eps(op: str, eps: float) -> float:
    """eps, which keeps the divisor from 0."""
    eps = check_number(eps, op, "eps")
    if not eps >= 0:
        raise ArgumentError(f"{op}: eps must not be negative, got {eps}")
    return eps


def affine_inputs(op: str, x: Tensor, shape: tuple[int, ...], weight: Any, bias: Any) -> tuple[Tensor, ...]:
    """What a normalization takes after x: (), (weight,) or (weight, bias). A bias alone gets a weight of ones."""
    for name, parameter in (("weight", weight), ("bias", bias)):
        if parameter is not None and check_tensor(parameter, op, name).shape != shape:
            raise ShapeError(
                f"{op}: {name} has shape {parameter.shape} but x {x.shape} needs {shape}; pass one of that shape"
            )
    if bias is None:
        return () if weight is None else (weight,)
    if weight is None:
        weight = Tensor(array_module(x.data).ones(shape, x.dtype))
    return weight, bias


def check_statistics(op: str, x: Tensor, running_mean: Any, running_var: Any) -> None:
    """Running statistics have one number for each channel."""
    for name, running in (("running_mean", running_mean), ("running_var", running_var)):
        if running is not None and check_tensor(running, op, name).shape != (x.shape[1],):
            raise ShapeError(f"{op}: {name} has shape {running.shape} but x {x.shape} has {x.shape[1]} channels")


def constant(running: Tensor) -> Tensor:
    """A copy that no later update, not even of the array in place, can change under a backward pass."""
    return Tensor(running.data.copy())


def track(running: Tensor | None, batch: Any, momentum: float) -> None:
    """running ← (1 − momentum)·running + momentum·batch, as a new array: nobody's saved array changes."""
    if running is not None:
        momentum = check_number(momentum, "batch_norm", "momentum")
        old = running.data
        running.data = ((1.0 - momentum) * old + momentum * batch).astype(old.dtype)
        running.bump_version()


class LocalResponseNorm(FusedFunction):
    """Local response norm.

    Math:      d_c = k + α/size · Σ_{c' near c} x_c'²;  y_c = x_c · d_c^(−β)
    Backward:  x_i appears in its own numerator and in each d_c whose window holds i, ∂d_c/∂x_i = 2α/size · x_i:
               gx_i = gy_i·d_i^(−β) − 2αβ/size · x_i · Σ_{c: i near c} gy_c·x_c·d_c^(−β−1)
    Source:    Krizhevsky, Sutskever, Hinton 2012, section 3.3 (there α is not divided by size)
    """

    saves_outputs = ()

    def __init__(self, *, size: int, alpha: float, beta: float, k: float):
        self.size, self.alpha, self.beta, self.k = size, alpha, beta, k

    def forward(self, x: Any) -> Any:
        y, energy = kernels.of(x).local_response_norm(x, self.size, self.alpha, self.beta, self.k)
        self.save(energy)
        return y

    def backward_array(self, gy: Any) -> Any:
        (x,), (energy,) = self.input_arrays, self.saved
        return kernels.of(x).local_response_norm_backward(gy, x, energy, self.size, self.alpha, self.beta)

    def composite(self, x: Tensor) -> Tensor:
        xp = array_module(x.data)
        offset = xp.arange(x.shape[1])[None, :] - xp.arange(x.shape[1])[:, None]
        near = Tensor(((offset >= -(self.size // 2)) & (offset <= (self.size - 1) // 2)).astype(x.dtype))
        flat = x.reshape(*x.shape[:2], math.prod(x.shape[2:]))
        energy = near @ (flat * flat) * (self.alpha / self.size) + self.k
        return x * (energy**-self.beta).reshape(x.shape)


def local_response_norm(x: Tensor, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> Tensor:
    """Divide each value by a power of the energy that `size` neighbouring channels have at its position.

    Math:      y_c = x_c / (k + α/size · Σ x_c'²)^β, c' = c − size//2 … c + (size−1)//2; channels outside count as 0
    Backward:  the derivation is at :class:`LocalResponseNorm`
    Args:      x: (N, C, L, ...) float. size: number of channels, at least 1
    Returns:   like x
    Edges:     a NaN or ∞ reaches the channels of its windows only; in PyTorch its gradient reaches others
    Raises:    ShapeError: fewer than 3 dimensions. ArgumentError: size below 1
    Source:    Krizhevsky, Sutskever, Hinton 2012, section 3.3; dividing α by size is PyTorch's convention
    """
    require_floating(x, "local_response_norm")
    if x.ndim < 3:
        raise ShapeError(f"local_response_norm: x must be (N, C, L, ...), at least 3 dimensions, got shape {x.shape}")
    (size,) = ntuple(size, 1, "local_response_norm", "size")
    settings = {"alpha": alpha, "beta": beta, "k": k}
    numbers = {name: check_number(value, "local_response_norm", name) for name, value in settings.items()}
    return LocalResponseNorm(size=size, **numbers)(x)


def normalize(x: Tensor, p: float = 2.0, dim: int | tuple[int, ...] = 1, eps: float = 1e-12) -> Tensor:
    """Divide the vectors along `dim` by their p-norm.

    Math:      y = x / max(‖x‖_p, ε)
    Args:      x: float, any shape. p: which norm. dim: along which dimension or dimensions
    Returns:   like x; vectors of zeros stay zeros
    """
    require_floating(x, "normalize")
    return x / x.norm(p, dim=dim, keepdim=True).clamp(min=eps)
