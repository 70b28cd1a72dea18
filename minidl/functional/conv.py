"""Convolution in one, two and three dimensions, and its two gradients.

A convolution is linear in x and in w, so its gradients are linear too, and their gradients are again convolutions: each
of the three Functions here finds its backward in the other two. That closes the circle for gradients of any order.
"""

from __future__ import annotations

from typing import Any

from .. import kernels
from ..autograd import Function, Tensor
from ..autograd.deferred import inference
from ..errors import ArgumentError, ShapeError
from ._conv_sum import waiting_conv
from ._shared import Ints, Size, check_integer, ntuple, require_floating

Pairs = tuple[tuple[int, int], ...]


class _Convolution(Function):
    saves_inputs = (0, 1)
    saves_outputs = ()

    def __init__(self, *, stride: Size, padding: Pairs, dilation: Size, groups: int):
        self.settings: dict[str, Any] = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}


class Conv(_Convolution):
    """y = w ⋆ x + b."""

    def __init__(self, **settings: Any):
        super().__init__(**settings)
        self.name = f"conv{len(settings['stride'])}d"  # type: ignore[misc]

    def forward(self, x: Any, w: Any, b: Any = None) -> Any:
        return kernels.of(x).conv(x, w, b, **self.settings)

    def backward(self, gy: Tensor) -> tuple[Tensor | None, ...]:
        x, w, needs = self.inputs[0], self.inputs[1], self.needs_input_grad
        gx = ConvInputGrad(size=x.shape[2:], **self.settings)(gy, w) if needs[0] else None
        gw = ConvWeightGrad(kernel_size=w.shape[2:], **self.settings)(x, gy) if needs[1] else None
        return gx, gw, *bias_grad(gy, needs[2:])


class ConvInputGrad(_Convolution):
    """gx[n,c,j] = Σ_o,i w[o,c,u] · gy[n,o,i] over the taps u with i·stride + u·dilation − padding = j."""

    def __init__(self, *, size: Size, **settings: Any):
        super().__init__(**settings)
        self.size = size

    def forward(self, gy: Any, w: Any) -> Any:
        return kernels.of(gy).conv_input_grad(gy, w, size=self.size, **self.settings)

    def backward(self, ggx: Tensor) -> tuple[Tensor | None, ...]:
        gy, w = self.inputs[:2]
        needs = self.needs_input_grad
        ggy = Conv(**self.settings)(ggx, w) if needs[0] else None
        gw = ConvWeightGrad(kernel_size=w.shape[2:], **self.settings)(ggx, gy) if needs[1] else None
        return ggy, gw


class ConvWeightGrad(_Convolution):
    """gw[o,c,u] = Σ_n,i x[n,c, i·stride + u·dilation − padding] · gy[n,o,i]."""

    def __init__(self, *, kernel_size: Size, **settings: Any):
        super().__init__(**settings)
        self.kernel_size = kernel_size

    def forward(self, x: Any, gy: Any) -> Any:
        return kernels.of(x).conv_weight_grad(x, gy, kernel_size=self.kernel_size, **self.settings)

    def backward(self, ggw: Tensor) -> tuple[Tensor | None, ...]:
        x, gy = self.inputs
        needs = self.needs_input_grad
        gx = ConvInputGrad(size=x.shape[2:], **self.settings)(gy, ggw) if needs[0] else None
        ggy = Conv(**self.settings)(x, ggw) if needs[1] else None
        return gx, ggy


def conv1d(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Ints = 1,
    padding: Ints | str = 0,
    dilation: Ints = 1,
    groups: int = 1,
) -> Tensor:
    """Convolution of sequences, (N, C, L) or (C, L), with weight (O, C / groups, k). See :func:`conv2d`."""
    return _conv(x, weight, bias, stride, padding, dilation, groups, dims=1)


def conv2d(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Ints = 1,
    padding: Ints | str = 0,
    dilation: Ints = 1,
    groups: int = 1,
) -> Tensor:
    """Convolution of images.

    Math:      y[n,o,i,j] = Σ_c,u,v w[o,c,u,v] · x[n,c, i·s + u·d − p, j·s + v·d − p] + b[o]   (cross-correlation: the
               kernel is not flipped; x is 0 outside)
    Backward:  each product w·x gives w·gy to its x and x·gy to its w:
               gx[n,c,h,k] = Σ w[o,c,u,v] · gy[n,o,i,j] over all (o,u,v,i,j) with i·s + u·d − p = h, j·s + v·d − p = k
               (with s = 1 the convolution of gy with the flipped kernel);
               gw[o,c,u,v] = Σ_n,i,j x[n,c, i·s + u·d − p, j·s + v·d − p] · gy[n,o,i,j]; gb[o] = Σ_n,i,j gy[n,o,i,j]
    Args:      x: (N, C, H, W) or (C, H, W) float. weight: (O, C / groups, kh, kw). bias: (O,). stride s, dilation d:
               int or (h, w). padding p: the same, or "valid" (0), or "same" (H' = H; needs stride 1; an odd total puts
               its extra row at the far end). groups: input and output channels are cut into that many parts, each
               convolved by itself; groups = C is a depthwise convolution
    Returns:   (N, O, H', W') or (O, H', W'), H' = (H + 2p − d(kh−1) − 1)//s + 1
    Raises:    ShapeError: "conv2d: x has 3 channels but weight expects 4 (x (8, 3, 32, 32), weight (16, 4, 3, 3)); …";
               a wrong rank; a kernel larger than the padded input; a bias that is not (O,). ArgumentError: groups that
               do not divide O; stride, padding or dilation out of range. DtypeError: integers
    Source:    LeCun et al. 1998, section II (the layer); Dumoulin & Visin 2016, section 4 (arithmetic);
               Krizhevsky et al. 2012, section 3.2 (groups); Yu & Koltun 2016, section 2 (dilation)
    """
    return _conv(x, weight, bias, stride, padding, dilation, groups, dims=2)


def conv3d(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Ints = 1,
    padding: Ints | str = 0,
    dilation: Ints = 1,
    groups: int = 1,
) -> Tensor:
    """Convolution of volumes, (N, C, D, H, W) or (C, D, H, W), with weight (O, C / groups, kd, kh, kw).

    See :func:`conv2d`.
    """
    return _conv(x, weight, bias, stride, padding, dilation, groups, dims=3)


def _conv(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Ints,
    padding: Ints | str,
    dilation: Ints,
    groups: int,
    dims: int,
) -> Tensor:
    op = f"conv{dims}d"
    operands = check_operands(x, weight, bias, dims, op)
    strides, dilations = ntuple(stride, dims, op, "stride"), ntuple(dilation, dims, op, "dilation")
    pads = zero_padding(padding, weight.shape[2:], strides, dilations, op)
    groups = check_groups(groups, op)
    out_channels, in_channels = weight.shape[0], weight.shape[1] * groups
    if x.shape[-dims - 1] != in_channels:
        raise ShapeError(
            f"{op}: x has {x.shape[-dims - 1]} channels but weight expects {in_channels} "
            f"(x {x.shape}, weight {weight.shape}); the channels of x must be weight.shape[1] · groups = "
            f"{weight.shape[1]} · {groups}: change one of them"
        )
    if out_channels % groups:
        raise ArgumentError(
            f"{op}: groups {groups} does not divide the {out_channels} output channels of weight {weight.shape}; "
            "each group makes weight.shape[0] / groups of them: choose a divisor, or another number of filters"
        )
    check_bias(bias, out_channels, op)
    for size, k, d, (low, high) in zip(x.shape[-dims:], weight.shape[2:], dilations, pads, strict=True):
        if size + low + high < d * (k - 1) + 1:
            raise ShapeError(
                f"{op}: the kernel spans {d * (k - 1) + 1} elements but the padded input has only {size + low + high} "
                f"(x {x.shape}, weight {weight.shape}, padding {padding!r}, dilation {dilation!r}); "
                "size + 2·padding must be at least dilation·(kernel − 1) + 1: "
                "use more padding, a smaller kernel or a larger input"
            )
    function = Conv(stride=strides, padding=pads, dilation=dilations, groups=groups)
    if inference.may_wait() and x.ndim == dims + 2 and x.dtype.char in "fd":
        return waiting_conv(function, operands, function.settings)
    return batched(function, operands, dims)


# Shared with the transposed convolutions and the layers --------------------------------------------------------------


def check_operands(x: Tensor, weight: Tensor, bias: Tensor | None, dims: int, op: str) -> list[Tensor]:
    """[x, weight] or [x, weight, bias], once their kinds and ranks are right."""
    require_floating(x, op, "x")
    require_floating(weight, op, "weight")
    spatial = ", ".join(("D", "H", "W")[3 - dims :]) if dims > 1 else "L"
    if x.ndim not in (dims + 1, dims + 2):
        raise ShapeError(
            f"{op}: x must have the shape (N, C, {spatial}) or (C, {spatial}), got {x.shape}; reshape or unsqueeze it"
        )
    if weight.ndim != dims + 2 or 0 in weight.shape:
        raise ShapeError(
            f"{op}: weight must have {dims + 2} dimensions, two for channels and {dims} for the kernel, none of "
            f"length 0, got {weight.shape}"
        )
    return [x, weight] if bias is None else [x, weight, require_floating(bias, op, "bias")]


def check_groups(groups: int, op: str) -> int:
    """`groups` if it is a positive integer."""
    if check_integer(groups, op, "groups") < 1:
        raise ArgumentError(f"{op}: groups must be at least 1, got {groups}")
    return int(groups)


def zero_padding(padding: Ints | str, kernel: Size, stride: Size, dilation: Size, op: str) -> Pairs:
    """The zeros before and after each spatial dimension."""
    if not isinstance(padding, str):
        return tuple((p, p) for p in ntuple(padding, len(kernel), op, "padding", minimum=0))
    if padding == "valid":
        return ((0, 0),) * len(kernel)
    if padding != "same":
        raise ArgumentError(f"{op}: padding must be an integer, a tuple, 'same' or 'valid', got {padding!r}")
    if max(stride) > 1:
        raise ArgumentError(f"{op}: padding 'same' needs stride 1, got stride {stride}; give the padding in numbers")
    totals = [d * (k - 1) for k, d in zip(kernel, dilation, strict=True)]
    return tuple((total // 2, total - total // 2) for total in totals)


def check_bias(bias: Tensor | None, out_channels: int, op: str) -> None:
    """Refuse a bias that is not one number for each output channel."""
    if bias is not None and bias.shape != (out_channels,):
        raise ShapeError(
            f"{op}: bias has the shape {bias.shape} but there are {out_channels} output channels; "
            f"it must be ({out_channels},)"
        )


def batched(function: Function, operands: list[Tensor], dims: int) -> Tensor:
    """Apply to operands of which the first may come without its batch dimension."""
    x, *rest = operands
    if x.ndim == dims + 2:
        return function(x, *rest)
    return function(x.unsqueeze(0), *rest).squeeze(0)


def add_bias(y: Any, b: Any) -> Any:
    """Add one number to each channel of an array that this operation has just made."""
    y += b.reshape(-1, *(1,) * (y.ndim - 2))
    return y


class ChannelSum(Function):
    """Σ gy over all but the channels."""

    saves_inputs = ()
    saves_outputs = ()

    def forward(self, gy: Any) -> Any:
        return kernels.of(gy).channel_sum(gy)

    def backward(self, ggb: Tensor) -> Tensor:
        shape = self.input_shapes[0]
        return ggb.reshape(-1, *(1,) * (len(shape) - 2)).expand(shape)


def bias_grad(gy: Tensor, needed: tuple[bool, ...]) -> tuple[Tensor | None, ...]:
    """The gradient of a bias, Σ gy over all but the channels: () without a bias, (None,) if it needs none."""
    return tuple(ChannelSum()(gy) if need else None for need in needed)
