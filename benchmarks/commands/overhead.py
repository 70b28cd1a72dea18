"""What minidl costs when there is nothing to compute: an operation on 4 x 4 tensors, and the import."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from .. import fresh, report
from ..cases._case import Case
from ..libraries import attempt, load, target
from ..options import Options
from ..table import Table
from ..timing import compare

CHAIN = 100
OPERATIONS = ("add", "mul", "matmul")
MODES = ("forward, no_grad", "forward, recorded", "forward and backward")
PROGRAM = """
import time
start = time.perf_counter()
import {name}
seconds = time.perf_counter() - start
try:
    pages = int(open("/proc/self/statm").read().split()[1])
except OSError:
    pages = 0
print(seconds, pages)
"""


def run(options: Options, columns: list[str], machine: dict[str, Any]) -> list[dict[str, Any]]:
    return [*_operations(options, columns), *_imports(options, columns)]


def _operations(options: Options, columns: list[str]) -> list[dict[str, Any]]:
    columns = [column for column in columns if column != "torch channels_last"]
    names = [(operation, mode) for operation in OPERATIONS for mode in MODES if options.wants(f"{operation} {mode}")]
    if not names:
        return []
    title = f"4x4 tensors, chains of {CHAIN}: microseconds an operation ± spread [minidl's time divided by theirs]"
    table = Table(title, "operation", columns, markdown=options.markdown)
    rows = []
    for operation, mode in names:
        case = f"{operation} {mode}"
        functions = {}
        for column in columns:
            if function := attempt(case, column, _chain, column, options.device, operation, mode):
                functions[column] = function
        if "minidl" in functions:
            figures = report.row(Case(case, functions), compare(functions, rounds=options.rounds))
            figures["microseconds"] = {name: time * 1e3 / CHAIN for name, time in figures["milliseconds"].items()}
            rows.append(figures)
            table.row([report.name_cell(figures), *report.time_cells(figures, columns, scale=1e3 / CHAIN)])
    return rows


def _chain(column: str, device: str, operation: str, mode: str) -> Callable[[], object]:
    """y = y + a, or * or @, a hundred times; both operands are differentiated."""
    variable, no_grad, matmul, backward = _spelling(column, device)
    apply = {"add": lambda y, a: y + a, "mul": lambda y, a: y * a, "matmul": matmul}[operation]
    x, a = variable(np.ones((4, 4), "f4")), variable(np.eye(4, dtype="f4"))

    def forward() -> Any:
        y = x
        for _ in range(CHAIN):
            y = apply(y, a)
        return y

    def forward_no_grad() -> Any:
        with no_grad():
            return forward().data

    def forward_backward() -> None:
        x.grad = a.grad = None
        backward(forward())

    function = dict(zip(MODES, (forward_no_grad, lambda: forward().data, forward_backward), strict=True))[mode]
    function()
    return function if column in ("chainer", "dezero") else target(column, device).finished(function)


def _spelling(column: str, device: str) -> tuple[Callable[..., Any], Any, Callable[..., Any], Callable[..., Any]]:
    """How a library writes (variable, no_grad, matmul, backward of the sum)."""
    library = load(column)
    if column in ("chainer", "dezero"):
        F = library.functions
        no_grad = library.no_backprop_mode if column == "chainer" else library.no_grad
        return library.Variable, no_grad, F.matmul, lambda y: F.sum(y).backward()
    here = target(column, device)
    return (lambda array: here.tensor(array, True)), library.no_grad, library.matmul, lambda y: y.sum().backward()


def _imports(options: Options, columns: list[str]) -> list[dict[str, Any]]:
    names = ["numpy", *[name for name in ("minidl", "torch") if name in columns]]
    if not options.wants("import minidl"):
        return []
    seconds: dict[str, list[float]] = {name: [] for name in names}
    mebibytes: dict[str, list[float]] = {name: [] for name in names}
    for number in range(options.rounds + 1):
        for name in names:
            figures = subprocess.check_output([sys.executable, "-c", PROGRAM.format(name=name)], cwd=fresh.ROOT)
            time, pages = figures.split()
            if number:  # the first reads the files from disk
                seconds[name].append(float(time))
                mebibytes[name].append(int(pages) * os.sysconf("SC_PAGE_SIZE") / 2**20)
    title = "imports in fresh processes: medians"
    titles = ["ms", "ms over numpy", "MiB resident", "MiB over numpy"]
    table = Table(title, "import", [], titles, markdown=options.markdown)
    rows = []
    for name in names:
        time, memory = statistics.median(seconds[name]), statistics.median(mebibytes[name])
        more, more_memory = time - statistics.median(seconds["numpy"]), memory - statistics.median(mebibytes["numpy"])
        table.row([name, f"{time * 1e3:.0f}", f"{more * 1e3:.0f}", f"{memory:.0f}", f"{more_memory:.0f}"])
        rows.append(
            {
                "case": f"import {name}",
                "milliseconds": {name: time * 1e3},
                "milliseconds_over_numpy": more * 1e3,
                "mebibytes": memory,
                "mebibytes_over_numpy": more_memory,
            }
        )
    return rows


def plot(rows: list[dict[str, Any]], file: Path) -> None:
    from ..plots import bars

    values = {row["case"]: row["microseconds"] for row in rows if "microseconds" in row}
    bars(values, "microseconds an operation on 4x4 tensors", file)
