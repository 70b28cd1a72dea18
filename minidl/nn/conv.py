"""Convolution layers: they hold the weight, the bias and the settings of :mod:`minidl.functional`'s convolutions."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from .. import functional as F
from ..autograd import Tensor, check_tensor
from ..errors import ArgumentError, ShapeError
from ..functional._shared import ntuple
from ..functional.conv import Ints, check_groups, zero_padding
from ..functional.conv_transpose import output_size as transposed_size
from ._default_init import draw_parameters
from .module import Module
from .parameter import Parameter

PADDING_MODES = ("zeros", "reflect", "replicate", "circular")


class _ConvNd(Module):
    """What all convolution layers share. The weight's shape without the kernel is left to the subclass."""

    _dims: ClassVar[int]
    _function: ClassVar[Callable[..., Tensor]]

    weight: Parameter
    bias: Parameter | None
    padding: Any  # a tuple, "same" or "valid"

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Ints,
        stride: Ints,
        padding: Ints | str,
        dilation: Ints,
        groups: int,
        padding_mode: str,
    ):
        super().__init__()
        name, dims = type(self).__name__, self._dims
        (self.in_channels,) = ntuple(in_channels, 1, name, "in_channels")
        (self.out_channels,) = ntuple(out_channels, 1, name, "out_channels")
        self.kernel_size = ntuple(kernel_size, dims, name, "kernel_size")
        self.stride = ntuple(stride, dims, name, "stride")
        self.padding = padding if isinstance(padding, str) else ntuple(padding, dims, name, "padding", minimum=0)
        self.dilation = ntuple(dilation, dims, name, "dilation")
        self.groups = check_groups(groups, name)
        self.padding_mode = padding_mode
        if in_channels % groups or out_channels % groups:
            raise ArgumentError(
                f"{name}: groups {groups} must divide both in_channels {in_channels} and out_channels {out_channels}"
            )

    def _make_parameters(self, channels: tuple[int, int], bias: bool, device: Any, dtype: Any) -> None:
        self.weight = Parameter(F.empty(*channels, *self.kernel_size, dtype=dtype, device=device))
        self.register_parameter(
            "bias", Parameter(F.empty(self.out_channels, dtype=dtype, device=device)) if bias else None
        )
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw weight and bias anew: see :func:`minidl.nn._default_init.draw_parameters`."""
        draw_parameters(self.weight, self.bias, fan_in=math.prod(self.weight.shape[1:]))

    def extra_repr(self) -> str:
        ones, zeros = (1,) * self._dims, (0,) * self._dims
        settings = [f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"]
        for name, default in (("padding", zeros), ("dilation", ones), ("output_padding", zeros), ("groups", 1)):
            value = getattr(self, name, default)
            if value != default:
                settings.append(f"{name}={value}")
        if self.bias is None:
            settings.append("bias=False")
        if self.padding_mode != "zeros":
            settings.append(f"padding_mode={self.padding_mode}")
        return ", ".join(settings)


class _Conv(_ConvNd):
    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Ints,
        stride: Ints = 1,
        padding: Ints | str = 0,
        dilation: Ints = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ):
        super().__init__(in_channels, out_channels, kernel_size, stride, padding, dilation, groups, padding_mode)
        name = type(self).__name__
        zero_padding(padding, self.kernel_size, self.stride, self.dilation, name)  # refuses now what forward would
        if padding_mode not in PADDING_MODES:
            raise ArgumentError(f"{name}: padding_mode must be one of {', '.join(PADDING_MODES)}, got {padding_mode!r}")
        self._make_parameters((self.out_channels, self.in_channels // self.groups), bias, device, dtype)

    def forward(self, x: Tensor) -> Tensor:
        """The convolution of x, padded by ``padding_mode``."""
        padding = self.padding
        if self.padding_mode != "zeros":
            x, padding = F.pad(x, self._edges(), mode=self.padding_mode), (0,) * self._dims
        return self._function(x, self.weight, self.bias, self.stride, padding, self.dilation, self.groups)

    def _edges(self) -> tuple[int, ...]:
        """The padding as F.pad takes it: before and after, the last dimension first."""
        edges = zero_padding(self.padding, self.kernel_size, self.stride, self.dilation, type(self).__name__)
        return tuple(n for pair in reversed(edges) for n in pair)


class Conv1d(_Conv):
    """Convolution of sequences (N, C, L) or (C, L). See :func:`minidl.functional.conv1d`.

    Arguments as :class:`Conv2d`.
    """

    _dims, _function = 1, staticmethod(F.conv1d)


class Conv2d(_Conv):
    """Convolution of images (N, C, H, W) or (C, H, W). See :func:`minidl.functional.conv2d`.

    Args:      in_channels, out_channels: C and O. kernel_size, stride, padding, dilation: int or (h, w); padding also
               "same" or "valid". groups: parts convolved by themselves. bias: whether to add one. padding_mode: what
               lies outside x, "zeros", "reflect", "replicate" or "circular"
    Attributes: weight: (O, C / groups, kh, kw). bias: (O,) or None
    """

    _dims, _function = 2, staticmethod(F.conv2d)


class Conv3d(_Conv):
    """Convolution of volumes (N, C, D, H, W) or (C, D, H, W). See :func:`minidl.functional.conv3d`.

    Arguments as :class:`Conv2d`.
    """

    _dims, _function = 3, staticmethod(F.conv3d)


class _ConvTranspose(_ConvNd):
    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Ints,
        stride: Ints = 1,
        padding: Ints = 0,
        output_padding: Ints = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Ints = 1,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ):
        name = type(self).__name__
        if padding_mode != "zeros":
            raise ArgumentError(f"{name}: only padding_mode 'zeros' has a meaning here, got {padding_mode!r}")
        if isinstance(padding, str):
            raise ArgumentError(f"{name}: padding must be an integer or a tuple, got {padding!r}")
        super().__init__(in_channels, out_channels, kernel_size, stride, padding, dilation, groups, padding_mode)
        self.output_padding = ntuple(output_padding, self._dims, name, "output_padding", minimum=0)
        self._make_parameters((self.in_channels, self.out_channels // self.groups), bias, device, dtype)

    def forward(self, x: Tensor, output_size: Sequence[int] | None = None) -> Tensor:
        """The transposed convolution of x.

        Args:      output_size: (H', W') or the whole shape, in place of output_padding: one of the sizes that the
                   stride makes possible
        """
        extra = self.output_padding if output_size is None else self._output_padding(x, output_size)
        return self._function(x, self.weight, self.bias, self.stride, self.padding, extra, self.groups, self.dilation)

    def _output_padding(self, x: Tensor, output_size: Sequence[int]) -> tuple[int, ...]:
        """The output padding that leads to `output_size`."""
        name, dims = type(self).__name__, self._dims
        check_tensor(x, name, "x")
        wanted = tuple(output_size)
        if len(wanted) == x.ndim:
            wanted = wanted[-dims:]
        if len(wanted) != dims:
            raise ArgumentError(
                f"{name}: output_size must have {dims} entries (or those of the whole shape), got {output_size}"
            )
        settings = self.kernel_size, self.stride, self.padding, self.dilation
        smallest = transposed_size(x.shape[-dims:], *settings, output_padding=(0,) * dims)
        if any(not least <= n < least + s for n, least, s in zip(wanted, smallest, self.stride, strict=True)):
            largest = tuple(least + s - 1 for least, s in zip(smallest, self.stride, strict=True))
            raise ShapeError(
                f"{name}: output_size {wanted} is out of reach from x {x.shape}: with stride {self.stride} it can be "
                f"{smallest} to {largest}"
            )
        return tuple(int(n - least) for n, least in zip(wanted, smallest, strict=True))


class ConvTranspose1d(_ConvTranspose):
    """Transposed convolution of sequences (N, C, L) or (C, L). See :func:`minidl.functional.conv_transpose1d`.

    Arguments as :class:`ConvTranspose2d`.
    """

    _dims, _function = 1, staticmethod(F.conv_transpose1d)


class ConvTranspose2d(_ConvTranspose):
    """Transposed convolution of images (N, C, H, W) or (C, H, W). See :func:`minidl.functional.conv_transpose2d`.

    Args:      in_channels, out_channels: C and O. kernel_size, stride, padding, output_padding, dilation: int or (h,
               w). groups: parts convolved by themselves. bias: whether to add one
    Attributes: weight: (C, O / groups, kh, kw). bias: (O,) or None
    """

    _dims, _function = 2, staticmethod(F.conv_transpose2d)


class ConvTranspose3d(_ConvTranspose):
    """Transposed convolution of volumes (N, C, D, H, W) or (C, D, H, W).

    See :func:`minidl.functional.conv_transpose3d`. Arguments as :class:`ConvTranspose2d`.
    """

    _dims, _function = 3, staticmethod(F.conv_transpose3d)
