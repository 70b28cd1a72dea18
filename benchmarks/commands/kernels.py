"""One operation at a time: time, arithmetic and bytes per second, and the share of the matmul peak."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .. import report
from ..cases import cases
from ..cases._case import Case
from ..options import Options
from ..table import Table
from ..timing import Measurement, compare


def run(options: Options, columns: list[str], machine: dict[str, Any]) -> list[dict[str, Any]]:
    table = Table(
        "kernels: milliseconds ± spread [minidl's time divided by theirs]; then minidl's rates",
        "kernel",
        columns,
        ["GFLOP/s", "of peak", "MB", "GB/s"],
        markdown=options.markdown,
        name_width=44,
    )
    rows = []
    for case in cases(columns, options.device, options.wants):
        measured = compare(case.functions, rounds=options.rounds)
        figures = report.row(case, measured) | rates(case, measured["minidl"], machine)
        rows.append(figures)
        table.row([report.name_cell(figures), *report.time_cells(figures, columns), *_rate_cells(figures)])
    return rows


def rates(case: Case, ours: Measurement, machine: dict[str, Any]) -> dict[str, Any]:
    """Arithmetic is counted as in the definition; Winograd does less of it, so its share of the peak can pass 1."""
    gflops = case.flops / ours.median / 1e9 if case.flops else None
    return {
        "gflops_per_second": gflops,
        "share_of_matmul_peak": gflops / machine["matmul_gflops_per_second"] if gflops else None,
        "bytes": case.moved,
        "gigabytes_per_second": case.moved / ours.median / 1e9 if case.moved else None,
    }


def _rate_cells(figures: dict[str, Any]) -> list[str]:
    gflops, share = figures["gflops_per_second"], figures["share_of_matmul_peak"]
    megabytes, rate = figures["bytes"], figures["gigabytes_per_second"]
    return [
        f"{gflops:.1f}" if gflops else report.NONE,
        f"{share:.0%}" if share else report.NONE,
        f"{megabytes / 1e6:.1f}" if megabytes else report.NONE,
        f"{rate:.1f}" if rate else report.NONE,
    ]


def plot(rows: list[dict[str, Any]], file: Path) -> None:
    from ..plots import bars

    if ratios := {row["case"]: row["ratio"] for row in rows if row["ratio"]}:
        bars(ratios, "minidl's time divided by theirs (below 1: minidl is faster)", file, line=1.0, log=True)
    else:
        bars({row["case"]: row["milliseconds"] for row in rows}, "milliseconds", file, log=True)
