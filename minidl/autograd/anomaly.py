"""The first NaN or infinity of a computation: which operation made it, where that was written, and probably why."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from contextlib import ContextDecorator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..backend import array_module, to_numpy
from ..errors import NonFiniteError
from . import _patches, engine
from ._causes import ARRIVES, Evidence, Operand, likely_cause
from ._places import Place, here
from .function import Function
from .tensor import Tensor

CHOOSING = ("where", "masked_fill")
"""Operations whose NaN or infinity is a constant that the user gave; the next operation shows whether it does harm."""


@dataclass(frozen=True)
class Anomaly:
    """What :class:`detect_anomaly` found; the error that it raises has it as ``anomaly``.

    Attributes: operation: the Function's name. phase: "forward" or "backward". result: in which output, or of which
               input the gradient. value, index: the first NaN or infinity and its place there. cause: the likely one.
               source: file, line and text of the user's code that applied the operation, "" if that was not watched.
               layer: path and class of the module, "" outside. operands: a line of statistics for each array
    """

    operation: str
    phase: str
    result: str
    value: float
    index: tuple[int, ...]
    cause: str
    source: str
    layer: str
    operands: tuple[str, ...]

    def __str__(self) -> str:
        lines = [
            f"the {self.phase} of {self.operation} gave {self.value} in {self.result}, first at index {self.index}",
            f"likely cause: {self.cause}",
            *self.operands,
            f"written at: {self.source or 'a line that ran outside of detect_anomaly'}",
        ]
        return "\n  ".join(lines)


class detect_anomaly(ContextDecorator):  # lower case: it is written with ml.autograd.detect_anomaly():
    """Stop at the first operation, forward or backward, that makes a NaN, or an infinity out of finite numbers.

    Inside the block every operation of this thread notes the line that applied it, so that backward can name the line
    of the forward, and every result is looked at. Infinities that are given, as a mask of −inf before a softmax, are
    no anomaly, nor is what ``where`` and ``masked_fill`` put in; a NaN always is, as soon as something is computed with
    it. Deferred results are computed at once, and on a GPU every operation is waited for. It makes a training step of
    LeNet-5 on 64 images 1.4 times as long, and a chain of operations on one number twice. Outside nothing is paid.

    >>> with ml.autograd.detect_anomaly():
    ...     loss_fn(model(x), labels).backward()

    Raises:    NonFiniteError: inside the block; its ``anomaly`` is an :class:`Anomaly`, its ``layer_path`` the layer's
    """

    def __enter__(self) -> detect_anomaly:
        _patches.put(
            "anomaly",
            [
                (Function, "__call__", _watched_call),
                (Function, "computed", _watched_call),
                (engine, "_propagate", _watched_backward),
                (engine, "_sum", _watched_sum),
            ],
        )
        _thread.watching += 1
        return self

    def __exit__(self, *exception: object) -> None:
        _thread.watching -= 1
        _patches.take_away("anomaly")


class _Thread(threading.local):
    watching = 0  # how many blocks it is inside of
    inside = False  # an operation that will be judged by its own result


_thread = _Thread()


def _watched_call(original: Callable[..., Any]) -> Callable[..., Any]:
    """``Function.__call__`` or ``computed``, with a look at what comes out."""

    @functools.wraps(original)
    def call(function: Function, *args: Any, **settings: Any) -> Any:
        if not _thread.watching:
            return original(function, *args, **settings)
        function._made = place = here()
        result = original(function, *args, **settings)
        if not _thread.inside:
            outputs = result if type(result) is tuple else (result,)
            inputs = args[0] if args and type(args[0]) is tuple else args  # computed takes them as a tuple
            _judge_forward(function, place, inputs, outputs)
        return result

    return call


def _judge_forward(function: Function, place: Place, inputs: tuple[Any, ...], outputs: tuple[Tensor, ...]) -> None:
    for i, y in enumerate(outputs):
        if _finite(y.data) or function.name in CHOOSING:
            continue
        operands = [Operand(f"input {k}", x.data, x) for k, x in enumerate(inputs)]
        if _made_here(y.data, operands):
            result = f"its result of shape {y.shape}" if len(outputs) == 1 else f"output {i} of shape {y.shape}"
            raise _error(function, "forward", result, y.data, operands, place)


def _watched_backward(original: Callable[..., Any]) -> Callable[..., Any]:
    """The engine's ``_propagate``: the gradients that arrive at a node, and those that its backward returns."""

    @functools.wraps(original)
    def propagate(node: Function, gradients: list[Any], pending: Any, useful: Any) -> None:
        if not _thread.watching or _thread.inside:
            return original(node, gradients, pending, useful)
        arrived = [Operand(ARRIVES, g.data) for g in gradients if g is not None]
        for gradient in arrived:
            if _has_nan(gradient.raw):
                result = f"the gradient of its result, of shape {gradient.raw.shape}, before it ran"
                raise _error(node, "backward", result, gradient.raw, arrived, node._made, given=True)

        def backward(*gys: Any) -> Any:
            _thread.inside = True
            try:
                results = kind.backward(node, *gys)
            finally:
                _thread.inside = False
            for i, gx in enumerate(results if isinstance(results, tuple | list) else (results,)):
                if not isinstance(gx, Tensor) or _finite(gx.data):
                    continue
                operands = arrived + _saved(node)
                if _made_here(gx.data, operands):
                    result = f"the gradient of its input {i}, of shape {gx.shape}"
                    raise _error(node, "backward", result, gx.data, operands, node._made)
            return results

        kind = type(node)
        node.backward = backward  # type: ignore[method-assign]
        try:
            original(node, gradients, pending, useful)
        finally:
            del node.backward

    return propagate


def _watched_sum(original: Callable[..., Any]) -> Callable[..., Any]:
    """The engine's ``_sum``, of the gradients that reach a tensor by two ways."""

    @functools.wraps(original)
    def add(a: Tensor, b: Tensor) -> Tensor:
        total = original(a, b)
        if _thread.watching and not _thread.inside and not _finite(total.data):
            operands = [Operand(f"gradient {k}", g.data) for k, g in enumerate((a, b))]
            if _made_here(total.data, operands):
                result = f"the sum of two gradients of one tensor of shape {total.shape}"
                raise _error(None, "backward", result, total.data, operands, None)
        return total

    return add


def _saved(node: Function) -> list[Operand]:
    """The floating-point arrays that the node has kept from its forward."""
    inputs = [(f"input {i}", array) for i, array in enumerate(node.input_arrays)]
    outputs = [(f"output {i}", node.output(i).data) for i, y in enumerate(node.output_arrays) if y is not None]
    return [Operand(name, array) for name, array in inputs + outputs if array is not None]


def _finite(array: Any) -> bool:
    return array.dtype.kind != "f" or bool(array_module(array).isfinite(array).all())


def _has_nan(array: Any) -> bool:
    return not _finite(array) and bool(array_module(array).isnan(array).any())


def _made_here(array: Any, operands: list[Operand]) -> bool:
    """Whether the array has a NaN, or an infinity that is made out of finite operands."""
    return _has_nan(array) or all(_finite(operand.raw) for operand in operands)


def _error(
    node: Function | None,
    phase: str,
    result: str,
    raw: Any,
    operands: list[Operand],
    place: Place | None,
    given: bool = False,
) -> NonFiniteError:
    array = to_numpy(raw)
    wrong = np.isnan(array) if np.isnan(array).any() else np.isinf(array)
    index = tuple(int(i) for i in np.argwhere(wrong)[0])
    value = float(array[index])
    name = "add" if node is None else node.name
    evidence = Evidence(name, phase, node, operands, array, index, given)
    anomaly = Anomaly(
        operation=name,
        phase=phase,
        result=result,
        value=value,
        index=index,
        cause=likely_cause(evidence),
        source=place.source if place else "",
        layer=place.layer if place else "",
        operands=tuple(operand.statistics(index) for operand in operands),
    )
    error = NonFiniteError(f"detect_anomaly: {anomaly}")
    error.anomaly = anomaly  # type: ignore[attr-defined]
    if phase == "backward" and place:  # a forward's error collects its path on the way up through the modules
        error.layer_path = place.path
    return error
