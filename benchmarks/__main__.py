"""``python -m benchmarks [conv pooling lenet] [--against torch,dezero] [--json FILE] [--rounds N] [--threads N]``."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys
from pathlib import Path
from typing import Any

SUITES = ("conv", "pooling", "lenet")  # modules of benchmarks.cases


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Times minidl beside PyTorch and DeZero.")
    parser.add_argument(
        "suites", nargs="*", metavar="SUITE", help=f"which to run, of {', '.join(SUITES)} (default: all)"
    )
    parser.add_argument("--against", default="torch,dezero", help="libraries to compare with, where installed")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there too")
    parser.add_argument("--rounds", type=int, default=11, help="rounds of interleaved bursts (default: 11)")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="threads of every library")
    arguments = parser.parse_args()
    if unknown := set(arguments.suites) - set(SUITES):
        parser.error(f"no suite {', '.join(sorted(unknown))}; there are {', '.join(SUITES)}")
    if arguments.rounds < 2:
        parser.error("--rounds must be at least 2, or there is no spread")
    return arguments


def main() -> int:
    arguments = _arguments()
    # NumPy's BLAS reads its variables when it is loaded, so what imports NumPy comes after them.
    os.environ.pop("OPENBLAS_CORETYPE", None)  # where set it slows NumPy
    for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[variable] = str(arguments.threads)
    import minidl as ml

    from . import report
    from .cases._case import load
    from .machine import describe
    from .timing import compare

    libraries: dict[str, Any] = {name: load(name) for name in arguments.against.split(",") if name}
    ml.set_num_threads(arguments.threads)
    if libraries.get("torch"):
        libraries["torch"].set_num_threads(arguments.threads)
    machine = describe() | {"threads": arguments.threads}
    report.print_machine(machine, [name for name, library in libraries.items() if library is None])
    rows = []
    for suite in arguments.suites or SUITES:
        report.print_heading(suite)
        for case in importlib.import_module(f"benchmarks.cases.{suite}").cases(libraries):
            row = report.row(case, compare(case.functions, rounds=arguments.rounds))
            rows.append({"suite": suite, **row})
            report.print_row(row)
    if arguments.json:
        arguments.json.write_text(json.dumps({"machine": machine, "rows": rows}, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
