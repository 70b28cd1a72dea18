"""Drawings of the tables (matplotlib)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt  # noqa: E402


def bars(
    values: dict[str, dict[str, float]], label: str, file: Path, line: float | None = None, log: bool = False
) -> None:
    """Horizontal bars, a group for each row and a bar for each column.

    Args:      values: by row, then by column. line: where bars begin, if not at 0
    """
    if not values:
        print("nothing to draw")
        return
    fullest = max(values.values(), key=len)
    columns = list(dict.fromkeys([*fullest, *[column for row in values.values() for column in row]]))
    height = 0.8 / len(columns)
    figure, axes = plt.subplots(figsize=(9, 1.2 + len(values) * max(0.25, 0.13 * len(columns))), layout="constrained")
    for i, column in enumerate(columns):
        places = [j + (i - (len(columns) - 1) / 2) * height for j, row in enumerate(values.values()) if column in row]
        widths = [row[column] - (line or 0) for row in values.values() if column in row]
        axes.barh(places, widths, height, left=line or 0, label=column)
    axes.set_yticks(range(len(values)), list(values))
    axes.margins(y=0.01)
    axes.invert_yaxis()
    axes.set_xlabel(label)
    if log:
        axes.set_xscale("log")
    if line is not None:
        axes.axvline(line, color="black", linewidth=0.8)
    axes.legend()
    figure.savefig(file)
    plt.close(figure)


def log_log(sweeps: dict[str, list[dict[str, Any]]], label: str, file: Path) -> None:
    """A panel for each sweep, with a line of points, and a fitted slope, for each column.

    Args:      sweeps: by title the lines of a panel, each with column, x, y, slope, intercept (of log10)
    """
    if not sweeps:
        print("nothing to draw")
        return
    figure, panels = plt.subplots(
        1, len(sweeps), figsize=(4.2 * len(sweeps), 4), layout="constrained", squeeze=False, sharey=True
    )
    for axes, (title, lines) in zip(panels[0], sweeps.items(), strict=True):
        for line in lines:
            x: Sequence[float] = line["x"]
            (points,) = axes.loglog(x, line["y"], "o", label=f"{line['column']}: slope {line['slope']:.2f}")
            fit = [10 ** line["intercept"] * value ** line["slope"] for value in x]
            axes.loglog(x, fit, "-", color=points.get_color(), linewidth=0.8)
        axes.set_title(title)
        axes.set_xticks(x, [f"{value:g}" for value in x], minor=False)
        axes.minorticks_off()
        axes.legend(fontsize="small")
    panels[0][0].set_ylabel(label)
    figure.savefig(file)
    plt.close(figure)


def crossovers(found: dict[str, dict[str, Any]], file: Path) -> None:
    """From which size on the GPU is faster: a row for each kernel, a panel for each unit of size.

    A grey line for the sizes that were measured; a dot for the crossover, or an arrow where it lies beyond them.

    Args:      found: by kernel, as of crossover.measure
    """
    panels: dict[str, dict[str, dict[str, Any]]] = {}
    for case, figures in found.items():
        panels.setdefault(figures["unit"], {})[case] = figures
    heights = [0.6 + 0.3 * len(cases) for cases in panels.values()]
    figure, grid = plt.subplots(
        len(panels), figsize=(9, sum(heights) + 1), layout="constrained", squeeze=False, height_ratios=heights
    )
    for axes, (unit, cases) in zip(grid[:, 0], panels.items(), strict=True):
        axes.hlines(
            range(len(cases)),
            [figures["sizes"][0] for figures in cases.values()],
            [figures["sizes"][-1] for figures in cases.values()],
            colors="0.85",
            zorder=0,
        )
        for which, color, shift in (("in_place", "C0", -0.12), ("with_transfer", "C1", 0.12)):
            for i, figures in enumerate(cases.values()):
                size, marker = _crossing(figures[which], figures["sizes"])
                axes.plot(size, i + shift, marker, color=color)
        axes.set_xscale("log")
        axes.set_yticks(range(len(cases)), list(cases))
        axes.set_ylim(len(cases) - 0.5, -0.5)
        axes.set_xlabel(f"{unit} from which on the GPU is faster")
    axes.plot([], [], "oC0", label="operands in place")
    axes.plot([], [], "oC1", label="with the transfer")
    axes.plot([], [], ">", color="0.5", label="beyond what was measured")
    figure.legend(loc="outside upper center", ncols=3)
    figure.savefig(file)
    plt.close(figure)


def _crossing(found: dict[str, Any], sizes: list[int]) -> tuple[float, str]:
    """Where, and as which marker, a crossover is drawn."""
    if found["size"] is not None:
        return found["size"], "o"
    return (sizes[0], "<") if found["gpu_wins_at_largest"] else (sizes[-1], ">")
