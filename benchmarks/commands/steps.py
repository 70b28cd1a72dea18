"""Whole training steps (forward, loss, backward, optimizer), and inference."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .. import report
from ..cases._case import Case
from ..libraries import attempt
from ..options import Options
from ..table import Table
from ..timing import compare
from ..workloads import INFERENCE, TRAINING
from ..workloads._workload import Workload


def run(options: Options, columns: list[str], machine: dict[str, Any]) -> list[dict[str, Any]]:
    images = "torch" in columns
    inference = [column for column in columns if column not in ("chainer", "dezero")] + ["torch folded"] * images
    return [
        *_measure("training steps", TRAINING, options, columns),
        *_measure("inference", INFERENCE, options, inference),
    ]


def _measure(title: str, workloads: list[Workload], options: Options, columns: list[str]) -> list[dict[str, Any]]:
    workloads = [workload for workload in workloads if options.wants(workload.name)]
    if not workloads:
        return []
    heading = f"{title}: milliseconds ± spread [minidl's time divided by theirs]; the goal is for the ratio to torch"
    table = Table(heading, "step", columns, ["goal"], markdown=options.markdown)
    rows = []
    for workload in workloads:
        functions = {}
        for column in columns:
            if function := attempt(workload.name, column, workload.function, column, options.device):
                functions[column] = function
        if "minidl" not in functions:
            continue
        figures = report.row(Case(workload.name, functions), compare(functions, rounds=options.rounds))
        ratio = figures["ratio"].get("torch")
        known = ratio is not None and not figures["disturbed"]
        figures |= {"goal": workload.goal, "met": ratio <= workload.goal if known else None}
        rows.append(figures)
        verdict = {None: "", True: " met", False: " missed"}[figures["met"]]
        table.row([report.name_cell(figures), *report.time_cells(figures, columns), f"{workload.goal:.2f}{verdict}"])
    return rows


def plot(rows: list[dict[str, Any]], file: Path) -> None:
    from ..plots import bars

    bars({row["case"]: row["milliseconds"] for row in rows}, "milliseconds", file, log=True)
