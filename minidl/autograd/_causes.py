"""Why an operation probably gave a NaN or an infinity: what is known about it, and the usual suspects in order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ..backend import to_numpy

ARRIVES = "the gradient that arrives"
"""The name of that operand of a backward; the others were saved by the forward."""

HUGE = 1e6
"""A parameter or an activation beyond this is called exploding."""


@dataclass(frozen=True)
class Operand:
    """An array that took part, on its device, with the Tensor that it came in, if it is an input of a forward."""

    name: str
    raw: Any
    tensor: Any = None

    @cached_property
    def array(self) -> np.ndarray:
        """The array on the host: copied there once something is wrong, not before."""
        return to_numpy(self.raw)

    @property
    def largest(self) -> float:
        """The largest absolute value among the finite ones, 0 where there is none."""
        if self.array.dtype.kind != "f":
            return 0.0
        finite = np.abs(self.array[np.isfinite(self.array)])
        return float(finite.max()) if finite.size else 0.0

    def count(self, test: Callable[[Any], Any]) -> int:
        """How many elements pass the test."""
        return int(np.count_nonzero(test(self.array))) if self.array.dtype.kind == "f" else 0

    def statistics(self, index: tuple[int, ...]) -> str:
        """Shape, range, mean, what is not finite, and the element at `index` where the shapes agree so far."""
        array = self.array
        text = f"{self.name}: shape {array.shape} {array.dtype}"
        if array.dtype.kind == "f" and array.size:
            finite = array[np.isfinite(array)].astype(np.float64)
            if finite.size:
                text += f", min {finite.min():.4g}, mean {finite.mean():.4g}, max {finite.max():.4g}"
            text += f", {self.count(np.isnan)} NaN, {self.count(np.isinf)} infinite, {self.count(_is_zero)} zero"
        if len(index) == array.ndim and all(i < n for i, n in zip(index, array.shape, strict=True)):
            text += f"; at {index}: {array[index]:.6g}" if array.dtype.kind == "f" else f"; at {index}: {array[index]}"
        return text


@dataclass(frozen=True)
class Evidence:
    """What happened: the operation (its node, None for a sum of gradients), in which phase, its operands and result.

    ``given``: the bad value had arrived before the operation ran.
    """

    name: str
    phase: str
    node: Any
    operands: list[Operand]
    result: np.ndarray
    index: tuple[int, ...]
    given: bool

    @property
    def nan(self) -> bool:
        """Whether it is a NaN, not an infinity."""
        return bool(np.isnan(self.result[self.index]))


def likely_cause(evidence: Evidence) -> str:
    """The first suspect that the evidence speaks for, in one sentence with what to do."""
    suspects = _FORWARD if evidence.phase == "forward" else _BACKWARD
    for suspect in suspects:
        if cause := suspect(evidence):
            return cause
    what = "a NaN" if evidence.nan else "an infinity"
    return f"unknown: {evidence.name} made {what} out of what is listed below"


# Forward --------------------------------------------------------------------------------------------------------------


def _given(e: Evidence) -> str:
    for operand in e.operands:
        bad = operand.count(np.isnan)
        if not bad:
            continue
        x = operand.tensor
        if x is not None and x.grad_fn is not None:
            return f"{operand.name} holds {bad} NaN already: {x.grad_fn.name} made it outside of detect_anomaly"
        if x is not None and x.requires_grad:
            return f"{operand.name}, a parameter, holds {bad} NaN already: an update has destroyed it{_norm_of(x)}"
        return f"bad input data: {operand.name} holds {bad} NaN, and no operation made them; look at how it was loaded"
    return ""


def _domain(e: Evidence) -> str:
    """Functions that are not defined, or infinite, somewhere."""
    x = e.operands[0]
    if e.name in ("log", "log1p"):
        edge = 0 if e.name == "log" else -1
        at, below = x.count(lambda a: a == edge), x.count(lambda a: a < edge)
        if below and e.nan:
            return f"log of a negative number: {below} elements lie below {edge}; clamp them, or check their sign"
        if at:
            return (
                f"log of 0: {at} of {x.array.size} elements are {edge}; use log_softmax or logits, or add a small eps"
            )
    if e.name in ("sqrt", "rsqrt"):
        if below := x.count(lambda a: a < 0):
            return f"root of a negative number: {below} elements, down to {x.array[x.array < 0].min():.4g}; clamp at 0"
        if e.name == "rsqrt" and (zeros := x.count(_is_zero)):
            return f"division by a root of 0: {zeros} elements are 0; add a small eps before rsqrt"
    return ""


def _division(e: Evidence) -> str:
    if e.name not in ("div", "floor_divide", "remainder"):
        return ""
    divisor = e.operands[1]
    if not (zeros := divisor.count(_is_zero)):
        return ""
    if divisor.tensor is not None and _is_norm(divisor.tensor):
        return f"division by a zero norm: {zeros} of the norms that divide are 0; use F.normalize, or add a small eps"
    return f"division {'of 0 ' if e.nan else ''}by 0: {zeros} of the divisor's elements are 0; add a small eps to it"


def _power(e: Evidence) -> str:
    if e.name != "pow":
        return ""
    base = e.operands[0]
    exponent = e.operands[1].array if len(e.operands) > 1 else e.node.exponent
    if e.nan and base.count(lambda a: a < 0):
        return "a negative number to a power that is no integer; take the absolute value first, or clamp at 0"
    if np.any(np.asarray(exponent) < 0) and (zeros := base.count(_is_zero)):
        return f"0 to a negative power: {zeros} elements of the base are 0; add a small eps"
    return ""


def _exponential(e: Evidence) -> str:
    if e.name not in ("exp", "expm1"):
        return ""
    largest, limit = e.operands[0].array.max(), float(np.log(np.finfo(e.result.dtype).max))
    return (
        f"overflow in {e.name}: the largest exponent is {largest:.4g}, and {e.result.dtype} ends at e^{limit:.4g}; "
        "subtract the maximum first, as softmax, logsumexp and the losses on logits do"
    )


def _softmax(e: Evidence) -> str:
    if "softmax" not in e.name and e.name != "logsumexp":
        return ""
    x = e.operands[0]
    if x.count(np.isposinf):
        return f"softmax over +inf: {x.count(np.isposinf)} of the logits overflowed before it"
    if x.count(np.isneginf):
        return "softmax over a row that is all −inf: a mask leaves nothing to choose from; keep one element of each row"
    return ""


def _empty(e: Evidence) -> str:
    if e.operands and e.operands[0].array.size == 0 and e.name in ("mean", "var", "std"):
        return f"{e.name} over no elements: an empty batch, or a mask that selects nothing; skip it"
    if e.name in ("var", "std") and e.operands[0].array.size:
        return f"{e.name} over too few elements: n − correction is 0; give it more, or correction=0"
    return ""


def _undefined(e: Evidence) -> str:
    """Arithmetic on infinities that has no value."""
    if not e.nan or not any(operand.count(np.isinf) for operand in e.operands):
        return ""
    if e.name in ("add", "sub", "sum", "mean", "cumsum"):
        return "inf − inf: infinities of both signs meet in a sum; find out where they come from, or clamp before"
    if e.name in ("mul", "mat_mul", "linear", "einsum", "dropout", "prod") or e.name.startswith("conv"):
        return "0 · inf: an infinity meets a 0 in a product; choose with where, do not multiply by a mask"
    if e.name == "div":
        return "inf / inf: both the dividend and the divisor have overflowed"
    return "an infinity went in that the operation gives no value for; find out where it comes from"


def _half(e: Evidence) -> str:
    if e.result.dtype != np.float16 or not all(operand.count(np.isinf) == 0 for operand in e.operands):
        return ""
    largest = max((operand.largest for operand in e.operands), default=0.0)
    return (
        f"float16 overflow: nothing above 65504 can be written in it, and the operands reach {largest:.4g}; "
        "compute this in float32, or scale it down"
    )


def _explosion(e: Evidence) -> str:
    for operand in e.operands:
        x = operand.tensor
        if x is not None and x.requires_grad and x.grad_fn is None:
            infinite = operand.count(np.isinf)
            if infinite or operand.largest > HUGE:
                what = f"has {infinite} infinite elements" if infinite else f"reaches {operand.largest:.3g}"
                return (
                    f"exploding step: {operand.name}, a parameter, {what}{_norm_of(x)}; lower the learning rate or clip"
                )
    largest = max((operand.largest for operand in e.operands), default=0.0)
    if not e.nan and largest > HUGE:
        return (
            f"overflow: the operands reach {largest:.3g}, and {e.result.dtype} ends at "
            f"{np.finfo(e.result.dtype).max:.3g}; activations explode, look at the initialization and the input's scale"
        )
    return ""


# Backward -------------------------------------------------------------------------------------------------------------


def _arrived(e: Evidence) -> str:
    if not e.given:
        return ""
    return "the gradient that arrives is NaN already: it was given to backward, or a hook returned it"


def _root_at_zero(e: Evidence) -> str:
    zeros = sum(operand.count(_is_zero) for operand in _saved(e))
    root = e.name in ("sqrt", "rsqrt") or (e.name == "pow" and 0 < getattr(e.node, "exponent", 1) < 1)
    if not root or not zeros:
        return ""
    name = "sqrt" if e.name == "sqrt" else "the power"
    if e.nan:
        return _too_late(name)
    return f"{name} at 0: its slope there is infinite ({zeros} elements are 0); add a small eps before it, or use norm"


def _slope(e: Evidence) -> str:
    """A local derivative that divides by something tiny or 0."""
    if e.name not in ("log", "log1p", "div", "pow", "rsqrt"):
        return ""
    saved = _saved(e)
    size = np.abs(saved[1 if e.name == "div" else 0].array)
    if e.nan and size.size and size.min() == 0:
        return _too_late(e.name)
    if size.size and size.min() < 1e-3:
        return (
            f"the slope of {e.name} is steep near 0: its operand comes down to {size.min():.3g}; clamp it, or add eps"
        )
    return ""


def _too_late(name: str) -> str:
    return (
        f"0 · inf: the slope of {name} at 0 is infinite, and the gradient that arrives there is 0; "
        "replace the 0 before it (a where after it comes too late)"
    )


def _undefined_product(e: Evidence) -> str:
    if e.nan and any(operand.count(np.isinf) for operand in _saved(e)):
        return "0 · inf: a gradient of 0 meets an infinite local derivative; replace the infinity in the forward"
    if e.nan and any(operand.count(np.isinf) for operand in e.operands):
        return "inf − inf or 0 · inf: the gradient that arrives is infinite"
    return ""


def _exploding_gradient(e: Evidence) -> str:
    arrived = [operand for operand in e.operands if operand.name == ARRIVES or e.node is None]
    norm = max((_norm(operand.array) for operand in arrived), default=0.0)
    if not e.nan and (norm > HUGE or max((operand.largest for operand in e.operands), default=0.0) > HUGE):
        return (
            f"exploding gradient: the one that arrives has norm {norm:.3g}, and {e.result.dtype} ends at "
            f"{np.finfo(e.result.dtype).max:.3g}; look at the initialization, the learning rate and the loss's scale"
        )
    return ""


_FORWARD = (
    _given, _domain, _division, _power, _softmax, _empty, _undefined, _half, _exponential, _explosion,
)  # fmt: skip
_BACKWARD = (_arrived, _root_at_zero, _half, _slope, _undefined_product, _exploding_gradient)


def _saved(e: Evidence) -> list[Operand]:
    """Of a backward, the operands that its forward had saved."""
    return [operand for operand in e.operands if operand.name != ARRIVES]


def _is_zero(array: Any) -> Any:
    return array == 0


def _norm(array: np.ndarray) -> float:
    return float(np.linalg.norm(array[np.isfinite(array)].astype(np.float64)))


def _norm_of(parameter: Any) -> str:
    """The norm of its last gradient, as far as it is still there."""
    if parameter.grad is None:
        return ""
    gradient = to_numpy(parameter.grad.data)
    bad = int(np.count_nonzero(~np.isfinite(gradient)))
    return (
        f" (its last gradient has {bad} NaN or infinite elements)"
        if bad
        else f" (its last gradient has norm {_norm(gradient):.3g})"
    )


def _is_norm(x: Any) -> bool:
    """Whether x is a root, perhaps reshaped or limited since."""
    node = x.grad_fn
    while node is not None:
        if node.name == "sqrt" or (node.name == "pow" and 0 < getattr(node, "exponent", 1) < 1):
            return True
        if node.name not in ("expand", "reshape", "permute", "masked_fill", "add", "clamp", "narrow", "getitem"):
            return False
        node = next((edge[0] for edge in node.edges if edge is not None and hasattr(edge[0], "edges")), None)
        node = None if node is None or not node.edges else node
    return False
