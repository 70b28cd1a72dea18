"""Tables for people, dictionaries for JSON."""

from __future__ import annotations

from typing import Any

from .cases._case import Case
from .timing import Measurement


def row(case: Case, measured: dict[str, Measurement]) -> dict[str, Any]:
    """The figures of one case. Ratios are minidl's time divided by the other's: below 1 minidl is the faster one."""
    ours = measured["minidl"]
    return {
        "case": case.name,
        "milliseconds": {name: m.median * 1e3 for name, m in measured.items()},
        "spread": {name: m.spread for name, m in measured.items()},
        "ratio": {name: ours.ratio_to(m) for name, m in measured.items() if name != "minidl"},
        "gflops_per_second": case.flops / ours.median / 1e9 if case.flops else None,
    }


def print_machine(machine: dict[str, Any], missing: list[str]) -> None:
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    print(
        f"{machine['processor']}, {machine['cores']} cores, {machine['threads']} threads; "
        f"Python {machine['python']}, {versions}"
    )
    if missing:
        print(f"not installed, so left out: {', '.join(missing)}")
    if machine["busy"]:
        print(f"the machine is busy (load {machine['load_before']:.1f}): the figures below are weak")


def print_heading(suite: str) -> None:
    print(f"\n{suite}: milliseconds (± spread), and in brackets minidl's time divided by theirs")


def print_row(figures: dict[str, Any]) -> None:
    parts = []
    for name, milliseconds in figures["milliseconds"].items():
        ratio = figures["ratio"].get(name)
        part = f"{name} {milliseconds:8.2f} ±{figures['spread'][name]:4.0%}"
        parts.append(part if ratio is None else f"{part} [{ratio:4.2f}]")
    speed = figures["gflops_per_second"]
    print(f"{figures['case']:36s} " + "   ".join(parts) + (f"   {speed:6.1f} GFLOP/s" if speed else ""), flush=True)
