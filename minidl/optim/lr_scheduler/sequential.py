"""Schedules one after the other."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

from ...errors import ArgumentError, StateDictError
from ..optimizer import Optimizer
from .base import LRScheduler, check_optimizer
from .plateau import ReduceLROnPlateau


class SequentialLR(LRScheduler):
    """Several schedules, each taking over at its milestone, where it begins at its own epoch 0.

    Args:      schedulers: all made for this optimizer. milestones: the epochs at which the second, third … takes over
    Raises:    ArgumentError: schedulers of another optimizer, a ReduceLROnPlateau, or not one milestone fewer
    """

    _unsaved = ("optimizer", "_schedulers")

    def __init__(
        self, optimizer: Optimizer, schedulers: Sequence[LRScheduler], milestones: Sequence[int], last_epoch: int = -1
    ):
        self.optimizer = check_optimizer(optimizer, "SequentialLR")
        if not schedulers or len(milestones) != len(schedulers) - 1:
            raise ArgumentError(
                f"SequentialLR: needs one milestone fewer than schedulers, got {len(milestones)} and {len(schedulers)}"
            )
        for i, scheduler in enumerate(schedulers):
            if isinstance(scheduler, ReduceLROnPlateau):
                raise ArgumentError(f"SequentialLR: schedulers[{i}] is a ReduceLROnPlateau, whose step needs a metric")
            if scheduler.optimizer is not optimizer:
                raise ArgumentError(f"SequentialLR: schedulers[{i}] belongs to another optimizer")
        self._schedulers, self._milestones = list(schedulers), list(milestones)
        self.restart(last_epoch + 1)

    def restart(self, epoch: int = 0) -> None:
        self.last_epoch = epoch
        for begin, scheduler in zip([0, *self._milestones], self._schedulers, strict=True):
            if begin <= epoch:
                scheduler.restart(epoch - begin)
                self._last_lr = scheduler.get_last_lr()

    def step(self) -> None:
        self.last_epoch += 1
        index = bisect_right(self._milestones, self.last_epoch)
        scheduler = self._schedulers[index]
        if index and self._milestones[index - 1] == self.last_epoch:
            scheduler.restart()
        else:
            scheduler.step()
        self._last_lr = scheduler.get_last_lr()

    def state_dict(self) -> dict[str, Any]:
        states = [scheduler.state_dict() for scheduler in self._schedulers]
        return {**super().state_dict(), "_schedulers": states}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        states = state_dict.get("_schedulers", ())
        if len(states) != len(self._schedulers):
            raise StateDictError(
                f"SequentialLR.load_state_dict: {len(states)} schedulers were saved, {len(self._schedulers)} are here"
            )
        super().load_state_dict({name: value for name, value in state_dict.items() if name != "_schedulers"})
        for scheduler, state in zip(self._schedulers, states, strict=True):
            scheduler.load_state_dict(state)
