"""Convolutions not yet computed: in inference, what follows one is done while its blocks are in the cache."""

from __future__ import annotations

from typing import Any

from .. import kernels
from ..autograd import Function, Tensor
from ..autograd.deferred import Deferred, deferred_of, inference


class ConvSum(Deferred):
    """A convolution, maybe plus another array.

    Args:      x, w, bias: the arrays of the convolution. settings: its settings. shape: of the result.
               plus: an array of that shape, or None
    """

    def __init__(self, x: Any, w: Any, bias: Any, settings: dict[str, Any], shape: tuple[int, ...], plus: Any = None):
        self.like = self.x = x
        self.w, self.bias, self.settings, self.plus = w, bias, settings, plus
        self.shape, self.dtype = shape, x.dtype

    def compute(self, relu: bool = False) -> Any:
        """The array, or its ReLU, in one pass."""
        return kernels.of(self.x).conv(self.x, self.w, self.bias, self.plus, relu, **self.settings)

    def normalized(self, mean: Any, var: Any, weight: Any, bias: Any, eps: float) -> ConvSum:
        """Batch norm by given statistics: the same convolution with its filters scaled and its bias moved.

        Math:      γ·(w ⋆ x + b − μ)/σ + β = (γ/σ · w) ⋆ x + (b − μ)·γ/σ + β
        """
        scale = (var.astype("float64") + eps) ** -0.5
        if weight is not None:
            scale = scale * weight
        shift = -mean * scale if self.bias is None else (self.bias - mean) * scale
        if bias is not None:
            shift = shift + bias
        w = self.w * scale.astype(self.dtype).reshape(-1, *(1,) * (self.w.ndim - 1))
        return ConvSum(self.x, w, shift.astype(self.dtype), self.settings, self.shape)

    def added(self, other: Any) -> ConvSum:
        """The sum with an array."""
        return ConvSum(self.x, self.w, self.bias, self.settings, self.shape, other)


def waiting_conv(function: Function, operands: list[Tensor], settings: dict[str, Any]) -> Tensor:
    """The convolution of operands = [x, w] or [x, w, b], to be computed together with what follows."""
    x, w, *bias = arrays = [operand.data for operand in operands]
    function._check_alike(arrays)
    spatial = zip(x.shape[2:], w.shape[2:], settings["stride"], settings["padding"], settings["dilation"], strict=True)
    out = ((n + low + high - d * (k - 1) - 1) // s + 1 for n, k, s, (low, high), d in spatial)
    shape = (len(x), len(w), *out)
    return _waiting(function, operands, ConvSum(x, w, bias[0] if bias else None, settings, shape))


def normalized_conv(
    function: Function, x: Tensor, mean: Tensor, var: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float
) -> Tensor | None:
    """Batch norm of x by these statistics, if x is a convolution that waits."""
    conv = deferred_of(x)
    if not isinstance(conv, ConvSum) or conv.plus is not None or not inference.may_wait():
        return None
    gamma, beta = (None if tensor is None else tensor.data for tensor in (weight, bias))
    function._check_alike([array for array in (conv.x, mean.data, var.data, gamma, beta) if array is not None])
    return _waiting(function, [x], conv.normalized(mean.data, var.data, gamma, beta, eps))


def conv_sum(function: Function, a: Tensor, b: Tensor) -> Tensor | None:
    """a + b, if one of them is a convolution that waits and the other is like it."""
    if a.shape != b.shape or a.dtype != b.dtype or not inference.may_wait():
        return None
    for x, other in ((a, b), (b, a)):
        conv = deferred_of(x)
        if isinstance(conv, ConvSum) and conv.plus is None:
            return _waiting(function, [a, b], conv.added(other.data))
    return None


def _waiting(function: Function, inputs: list[Tensor], conv: ConvSum) -> Tensor:
    y = function.computed(tuple(inputs), conv)
    inference.watch(y)  # type: ignore[arg-type]
    return y
