"""How the time of convolutions grows with batch, channels, resolution and depth; and what more threads bring."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from .. import report
from ..cases._case import Case, normal
from ..libraries import attempt, target
from ..options import Options
from ..table import Table
from ..timing import compare
from . import _threads

SHAPE = {"batch": 32, "channels": 32, "resolution": 16, "depth": 1}
SWEEPS = {  # what grows, to what, and the exponent of the arithmetic
    "batch": ((8, 16, 32, 64, 128), 1),
    "channels": ((8, 16, 32, 64, 128), 2),
    "resolution": ((8, 16, 32, 64), 2),
    "depth": ((1, 2, 4, 8, 16), 1),
}


def run(options: Options, columns: list[str], machine: dict[str, Any]) -> list[dict[str, Any]]:
    columns = [column for column in columns if column not in ("chainer", "dezero")]
    rows = []
    for sweep in SWEEPS:
        if any(options.wants(f"{sweep} {size}") for size in SWEEPS[sweep][0]):
            rows += _sweep(sweep, options, columns)
    return rows + _threads.run(options, columns)


def _sweep(sweep: str, options: Options, columns: list[str]) -> list[dict[str, Any]]:
    sizes, exponent = SWEEPS[sweep]
    others = ", ".join(f"{name} {size}" for name, size in SHAPE.items() if name != sweep)
    title = f"3x3 convolutions, forward and backward, at {others}: milliseconds ± spread [ratio]"
    table = Table(title, sweep, columns, markdown=options.markdown)
    rows = []
    for size in sizes:
        case = f"{sweep} {size}"
        functions = {}
        for column in columns:
            if function := attempt(case, column, _stack, column, options.device, *(SHAPE | {sweep: size}).values()):
                functions[column] = function
        if "minidl" in functions:
            figures = report.row(Case(case, functions), compare(functions, rounds=options.rounds))
            rows.append(figures | {"sweep": sweep, "size": size})
            table.row([report.name_cell(figures), *report.time_cells(figures, columns)])
    if len(rows) > 1:
        slopes = {line["column"]: line["slope"] for line in lines(rows)}
        table.row([f"slope (arithmetic: {exponent})", *[f"{slopes[column]:.2f}" for column in columns]])
        rows.append({"case": f"{sweep} slope", "slope": slopes, "slope_of_arithmetic": exponent})
    return rows


def _stack(column: str, device: str, batch: int, channels: int, resolution: int, depth: int) -> Callable[[], object]:
    """Forward and backward through `depth` convolutions; all gradients, that of the input too."""
    here = target(column, device)
    conv2d, grad = here.library.nn.functional.conv2d, here.library.autograd.grad
    array = normal(batch, channels, resolution, resolution)
    x, gy = here.tensor(array, requires_grad=True), here.tensor(array)
    filters = normal(channels, channels, 3, 3) / np.float32(3 * channels**0.5)
    weights = [here.tensor(filters, requires_grad=True) for _ in range(depth)]

    def step() -> object:
        y = x
        for w in weights:
            y = conv2d(y, w, padding=1)
        return [g.data for g in grad([y], [x, *weights], [gy])]

    step()
    return here.finished(step)


def lines(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """For each column of one sweep its points, and the straight line through their logarithms by least squares."""
    found = []
    for column in rows[0]["milliseconds"]:
        points = [(row["size"], row["milliseconds"][column]) for row in rows if column in row["milliseconds"]]
        x, y = zip(*points, strict=True)
        slope, intercept = np.polyfit(np.log10(x), np.log10(y), 1)
        found.append({"column": column, "x": x, "y": y, "slope": float(slope), "intercept": float(intercept)})
    return found


def plot(rows: list[dict[str, Any]], file: Path) -> None:
    from ..plots import log_log

    sweeps = {sweep: [row for row in rows if row.get("sweep") == sweep] for sweep in SWEEPS}
    log_log({sweep: lines(points) for sweep, points in sweeps.items() if len(points) > 1}, "milliseconds", file)
