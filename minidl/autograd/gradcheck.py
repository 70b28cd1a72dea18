"""Gradient checks: the hand-written backward against finite differences of the forward."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..backend import to_device, to_numpy
from ..errors import ArgumentError, ArgumentTypeError, DtypeError, GradcheckError
from .engine import grad
from .grad_mode import enable_grad, no_grad
from .tensor import Tensor

KINK_THRESHOLD = 1e-3
"""How much the one-sided derivatives may differ, relative to max(1, |derivative|), before a kink is suspected."""

JUMP_THRESHOLD = 1e3
"""How large a derivative may be before a jump is suspected."""


def gradcheck(
    fn: Callable[..., Any],
    inputs: Tensor | Sequence[Any],
    *,
    eps: float = 1e-6,
    atol: float = 1e-6,
    rtol: float = 1e-5,
    mode: str = "full",
    raise_exception: bool = True,
) -> bool:
    """Check the gradients of `fn` at `inputs` against central differences.

    Math:      with a random cotangent v and s(x) = ⟨v, fn(x)⟩, the analytic gradient g = Jᵀv must satisfy, for each
               element i, |gᵢ − n| ≤ atol + rtol · |n|,  n = (s(x + eps·eᵢ) − s(x − eps·eᵢ)) / (2 eps).
               A cotangent of ones would be blind to errors in softmax and batch norm, whose gradients sum to 0
    Args:      fn: Tensors to a Tensor or a tuple of them; deterministic. A Module has its parameters checked as well.
               inputs: those that require gradients are checked; they must be float64.
               mode: "full" checks every element; "directional" ⟨g, u⟩ along three random directions u, in few calls.
               raise_exception: return False instead of raising
    Returns:   True
    Raises:    GradcheckError: a gradient is wrong (the worst element, with its index and both values), `fn` has a kink
               or jump at the point, changes its inputs, or gives two answers for one question.
               DtypeError: an input is not float64
    Source:    Griewank & Walther 2008, ch. 3, for ⟨v, J u⟩ = ⟨Jᵀv, u⟩
    """
    if mode not in ("full", "directional"):
        raise ArgumentError(f"gradcheck: mode must be 'full' or 'directional', got {mode!r}")
    point = _Point.of(fn, inputs, "gradcheck")
    try:
        _check(point, eps, atol, rtol, mode)
    except GradcheckError:
        if raise_exception:
            raise
        return False
    return True


def gradgradcheck(
    fn: Callable[..., Any],
    inputs: Tensor | Sequence[Any],
    grad_outputs: Tensor | Sequence[Tensor] | None = None,
    *,
    eps: float = 1e-6,
    atol: float = 1e-6,
    rtol: float = 1e-5,
    mode: str = "full",
    raise_exception: bool = True,
) -> bool:
    """Check second derivatives: :func:`gradcheck` of the backward pass of `fn`, in its inputs and in its cotangents.

    Before that, the gradients with and without ``create_graph`` must agree: a fused operation has two ways to them.

    Args:      grad_outputs: the cotangents at which to check; random ones by default. The rest as :func:`gradcheck`
    Raises:    as :func:`gradcheck`; NotTwiceDifferentiable where an operation has no second derivative
    """
    point = _Point.of(fn, inputs, "gradgradcheck")
    outputs = point.outputs()
    if grad_outputs is None:
        rng = np.random.default_rng(1)
        cotangents = [Tensor(to_device(rng.standard_normal(y.shape), y.device), requires_grad=True) for y in outputs]
    else:
        given = (grad_outputs,) if isinstance(grad_outputs, Tensor) else tuple(grad_outputs)
        if len(given) != len(outputs):
            raise ArgumentError(
                f"gradgradcheck: {len(outputs)} outputs but {len(given)} grad_outputs; give one for each"
            )
        cotangents = [Tensor(v.data.copy(), requires_grad=True) for v in given]
    count = len(point.arguments)

    def backward(*arguments: Tensor, create_graph: bool = True) -> tuple[Tensor, ...]:
        with enable_grad():
            ys = point.outputs(arguments[:count])
            used = [(y, v) for y, v in zip(ys, arguments[count:], strict=True) if y.requires_grad]
            wanted = [x for x in (*arguments[:count], *point.parameters) if isinstance(x, Tensor) and x.requires_grad]
            roots, seeds = [y for y, _ in used], [v for _, v in used]
            found = grad(roots, wanted, seeds, create_graph=create_graph, allow_unused=True)
        return tuple(g for g in found if g is not None)

    own = len(point.names) - len(point.parameters)
    names = [*point.names[:own], *(f"grad_output {i}" for i in range(len(outputs))), *point.names[own:]]
    try:
        second = _Point(backward, [*point.arguments, *cotangents], point.parameters, names, "gradgradcheck")
        plain = backward(*second.arguments, create_graph=False)
        for once, recorded in zip(plain, backward(*second.arguments), strict=True):
            if not np.allclose(to_numpy(once.data), to_numpy(recorded.data), rtol, atol, equal_nan=True):
                raise GradcheckError(
                    "gradgradcheck: with create_graph the first gradient is another one than without: "
                    "composite and backward_array are not the same function"
                )
        _check(second, eps, atol, rtol, mode)
    except GradcheckError:
        if raise_exception:
            raise
        return False
    return True


@dataclass
class _Point:
    """A function and the point at which it is checked: copies of the arguments, and a Module's own parameters."""

    fn: Callable[..., Any]
    arguments: list[Any]
    parameters: list[Tensor]
    names: list[str]  # of the variables, in their order
    op: str

    @classmethod
    def of(cls, fn: Callable[..., Any], inputs: Any, op: str) -> _Point:
        given = (inputs,) if isinstance(inputs, Tensor) else tuple(inputs)
        arguments = [
            Tensor(x.data.copy(order="K"), requires_grad=x.requires_grad) if isinstance(x, Tensor) else x for x in given
        ]
        names = [f"input {i}" for i, x in enumerate(arguments) if isinstance(x, Tensor) and x.requires_grad]
        named = list(getattr(fn, "named_parameters", tuple)())
        parameters = [(name, p) for name, p in named if p.requires_grad]
        names += [f"parameter {name}" for name, _ in parameters]
        point = cls(fn, arguments, [p for _, p in parameters], names, op)
        if not point.names:
            raise ArgumentError(
                f"{op}: no input requires a gradient, so there is nothing to check; pass requires_grad=True"
            )
        for name, x in zip(point.names, point.variables, strict=True):
            if x.dtype != np.float64:
                raise DtypeError(
                    f"{op}: {name} is {x.dtype}; finite differences need float64 (x.double(), "
                    "module.to(minidl.float64))"
                )
        return point

    @property
    def variables(self) -> list[Tensor]:
        """What is perturbed and differentiated."""
        return [x for x in self.arguments if isinstance(x, Tensor) and x.requires_grad] + self.parameters

    def outputs(self, arguments: Sequence[Any] | None = None) -> list[Tensor]:
        """The floating-point outputs."""
        result = self.fn(*(self.arguments if arguments is None else arguments))
        results = result if isinstance(result, tuple | list) else (result,)
        for y in results:
            if not isinstance(y, Tensor):
                raise ArgumentTypeError(f"{self.op}: fn must return Tensors, got {type(y).__name__}")
        return [y for y in results if y.is_floating_point()]

    def project(self, cotangents: list[np.ndarray]) -> float:
        """s = ⟨v, fn(x)⟩."""
        with no_grad():
            return _dot(cotangents, self.outputs())


def _check(point: _Point, eps: float, atol: float, rtol: float, mode: str) -> None:
    rng = np.random.default_rng(0)
    tensors = [x for x in point.arguments if isinstance(x, Tensor)] + point.parameters
    before = [x.data.copy() for x in tensors]
    with enable_grad():
        ys = point.outputs()
    if not any(y.requires_grad for y in ys):
        raise GradcheckError(
            f"{point.op}: no output depends on the inputs through recorded operations; is fn detaching them?"
        )
    cotangents = [rng.standard_normal(y.shape) for y in ys]
    given = [Tensor(to_device(v.copy(), y.device)) for v, y in zip(cotangents, ys, strict=True)]
    roots, seeds = zip(*((y, v) for y, v in zip(ys, given, strict=True) if y.requires_grad), strict=True)

    def gradients(retain_graph: bool) -> list[np.ndarray]:
        found = grad(roots, point.variables, seeds, retain_graph=retain_graph, allow_unused=True)
        return [
            np.zeros(x.shape) if g is None else to_numpy(g.data) for g, x in zip(found, point.variables, strict=True)
        ]

    value = _dot(cotangents, ys)
    analytic, again = gradients(True), gradients(False)
    center = point.project(cotangents)
    if not np.isfinite(value):
        raise GradcheckError(
            f"{point.op}: fn gives ⟨v, fn(x)⟩ = {value!r} at this point; move the inputs to where it is finite"
        )
    if abs(value - center) > 1e-12 * abs(center):
        raise GradcheckError(
            f"{point.op}: fn is not deterministic: two calls gave ⟨v, fn(x)⟩ = {value!r} and {center!r}; "
            "restart its random stream in each"
        )
    if any(not np.array_equal(x.data, old, equal_nan=True) for x, old in zip(tensors, before, strict=True)):
        raise GradcheckError(
            f"{point.op}: fn changed an input in place; forward and backward must not write to their inputs"
        )
    if any(not np.array_equal(to_numpy(v.data), old) for v, old in zip(given, cotangents, strict=True)):
        raise GradcheckError(f"{point.op}: backward changed the gradient that it was given; it must return a new one")
    for name, first, second in zip(point.names, analytic, again, strict=True):
        if not np.array_equal(first, second, equal_nan=True):
            raise GradcheckError(
                f"{point.op}: two backward passes gave different gradients of {name}: backward is not deterministic, "
                "or writes to what was saved"
            )
    compare = _compare_elements if mode == "full" else _compare_directions
    compare(point, analytic, cotangents, center, eps, atol, rtol)


def _dot(cotangents: list[np.ndarray], ys: list[Tensor]) -> float:
    return float(sum(np.vdot(v, to_numpy(y.data)) for v, y in zip(cotangents, ys, strict=True)))


def _compare_elements(
    point: _Point,
    analytic: list[np.ndarray],
    cotangents: list[np.ndarray],
    center: float,
    eps: float,
    atol: float,
    rtol: float,
) -> None:
    for name, x, gradient in zip(point.names, point.variables, analytic, strict=True):
        numeric = np.empty(x.shape)
        for index in np.ndindex(x.shape):

            def along(step: float, x: Tensor = x, index: tuple[int, ...] = index) -> float:
                old = x.data[index].item()
                x.data[index] = old + step
                try:
                    return point.project(cotangents)
                finally:
                    x.data[index] = old

            numeric[index] = _derivative(along, center, eps, f"{point.op}: {name} at index {index}")
        excess = np.abs(gradient - numeric) - (atol + rtol * np.abs(numeric))
        wrong = ~(excess <= 0)
        if wrong.any():
            worst = np.unravel_index(np.argmax(np.where(np.isnan(excess), np.inf, excess)), x.shape)
            index = tuple(int(i) for i in worst)
            raise GradcheckError(
                f"{point.op}: the gradient of {name} is wrong in {wrong.sum()} of {wrong.size} elements, "
                f"worst at index {index}: analytic {gradient[index]:.10g}, numeric {numeric[index]:.10g} "
                f"(difference {abs(gradient[index] - numeric[index]):.3g}, "
                f"tolerance {atol + rtol * abs(numeric[index]):.3g})"
            )


def _compare_directions(
    point: _Point,
    analytic: list[np.ndarray],
    cotangents: list[np.ndarray],
    center: float,
    eps: float,
    atol: float,
    rtol: float,
) -> None:
    rng = np.random.default_rng(2)
    variables = point.variables
    size = sum(x.numel() for x in variables)
    for number in range(3):
        directions = [rng.standard_normal(x.shape) / max(size, 1) ** 0.5 for x in variables]

        def along(step: float, directions: list[np.ndarray] = directions) -> float:
            old = [x.data.copy() for x in variables]
            try:
                for x, u in zip(variables, directions, strict=True):
                    x.data[...] += to_device(np.asarray(step * u), x.device)  # of a scalar it would be a NumPy number
                return point.project(cotangents)
            finally:
                for x, data in zip(variables, old, strict=True):
                    x.data[...] = data

        expected = float(sum(np.vdot(g, u) for g, u in zip(analytic, directions, strict=True)))
        where = f"along random direction {number} through {', '.join(point.names)}"
        numeric = _derivative(along, center, eps, f"{point.op}: {where}")
        if not abs(expected - numeric) <= atol + rtol * abs(numeric):
            raise GradcheckError(
                f"{point.op}: the gradient {where} is wrong: analytic {expected:.10g}, numeric {numeric:.10g}; "
                "mode='full' finds the element"
            )


def _derivative(along: Callable[[float], float], center: float, eps: float, where: str) -> float:
    """The central difference of s along one line, taken again at a tenth of the step where a kink or jump is suspected.

    Of a smooth function the two halves then agree, with each other and with the first. A kink keeps them apart, and a
    jump makes the quotient grow as the step shrinks.
    """
    above, below = along(eps), along(-eps)
    central = (above - below) / (2 * eps)
    scale = KINK_THRESHOLD * max(1.0, abs(central))
    if abs(above - 2 * center + below) / eps > scale or abs(central) > JUMP_THRESHOLD:
        near = eps / 10
        right, left = (along(near) - center) / near, (center - along(-near)) / near
        if abs(right - left) > scale or abs((right + left) / 2 - central) > scale:
            raise GradcheckError(
                f"{where}: the function has a kink or a jump there: its derivative is {left:.6g} from below, "
                f"{right:.6g} from above, {central:.6g} over a step of {eps:g}; move the input away from it"
            )
    return central
