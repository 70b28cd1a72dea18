"""Peak memory of a training step, each library in a process of its own (Linux)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .. import fresh, report
from ..busy import children
from ..libraries import attempt, load
from ..options import Options
from ..table import Table
from ..workloads import TRAINING

WORKLOADS = ("VGG-like", "ResNet-20", "FCN-8s-like")
STEPS = 5


def run(options: Options, columns: list[str], machine: dict[str, Any]) -> list[dict[str, Any]]:
    if not Path("/proc/self/status").exists():
        raise SystemExit("memory is read from /proc, which this system does not have")
    table = Table(
        "memory on the CPU: MiB at the peak of a training step above what the imports left [ours divided by theirs], "
        "and in all",
        "step",
        columns,
        markdown=options.markdown,
        width=24,
    )
    rows = []
    for name in (name for name in WORKLOADS if options.wants(name)):
        figures: dict[str, Any] = {"case": name, "mebibytes": {}, "mebibytes_in_all": {}}
        for column in columns:
            if found := attempt(name, column, _peak, name, column, options.threads):
                figures["mebibytes"][column] = found["peak"] - found["imports"]
                figures["mebibytes_in_all"][column] = found["peak"]
        rows.append(figures)
        table.row([name, *_cells(figures, columns)])
    return rows


def _peak(name: str, column: str, threads: int) -> dict[str, float] | None:
    return fresh.call("commands.memory:peak", name, column, threads, threads=threads)


def _cells(figures: dict[str, Any], columns: list[str]) -> list[str]:
    above, cells = figures["mebibytes"], []
    for column in columns:
        if column not in above:
            cells.append(report.NONE)
            continue
        ratio = f" [{above['minidl'] / above[column]:.2f}]" if column != "minidl" and "minidl" in above else ""
        cells.append(f"{above[column]:.0f}{ratio} {figures['mebibytes_in_all'][column]:.0f}")
    return cells


def peak(name: str, column: str, threads: int) -> dict[str, float] | None:
    """MiB of this process after the imports, and at the peak of a few steps.

    The system's high-water mark of this process, and what only minidl's worker processes hold: memory of their own, and
    pages of shared memory that this process has not touched.
    """
    load(column, threads)
    imports = _mebibytes("/proc/self/status", "VmRSS")
    workload = next(workload for workload in TRAINING if workload.name == name)
    step = workload.function(column, "cpu")
    if step is None:
        return None
    for _ in range(STEPS):
        step()
    workers = [path for path, _ in children()]
    extra = 0.0
    if workers:
        shared = sum(_mebibytes(f"{path}/smaps_rollup", "Pss_Shmem") for path in ("/proc/self", *workers))
        own = sum(_mebibytes(f"{path}/status", "RssAnon") for path in workers)
        extra = own + shared - _mebibytes("/proc/self/status", "RssShmem")
    return {"imports": imports, "peak": _mebibytes("/proc/self/status", "VmHWM") + extra}


def _mebibytes(file: str, name: str) -> float:
    """A field of a file in /proc. (The VmHWM there is ru_maxrss, except that it does not start at the parent's.)"""
    line = next(line for line in Path(file).read_text().splitlines() if line.startswith(f"{name}:"))
    return int(line.split()[1]) / 1024


def plot(rows: list[dict[str, Any]], file: Path) -> None:
    from ..plots import bars

    bars({row["case"]: row["mebibytes"] for row in rows}, "MiB above the imports, at the peak of a training step", file)
