"""Calls in a fresh interpreter, for what only a process of its own can tell: memory, and the number of threads."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
THREAD_VARIABLES = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")


def set_environment(threads: int) -> None:
    """Give NumPy's BLAS, here and in processes started from here, this number of threads when it is loaded."""
    os.environ.pop("OPENBLAS_CORETYPE", None)  # where set it slows NumPy
    for variable in THREAD_VARIABLES:
        os.environ[variable] = str(threads)


def call(function: str, *arguments: Any, threads: int) -> Any:
    """What ``function``, "module:name" of this package, returns in a new process. Both ways go through JSON."""
    environment = os.environ | {variable: str(threads) for variable in THREAD_VARIABLES}
    program = "from benchmarks.fresh import serve; serve()"
    command = [sys.executable, "-c", program, function, json.dumps(arguments)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError((done.stderr.strip() or f"exit code {done.returncode}").splitlines()[-1])
    return json.loads(done.stdout.splitlines()[-1])


def serve() -> None:
    """The other side of :func:`call`."""
    module, name = sys.argv[1].split(":")
    function = getattr(importlib.import_module(f"benchmarks.{module}"), name)
    print(json.dumps(function(*json.loads(sys.argv[2]))))
