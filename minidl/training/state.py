"""A training under way: what it consists of, where it stands, and all of it as one state dict."""

from __future__ import annotations

import math
import signal
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from ..backend import get_random_state, set_random_state
from ..errors import StateDictError
from ..nn import Module
from ..optim import Optimizer
from .history import History


@dataclass
class Training:
    """What callbacks see of a training.

    Attributes: model, optimizer, scheduler, loader, callbacks: as given to :func:`fit`.
               epoch: complete epochs. batch: steps of the running epoch. step: steps since the beginning.
               loss: of the last step. totals: sums over the samples of the running epoch.
               history: the records of the complete epochs. stop: set it to True to end after this epoch
    """

    model: Module
    optimizer: Optimizer
    loader: Iterable[Any]
    scheduler: Any = None
    callbacks: list[Any] = field(default_factory=list)
    saved: bool = False  # whether checkpoints are written, so that the position has to be kept
    epoch: int = 0
    batch: int = 0
    step: int = 0
    loss: float = math.nan
    totals: dict[str, float] = field(default_factory=dict)
    history: History = field(default_factory=History)
    stop: bool = False
    position: dict[str, Any] | None = field(default=None, repr=False)

    def call(self, event: str) -> None:
        """Call this method of every callback that has it."""
        for callback in self.callbacks:
            method = getattr(callback, event, None)
            if method is not None:
                method(self)

    # What a checkpoint holds -----------------------------------------------------------------------------------------

    @contextmanager
    def change(self) -> Iterator[None]:
        """A block that takes the training from one state that can be saved to the next; Ctrl-C waits for its end.

        In between there is none: half of the parameters may be updated. The position (counters, history, random
        streams, the loader's place) is taken down at the end, so that what happens until the next change, as a
        validation that is interrupted, leaves no trace in a checkpoint.
        """
        if not self.saved:
            yield
            return
        self.position = None
        with _interrupts_wait():
            yield
            self.position = self._position()

    def _position(self) -> dict[str, Any] | None:
        loader_state = self.loader.state_dict() if hasattr(self.loader, "state_dict") else None
        if self.batch and loader_state is None:
            return None  # inside an epoch that nobody could find the way back into
        return {
            "epoch": self.epoch,
            "batch": self.batch,
            "step": self.step,
            "totals": dict(self.totals),
            "history": list(self.history),
            "stop": self.stop,
            "random": get_random_state(),
            "loader": loader_state,
            "scheduler": self.scheduler.state_dict() if self.scheduler is not None else None,
            "callbacks": {name: callback.state_dict() for name, callback in self._callbacks_with_state()},
        }

    def state_dict(self) -> dict[str, Any] | None:
        """Everything that a later :func:`fit` needs to go on as if nothing had happened; None amid a step."""
        if self.position is None:
            return None
        return {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict(), **self.position}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from :meth:`state_dict`.

        Raises:    StateDictError: not such a state, or one of another model, optimizer, scheduler or loader
        """
        needed = {"model", "optimizer", *(self._position() or {})}
        if not isinstance(state, dict) or not needed <= state.keys():
            raise StateDictError(f"fit: this is no checkpoint of a training, which has {', '.join(sorted(needed))}")
        for name, own in (("scheduler", self.scheduler), ("loader", getattr(self.loader, "load_state_dict", None))):
            if (own is None) != (state[name] is None):
                first, second = ("has one", "has none") if own is None else ("has none", "has one")
                raise StateDictError(f"fit: the state of the {name}: the checkpoint {first}, this training {second}")
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.scheduler is not None:
            self.scheduler.load_state_dict(state["scheduler"])
        if state["loader"] is not None:
            self.loader.load_state_dict(state["loader"])  # type: ignore[attr-defined]
        for name, callback in self._callbacks_with_state():
            if name in state["callbacks"]:
                callback.load_state_dict(state["callbacks"][name])
        self.epoch, self.batch, self.step, self.stop = state["epoch"], state["batch"], state["step"], state["stop"]
        self.totals, self.history = dict(state["totals"]), History(state["history"])
        set_random_state(state["random"])

    def _callbacks_with_state(self) -> list[tuple[str, Any]]:
        """Those with a state dict, by class name and their number among them."""
        stateful = [callback for callback in self.callbacks if hasattr(callback, "state_dict")]
        return [(f"{i}.{type(callback).__name__}", callback) for i, callback in enumerate(stateful)]


@contextmanager
def _interrupts_wait() -> Iterator[None]:
    """Let Ctrl-C raise its KeyboardInterrupt at the end of the block, not within.

    Only where Python's own handler is in place, and in the main thread, the only one that may change it.
    """
    usual = signal.default_int_handler
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGINT) is not usual:
        yield
        return
    interrupts: list[Any] = []
    signal.signal(signal.SIGINT, lambda *details: interrupts.append(details))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, usual)
    if interrupts:
        raise KeyboardInterrupt
