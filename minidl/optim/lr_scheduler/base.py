"""What all schedules share: the epoch, the groups' rates, the state dict."""

from __future__ import annotations

from copy import deepcopy
from math import cos, pi
from typing import Any

import numpy as np

from ...errors import ArgumentError, ArgumentTypeError, MissingMethodError, StateDictError
from ..optimizer import Optimizer


class LRScheduler:
    """Base of the schedules. A subclass defines ``scale(epoch)``, or ``lr_at(epoch, group)``, or ``get_lr()``.

    Args:      optimizer: whose groups' "lr" is set, at once and at every step.
               last_epoch: −1 to begin; else the last epoch that is done, to go on with the next: the groups must then
               have the "initial_lr" that the first scheduler gave them
    Attributes: base_lrs: each group's rate before any schedule, its "initial_lr". last_epoch: the steps so far
    Raises:    ArgumentTypeError: no optimizer. ArgumentError: a setting out of its range
    """

    floor = 0.0  # what the factor of someone else leaves alone
    chainable = True  # whether changes made by others are kept
    _unsaved: tuple[str, ...] = ("optimizer",)

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1):
        self.optimizer = check_optimizer(optimizer, type(self).__name__)
        for i, group in enumerate(optimizer.param_groups):
            if last_epoch == -1:
                group.setdefault("initial_lr", group["lr"])
            elif "initial_lr" not in group:
                raise ArgumentError(
                    f"{type(self).__name__}: to continue from last_epoch {last_epoch}, param_groups[{i}] needs "
                    "'initial_lr'; load the optimizer's state dict first"
                )
        self.base_lrs = [float(group["initial_lr"]) for group in optimizer.param_groups]
        self._formula_lr = list(self.base_lrs)
        if last_epoch == -1:
            self.last_epoch = 0
            self._set_lr(self.get_lr())
        else:
            self.restart(last_epoch + 1)

    def scale(self, epoch: Any) -> float:
        """The learning rate at an epoch as a multiple of the initial one."""
        raise MissingMethodError(f"{type(self).__name__} must define scale(self, epoch)")

    def lr_at(self, epoch: Any, group: int) -> float:
        """The learning rate of group number `group` at an epoch."""
        return self.base_lrs[group] * self.scale(epoch)

    def get_lr(self) -> list[float]:
        """The learning rates to set at ``last_epoch``, with the changes of others kept."""
        groups = self.optimizer.param_groups
        if len(groups) != len(self.base_lrs):
            raise ArgumentError(
                f"{type(self).__name__}: the optimizer has {len(groups)} parameter groups but had {len(self.base_lrs)} "
                "when the scheduler was made; make the scheduler after the last add_param_group"
            )
        rates = []
        for i, group in enumerate(groups):
            before, rate = self._formula_lr[i], self.lr_at(self.last_epoch, i)
            self._formula_lr[i] = rate
            if self.chainable and group["lr"] != before and before != self.floor:
                rate = self.floor + (rate - self.floor) * (group["lr"] - self.floor) / (before - self.floor)
            rates.append(rate)
        return rates

    def get_last_lr(self) -> list[float]:
        """The learning rates that are set, one for each group."""
        return list(self._last_lr)

    def step(self) -> None:
        """Go on to the next epoch and set its learning rates."""
        self.last_epoch += 1
        self._set_lr(self.get_lr())

    def restart(self, epoch: int = 0) -> None:
        """Go to an epoch, whatever others have done to the learning rates."""
        self.last_epoch = epoch
        self._formula_lr = list(self.base_lrs)
        for group, rate in zip(self.optimizer.param_groups, self.base_lrs, strict=False):
            group["lr"] = rate
        self._set_lr(self.get_lr())

    def _set_lr(self, rates: list[float]) -> None:
        for group, rate in zip(self.optimizer.param_groups, rates, strict=True):
            group["lr"] = rate
        self._last_lr = rates

    def state_dict(self) -> dict[str, Any]:
        """All settings and the position, in plain Python types. Functions are left out."""
        return deepcopy({name: value for name, value in self.__dict__.items() if name not in self._unsaved})

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from :meth:`state_dict`. The optimizer's own state dict restores the learning rates.

        Raises:    StateDictError: other entries than a scheduler of this kind has
        """
        own = {name for name in self.__dict__ if name not in self._unsaved}
        if not isinstance(state_dict, dict) or set(state_dict) != own:
            found = sorted(state_dict) if isinstance(state_dict, dict) else f"a {type(state_dict).__name__}"
            raise StateDictError(f"{type(self).__name__}.load_state_dict: needs the entries {sorted(own)}, got {found}")
        self.__dict__.update(deepcopy(state_dict))


def cosine(start: float, stop: float, progress: float) -> float:
    """From start to stop along half a cosine, as progress goes from 0 to 1."""
    return stop + (start - stop) * (1 + cos(pi * progress)) / 2


def check_optimizer(optimizer: Any, name: str) -> Optimizer:
    if not isinstance(optimizer, Optimizer):
        raise ArgumentTypeError(f"{name}: expected an Optimizer, got {type(optimizer).__name__}")
    return optimizer


def check_positive(value: Any, name: str, setting: str) -> Any:
    if not value > 0:
        raise ArgumentError(f"{name}: {setting} must be positive, got {value!r}")
    return value


def check_count(value: Any, name: str, setting: str) -> int:
    if not isinstance(value, int | np.integer) or value < 1:
        raise ArgumentError(f"{name}: {setting} must be a positive integer, got {value!r}")
    return int(value)


def for_each_group(optimizer: Optimizer, value: Any, name: str) -> list[Any]:
    """A setting of each group, from one for all or a list of them."""
    count = len(check_optimizer(optimizer, f"scheduler with {name}").param_groups)
    values = list(value) if isinstance(value, list | tuple) else [value] * count
    if len(values) != count:
        raise ArgumentError(f"{name}: the optimizer has {count} parameter groups but {len(values)} values were given")
    return values
