"""What a training reports: one dict of numbers for each epoch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..errors import ArgumentError, MissingPackageError


class History(list[dict[str, float]]):
    """A list with one record for each epoch: "epoch" (from 1), "loss", the metrics, the same as "val_…", and "lr".

    >>> history = History([{"epoch": 1, "loss": 0.7}, {"epoch": 2, "loss": 0.4}])
    >>> history.column("loss")
    [0.7, 0.4]
    """

    def column(self, name: str) -> list[float]:
        """One number over all epochs.

        Raises:    ArgumentError: no such number
        """
        if self and name not in self[-1]:
            raise ArgumentError(f"history: there is no {name!r}, only {', '.join(self[-1])}")
        return [record[name] for record in self]

    def best(self, name: str, mode: str = "min") -> dict[str, float]:
        """The record with the lowest (or, with mode "max", the highest) number of this name; the first of equal ones.

        Raises:    ArgumentError: no such number, no epochs yet, or an unknown mode
        """
        if mode not in ("min", "max") or not self:
            raise ArgumentError(f"history: best needs an epoch and mode 'min' or 'max', got {len(self)} and {mode!r}")
        values = self.column(name)
        return self[values.index(min(values) if mode == "min" else max(values))]

    def plot(self, names: Sequence[str] | None = None) -> Any:
        """Curves over the epochs, training beside validation. Returns a Matplotlib figure.

        Args:      names: what to draw, by default everything but "epoch" and "lr"; each comes with its "val_…"
        Raises:    MissingPackageError: Matplotlib is not installed. ArgumentError: an unknown name, or no epochs yet
        """
        try:
            from matplotlib import pyplot
        except ImportError as error:
            raise MissingPackageError(f"history.plot needs Matplotlib ({error}): pip install matplotlib") from error
        if not self:
            raise ArgumentError("history: there is nothing to plot before the end of the first epoch")
        if names is None:
            names = [name for name in self[-1] if name not in ("epoch", "lr") and not name.startswith("val_")]
        figure, axes = pyplot.subplots(1, len(names), figsize=(5 * len(names), 3.5), squeeze=False, layout="tight")
        for ax, name in zip(axes[0], names, strict=True):
            for column in (name, f"val_{name}"):
                if column == name or column in self[-1]:
                    ax.plot(self.column("epoch"), self.column(column), marker=".", label=column)
            ax.set_xlabel("epoch")
            ax.legend()
            ax.grid(alpha=0.3)
        return figure
