"""What a profile shows: its rows, as a table, as bars, and as a timeline for a browser."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ArgumentError, ArgumentTypeError, MissingPackageError

if TYPE_CHECKING:
    from .profiler import Event

_HEADER = (
    "operation", "calls", "forward ms", "backward ms", "total ms", "% of time", "GFLOP", "GFLOP/s", "% of peak", "MB",
)  # fmt: skip
_UNKNOWN = "–"


@dataclass
class Row:
    """All events of one name. Times in seconds; ``counted`` is the time of the events whose FLOPs are known."""

    name: str
    applied: int = 0
    went_back: int = 0
    forward: float = 0.0
    backward: float = 0.0
    flops: int | None = None
    counted: float = 0.0
    bytes: int = 0

    @property
    def calls(self) -> int:
        """How often it was applied; where a profile saw only its backward, how often that ran."""
        return max(self.applied, self.went_back)

    @property
    def time(self) -> float:
        """Forward and backward."""
        return self.forward + self.backward

    @property
    def speed(self) -> float | None:
        """FLOP/s, where there are any."""
        return self.flops / self.counted if self.flops and self.counted else None


def rows(events: list[Event], nested: bool) -> list[Row]:
    """The events by name: each by itself, or only the outermost ones with all that they called."""
    found: dict[str, Row] = {}
    for event in events:
        if not nested and event.depth > 0:
            continue
        row = found.setdefault(event.name, Row(event.name))
        row.applied += event.method != "backward"
        row.went_back += event.method == "backward"
        seconds = event.self_time if nested else event.duration
        flops = event.self_flops if nested else event.flops
        if event.phase == "forward":
            row.forward += seconds
        else:
            row.backward += seconds
        if flops is not None:
            row.flops = (row.flops or 0) + flops
            row.counted += seconds
        row.bytes += event.self_bytes if nested else event.bytes
    return list(found.values())


_ORDERS: dict[str, Any] = {
    "time": lambda row: (-row.time, row.name),
    "calls": lambda row: (-row.calls, row.name),
    "flops": lambda row: (-1 if row.flops is None else -row.flops - 2, row.name),
    "name": lambda row: row.name,
}


def table(
    found: list[Row], sort_by: str, limit: int | None, wall_time: float, measure_peak: Callable[[], float]
) -> str:
    """See :meth:`minidl.profile.table`."""
    if not isinstance(sort_by, str) or sort_by not in _ORDERS:
        raise ArgumentError(f"table: sort_by must be one of {', '.join(map(repr, _ORDERS))}, got {sort_by!r}")
    check_limit(limit, "table")
    shown = sorted(found, key=_ORDERS[sort_by])[:limit]
    total = Row("total")
    for row in found:
        total.applied += row.calls
        total.forward += row.forward
        total.backward += row.backward
        total.bytes += row.bytes
        total.counted += row.counted
        total.flops = row.flops if total.flops is None else total.flops + (row.flops or 0)
    peak = measure_peak()
    cells = [_HEADER, *(_cells(row, wall_time, peak) for row in [*shown, total])]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [
        "  ".join([name.ljust(widths[0]), *(cell.rjust(w) for cell, w in zip(rest, widths[1:], strict=True))])
        for name, *rest in cells
    ]
    rule = "-" * len(lines[0])
    hidden = len(found) - len(shown)
    more = [f"… and {hidden} more operation{'s' * (hidden > 1)}"] if hidden else []
    summary = (
        f"wall time {wall_time * 1e3:.3f} ms; matmul peak {peak / 1e9:.1f} GFLOP/s (float32); "
        "a multiplication and an addition count as two"
    )
    return "\n".join([lines[0], rule, *lines[1:-1], *more, rule, lines[-1], summary])


def _cells(row: Row, wall_time: float, peak: float) -> tuple[str, ...]:
    speed = row.speed
    return (
        row.name,
        str(row.calls),
        f"{row.forward * 1e3:.3f}",
        f"{row.backward * 1e3:.3f}",
        f"{row.time * 1e3:.3f}",
        f"{100 * row.time / wall_time:.1f}" if wall_time else _UNKNOWN,
        _number(row.flops, 1e9, 4),
        _number(speed, 1e9, 2),
        _number(speed, peak / 100, 1),
        f"{row.bytes / 1e6:.2f}",
    )


def _number(value: float | None, unit: float, places: int) -> str:
    """In this unit with so many decimal places, or where that is all zeros with two digits and an exponent."""
    if value is None:
        return _UNKNOWN
    if value == 0:
        return "0"
    text = f"{value / unit:.{places}f}"
    return text if float(text) else f"{value / unit:.1e}"


def plot(found: list[Row], ax: Any, limit: int | None) -> Any:
    """See :meth:`minidl.profile.plot`."""
    check_limit(limit, "plot")
    if not found:
        raise ArgumentError("plot: no operation ran inside the profile, so there is nothing to draw")
    if ax is None:
        try:
            from matplotlib import pyplot
        except ImportError as error:
            raise MissingPackageError(f"profile.plot needs Matplotlib ({error}): pip install matplotlib") from error
        height = 1.2 + 0.3 * min(len(found), limit or len(found))
        _, ax = pyplot.subplots(figsize=(7, height), layout="tight")
    elif not hasattr(ax, "barh"):
        raise ArgumentTypeError(f"plot: ax must be Matplotlib axes, got {type(ax).__name__}")
    shown = sorted(found, key=_ORDERS["time"])[:limit]
    places = range(len(shown))
    forward = [row.forward * 1e3 for row in shown]
    ax.barh(places, forward, label="forward")
    ax.barh(places, [row.backward * 1e3 for row in shown], left=forward, label="backward")
    ax.set_yticks(places, [row.name for row in shown])
    ax.invert_yaxis()
    ax.set_xlabel("milliseconds")
    ax.legend(loc="lower right")
    return ax


def check_limit(limit: Any, op: str) -> None:
    """Refuse a number of rows that is none."""
    if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int) or limit < 1):
        raise ArgumentError(f"{op}: limit must be a positive integer or None, got {limit!r}")


def write_trace(events: list[Event], path: Any) -> None:
    """See :meth:`minidl.profile.to_chrome_trace`."""
    if not isinstance(path, str | os.PathLike):
        raise ArgumentTypeError(f"to_chrome_trace: path must be a string or a Path, got {path!r}")
    target = Path(os.path.realpath(path))  # a link is followed, not replaced
    if target.is_dir() or not target.parent.is_dir():
        reason = "is a folder" if target.is_dir() else f"is in {target.parent}, which is no folder"
        raise ArgumentError(f"to_chrome_trace: {os.fspath(path)!r} {reason}; give the name of a file")
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}.tmp")
    try:
        with open(temporary, "x", encoding="utf-8") as file:
            json.dump(trace(events), file, allow_nan=False)
        os.replace(temporary, target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def trace(events: list[Event]) -> dict[str, Any]:
    """The events in the Trace Event Format, complete events ("X") in microseconds; nesting follows from the times."""
    process = os.getpid()
    spans: list[dict[str, Any]] = [
        {
            "name": f"{event.name} backward" if event.method == "backward" else event.name,
            "cat": event.phase,
            "ph": "X",
            "ts": round(event.start * 1e6, 3),
            "dur": round(event.duration * 1e6, 3),
            "pid": process,
            "tid": event.thread,
            "args": {
                "FLOPs": event.flops,
                "bytes": event.bytes,
                "inputs": [str(shape) for shape in event.input_shapes],
                "outputs": [str(shape) for shape in event.output_shapes],
            },
        }
        for event in sorted(events, key=lambda event: (event.start, event.depth))
    ]
    title = {"name": "process_name", "ph": "M", "pid": process, "tid": 0, "args": {"name": "minidl"}}
    return {"traceEvents": [title, *spans], "displayTimeUnit": "ms"}
