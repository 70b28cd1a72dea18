"""Schedules that are a formula of the epoch."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable
from typing import Any

from ...errors import ArgumentError
from ..optimizer import Optimizer
from .base import LRScheduler, check_count, check_positive, cosine, for_each_group


class LambdaLR(LRScheduler):
    """A function of the epoch.

    Math:      lr = initial · λ(t)
    Args:      lr_lambda: one function for all groups, or a list of one for each. They are not part of the state dict
    """

    chainable = False
    _unsaved = ("optimizer", "lr_lambdas")

    def __init__(self, optimizer: Optimizer, lr_lambda: Any, last_epoch: int = -1):
        self.lr_lambdas: list[Callable[[int], float]] = for_each_group(optimizer, lr_lambda, "lr_lambda")
        super().__init__(optimizer, last_epoch)

    def lr_at(self, epoch: int, group: int) -> float:
        return self.base_lrs[group] * self.lr_lambdas[group](epoch)


class StepLR(LRScheduler):
    """Decay at regular intervals.

    Math:      lr = initial · gammaᵏ, k = ⌊t / step_size⌋
    """

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1, last_epoch: int = -1):
        self.step_size, self.gamma = check_count(step_size, "StepLR", "step_size"), gamma
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
        self.total_iters = check_positive(total_iters, "LinearLR", "total_iters")
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
        self.total_iters, self.power = check_positive(total_iters, "PolynomialLR", "total_iters"), power
        super().__init__(optimizer, last_epoch)

    def scale(self, epoch: int) -> float:
        return (1 - min(epoch / self.total_iters, 1.0)) ** self.power


class CosineAnnealingLR(LRScheduler):
    """Half a cosine from the initial rate down to eta_min at T_max (and up again behind it).

    Math:      lr = eta_min + (initial − eta_min) (1 + cos(π t / T_max)) / 2
    Source:    Loshchilov & Hutter 2017, eq. 5, without restarts
    """

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0, last_epoch: int = -1):
        self.T_max, self.eta_min = check_positive(T_max, "CosineAnnealingLR", "T_max"), eta_min
        self.floor = eta_min
        super().__init__(optimizer, last_epoch)

    def lr_at(self, epoch: int, group: int) -> float:
        return cosine(self.base_lrs[group], self.eta_min, epoch / self.T_max)


class CosineAnnealingWarmRestarts(LRScheduler):
    """Half cosines, one after the other, each `T_mult` times as long as the one before.

    Math:      lr = eta_min + (initial − eta_min) (1 + cos(π T_cur / T_i)) / 2, T_cur = epochs since the last restart
    Args:      T_0: length of the first. T_mult: int ≥ 1
    Source:    Loshchilov & Hutter 2017, eq. 5
    """

    chainable = False

    def __init__(self, optimizer: Optimizer, T_0: int, T_mult: int = 1, eta_min: float = 0.0, last_epoch: int = -1):
        self.T_0 = check_count(T_0, "CosineAnnealingWarmRestarts", "T_0")
        self.T_mult = check_count(T_mult, "CosineAnnealingWarmRestarts", "T_mult")
        self.eta_min = eta_min
        super().__init__(optimizer, last_epoch)

    def lr_at(self, epoch: float, group: int) -> float:
        length = self.T_0
        while epoch >= length:
            epoch -= length
            length *= self.T_mult
        return cosine(self.base_lrs[group], self.eta_min, epoch / length)

    def step(self, epoch: float | None = None) -> None:
        """Go on by one epoch, or to `epoch`, which may be a fraction: ``step(epoch + batch / batches)``."""
        if epoch is None:
            super().step()
        elif epoch < 0:
            raise ArgumentError(f"CosineAnnealingWarmRestarts: epoch must not be negative, got {epoch}")
        else:
            self.restart(epoch)  # type: ignore[arg-type]
