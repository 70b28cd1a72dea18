"""Dropout: masks drawn from the random stream "dropout"."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import backend, kernels
from ..autograd import Function, Tensor
from ..backend import Generator
from ..errors import ArgumentError, ArgumentTypeError, ShapeError
from ._shared import require_floating

_SELU_SATURATION = -1.7580993408473766  # −λα of SELU: what it gives for very negative inputs


class Dropout(Function):
    """Multiply by a random mask.

    Math:      y = x·m/(1 − p), each m 0 with probability p, else 1: then E[y] = x
    Backward:  gx = gy·m/(1 − p), with the same mask, which is a constant
    """

    saves_inputs = ()
    saves_outputs = ()

    def __init__(self, *, p: float, mask_shape: tuple[int, ...], generator: Generator | None):
        self.p, self.mask_shape, self.generator = p, mask_shape, generator

    def forward(self, x: Any) -> Any:
        mask = draw_mask(self.mask_shape, self.p, x, self.generator, 1 / (1 - self.p) if self.p < 1 else 1.0)
        self.save(mask)
        return x * mask

    def backward(self, gy: Tensor) -> Tensor:
        (mask,) = self.saved
        return gy * Tensor(mask)


def draw_mask(shape: tuple[int, ...], p: float, like: Any, generator: Generator | None, kept: float = 1.0) -> Any:
    """An array beside `like`, and of its dtype: 0 with probability p, else `kept`. Drawn on the device of `like`.

    16 random bits decide: fast, and the probability is off by at most 2⁻¹⁷. 0, ½ and 1 are exact.
    """
    generator = backend.stream("dropout") if generator is None else generator
    return kernels.random_on(backend.device_of(like)).keep_mask(generator, shape, like.dtype, p, kept)


def dropout(
    x: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False, *, generator: Generator | None = None
) -> Tensor:
    """Set each element to 0 with probability p and scale the others up, so that the expectation stays.

    Math:      y = x·m/(1 − p), m drawn for each element: 0 with probability p, else 1
    Backward:  gx = gy·m/(1 − p)
    Args:      x: float. p: probability of a 0, used to within 2⁻¹⁷. training: False returns x itself. inplace: taken
               for PyTorch's sake; nothing is ever overwritten. generator: in place of the stream "dropout"
    Returns:   like x
    Raises:    ArgumentError: p outside [0, 1]
    Source:    Srivastava et al. 2014, with the scaling at training time ("inverted dropout")
    """
    require_floating(x, "dropout")
    return _drop("dropout", x, p, training, x.shape, generator)


def dropout1d(
    x: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False, *, generator: Generator | None = None
) -> Tensor:
    """Set whole channels of x (N, C, L) or (C, L) to 0 with probability p. See :func:`dropout`.

    Raises:    ShapeError: another number of dimensions. ArgumentError: p outside [0, 1]
    Source:    Tompson et al. 2015, section 3.2: neighbours are too alike to be dropped one by one
    """
    return _drop_channels("dropout1d", x, p, training, {2: 1, 3: 2}, generator)


def dropout2d(
    x: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False, *, generator: Generator | None = None
) -> Tensor:
    """Set whole channels of x (N, C, H, W) or (N, C, L) to 0 with probability p. See :func:`dropout1d`."""
    return _drop_channels("dropout2d", x, p, training, {3: 2, 4: 2}, generator)


def dropout3d(
    x: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False, *, generator: Generator | None = None
) -> Tensor:
    """Set whole channels of x (N, C, D, H, W) or (C, D, H, W) to 0 with probability p. See :func:`dropout1d`."""
    return _drop_channels("dropout3d", x, p, training, {4: 1, 5: 2}, generator)


def alpha_dropout(
    x: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False, *, generator: Generator | None = None
) -> Tensor:
    """Dropout for SELU networks: sets elements to SELU's saturation value and keeps mean 0 and variance 1.

    Math:      y = a·(x·m + α′·(1 − m)) + b, α′ = −λα = −1.7581, a = ((1 − p)(1 + p·α′²))^(−½), b = −a·p·α′
    Backward:  gx = a·m·gy
    Args:      as in :func:`dropout`; p = 1 gives zeros
    Source:    Klambauer et al. 2017, section "New dropout technique"
    """
    require_floating(x, "alpha_dropout")
    return _alpha_drop("alpha_dropout", x, p, training, x.shape, generator)


def feature_alpha_dropout(
    x: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False, *, generator: Generator | None = None
) -> Tensor:
    """Alpha dropout of whole channels of x (N, C, ...). See :func:`alpha_dropout`."""
    require_floating(x, "feature_alpha_dropout")
    if x.ndim < 2:
        raise ShapeError(f"feature_alpha_dropout: x must be (N, C, ...), got shape {x.shape}")
    return _alpha_drop("feature_alpha_dropout", x, p, training, _over_channels(x.shape, 2), generator)


def _drop_channels(
    op: str, x: Tensor, p: float, training: bool, leading: dict[int, int], generator: Generator | None
) -> Tensor:
    """`leading`: for each allowed number of dimensions, how many of the first ones number the channels."""
    require_floating(x, op)
    if x.ndim not in leading:
        allowed = " or ".join(map(str, leading))
        raise ShapeError(f"{op}: x must have {allowed} dimensions, got {x.ndim} (x {x.shape})")
    return _drop(op, x, p, training, _over_channels(x.shape, leading[x.ndim]), generator)


def _over_channels(shape: tuple[int, ...], leading: int) -> tuple[int, ...]:
    return shape[:leading] + (1,) * (len(shape) - leading)


def _drop(
    op: str, x: Tensor, p: float, training: bool, mask_shape: tuple[int, ...], generator: Generator | None
) -> Tensor:
    p = check_probability(op, p)
    if not training or p == 0:
        return x
    return Dropout(p=p, mask_shape=mask_shape, generator=generator)(x)


def _alpha_drop(
    op: str, x: Tensor, p: float, training: bool, mask_shape: tuple[int, ...], generator: Generator | None
) -> Tensor:
    p = check_probability(op, p)
    if not training or p == 0:
        return x
    if p == 1:
        return x * 0.0
    a = ((1 - p) * (1 + p * _SELU_SATURATION**2)) ** -0.5
    b = -a * p * _SELU_SATURATION
    mask = draw_mask(mask_shape, p, x.data, generator)
    return x * Tensor(a * mask) + Tensor((a * _SELU_SATURATION) * (1 - mask) + b)


def check_probability(op: str, p: float) -> float:
    """p as a Python float in [0, 1]."""
    if isinstance(p, bool) or not isinstance(p, int | float | np.integer | np.floating):
        raise ArgumentTypeError(f"{op}: the dropout probability p must be a number, got {p!r}")
    if not 0 <= p <= 1:
        raise ArgumentError(f"{op}: dropout probability has to be between 0 and 1, but got {p}")
    return float(p)
