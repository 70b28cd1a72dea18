"""The one-cycle policy."""

from __future__ import annotations

from collections.abc import Sequence

from ...errors import ArgumentError
from ..optimizer import Optimizer
from .base import LRScheduler, check_count, check_optimizer, cosine, for_each_group


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
        check_optimizer(optimizer, "OneCycleLR")
        if total_steps is None:
            if epochs is None or steps_per_epoch is None:
                raise ArgumentError("OneCycleLR: give total_steps, or both epochs and steps_per_epoch")
            total_steps = check_count(epochs, "OneCycleLR", "epochs") * check_count(
                steps_per_epoch, "OneCycleLR", "steps_per_epoch"
            )
        self.total_steps = check_count(total_steps, "OneCycleLR", "total_steps")
        if not 0 <= pct_start <= 1:
            raise ArgumentError(f"OneCycleLR: pct_start must lie between 0 and 1, got {pct_start}")
        if anneal_strategy not in ("cos", "linear"):
            raise ArgumentError(f"OneCycleLR: anneal_strategy must be 'cos' or 'linear', got {anneal_strategy!r}")
        self.anneal_strategy = anneal_strategy

        groups = optimizer.param_groups
        peaks = [float(peak) for peak in for_each_group(optimizer, max_lr, "max_lr")]
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
            high = for_each_group(optimizer, max_momentum, "max_momentum")
            low = for_each_group(optimizer, base_momentum, "base_momentum")
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
        return cosine(start, stop, progress) if self.anneal_strategy == "cos" else start + (stop - start) * progress

    def _set_lr(self, rates: list[float]) -> None:
        super()._set_lr(rates)
        for group, corners in zip(self.optimizer.param_groups, self.momentum_corners, strict=False):
            momentum = self._between(corners, self.last_epoch)
            if "betas" in group:
                group["betas"] = (momentum, *group["betas"][1:])
            else:
                group["momentum"] = momentum
