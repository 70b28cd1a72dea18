"""Helpers for training: freezing, gradient clipping, spectral norm, all parameters as one vector."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from .. import functional as F
from ..autograd import Tensor, check_tensor, no_grad
from ..backend import array_module, stream, to_device
from ..errors import ArgumentError, ArgumentTypeError, GradientError, ShapeError
from .conv import ConvTranspose1d, ConvTranspose2d, ConvTranspose3d
from .module import Module
from .parameter import Parameter


def freeze(module: Module) -> Module:
    """Keep a module as it is: no parameter takes a gradient, and every layer stays in evaluation mode.

    A frozen batch norm therefore uses its running statistics and does not change them, a frozen dropout does nothing,
    and ``train()`` of a model passes over its frozen parts. Gradients that parameters have are forgotten, so that an
    optimizer that still holds the parameters leaves them alone too. Freeze what is trained again with
    :func:`unfreeze`, or parts of it:

        freeze(model)
        unfreeze(model.fc)

    Returns:   the module itself
    Raises:    ArgumentTypeError: not a Module
    """
    for part in _parts(module, "freeze"):
        part._frozen = True
    module.zero_grad()
    return module.requires_grad_(False).eval()


def unfreeze(module: Module) -> Module:
    """Undo :func:`freeze` in a module and all its parts. The layers go to training mode at the next ``train()``.

    Returns:   the module itself
    Raises:    ArgumentTypeError: not a Module
    """
    for part in _parts(module, "unfreeze"):
        part._frozen = False
    return module.requires_grad_(True)


def _parts(module: Any, op: str) -> list[Module]:
    if not isinstance(module, Module):
        raise ArgumentTypeError(f"{op}: expected a Module, such as model.features, got {type(module).__name__}")
    return list(module.modules())


def clip_grad_norm_(
    parameters: Tensor | Iterable[Tensor],
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
) -> Tensor:
    """Scale all gradients, in place, so that their norm as one vector is at most `max_norm`.

    Math:      g ← g · min(1, max_norm / (‖g‖ + 1e-6))
    Args:      norm_type: p of the p-norm, ``math.inf`` for the largest magnitude.
               error_if_nonfinite: raise where the norm is NaN or infinite, instead of scaling by it
    Returns:   the norm before clipping, a tensor without dimensions
    Raises:    GradientError: the norm is not finite and error_if_nonfinite is set; nothing was scaled.
               ArgumentError: a negative max_norm. ArgumentTypeError: no tensors
    Source:    Pascanu, Mikolov & Bengio 2013, algorithm 1
    """
    if not max_norm >= 0:
        raise ArgumentError(f"clip_grad_norm_: max_norm must not be negative, got {max_norm}")
    gradients = _gradients(parameters, "clip_grad_norm_")
    if not gradients:
        return Tensor(np.zeros((), np.float32))
    xp = array_module(gradients[0].data)
    norms = xp.stack([xp.linalg.norm(gradient.data.ravel("K"), float(norm_type)) for gradient in gradients])
    total = xp.asarray(xp.linalg.norm(norms, float(norm_type)))
    if error_if_nonfinite and not xp.isfinite(total):
        raise GradientError(
            f"clip_grad_norm_: the norm of the gradients is {total}; lower the learning rate, find the operation with "
            "detect_anomaly(), or pass error_if_nonfinite=False"
        )
    scale = xp.minimum(max_norm / (total + 1e-6), 1.0)
    for gradient in gradients:
        gradient.data *= scale.astype(gradient.dtype)
        gradient.bump_version()
    return Tensor(total)


def clip_grad_value_(parameters: Tensor | Iterable[Tensor], clip_value: float) -> None:
    """Limit every element of every gradient, in place, to [−clip_value, clip_value]."""
    if not clip_value >= 0:
        raise ArgumentError(f"clip_grad_value_: clip_value must not be negative, got {clip_value}")
    for gradient in _gradients(parameters, "clip_grad_value_"):
        array_module(gradient.data).clip(gradient.data, -clip_value, clip_value, out=gradient.data)
        gradient.bump_version()


def parameters_to_vector(parameters: Iterable[Tensor]) -> Tensor:
    """All parameters, flattened and joined to one vector; gradients flow through it."""
    return F.cat([parameter.reshape(-1) for parameter in parameters])


def vector_to_parameters(vec: Tensor, parameters: Iterable[Tensor]) -> None:
    """Copy the pieces of a vector, as :func:`parameters_to_vector` made it, into the parameters.

    Raises:    ShapeError: the vector is not as long as all parameters together; nothing was copied
    """
    vec, parameters = check_tensor(vec, "vector_to_parameters", "vec"), list(parameters)
    total = sum(parameter.numel() for parameter in parameters)
    if vec.shape != (total,):
        raise ShapeError(f"vector_to_parameters: needs shape ({total},) for these parameters, got {vec.shape}")
    start = 0
    for parameter in parameters:
        stop = start + parameter.numel()
        parameter.data[...] = vec.data[start:stop].reshape(parameter.shape)
        parameter.bump_version()
        start = stop


def spectral_norm(
    module: Module, name: str = "weight", n_power_iterations: int = 1, eps: float = 1e-12, dim: int | None = None
) -> Module:
    """Divide a layer's weight by its largest singular value, before every forward.

    The layer gets a parameter ``weight_orig`` and buffers ``weight_u`` and ``weight_v``: estimates of the first
    singular vectors, which every forward in training mode improves by power iteration. ``weight`` itself becomes a
    computed tensor.

    Math:      W = W_orig / σ, σ = uᵀ M v, M = W_orig as a matrix of shape (size of dim, −1);
               v ← Mᵀu / ‖Mᵀu‖, u ← Mv / ‖Mv‖
    Backward:  u and v are constants, so ∂σ/∂M = u vᵀ, which is exact where they are the singular vectors
    Args:      name: the weight. dim: the dimension that counts outputs, by default 0, or 1 in transposed convolutions
    Returns:   the module itself
    Raises:    ArgumentError: the weight is normalized already, is missing, or n_power_iterations < 1
    Source:    Miyato et al. 2018, algorithm 1
    """
    if name + "_orig" in module._parameters:
        raise ArgumentError(f"spectral_norm: {name!r} of {type(module).__name__} is normalized already")
    if n_power_iterations < 1:
        raise ArgumentError(f"spectral_norm: n_power_iterations must be at least 1, got {n_power_iterations}")
    weight = module._parameters.get(name)
    if weight is None:
        names = list(module._parameters)
        raise ArgumentError(f"spectral_norm: {type(module).__name__} has no parameter {name!r}, only {names}")
    if dim is None:
        dim = 1 if isinstance(module, ConvTranspose1d | ConvTranspose2d | ConvTranspose3d) else 0
    rows = weight.shape[dim]
    delattr(module, name)
    module.register_parameter(name + "_orig", weight)
    for letter, size in (("u", rows), ("v", weight.numel() // rows)):
        start = _unit(stream("init").numpy.standard_normal(size), eps).astype(weight.dtype)
        module.register_buffer(f"{name}_{letter}", Tensor(to_device(start, weight.device)))
    setattr(module, name, weight.detach())  # a plain attribute, which each forward replaces
    module.register_forward_pre_hook(_SpectralNorm(name, n_power_iterations, eps, dim))
    return module


def remove_spectral_norm(module: Module, name: str = "weight") -> Module:
    """Take :func:`spectral_norm` off a layer again; its weight stays at the normalized value.

    Raises:    ArgumentError: the weight is not normalized
    """
    for entry in module._forward_pre_hooks:
        if isinstance(entry[0], _SpectralNorm) and entry[0].name == name:
            break
    else:
        raise ArgumentError(f"remove_spectral_norm: {name!r} of {type(module).__name__} is not normalized")
    with no_grad():
        weight = entry[0].normalized(module, iterations=0)
    module._forward_pre_hooks.remove(entry)
    for suffix in ("", "_orig", "_u", "_v"):
        delattr(module, name + suffix)
    module.register_parameter(name, Parameter(weight))
    return module


class _SpectralNorm:
    """The forward pre-hook that computes ``weight`` from ``weight_orig``."""

    def __init__(self, name: str, iterations: int, eps: float, dim: int):
        self.name, self.iterations, self.eps, self.dim = name, iterations, eps, dim

    def __call__(self, module: Module, args: Any) -> None:
        setattr(module, self.name, self.normalized(module, self.iterations if module.training else 0))

    def normalized(self, module: Module, iterations: int) -> Tensor:
        weight = getattr(module, self.name + "_orig")
        buffers = [getattr(module, f"{self.name}_{letter}") for letter in "uv"]
        others = [i for i in range(weight.ndim) if i != self.dim]
        matrix = weight.permute(self.dim, *others).reshape(weight.shape[self.dim], -1)
        u, v = (buffer.data.copy() for buffer in buffers)  # the graph keeps them; the next forward moves the buffers on
        for _ in range(iterations):
            v = _unit(matrix.data.T @ u, self.eps)
            u = _unit(matrix.data @ v, self.eps)
        for buffer, vector in zip(buffers, (u, v), strict=True):
            buffer.data[...] = vector
        return weight / (Tensor(u) * (matrix @ Tensor(v))).sum()


def _unit(vector: Any, eps: float) -> Any:
    xp = array_module(vector)
    return vector / xp.maximum(xp.linalg.norm(vector), eps)


def _gradients(parameters: Tensor | Iterable[Tensor], op: str) -> list[Tensor]:
    """The gradients there are, fit to be written into: one that is part of a graph is first replaced by a copy."""
    if not isinstance(parameters, Iterable):
        raise ArgumentTypeError(f"{op}: parameters is a {type(parameters).__name__}; give model.parameters() or a list")
    gradients = []
    for parameter in [parameters] if isinstance(parameters, Tensor) else parameters:
        check_tensor(parameter, op, "a parameter")
        if parameter.grad is not None:
            if parameter.grad.grad_fn is not None:
                parameter.grad = Tensor(parameter.grad.data.copy())
            gradients.append(parameter.grad)
    return gradients
