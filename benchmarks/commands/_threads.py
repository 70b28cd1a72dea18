"""One thread against several, in processes of their own: a library keeps the workers that it has once started."""

from __future__ import annotations

import statistics
from typing import Any

from .. import fresh, report
from ..busy import DISTURBED, Watch
from ..cases._case import normal
from ..cases.conv import CONV, conv
from ..libraries import attempt, load, target
from ..options import Options
from ..table import Table
from ..timing import compare, settle
from ..workloads import TRAINING

ROWS = ("conv 64->64@32 3x3", "ResNet-20")

IN_THREADS = "minidl in threads"
"""A column of minidl's with worker threads in the place of worker processes."""


def run(options: Options, columns: list[str]) -> list[dict[str, Any]]:
    names = [name for name in ROWS if options.wants(f"threads {name}")]
    if not names:
        return []
    if options.threads == 1 or options.device != "cpu":
        print("\nthreads: nothing to compare (one thread, or a GPU)")
        return []
    title = f"1 and {options.threads} threads: milliseconds of each, and how many times faster"
    if "minidl" in columns:
        columns = [*columns, IN_THREADS]
    table = Table(title, "threads", columns, markdown=options.markdown, width=24)
    rows = []
    for name in names:
        figures: dict[str, Any] = {"case": f"threads {name}", "milliseconds_by_threads": {}, "speedup": {}}
        watch, cells = Watch(), []
        for column in columns:
            times = attempt(name, column, _times, name, column, options)
            if times is None:
                cells.append(report.NONE)
                continue
            figures["milliseconds_by_threads"][column] = times
            figures["speedup"][column] = times[0] / times[1]
            cells.append(f"{times[0]:.1f} {times[1]:.1f} {times[0] / times[1]:.2f}x")
        figures["disturbed"] = watch.cores() > DISTURBED
        rows.append(figures)
        table.row([report.name_cell(figures), *cells])
    return rows


def _times(name: str, column: str, options: Options) -> list[float]:
    """Medians over processes that take turns."""
    counts = (1, options.threads)
    times: dict[int, list[float]] = {count: [] for count in counts}
    for _ in range(max(1, options.rounds // 4)):
        for count in counts:
            times[count].append(fresh.call("commands._threads:milliseconds", name, column, count, threads=count))
    return [statistics.median(times[count]) for count in counts]


def milliseconds(name: str, column: str, threads: int) -> float:
    """Of one call, in this process."""
    in_threads, column = column == IN_THREADS, column.replace(IN_THREADS, "minidl")
    library = load(column, threads)
    if in_threads:
        library.set_worker_kind("thread")
    row = next((row for row in CONV if row[0] == name), None)
    if row is None:
        step = next(workload for workload in TRAINING if workload.name == name).function(column, "cpu")
        assert step is not None
    else:
        here, kernel = target(column, "cpu"), conv(*row)
        x, w = (here.tensor(array, requires_grad=True) for array in kernel.inputs)
        gy = here.tensor(normal(*kernel.call(here.library, x, w).shape))

        def step() -> object:
            return [g.data for g in here.library.autograd.grad([kernel.call(here.library, x, w)], [x, w], [gy])]

    settle(step, seconds=1.0)
    return compare({column: step}, rounds=5)[column].median * 1e3
