"""An operation as every library spells it, and the rows of a table that come of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..libraries import attempt, load, target


@dataclass(frozen=True)
class Case:
    """One piece of work, done by every library.

    flops: floating-point operations of one call, where that is a sensible count. moved: the bytes of every operand and
    result, once: what cannot be avoided
    """

    name: str
    functions: dict[str, Callable[[], object]] = field(repr=False)
    flops: float | None = None
    moved: int | None = None


@dataclass(frozen=True)
class Kernel:
    """One operation and its operands.

    Args:      inputs: floating ones are differentiated, others are not. call: ``call(library, *inputs)``, the same for
               minidl and PyTorch. flops: of forward; backward has twice as many. chainer, dezero:
               ``call(functions, *inputs)``, where they have the operation
    """

    name: str
    inputs: tuple[np.ndarray, ...] = field(repr=False)
    call: Callable[..., Any]
    flops: float | None = None
    chainer: Callable[..., Any] | None = None
    dezero: Callable[..., Any] | None = None

    def cases(self, columns: list[str], device: str) -> Iterator[Case]:
        """Forward, and backward through the public interface alone."""
        pairs = {column: attempt(self.name, column, self._pair, column, device) for column in columns}
        pairs = {column: pair for column, pair in pairs.items() if pair}
        if "minidl" not in pairs:
            return
        result = self._result(device)
        operands = sum(array.nbytes for array in self.inputs)
        gradients = sum(array.nbytes for array in self.inputs if array.dtype.kind == "f")
        forward = {column: pair[0] for column, pair in pairs.items()}
        yield Case(f"{self.name} forward", forward, self.flops, operands + result.nbytes)
        backward = {column: pair[1] for column, pair in pairs.items()}
        flops = None if self.flops is None else 2 * self.flops
        yield Case(f"{self.name} backward", backward, flops, operands + result.nbytes + gradients)

    def _result(self, device: str) -> np.ndarray:
        here = target("minidl", device)
        y = self.call(here.library, *(here.tensor(array) for array in self.inputs))
        return np.empty(y.shape, np.float32)

    def _pair(self, column: str, device: str) -> tuple[Callable[[], object], Callable[[], object]] | None:
        """(forward, backward) of one library, each called once; None where it lacks the operation.

        Results are asked for their data, so that nothing can be put off until after the clock has stopped.
        """
        make = {"chainer": self._chainer, "dezero": self._dezero}.get(column)
        pair = make(load(column)) if make else self._autograd(column, device)
        for function in pair or ():
            function()
        return pair

    def _autograd(self, column: str, device: str) -> tuple[Callable[[], object], Callable[[], object]]:
        here = target(column, device)
        library = here.library
        inputs = [here.tensor(array, requires_grad=array.dtype.kind == "f") for array in self.inputs]
        wanted = [x for x in inputs if x.requires_grad]
        y = self.call(library, *inputs)
        gy = here.tensor(_cotangent(y.shape))
        return (
            here.finished(lambda: self.call(library, *inputs).data),
            here.finished(lambda: [g.data for g in library.autograd.grad([y], wanted, [gy], retain_graph=True)]),
        )

    def _chainer(self, chainer: Any) -> tuple[Callable[[], object], Callable[[], object]] | None:
        if self.chainer is None:
            return None
        call, functions = self.chainer, chainer.functions
        inputs = [chainer.Variable(array) if array.dtype.kind == "f" else array for array in self.inputs]
        wanted = [x for x in inputs if isinstance(x, chainer.Variable)]
        y = call(functions, *inputs)
        gy = chainer.Variable(_cotangent(y.shape))
        return (
            lambda: call(functions, *inputs).data,
            lambda: [g.data for g in chainer.grad([y], wanted, [gy])],
        )

    def _dezero(self, dezero: Any) -> tuple[Callable[[], object], Callable[[], object]] | None:
        if self.dezero is None:
            return None
        call, functions = self.dezero, dezero.functions
        inputs = [dezero.Variable(array) if array.dtype.kind == "f" else array for array in self.inputs]
        wanted = [x for x in inputs if isinstance(x, dezero.Variable)]
        y = call(functions, *inputs)
        gy = dezero.Variable(_cotangent(y.shape))

        def backward() -> object:
            for x in wanted:
                x.cleargrad()
            y.grad = gy
            y.backward(retain_grad=True)
            return [x.grad.data for x in wanted]

        return lambda: call(functions, *inputs).data, backward


def _cotangent(shape: tuple[int, ...]) -> np.ndarray:
    return np.asarray(np.random.default_rng(1).standard_normal(shape), "f4")


def normal(*shape: int) -> np.ndarray:
    """Random float32 operands, the same in every run."""
    return np.random.default_rng(0).standard_normal(shape, "f4")
