"""Schedules of the learning rate: call ``scheduler.step()`` after each epoch (or batch), after ``optimizer.step()``.

A schedule is defined by its formula, the learning rate at epoch t. If someone else changes a group's rate between two
steps (by hand, or a second schedule on the same optimizer), the schedule keeps that change as a factor.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from ..errors import ArgumentError, ArgumentTypeError, StateDictError
from .optimizer import Optimizer


class LRScheduler:
    """Base of the schedules. A subclass defines ``scale(epoch)``, or ``lr_at(epoch, group)``, or ``get_lr()``.

    Args:      optimizer: whose groups' "lr" is set, at once and at every step.
               last_epoch: −1 to begin; k to continue a training whose optimizer has been scheduled for k epochs before
    Attributes: base_lrs: each group's rate before any schedule ("initial_lr" in the group). last_epoch: steps so far
    Raises:    ArgumentTypeError: no optimizer. ArgumentError: a setting out of its range
    """

    floor = 0.0  # what the factor of someone else leaves alone
    chainable = True  # whether changes made by others are kept
    _unsaved: tuple[str, ...] = ("optimizer",)

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1):
        self.optimizer = _check_optimizer(optimizer, type(self).__name__)
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
        raise NotImplementedError

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
        self._formula_lr = [self.lr_at(epoch, i) for i in range(len(self.base_lrs))]
        self._set_lr(list(self._formula_lr))

    def _set_lr(self, rates: list[float]) -> None:
        for group, rate in zip(self.optimizer.param_groups, rates, strict=True):
            group["lr"] = rate
        self._last_lr = rates

    def state_dict(self) -> dict[str, Any]:
        """All settings and the position, in plain Python types. Functions are left out."""
        return {name: value for name, value in self.__dict__.items() if name not in self._unsaved}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from :meth:`state_dict`. The optimizer's own state dict restores the learning rates.

        Raises:    StateDictError: other entries than a scheduler of this kind has
        """
        own = {name for name in self.__dict__ if name not in self._unsaved}
        if set(state_dict) != own:
            raise StateDictError(
                f"{type(self).__name__}.load_state_dict: needs the entries {sorted(own)}, got {sorted(state_dict)}"
            )
        self.__dict__.update(state_dict)


class LambdaLR(LRScheduler):
    """A function of the epoch.

    Math:      lr = initial · λ(t)
    Args:      lr_lambda: one function for all groups, or a list of one for each. They are not part of the state dict
    """

    chainable = False
    _unsaved = ("optimizer", "lr_lambdas")

    def __init__(self, optimizer: Optimizer, lr_lambda: Any, last_epoch: int = -1):
        self.lr_lambdas: list[Callable[[int], float]] = _for_each_group(optimizer, lr_lambda, "lr_lambda")
        super().__init__(optimizer, last_epoch)

    def lr_at(self, epoch: int, group: int) -> float:
        return self.base_lrs[group] * self.lr_lambdas[group](epoch)


class StepLR(LRScheduler):
    """Decay at regular intervals.

    Math:      lr = initial · gammaᵏ, k = ⌊t / step_size⌋
    """

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1, last_epoch: int = -1):
        self.step_size, self.gamma = _check_count(step_size, "StepLR", "step_size"), gamma
        super().__init__(optimizer, last_epoch)

    def scale(self, epoch: int) -> float:
        return self.gamma ** (epoch // self.step_size)


class MultiStepLR(LRScheduler):
    """Decay at given epochs.

    Math:      lr = initial · gammaᵏ, k = the number of milestones ≤ t
    """

    def __init__(self, optimizer: Optimizer, milestones: Iterable[int], gamma: float = 0.1, last_epoch: int = -1):
        self.milestones, self.gamma = sorted(milestones), gamma
        super().__init__(optimizer, last_epoch)

    def scale(self, epoch: int) -> float:
        return self.gamma ** bisect_right(self.milestones, epoch)


class ConstantLR(LRScheduler):
    """A constant multiple of the learning rate for a while.

    Math:      lr = initial · factor while t < total_iters, then initial
    """

    def __init__(self, optimizer: Optimizer, factor: float = 1 / 3, total_iters: int = 5, last_epoch: int = -1):
        if not 0 <= factor <= 1:
            raise ArgumentError(f"ConstantLR: factor must lie between 0 and 1, got {factor}")
        self.factor, self.total_iters = factor, total_iters
        super().__init__(optimizer, last_epoch)

    def scale(self, epoch: int) -> float:
        return self.factor if epoch < self.total_iters else 1.0


class LinearLR(LRScheduler):
    """A straight line between two multiples of the learning rate; a warm-up as it stands.

    Math:      lr = initial · (start_factor + (end_factor − start_factor) · min(t / total_iters, 1))
    """

    def __init__(
        self,
        optimizer: Optimizer,
        start_factor: float = 1 / 3,
        end_factor: float = 1.0,
        total_iters: int = 5,
        last_epoch: int = -1,
    ):
        if not (0 < start_factor <= 1 and 0 <= end_factor <= 1):
            raise ArgumentError(
                f"LinearLR: needs 0 < start_factor ≤ 1 and 0 ≤ end_factor ≤ 1, got {start_factor} and {end_factor}"
            )
        self.start_factor, self.end_factor = start_factor, end_factor
        self.total_iters = _check_positive(total_iters, "LinearLR", "total_iters")
        super().__init__(optimizer, last_epoch)

    def scale(self, epoch: int) -> float:
        return self.start_factor + (self.end_factor - self.start_factor) * min(epoch / self.total_iters, 1.0)


class ExponentialLR(LRScheduler):
    """Decay at every epoch.

    Math:      lr = initial · gammaᵗ
    """

    def __init__(self, optimizer: Optimizer, gamma: float, last_epoch: int = -1):
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def scale(self, epoch: int) -> float:
        return self.gamma**epoch


class PolynomialLR(LRScheduler):
    """Decay to 0 along a power of the remaining time.

    Math:      lr = initial · (1 − min(t / total_iters, 1))^power
    """

    def __init__(self, optimizer: Optimizer, total_iters: int = 5, power: float = 1.0, last_epoch: int = -1):
        self.total_iters, self.power = _check_positive(total_iters, "PolynomialLR", "total_iters"), power
        super().__init__(optimizer, last_epoch)

    def scale(self, epoch: int) -> float:
        return (1 - min(epoch / self.total_iters, 1.0)) ** self.power


class CosineAnnealingLR(LRScheduler):
    """Half a cosine from the initial rate down to eta_min at T_max (and up again behind it).

    Math:      lr = eta_min + (initial − eta_min) (1 + cos(π t / T_max)) / 2
    Source:    Loshchilov & Hutter 2017, eq. 5, without restarts
    """

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0, last_epoch: int = -1):
        self.T_max, self.eta_min = _check_positive(T_max, "CosineAnnealingLR", "T_max"), eta_min
        self.floor = eta_min
        super().__init__(optimizer, last_epoch)

    def lr_at(self, epoch: int, group: int) -> float:
        return _cosine(self.base_lrs[group], self.eta_min, epoch / self.T_max)


class CosineAnnealingWarmRestarts(LRScheduler):
    """Half cosines, one after the other, each `T_mult` times as long as the one before.

    Math:      lr = eta_min + (initial − eta_min) (1 + cos(π T_cur / T_i)) / 2, T_cur = epochs since the last restart
    Args:      T_0: length of the first. T_mult: int ≥ 1
    Source:    Loshchilov & Hutter 2017, eq. 5
    """

    chainable = False

    def __init__(self, optimizer: Optimizer, T_0: int, T_mult: int = 1, eta_min: float = 0.0, last_epoch: int = -1):
        self.T_0 = _check_count(T_0, "CosineAnnealingWarmRestarts", "T_0")
        self.T_mult = _check_count(T_mult, "CosineAnnealingWarmRestarts", "T_mult")
        self.eta_min = eta_min
        super().__init__(optimizer, last_epoch)

    def lr_at(self, epoch: float, group: int) -> float:
        length = self.T_0
        while epoch >= length:
            epoch -= length
            length *= self.T_mult
        return _cosine(self.base_lrs[group], self.eta_min, epoch / length)

    def step(self, epoch: float | None = None) -> None:
        """Go on by one epoch, or to `epoch`, which may be a fraction: ``step(epoch + batch / batches)``."""
        if epoch is None:
            super().step()
        elif epoch < 0:
            raise ArgumentError(f"CosineAnnealingWarmRestarts: epoch is not negative, got {epoch}")
        else:
            self.restart(epoch)  # type: ignore[arg-type]


class OneCycleLR(LRScheduler):
    """One rise to max_lr and one fall to almost nothing, a step for each batch; momentum falls and rises inversely.

    Math:      from max_lr / div_factor to max_lr in the first ``pct_start · total_steps`` steps, then to
               max_lr / (div_factor · final_div_factor) at the last one, along half cosines or straight lines.
               three_phase: the fall back to where it began mirrors the rise, and a third phase goes on to the end
    Args:      max_lr: one number, or one for each group. total_steps: or else epochs and steps_per_epoch.
               cycle_momentum: move momentum (or β₁) from max_momentum to base_momentum and back
    Raises:    ArgumentError: a setting out of its range; a step past total_steps; no momentum to cycle
    Source:    Smith & Topin 2018 (three phases); two phases by default as in fastai and PyTorch
    """

    chainable = False

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: float | Sequence[float],
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        cycle_momentum: bool = True,
        base_momentum: float | Sequence[float] = 0.85,
        max_momentum: float | Sequence[float] = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        last_epoch: int = -1,
    ):
        _check_optimizer(optimizer, "OneCycleLR")
        if total_steps is None:
            if epochs is None or steps_per_epoch is None:
                raise ArgumentError("OneCycleLR: give total_steps, or both epochs and steps_per_epoch")
            total_steps = _check_count(epochs, "OneCycleLR", "epochs") * _check_count(
                steps_per_epoch, "OneCycleLR", "steps_per_epoch"
            )
        self.total_steps = _check_count(total_steps, "OneCycleLR", "total_steps")
        if not 0 <= pct_start <= 1:
            raise ArgumentError(f"OneCycleLR: pct_start must lie between 0 and 1, got {pct_start}")
        if anneal_strategy not in ("cos", "linear"):
            raise ArgumentError(f"OneCycleLR: anneal_strategy must be 'cos' or 'linear', got {anneal_strategy!r}")
        self.anneal_strategy = anneal_strategy

        groups = optimizer.param_groups
        peaks = [float(peak) for peak in _for_each_group(optimizer, max_lr, "max_lr")]
        starts = [peak / div_factor for peak in peaks]
        ends = [start / final_div_factor for start in starts]
        if last_epoch == -1:
            for group, start in zip(groups, starts, strict=True):
                group["initial_lr"] = start
        rises = pct_start * self.total_steps - 1
        if three_phase:
            self.ends_of_phases = [rises, 2 * rises, self.total_steps - 1]
            self.lr_corners = [list(corners) for corners in zip(starts, peaks, starts, ends, strict=True)]
        else:
            self.ends_of_phases = [rises, self.total_steps - 1]
            self.lr_corners = [list(corners) for corners in zip(starts, peaks, ends, strict=True)]

        self.momentum_corners: list[list[float]] = []
        if cycle_momentum:
            if not {"momentum", "betas"} & set(optimizer.defaults):
                raise ArgumentError(
                    f"OneCycleLR: {type(optimizer).__name__} has no momentum to cycle; pass cycle_momentum=False"
                )
            high = _for_each_group(optimizer, max_momentum, "max_momentum")
            low = _for_each_group(optimizer, base_momentum, "base_momentum")
            phases = len(self.ends_of_phases)
            self.momentum_corners = [[h, b, h, h][: phases + 1] for h, b in zip(high, low, strict=True)]
        super().__init__(optimizer, last_epoch)

    def lr_at(self, epoch: int, group: int) -> float:
        return self._between(self.lr_corners[group], epoch)

    def _between(self, corners: list[float], epoch: int) -> float:
        """The value at an epoch of the curve through `corners`, which lie at 0 and at the ends of the phases."""
        if epoch > self.total_steps:
            raise ArgumentError(f"OneCycleLR: step {epoch} goes past the total of {self.total_steps} steps")
        last = len(self.ends_of_phases) - 1
        phase = next((i for i, end in enumerate(self.ends_of_phases) if epoch <= end), last)
        begin, end = self.ends_of_phases[phase - 1] if phase else 0.0, self.ends_of_phases[phase]
        progress = (epoch - begin) / (end - begin) if end > begin else 1.0
        start, stop = corners[phase : phase + 2]
        return _cosine(start, stop, progress) if self.anneal_strategy == "cos" else start + (stop - start) * progress

    def _set_lr(self, rates: list[float]) -> None:
        super()._set_lr(rates)
        for group, corners in zip(self.optimizer.param_groups, self.momentum_corners, strict=False):
            momentum = self._between(corners, self.last_epoch)
            if "betas" in group:
                group["betas"] = (momentum, *group["betas"][1:])
            else:
                group["momentum"] = momentum


class SequentialLR(LRScheduler):
    """Several schedules, each taking over at its milestone, where it begins at its own epoch 0.

    Args:      schedulers: all made for this optimizer. milestones: the epochs at which the second, third … takes over
    Raises:    ArgumentError: schedulers of another optimizer, a ReduceLROnPlateau, or not one milestone fewer
    """

    _unsaved = ("optimizer", "_schedulers")

    def __init__(
        self, optimizer: Optimizer, schedulers: Sequence[LRScheduler], milestones: Sequence[int], last_epoch: int = -1
    ):
        self.optimizer = _check_optimizer(optimizer, "SequentialLR")
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


class ReduceLROnPlateau(LRScheduler):
    """Reduce the learning rate when a metric has stopped to improve: ``scheduler.step(validation_loss)``.

    Math:      lr ← max(lr · factor, min_lr) after more than `patience` epochs without improvement
    Args:      mode: "min" if smaller is better, else "max". threshold: by how much to be better, as a part of the best
               value (threshold_mode "rel") or absolutely ("abs"). cooldown: epochs to wait after a reduction.
               min_lr: one number, or one for each group. eps: smaller changes of the rate are not made
    Raises:    ArgumentError: factor ≥ 1, an unknown mode
    """

    def __init__(
        self,
        optimizer: Optimizer,
        mode: str = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: str = "rel",
        cooldown: int = 0,
        min_lr: float | Sequence[float] = 0.0,
        eps: float = 1e-8,
    ):
        self.optimizer = _check_optimizer(optimizer, "ReduceLROnPlateau")
        if factor >= 1:
            raise ArgumentError(f"ReduceLROnPlateau: factor must be < 1, got {factor}")
        if mode not in ("min", "max"):
            raise ArgumentError(f"ReduceLROnPlateau: mode must be 'min' or 'max', got {mode!r}")
        if threshold_mode not in ("rel", "abs"):
            raise ArgumentError(f"ReduceLROnPlateau: threshold_mode must be 'rel' or 'abs', got {threshold_mode!r}")
        self.mode, self.factor, self.patience, self.cooldown, self.eps = mode, factor, patience, cooldown, eps
        self.threshold, self.threshold_mode = threshold, threshold_mode
        self.min_lrs = _for_each_group(optimizer, min_lr, "min_lr")
        self.best = math.inf if mode == "min" else -math.inf
        self.num_bad_epochs = self.cooldown_counter = self.last_epoch = 0
        self._last_lr = [float(group["lr"]) for group in optimizer.param_groups]

    def step(self, metrics: Any) -> None:  # type: ignore[override]
        """Look at the metric of the epoch that has ended, and reduce the learning rate if it is time to."""
        self.last_epoch += 1
        current = float(metrics)
        if self._is_better(current):
            self.best, self.num_bad_epochs = current, 0
        else:
            self.num_bad_epochs += 1
        if self.cooldown_counter > 0:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        if self.num_bad_epochs > self.patience:
            self.cooldown_counter, self.num_bad_epochs = self.cooldown, 0
            for group, min_lr in zip(self.optimizer.param_groups, self.min_lrs, strict=True):
                reduced = max(group["lr"] * self.factor, min_lr)
                if group["lr"] - reduced > self.eps:
                    group["lr"] = reduced
        self._last_lr = [float(group["lr"]) for group in self.optimizer.param_groups]

    def _is_better(self, current: float) -> bool:
        sign = 1 if self.mode == "max" else -1
        margin = sign * self.threshold
        target = self.best * (1 + margin) if self.threshold_mode == "rel" else self.best + margin
        return sign * current > sign * target


def _cosine(start: float, stop: float, progress: float) -> float:
    """From start to stop along half a cosine, as progress goes from 0 to 1."""
    return stop + (start - stop) * (1 + math.cos(math.pi * progress)) / 2


def _check_optimizer(optimizer: Any, name: str) -> Optimizer:
    if not isinstance(optimizer, Optimizer):
        raise ArgumentTypeError(f"{name}: expected an Optimizer, got {type(optimizer).__name__}")
    return optimizer


def _check_positive(value: Any, name: str, setting: str) -> Any:
    if not value > 0:
        raise ArgumentError(f"{name}: {setting} must be positive, got {value!r}")
    return value


def _check_count(value: Any, name: str, setting: str) -> int:
    if not isinstance(value, int | np.integer) or value < 1:
        raise ArgumentError(f"{name}: {setting} must be a positive integer, got {value!r}")
    return int(value)


def _for_each_group(optimizer: Optimizer, value: Any, name: str) -> list[Any]:
    """A setting of each group, from one for all or a list of them."""
    count = len(_check_optimizer(optimizer, f"scheduler with {name}").param_groups)
    values = list(value) if isinstance(value, list | tuple) else [value] * count
    if len(values) != count:
        raise ArgumentError(f"{name}: the optimizer has {count} parameter groups but {len(values)} values were given")
    return values
