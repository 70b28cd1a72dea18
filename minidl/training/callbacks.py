"""Callbacks: code of one's own at fixed points of a training."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from ..errors import ArgumentError

if TYPE_CHECKING:
    from .state import Training


class Callback:
    """Base of callbacks: override what is needed. Each method gets the running :class:`Training`.

    A callback that remembers something across epochs also has ``state_dict()`` and ``load_state_dict(state)``, and then
    takes part in checkpoints.
    """

    def on_train_begin(self, run: Training) -> None:
        """Before the first step, also of a resumed training."""

    def on_step_end(self, run: Training) -> None:
        """After each update of the parameters, still a part of the step; ``run.loss`` is the loss of the batch."""

    def on_epoch_end(self, run: Training) -> None:
        """After each epoch and its validation; ``run.history[-1]`` has the numbers. Set ``run.stop = True`` to end."""

    def on_train_end(self, run: Training) -> None:
        """After the last epoch; not after an exception."""


class EarlyStopping(Callback):
    """Stop when a number has not improved for `patience` epochs.

    Args:      patience: epochs to wait. monitor: a name in the history's records. mode: "min" or "max", which of two
               values is better. min_delta: what counts as better is better by more than this.
               restore_best: at the end, give the model the weights of the best epoch
    Raises:    ArgumentError: patience < 1, min_delta < 0, an unknown mode; later, a record without the number
    """

    def __init__(
        self,
        patience: int = 5,
        monitor: str = "val_loss",
        mode: str = "min",
        min_delta: float = 0.0,
        restore_best: bool = False,
    ):
        if patience < 1 or min_delta < 0 or mode not in ("min", "max"):
            raise ArgumentError(
                f"EarlyStopping: needs patience ≥ 1, min_delta ≥ 0 and mode 'min' or 'max', "
                f"got {patience}, {min_delta} and {mode!r}"
            )
        self.patience, self.monitor, self.mode, self.min_delta = patience, monitor, mode, min_delta
        self.restore_best = restore_best
        self.best = math.inf if mode == "min" else -math.inf
        self.waited = 0
        self.best_weights: dict[str, Any] | None = None

    def on_epoch_end(self, run: Training) -> None:
        record = run.history[-1]
        if self.monitor not in record:
            hint = "; give fit a val_loader" if self.monitor.startswith("val_") else ""
            raise ArgumentError(f"EarlyStopping: there is no {self.monitor!r} among {', '.join(record)}{hint}")
        value = record[self.monitor]
        gain = self.best - value if self.mode == "min" else value - self.best
        if gain > self.min_delta:
            self.best, self.waited = value, 0
            if self.restore_best:
                self.best_weights = {name: tensor.data.copy() for name, tensor in run.model.state_dict().items()}
        else:
            self.waited += 1
            run.stop = run.stop or self.waited >= self.patience

    def on_train_end(self, run: Training) -> None:
        if self.best_weights is not None:
            run.model.load_state_dict(self.best_weights)

    def state_dict(self) -> dict[str, Any]:
        """The best value, how long ago it was, and its weights."""
        return {"best": self.best, "waited": self.waited, "best_weights": self.best_weights}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from :meth:`state_dict`."""
        self.best, self.waited, self.best_weights = state["best"], state["waited"], state["best_weights"]
