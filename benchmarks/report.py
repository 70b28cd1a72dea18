"""What measurements come to: dictionaries for JSON, and the cells of tables."""

from __future__ import annotations

from typing import Any

from .cases._case import Case
from .timing import Measurement

NONE = "–"


def row(case: Case, measured: dict[str, Measurement]) -> dict[str, Any]:
    """The figures of one case. Ratios are minidl's time divided by the other's: below 1 minidl is the faster one."""
    ours = measured["minidl"]
    return {
        "case": case.name,
        "milliseconds": {name: m.median * 1e3 for name, m in measured.items()},
        "spread": {name: m.spread for name, m in measured.items()},
        "ratio": {name: ours.ratio_to(m) for name, m in measured.items() if name != "minidl"},
        "cores_used_by_others": {name: max(m.others) for name, m in measured.items()},
        "disturbed": any(m.disturbed for m in measured.values()),
    }


def name_cell(figures: dict[str, Any]) -> str:
    return figures["case"] + (" (busy)" if figures["disturbed"] else "")


def time_cells(figures: dict[str, Any], columns: list[str], scale: float = 1.0) -> list[str]:
    """For each column its time in milliseconds, or in milliseconds / scale, the spread, and in brackets the ratio."""
    cells = []
    for column in columns:
        if column not in figures["milliseconds"]:
            cells.append(NONE)
            continue
        time = figures["milliseconds"][column] * scale
        cell = f"{time:.{2 if time < 100 else 1}f} ±{figures['spread'][column]:.0%}"
        ratio = figures["ratio"].get(column)
        cells.append(cell if ratio is None else f"{cell} [{ratio:.2f}]")
    return cells
