"""From which size on the GPU is faster than the CPU."""

from __future__ import annotations

from collections.abc import Sequence
from math import exp, log
from typing import Any

from . import report
from .cases._case import Case
from .libraries import ON_CUDA, TRANSFER, attempt
from .timing import compare

COLUMNS = ["minidl", f"minidl{ON_CUDA}", TRANSFER]
ROUNDS, BURST_SECONDS, PAUSE = 3, 0.02, 0.02
"""Each size is measured shortly: a crossover is where two steep lines meet, and needs no second digit."""


def crossover(sizes: Sequence[float], cpu: Sequence[float], gpu: Sequence[float]) -> float | None:
    """The size from which on the GPU wins, between the measured ones on straight lines through logarithms.

    Math:      with d = log(cpu / gpu), negative at size a and not at its successor b, and not negative from there on:
               log size = log a + (log b − log a) · d_a / (d_a − d_b)
    Args:      sizes: in ascending order. cpu, gpu: the times at these sizes
    Returns:   None where one of the two wins at every size, or the CPU at the largest
    """
    lead = [log(c / g) for c, g in zip(cpu, gpu, strict=True)]
    behind = [i for i, d in enumerate(lead) if d < 0]
    if not behind or behind[-1] == len(lead) - 1:
        return None
    a = behind[-1]
    share = lead[a] / (lead[a] - lead[a + 1])
    return exp(log(sizes[a]) + (log(sizes[a + 1]) - log(sizes[a])) * share)


def measure(case: Case) -> dict[str, Any] | None:
    """The times of minidl on both devices at the sizes of a case, and where they cross; None where one has none.

    "in_place": operands are on the GPU and results stay there. "with_transfer": they come from the host and go back.
    """
    if case.at is None:
        return None
    sizes: list[int] = []
    milliseconds: dict[str, list[float]] = {column: [] for column in COLUMNS}
    for size in case.sizes:
        functions = attempt(f"{case.name} at {size}", "crossover", case.at, size, COLUMNS)
        if functions and len(functions) == len(COLUMNS):
            times = compare(functions, ROUNDS, BURST_SECONDS, PAUSE)
            sizes.append(size)
            for column, measurement in times.items():
                milliseconds[column].append(measurement.median * 1e3)
    if not sizes:
        return None
    cpu, gpu, moving = milliseconds.values()
    carried = [g + t for g, t in zip(gpu, moving, strict=True)]
    return {
        "unit": case.unit,
        "sizes": sizes,
        "milliseconds": milliseconds,
        "in_place": _crossing(sizes, cpu, gpu),
        "with_transfer": _crossing(sizes, cpu, carried),
    }


def _crossing(sizes: list[int], cpu: list[float], gpu: list[float]) -> dict[str, Any]:
    return {"size": crossover(sizes, cpu, gpu), "gpu_wins_at_largest": gpu[-1] <= cpu[-1]}


def cells(figures: dict[str, Any] | None) -> list[str]:
    """In place, and with the transfer: the size, or that it is outside of what was measured."""
    if figures is None:
        return [report.NONE, report.NONE]
    return [_cell(figures[which], figures["sizes"]) for which in ("in_place", "with_transfer")]


def _cell(found: dict[str, Any], sizes: list[int]) -> str:
    if found["size"] is None:
        return f"≤ {sizes[0]:,}" if found["gpu_wins_at_largest"] else f"> {sizes[-1]:,}"
    return f"{found['size']:{'.2g' if found['size'] < 10 else ',.0f'}}"
