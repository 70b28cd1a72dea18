"""An operation as every library spells it, and the rows of a table that come of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np

from ..libraries import TRANSFER, Target, attempt, load, target

Function = Callable[[], object]
Functions = dict[str, Function]
Pair = tuple[Function, Function]


@dataclass(frozen=True)
class Case:
    """One piece of work, done by every library.

    flops: floating-point operations of one call, where that is a sensible count. moved: the bytes of every operand and
    result, once: what cannot be avoided. sizes: those at which the CPU and the GPU are compared, in `unit`. at:
    ``at(size, columns)``, the functions of these columns at such a size
    """

    name: str
    functions: Functions = field(repr=False)
    flops: float | None = None
    moved: int | None = None
    unit: str = "batch"
    sizes: tuple[int, ...] = ()
    at: Callable[[int, list[str]], Functions] | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Kernel:
    """One operation and its operands.

    Args:      inputs: floating ones are differentiated, others are not. call: ``call(library, *inputs)``, the same for
               minidl and PyTorch. flops: of forward; backward has twice as many. chainer, dezero:
               ``call(functions, *inputs)``, where they have the operation. batched: the inputs whose first axis is the
               batch, by number
    """

    name: str
    inputs: tuple[np.ndarray, ...] = field(repr=False)
    call: Callable[..., Any]
    flops: float | None = None
    chainer: Callable[..., Any] | None = None
    dezero: Callable[..., Any] | None = None
    batched: tuple[int, ...] = (0,)

    @property
    def batch(self) -> int:
        return len(self.inputs[self.batched[0]])

    @property
    def sizes(self) -> tuple[int, ...]:
        """Batches from a 64th of the kernel's own to four times as many, without those below 1."""
        return tuple(sorted({max(1, self.batch * 4**k // 64) for k in range(5)}))

    def resized(self, batch: int) -> Kernel:
        """The same with the first so many examples of the batch, or with all of them and some again."""
        chosen = np.arange(batch) % self.batch
        inputs = tuple(array[chosen] if i in self.batched else array for i, array in enumerate(self.inputs))
        flops = None if self.flops is None else self.flops * batch / self.batch
        return replace(self, inputs=inputs, flops=flops)

    def cases(self, columns: list[str], device: str) -> Iterator[Case]:
        """Forward, and backward through the public interface alone."""
        pairs = self._pairs(columns, device)
        if "minidl" not in pairs:
            return
        result = self._result(device)
        operands = sum(array.nbytes for array in self.inputs)
        gradients = sum(array.nbytes for array in self.inputs if array.dtype.kind == "f")
        moved = operands + result.nbytes
        forward = {column: pair[0] for column, pair in pairs.items()}
        at = partial(self._at, 0, device)
        yield Case(f"{self.name} forward", forward, self.flops, moved, sizes=self.sizes, at=at)
        backward = {column: pair[1] for column, pair in pairs.items()}
        at = partial(self._at, 1, device)
        flops = None if self.flops is None else 2 * self.flops
        yield Case(f"{self.name} backward", backward, flops, moved + gradients, sizes=self.sizes, at=at)

    def _at(self, which: int, device: str, batch: int, columns: list[str]) -> Functions:
        """Forward (0) or backward (1) at another batch."""
        return {column: pair[which] for column, pair in self.resized(batch)._pairs(columns, device).items()}

    def _pairs(self, columns: list[str], device: str) -> dict[str, Pair]:
        """(forward, backward) of every column that can."""
        pairs = {column: attempt(self.name, column, self._pair, column, device) for column in columns}
        return {column: pair for column, pair in pairs.items() if pair}

    def _result(self, device: str) -> np.ndarray:
        here = target("minidl", device)
        y = self.call(here.library, *(here.tensor(array) for array in self.inputs))
        return np.empty(y.shape, np.float32)

    def _pair(self, column: str, device: str) -> Pair | None:
        """(forward, backward) of one library, each called once; None where it lacks the operation.

        Results are asked for their data, so that nothing can be put off until after the clock has stopped.
        """
        if column == TRANSFER:
            pair: Pair | None = self._transfers()
        else:
            make = {"chainer": self._chainer, "dezero": self._dezero}.get(column)
            pair = make(load(column)) if make else self._autograd(column, device)
        for function in pair or ():
            function()
        return pair

    def _autograd(self, column: str, device: str) -> Pair:
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

    def _transfers(self) -> Pair:
        """What forward and backward need on the GPU and give there, from the host and to it."""
        here = target("minidl", "cuda")
        inputs = [here.tensor(array) for array in self.inputs]
        gradients = [x for x, array in zip(inputs, self.inputs, strict=True) if array.dtype.kind == "f"]
        y = self.call(here.library, *inputs)
        return transfer(here, self.inputs, [y]), transfer(here, (*self.inputs, _cotangent(y.shape)), gradients)

    def _chainer(self, chainer: Any) -> Pair | None:
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

    def _dezero(self, dezero: Any) -> Pair | None:
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


def transfer(here: Target, operands: Sequence[np.ndarray], results: Sequence[Any]) -> Function:
    """Brings arrays from the host to the GPU, and tensors like the results from there to the host."""

    def move() -> object:
        arrived = [here.library.from_numpy(array).to(here.device) for array in operands]
        return arrived, [y.cpu() for y in results]

    return here.finished(move)


def _cotangent(shape: tuple[int, ...]) -> np.ndarray:
    return np.asarray(np.random.default_rng(1).standard_normal(shape), "f4")


def normal(*shape: int) -> np.ndarray:
    """Random float32 operands, the same in every run."""
    return np.random.default_rng(0).standard_normal(shape, "f4")
