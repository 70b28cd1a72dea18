"""One operation at a time: time, arithmetic and bytes per second, and their shares of the machine's peaks.

With a GPU also the transfer that it takes to have the operation done there; with the CPU beside it, from which size on
the GPU is faster.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .. import crossover, report
from ..cases import cases
from ..cases._case import Case
from ..libraries import ON_CUDA, TRANSFER
from ..options import Options
from ..table import Table
from ..timing import Measurement, compare

UNITS = {"cpu": ("GFLOP/s", "{:.1f}", 1.0), "cuda": ("TFLOP/s", "{:.2f}", 1e-3)}


def run(options: Options, columns: list[str], machine: dict[str, Any]) -> list[dict[str, Any]]:
    gpu, both = "cuda" in options.devices, len(options.devices) > 1
    if gpu:
        columns = [*columns, TRANSFER]
    title = "kernels: milliseconds ± spread [minidl's time divided by theirs]; then minidl's rates"
    if both:
        title += ", and the batch (or parameters) from which on the GPU is faster"
    narrow = [*_rate_titles(options.devices), *(["GPU from", "with transfer"] if both else [])]
    table = Table(title, "kernel", columns, narrow, markdown=options.markdown, name_width=44)
    rows = []
    for case in cases(columns, options.device, options.wants):
        measured = compare(case.functions, rounds=options.rounds)
        figures = report.row(case, measured) | {"bytes": case.moved, "rates": {}}
        for device in options.devices:
            column = "minidl" if device == options.device else f"minidl{ON_CUDA}"
            if column in measured:
                figures["rates"][device] = rates(case, measured[column], machine["peaks"][device])
        if both:
            figures["crossover"] = crossover.measure(case)
        rows.append(figures)
        cells = [
            report.name_cell(figures),
            *report.time_cells(figures, columns),
            *_rate_cells(figures, options.devices),
        ]
        table.row(cells + (crossover.cells(figures["crossover"]) if both else []))
    return rows


def rates(case: Case, ours: Measurement, peaks: dict[str, float]) -> dict[str, Any]:
    """Arithmetic is counted as in the definition; Winograd does less of it, so its share of the peak can pass 1."""
    gflops = case.flops / ours.median / 1e9 if case.flops else None
    gigabytes = case.moved / ours.median / 1e9 if case.moved else None
    return {
        "gflops_per_second": gflops,
        "share_of_matmul_peak": gflops / peaks["matmul_gflops_per_second"] if gflops else None,
        "gigabytes_per_second": gigabytes,
        "share_of_copy_peak": gigabytes / peaks["copy_gigabytes_per_second"] if gigabytes else None,
    }


def _rate_titles(devices: tuple[str, ...]) -> list[str]:
    """A block for each device; the bytes, which are the same, once; shares of the copy peak where a GPU takes part."""
    titles = []
    for device in devices:
        of = f"{device} " if len(devices) > 1 else ""
        titles += [f"{of}{UNITS[device][0]}", f"of {of}peak"]
        titles += ["MB"] if device == devices[0] else []
        titles += [f"{of}GB/s"] + ([f"of {of}copy"] if "cuda" in devices else [])
    return titles


def _rate_cells(figures: dict[str, Any], devices: tuple[str, ...]) -> list[str]:
    cells = []
    for device in devices:
        found = figures["rates"].get(device, {})
        cells.append(_cell(found.get("gflops_per_second"), *UNITS[device][1:]))
        cells.append(_cell(found.get("share_of_matmul_peak"), "{:.0%}"))
        cells += [_cell(figures["bytes"], "{:.1f}", 1e-6)] if device == devices[0] else []
        cells.append(_cell(found.get("gigabytes_per_second"), "{:.1f}"))
        cells += [_cell(found.get("share_of_copy_peak"), "{:.0%}")] if "cuda" in devices else []
    return cells


def _cell(value: float | None, form: str, scale: float = 1.0) -> str:
    return form.format(value * scale) if value else report.NONE


def plot(rows: list[dict[str, Any]], file: Path) -> None:
    from ..plots import bars, crossovers

    if found := {row["case"]: row["crossover"] for row in rows if row.get("crossover")}:
        crossovers(found, file)
    elif ratios := {row["case"]: row["ratio"] for row in rows if row["ratio"]}:
        bars(ratios, "minidl's time divided by theirs (below 1: minidl is faster)", file, line=1.0, log=True)
    else:
        bars({row["case"]: row["milliseconds"] for row in rows}, "milliseconds", file, log=True)
