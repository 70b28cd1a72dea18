"""What was measured on: processor, GPU, versions, threads, peaks, and whether something else was running."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from .busy import DISTURBED, Watch
from .libraries import target
from .options import Options
from .timing import burst, settle

LIBRARIES = ("minidl", "numpy", "cupy-cuda12x", "torch", "chainer", "dezero")
MATMUL_SIZE = {"cpu": 2048, "cuda": 8192}
"""Rows and columns of the square matrices whose product is the matmul peak."""
COPY_MEBIBYTES = {"cpu": 256, "cuda": 1024}
"""Of the array whose copy is the copy peak: far more than caches hold."""


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or "unknown"
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def matmul_peak(device: str) -> float:
    """GFLOP/s of a float32 product of two square matrices, the best of seven; on the CPU that of NumPy's BLAS."""
    size = MATMUL_SIZE[device]
    a = np.random.default_rng(0).standard_normal((size, size), "f4")
    if device == "cpu":
        out = np.empty_like(a)
        seconds = min(burst(lambda: np.matmul(a, a, out=out), 1) for _ in range(7))
    else:
        here = target("minidl", device)
        x = here.tensor(a)
        seconds = min(burst(here.finished(lambda: x @ x), 1) for _ in range(7))
    return 2 * size**3 / seconds / 1e9


def copy_peak(device: str, threads: int) -> float:
    """GB/s, read and written, of a copy from memory to memory on the device, the best of seven.

    On the CPU each thread copies a part, with NumPy.
    """
    a = np.ones(COPY_MEBIBYTES[device] * 2**18, "f4")
    if device == "cpu":
        parts, out = np.array_split(a, threads), np.array_split(np.empty_like(a), threads)
        with ThreadPoolExecutor(threads) as pool:
            seconds = min(burst(lambda: list(pool.map(np.copyto, out, parts)), 1) for _ in range(7))
    else:
        here = target("minidl", device)
        x = here.tensor(a)
        seconds = min(burst(here.finished(x.clone), 1) for _ in range(7))
    return 2 * a.nbytes / seconds / 1e9


def describe(options: Options) -> dict[str, Any]:
    """The machine and the versions of everything that takes part. Workers of minidl have started when this returns."""
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    watch = Watch()
    time.sleep(0.5)
    others = watch.cores()
    peaks = {device: _peaks(device, options.threads) for device in options.devices}
    ml = target("minidl", options.device).library
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "versions": {name: version for name in LIBRARIES if (version := _version(name))},
        "devices": options.devices,
        "gpu": ml.cuda.get_device_name() if "cuda" in options.devices else None,
        "threads": options.threads,
        "rounds": options.rounds,
        "peaks": peaks,
        "load_before": load,
        "cores_used_by_others_before": others,
        "busy": others > DISTURBED or (load is not None and load > 0.5),
    }


def _peaks(device: str, threads: int) -> dict[str, float]:
    """The peaks of a device, after which it and the workers of minidl have warmed up."""
    peaks = {"matmul_gflops_per_second": matmul_peak(device), "copy_gigabytes_per_second": copy_peak(device, threads)}
    here = target("minidl", device)
    x, w = (here.tensor(np.ones(shape, "f4")) for shape in ((64, 32, 32, 32), (32, 32, 3, 3)))
    settle(here.finished(lambda: here.library.nn.functional.conv2d(x, w, padding=1)), seconds=1.0)
    return peaks


def show(machine: dict[str, Any]) -> None:
    """The machine in two to four lines."""
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    print(f"{machine['processor']}, {machine['cores']} cores; Python {machine['python']}, {versions}")
    threads = f"{machine['threads']} thread{'s' * (machine['threads'] > 1)}"
    for device, peaks in machine["peaks"].items():
        name = device if device == "cpu" else f"{device} ({machine['gpu']})"
        print(
            f"{name}, {threads}, {machine['rounds']} rounds; matmul peak ({MATMUL_SIZE[device]}, float32) "
            f"{peaks['matmul_gflops_per_second']:.0f} GFLOP/s, copy peak ({COPY_MEBIBYTES[device]} MiB) "
            f"{peaks['copy_gigabytes_per_second']:.1f} GB/s"
        )
    if machine["busy"]:
        load, others = machine["load_before"], machine["cores_used_by_others_before"]
        print(
            f"the machine was busy before (load {load or 0:.1f} over a minute, {others:.1f} cores in use by others): "
            "the figures may be weak"
        )


def show_disturbed(rows: list[dict[str, Any]]) -> None:
    """Say so where other processes ran during the measurements."""
    timed = [row for row in rows if "disturbed" in row]
    if count := sum(row["disturbed"] for row in timed):
        print(f"\nthe machine was busy: others ran during {count} of {len(timed)} rows (marked); those are weak")
    elif timed:
        print(f"\nother processes were quiet during all of it ({len(timed)} rows)")
