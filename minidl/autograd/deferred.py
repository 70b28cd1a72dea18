"""Results that are computed when somebody looks at them, so that what follows can be done in the same pass.

A batch norm is a pass over its input, a residual sum another, a ReLU a third; together they are one pass, if the
first two wait for the third. So a Function may return a :class:`Deferred` in the place of an array. The Tensor around
it knows its shape and dtype; whoever asks for ``data`` gets the array, computed then; an operation that knows better
takes the Deferred itself and leaves nothing else to be computed. A ReLU's gradient waits likewise for the batch norm
before it.

What a Deferred will read belongs to it, as what an operation has saved for backward does: it must not be written to.
"""

from __future__ import annotations

import threading
import weakref
from typing import Any

import numpy as np

from ..backend import explain
from .grad_mode import SILENT, is_grad_enabled, reset_errors, set_errors
from .tensor import Tensor


class Deferred:
    """An array that does not exist yet. Subclasses define ``compute()``; ``like`` is an array on the same device."""

    shape: tuple[int, ...]
    dtype: np.dtype
    like: Any
    adds = False  # whether ``compute(plus=array)`` gives the sum with another array in the same pass

    def compute(self) -> Any:
        """The array."""

    def now(self, **settings: Any) -> Any:
        """``compute(**settings)``, in which inf and nan are results, as in every operation."""
        token = set_errors(SILENT)
        try:
            return self.compute(**settings)
        except (MemoryError, ValueError) as error:
            explain(error, f"{type(self).__name__}, which had waited,")
            raise
        finally:
            reset_errors(token)


class DeferredTensor(Tensor):
    """A Tensor around a Deferred; ``deferred`` is None once the array was computed."""

    __slots__ = ("__weakref__", "deferred")
    deferred: Deferred | None

    def __init__(self, data: Any, requires_grad: bool = False):
        self.deferred = None
        super().__init__(data, requires_grad)

    @property
    def shape(self) -> tuple[int, ...]:
        """The length of each dimension."""
        return self.data.shape if self.deferred is None else self.deferred.shape

    @property
    def ndim(self) -> int:
        """The number of dimensions."""
        return len(self.shape)

    @property
    def dtype(self) -> np.dtype:
        """The type of the elements, a NumPy dtype."""
        return self.data.dtype if self.deferred is None else self.deferred.dtype

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if name == "data":
            super().__setattr__("deferred", None)

    def __getattr__(self, name: str) -> Any:  # asked for `data` only while that slot is empty
        if name == "data" and self.deferred is not None:
            self.data = self.deferred.now()
            return self.data
        return super().__getattr__(name)


def defer(deferred: Deferred) -> Tensor:
    """The Tensor around it."""
    y = DeferredTensor.__new__(DeferredTensor)
    y.deferred = deferred
    y.grad = y.grad_fn = y._hooks = None
    y._output_index = y._version = 0
    y._requires_grad = False
    return y


def deferred_of(x: Any) -> Deferred | None:
    """What x waits for; None if x is no DeferredTensor, or was computed already."""
    return x.deferred if type(x) is DeferredTensor else None


class Inference(threading.local):
    """Inside the forward of a module that records nothing, convolutions too may wait for what follows.

    They read arrays that others may write to, the input and the weight. So whatever waits is computed at the end of the
    outermost call, if somebody still holds it, and before an operator such as ``x += y`` writes in place. What a
    forward writes through ``x.data[...]``, past the operators, it must not have given to a convolution before.
    """

    def __init__(self) -> None:
        self.depth = 0
        self._waiting: list[weakref.ref[DeferredTensor]] = []

    def may_wait(self) -> bool:
        """Whether an operation may return a Deferred that reads arrays of others."""
        return self.depth > 0 and not is_grad_enabled()

    def watch(self, y: DeferredTensor) -> None:
        """See to it that y is computed in time."""
        self._waiting.append(weakref.ref(y))

    def __enter__(self) -> None:
        self.depth += 1

    def __exit__(self, *exception: object) -> None:
        self.depth -= 1
        if exception[0] is not None:
            self._waiting = []
        elif self.depth == 0 and self._waiting:
            self.compute_all()

    def compute_all(self) -> None:
        """Let nothing wait any longer."""
        waiting, self._waiting = self._waiting, []
        for reference in waiting:
            if (y := reference()) is not None:
                y.data  # noqa: B018 - asking for it computes it


inference = Inference()
