"""What measurements come to: dictionaries for JSON, and the cells of tables."""

from __future__ import annotations

from typing import Any

from .cases._case import Case
from .libraries import ON_CUDA, TRANSFER
from .timing import Measurement

NONE = "–"


def row(case: Case, measured: dict[str, Measurement]) -> dict[str, Any]:
    """The figures of one case. A ratio is a time of minidl's divided by that of the column: below 1 minidl is faster.

    Beside a library it is the time on the same device. Beside minidl on the GPU, where both are measured, it is that on
    the CPU: above 1 the GPU is faster.
    """
    return {
        "case": case.name,
        "milliseconds": {name: m.median * 1e3 for name, m in measured.items()},
        "spread": {name: m.spread for name, m in measured.items()},
        "ratio": {
            name: measured[ours].ratio_to(m)
            for name, m in measured.items()
            if (ours := _ours(name)) is not None and ours in measured
        },
        "cores_used_by_others": {name: max(m.others) for name, m in measured.items()},
        "disturbed": any(m.disturbed for m in measured.values()),
    }


def _ours(column: str) -> str | None:
    """The column of minidl that a column is compared with."""
    if column in ("minidl", TRANSFER):
        return None
    return f"minidl{ON_CUDA}" if column.endswith(ON_CUDA) and column != f"minidl{ON_CUDA}" else "minidl"


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
