"""Normalization layers: they hold γ, β and the running statistics of :mod:`minidl.functional`'s normalizations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from .. import functional as F
from ..autograd import Tensor, check_tensor
from ..errors import ArgumentError, ShapeError
from ..functional._shared import ntuple
from ..functional.creation import as_shape
from . import init
from .module import Module
from .parameter import Parameter


class _ChannelNorm(Module):
    """What batch norm and instance norm share: parameters and running statistics, one number for each channel.

    The state dict has PyTorch's keys: weight, bias, running_mean, running_var, num_batches_tracked (int64).
    """

    _ranks: ClassVar[tuple[int, ...]]  # the numbers of dimensions that x may have
    optional_state = ("num_batches_tracked",)  # checkpoints from before PyTorch 0.4.1 lack it

    weight: Parameter | None
    bias: Parameter | None
    running_mean: Tensor | None
    running_var: Tensor | None
    num_batches_tracked: Tensor | None

    def __init__(
        self,
        num_features: int,
        eps: float,
        momentum: float | None,
        affine: bool,
        track_running_stats: bool,
        device: Any,
        dtype: Any,
        bias: bool,
    ):
        super().__init__()
        (self.num_features,) = ntuple(num_features, 1, type(self).__name__, "num_features", minimum=0)
        self.eps, self.momentum = eps, momentum
        self.affine, self.track_running_stats = affine, track_running_stats
        _add_affine(self, (num_features,), affine, affine and bias, device, dtype)
        tracked = track_running_stats
        self.register_buffer("running_mean", F.zeros(num_features, dtype=dtype, device=device) if tracked else None)
        self.register_buffer("running_var", F.ones(num_features, dtype=dtype, device=device) if tracked else None)
        self.register_buffer("num_batches_tracked", F.tensor(0, device=device) if tracked else None)

    def reset_running_stats(self) -> None:
        """Forget the running statistics: mean 0, variance 1, no batch seen."""
        for name, value in (("running_mean", 0), ("running_var", 1), ("num_batches_tracked", 0)):
            buffer = getattr(self, name)
            if buffer is not None:
                buffer.data = F.full_like(buffer, value).data

    def reset_parameters(self) -> None:
        """Start anew: weight 1, bias 0, running statistics forgotten."""
        self.reset_running_stats()
        _reset_affine(self)

    def extra_repr(self) -> str:
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
            f"bias={self.bias is not None}, track_running_stats={self.track_running_stats}"
        )

    def _check_input(self, x: Tensor, channel_dim: int) -> None:
        name = type(self).__name__
        check_tensor(x, name, "x")
        if x.ndim not in self._ranks:
            expected = " or ".join(f"{rank}D" for rank in self._ranks)
            raise ShapeError(f"{name}: expected {expected} input, got {x.ndim}D input (x {x.shape})")
        if (self.affine or self.track_running_stats) and x.shape[channel_dim] != self.num_features:
            raise ShapeError(
                f"{name}: x has {x.shape[channel_dim]} channels but num_features is {self.num_features} (x {x.shape}); "
                f"make it {name}({x.shape[channel_dim]})"
            )


class _BatchNorm(_ChannelNorm):
    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ):
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device, dtype, bias)

    def forward(self, x: Tensor) -> Tensor:
        self._check_input(x, 1)
        momentum = 0.0 if self.momentum is None else self.momentum
        running_mean, running_var = self.running_mean, self.running_var
        if self.training and self.track_running_stats:
            counter = self.num_batches_tracked
            if counter is not None:
                counter.data = (counter + 1).data
                if self.momentum is None:
                    momentum = 1.0 / int(counter)
        elif self.training:
            running_mean = running_var = None
        use_batch = self.training or (running_mean is None and running_var is None)
        return F.batch_norm(x, running_mean, running_var, self.weight, self.bias, use_batch, momentum, self.eps)


class BatchNorm1d(_BatchNorm):
    """Batch norm of (N, C) or (N, C, L). See :func:`minidl.functional.batch_norm`.

    In training it normalizes by the batch and moves the running statistics; after ``eval()`` it normalizes by those.
    Without running statistics it always uses the batch.

    Args:      num_features: C. momentum: share of the new batch in the running statistics; None averages all batches
               seen equally. affine: whether there are weight and bias. bias: whether there is a bias beside the weight
    Raises:    ShapeError: another number of dimensions or channels, or a single value per channel in training
    """

    _ranks = (2, 3)


class BatchNorm2d(_BatchNorm):
    """Batch norm of images (N, C, H, W). Settings as in :class:`BatchNorm1d`."""

    _ranks = (4,)


class BatchNorm3d(_BatchNorm):
    """Batch norm of volumes (N, C, D, H, W). Settings as in :class:`BatchNorm1d`."""

    _ranks = (5,)


class _InstanceNorm(_ChannelNorm):
    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ):
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device, dtype, bias)

    def forward(self, x: Tensor) -> Tensor:
        check_tensor(x, type(self).__name__, "x")
        batched = x.ndim == self._ranks[-1]
        self._check_input(x, 1 if batched else 0)
        momentum = 0.0 if self.momentum is None else self.momentum
        y = F.instance_norm(
            x if batched else x.unsqueeze(0),
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            self.training or not self.track_running_stats,
            momentum,
            self.eps,
        )
        return y if batched else y.squeeze(0)


class InstanceNorm1d(_InstanceNorm):
    """Instance norm of (N, C, L) or (C, L). See :func:`minidl.functional.instance_norm`.

    Args:      num_features: C, checked where there are parameters or statistics. track_running_stats: whether
               to keep running statistics, by which it then normalizes after ``eval()``. Others as in
               :class:`BatchNorm1d`
    Raises:    ShapeError: another number of dimensions or channels, or a single position per channel
    """

    _ranks = (2, 3)


class InstanceNorm2d(_InstanceNorm):
    """Instance norm of images (N, C, H, W) or (C, H, W). Settings as in :class:`InstanceNorm1d`."""

    _ranks = (3, 4)


class InstanceNorm3d(_InstanceNorm):
    """Instance norm of volumes (N, C, D, H, W) or (C, D, H, W). Settings as in :class:`InstanceNorm1d`."""

    _ranks = (4, 5)


class LayerNorm(Module):
    """Layer norm over the last dimensions. See :func:`minidl.functional.layer_norm`.

    Args:      normalized_shape: the sizes of those dimensions, or the size of the last one
    """

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ):
        super().__init__()
        self.normalized_shape = as_shape((normalized_shape,), "LayerNorm")
        self.eps, self.elementwise_affine = eps, elementwise_affine
        _add_affine(self, self.normalized_shape, elementwise_affine, elementwise_affine and bias, device, dtype)

    def reset_parameters(self) -> None:
        """Weight 1, bias 0."""
        _reset_affine(self)

    def forward(self, x: Tensor) -> Tensor:
        return F.layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return (
            f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}, "
            f"bias={self.bias is not None}"
        )


class RMSNorm(Module):
    """Root-mean-square norm over the last dimensions. See :func:`minidl.functional.rms_norm`.

    Args:      normalized_shape: the sizes of those dimensions, or the size of the last one. eps: None for the
               epsilon of x's dtype
    """

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float | None = None,
        elementwise_affine: bool = True,
        device: Any = None,
        dtype: Any = None,
    ):
        super().__init__()
        self.normalized_shape = as_shape((normalized_shape,), "RMSNorm")
        self.eps, self.elementwise_affine = eps, elementwise_affine
        weight = F.ones(self.normalized_shape, dtype=dtype, device=device)
        self.register_parameter("weight", Parameter(weight) if elementwise_affine else None)

    def reset_parameters(self) -> None:
        """Weight 1."""
        if self.weight is not None:
            init.ones_(self.weight)

    def forward(self, x: Tensor) -> Tensor:
        return F.rms_norm(x, self.normalized_shape, self.weight, self.eps)

    def extra_repr(self) -> str:
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"


class GroupNorm(Module):
    """Group norm. See :func:`minidl.functional.group_norm`.

    Args:      num_groups: divides num_channels. num_channels: C of x (N, C, ...)
    Raises:    ArgumentError: num_channels not divisible by num_groups
    """

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ):
        super().__init__()
        (self.num_groups,) = ntuple(num_groups, 1, "GroupNorm", "num_groups")
        (self.num_channels,) = ntuple(num_channels, 1, "GroupNorm", "num_channels", minimum=0)
        if num_channels % num_groups:
            raise ArgumentError(f"GroupNorm: num_channels {num_channels} must be divisible by num_groups {num_groups}")
        self.eps, self.affine = eps, affine
        _add_affine(self, (num_channels,), affine, affine and bias, device, dtype)

    def reset_parameters(self) -> None:
        """Weight 1, bias 0."""
        _reset_affine(self)

    def forward(self, x: Tensor) -> Tensor:
        return F.group_norm(x, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        bias = self.bias is not None
        return f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}, bias={bias}"


class LocalResponseNorm(Module):
    """Local response norm. See :func:`minidl.functional.local_response_norm`."""

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0):
        super().__init__()
        self.size, self.alpha, self.beta, self.k = size, alpha, beta, k

    def forward(self, x: Tensor) -> Tensor:
        return F.local_response_norm(x, self.size, self.alpha, self.beta, self.k)

    def extra_repr(self) -> str:
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"


def _add_affine(module: Module, shape: tuple[int, ...], weight: bool, bias: bool, device: Any, dtype: Any) -> None:
    """Register weight (ones) and bias (zeros), or None in the place of one that is not wanted."""
    ones, zeros = F.ones(shape, dtype=dtype, device=device), F.zeros(shape, dtype=dtype, device=device)
    module.register_parameter("weight", Parameter(ones) if weight else None)
    module.register_parameter("bias", Parameter(zeros) if bias else None)


def _reset_affine(module: Module) -> None:
    if module.weight is not None:
        init.ones_(module.weight)
    if module.bias is not None:
        init.zeros_(module.bias)
