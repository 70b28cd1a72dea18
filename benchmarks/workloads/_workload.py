"""A step as every library takes it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..libraries import Target, load, target

Step = Callable[[], object]


@dataclass(frozen=True)
class Workload:
    """One row of the tables of steps.

    Args:      goal: the ratio to PyTorch's time that is aimed at. step: makes the step of minidl or PyTorch; the same
               lines run on both. chainer, dezero: make theirs from the library. layouts: whether channels_last makes a
               difference
    """

    name: str
    goal: float
    step: Callable[[Target], Step]
    chainer: Callable[[Any], Step] | None = None
    dezero: Callable[[Any], Step] | None = None
    layouts: bool = True

    def function(self, column: str, device: str) -> Step | None:
        """The step of one column, called once; None where there is none."""
        if column in ("chainer", "dezero"):
            make = {"chainer": self.chainer, "dezero": self.dezero}[column]
            step = make(load(column)) if make else None
        elif "channels_last" in column and not self.layouts:
            step = None
        else:
            here = target(column, device)
            here.library.manual_seed(0)
            step = here.finished(self.step(here))
        if step:
            step()
        return step
