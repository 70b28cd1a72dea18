"""Transposed convolution in one, two and three dimensions: a convolution's input gradient, used forwards to enlarge."""

from __future__ import annotations

from typing import Any

from ..autograd import Tensor
from ..errors import ArgumentError, ShapeError
from ._shared import Ints, Size, ntuple
from .conv import ConvInputGrad, add_bias, batched, bias_grad, check_bias, check_groups, check_operands


class ConvTranspose(ConvInputGrad):
    """A convolution's input gradient, plus b."""

    def __init__(self, *, size: Size, **settings: Any):
        super().__init__(size=size, **settings)
        self.name = f"conv_transpose{len(size)}d"  # type: ignore[misc]

    def forward(self, x: Any, w: Any, b: Any = None) -> Any:
        y = super().forward(x, w)
        return y if b is None else add_bias(y, b)

    def backward(self, gy: Tensor) -> tuple[Tensor | None, ...]:
        return *super().backward(gy), *bias_grad(gy, self.needs_input_grad[2:])


def conv_transpose1d(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Ints = 1,
    padding: Ints = 0,
    output_padding: Ints = 0,
    groups: int = 1,
    dilation: Ints = 1,
) -> Tensor:
    """Transposed convolution of sequences, (N, C, L) or (C, L), with weight (C, O / groups, k).

    See :func:`conv_transpose2d`.
    """
    return _conv_transpose(x, weight, bias, stride, padding, output_padding, groups, dilation, dims=1)


def conv_transpose2d(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Ints = 1,
    padding: Ints = 0,
    output_padding: Ints = 0,
    groups: int = 1,
    dilation: Ints = 1,
) -> Tensor:
    """Transposed ("de-") convolution of images: each pixel of x spreads a kernel over y, at distances of `stride`.

    Math:      y[n,o,h,k] = Σ w[c,o,u,v] · x[n,c,i,j] + b[o] over all (c,u,v,i,j) with i·s + u·d − p = h,
               j·s + v·d − p = k: the input gradient of :func:`conv2d` with the same weight and settings, that is, the
               transpose of its matrix. It undoes that convolution's change of shape, not its effect
    Backward:  gx = conv2d(gy, w), without bias; gw is that convolution's weight gradient, with gy in the place of its
               input and x in that of its gradient; gb[o] = Σ_n,h,k gy[n,o,h,k]
    Args:      x: (N, C, H, W) or (C, H, W) float. weight: (C, O / groups, kh, kw). bias: (O,). stride s, dilation d:
               pixels, int or (h, w). padding p: rows of y left out at each edge. output_padding: further rows of y at
               the far end, to choose among the sizes that conv2d takes to the same H
    Returns:   (N, O, H', W') or (O, H', W'), H' = (H − 1)·s − 2p + d(kh−1) + output_padding + 1
    Raises:    ShapeError: wrong channels or rank; no output left; a bias that is not (O,). ArgumentError: groups that
               do not divide C; output_padding that is neither below stride nor below dilation; settings out of range.
               DtypeError: integers
    Source:    Zeiler et al. 2010; Long et al. 2015, section 3.3; Dumoulin & Visin 2016, section 4
    """
    return _conv_transpose(x, weight, bias, stride, padding, output_padding, groups, dilation, dims=2)


def conv_transpose3d(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Ints = 1,
    padding: Ints = 0,
    output_padding: Ints = 0,
    groups: int = 1,
    dilation: Ints = 1,
) -> Tensor:
    """Transposed convolution of volumes, (N, C, D, H, W) or (C, D, H, W), with weight (C, O / groups, kd, kh, kw).

    See :func:`conv_transpose2d`.
    """
    return _conv_transpose(x, weight, bias, stride, padding, output_padding, groups, dilation, dims=3)


def _conv_transpose(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Ints,
    padding: Ints,
    output_padding: Ints,
    groups: int,
    dilation: Ints,
    dims: int,
) -> Tensor:
    op = f"conv_transpose{dims}d"
    operands = check_operands(x, weight, bias, dims, op)
    strides, dilations = ntuple(stride, dims, op, "stride"), ntuple(dilation, dims, op, "dilation")
    pads = ntuple(padding, dims, op, "padding", minimum=0)
    extras = ntuple(output_padding, dims, op, "output_padding", minimum=0)
    groups = check_groups(groups, op)
    in_channels, out_channels = weight.shape[0], weight.shape[1] * groups
    if x.shape[-dims - 1] != in_channels:
        raise ShapeError(
            f"{op}: x has {x.shape[-dims - 1]} channels but weight expects {in_channels} (x {x.shape}, weight "
            f"{weight.shape}); here a weight is (in_channels, out_channels / groups, kernel): change one of them"
        )
    if in_channels % groups:
        raise ArgumentError(
            f"{op}: groups {groups} does not divide the {in_channels} input channels "
            f"(weight {weight.shape}); choose a divisor"
        )
    check_bias(bias, out_channels, op)
    if any(e >= s and e >= d for e, s, d in zip(extras, strides, dilations, strict=True)):
        raise ArgumentError(
            f"{op}: output_padding {extras} must be smaller than stride {strides} or dilation {dilations} in each "
            "dimension; for more rows, pad the output"
        )
    size = output_size(x.shape[-dims:], weight.shape[2:], strides, pads, dilations, extras)
    if min(size) < 1:
        raise ShapeError(
            f"{op}: the output would have the size {size} (x {x.shape}, weight {weight.shape}, stride {strides}, "
            f"padding {pads}); (size − 1)·stride − 2·padding + dilation·(kernel − 1) + output_padding + 1 must be at "
            "least 1: use less padding"
        )
    # As the convolution sees it, output padding is padding that its far end does without.
    ends = tuple((p, p - e) for p, e in zip(pads, extras, strict=True))
    function = ConvTranspose(size=size, stride=strides, padding=ends, dilation=dilations, groups=groups)
    return batched(function, operands, dims)


def output_size(x: Size, kernel: Size, stride: Size, padding: Size, dilation: Size, output_padding: Size) -> Size:
    """How large y becomes in each spatial dimension: the formula of :func:`conv_transpose2d`."""
    return tuple(
        (n - 1) * s - 2 * p + d * (k - 1) + e + 1
        for n, k, s, p, d, e in zip(x, kernel, stride, padding, dilation, output_padding, strict=True)
    )
