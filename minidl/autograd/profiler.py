"""Where the time of a computation goes: every operation's forward and backward pass, timed."""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import prod
from os import PathLike
from time import perf_counter_ns
from typing import Any

from ..errors import ArgumentError
from . import _profile_views as views
from ._flops import ELSEWHERE, LATER, Shapes, forward_flops, fused_backward_flops, matmul_peak
from ._recorder import Record, Recording


@dataclass(frozen=True, slots=True)
class Event:
    """One run of an operation's forward or backward.

    ``duration``, ``flops`` and ``bytes`` include the operations that it called, ``self_…`` do not: those add up over
    events without counting anything twice.

    Attributes: name: the Function's. phase: "forward" or "backward", the pass in which it ran.
               start, duration, self_time: seconds, the first from the beginning of the profile.
               depth: inside how many other events. thread: as ``threading.get_ident()``.
               flops: None where unknown; of a backward the sum over the operations that it called, or where it
               called none, of its own formula. bytes: of its inputs and outputs, of a backward those of the gradients
               that come in and go out. input_shapes, output_shapes: of the same.
               method: what of the operation ran: "forward", "backward", or what its forward had "deferred". An
               operation that another's backward calls has the phase "backward" and the method "forward"
    """

    name: str
    phase: str
    start: float
    duration: float
    self_time: float
    depth: int
    thread: int
    flops: int | None
    bytes: int
    input_shapes: Shapes
    output_shapes: Shapes
    method: str
    self_flops: int | None
    self_bytes: int


class profile:  # lower case: it is written with ml.profile() as prof
    """Time every operation inside ``with ml.profile() as prof:``, then ask for a table, a plot or a trace.

    It sees the operations of the thread that entered it, and no others: profiles in several threads, and one inside
    another, do not disturb each other. Entered again, it goes on adding. What is not an operation (an optimizer's
    step, loading data, Python in between) shows only as the rest of the wall time. Every event is kept, some hundred
    bytes each: profile steps rather than whole trainings. On a GPU the times are those of queueing the work.

    A Function of one's own gives its FLOPs in a method ``flops(input_shapes, output_shapes)``.

    >>> with ml.profile() as prof:
    ...     loss_fn(model(x), labels).backward()
    >>> print(prof.table())
    """

    def __init__(self) -> None:
        self._recordings: list[Recording] = []
        self._active: Recording | None = None
        self._elapsed = 0
        self._events: list[Event] = []

    def __enter__(self) -> profile:
        if self._active is not None:
            raise ArgumentError("profile: this profile is active already; make another one with ml.profile()")
        self._active = Recording()
        self._recordings.append(self._active)
        return self

    def __exit__(self, *exception: object) -> None:
        if self._active is None:
            raise ArgumentError("profile: left without having been entered; write with ml.profile() as prof:")
        self._elapsed += self._active.end()
        self._active = None

    @property
    def events(self) -> list[Event]:
        """What ran, so far, in the order in which it ended."""
        if len(self._events) < sum(len(recording.records) for recording in self._recordings):
            self._events = [
                event
                for recording in self._recordings
                for event in _events(recording.records.copy(), self._recordings[0].start)
            ]
        return self._events.copy()

    @property
    def wall_time(self) -> float:
        """Seconds spent inside the ``with`` block, so far."""
        running = 0 if self._active is None else perf_counter_ns() - self._active.start
        return (self._elapsed + running) / 1e9

    @property
    def peak(self) -> float:
        """FLOP/s of a large float32 matrix product on this machine, measured (a tenth of a second) at the first use."""
        return matmul_peak()

    def table(self, sort_by: str = "time", limit: int | None = None, *, nested: bool = True) -> str:
        """The operations as an aligned text: calls, times, FLOPs, speed, share of the machine's matmul peak, bytes.

        Args:      sort_by: "time", "calls", "flops" (the largest first) or "name". limit: how many rows to show.
                   nested: give what an operation's backward calls, such as conv_weight_grad, rows of their own (and
                   every row only its own time), or else count it in the row of the operation that called it
        Returns:   the table. Nothing counts twice, so the total is at most the wall time. FLOPs are those of the
                   definition, so a fast algorithm may show more than the peak; "–" where they are unknown
        Raises:    ArgumentError: an unknown order, or a limit that is no positive integer
        """
        return views.table(views.rows(self.events, nested), sort_by, limit, self.wall_time, matmul_peak)

    def plot(self, ax: Any = None, *, limit: int | None = 20, nested: bool = True) -> Any:
        """The time of each operation as a horizontal bar, forward and backward stacked. Returns Matplotlib's axes.

        Args:      ax: axes to draw in; None makes a figure. limit: how many of the slowest to show. nested: as in
                   :meth:`table`
        Raises:    MissingPackageError: Matplotlib is not installed. ArgumentError: nothing was recorded, or a limit
                   that is no positive integer. ArgumentTypeError: ax is no axes
        """
        return views.plot(views.rows(self.events, nested), ax, limit)

    def to_chrome_trace(self, path: str | PathLike[str]) -> None:
        """Write a timeline for https://ui.perfetto.dev or chrome://tracing, as JSON; an old file is replaced whole.

        Raises:    ArgumentTypeError: path is no path. ArgumentError: it is a folder, or in a folder that is not there
        """
        views.write_trace(self.events, path)

    def __repr__(self) -> str:
        return f"<profile: {len(self.events)} events in {self.wall_time * 1e3:.3f} ms>"


def _events(records: list[Any], zero: int) -> list[Event]:
    """The records as events. Whatever ran inside an operation was noted before it, one level deeper."""
    events = []
    called_at: dict[int, list[Event]] = {}  # by depth, those whose caller has not come yet
    for record in map(Record._make, records):
        start = (record.start - zero) / 1e9
        called = [event for event in called_at.pop(record.depth + 1, []) if event.start >= start]
        composed = record.method == "backward" and any(event.method != "deferred" for event in called)
        inputs, outputs, flops, nbytes = _own_work(record, composed)
        known = [count for count in (flops, *(event.flops for event in called)) if count is not None]
        event = Event(
            name=_name(record),
            phase="backward" if record.passes else "forward",
            start=start,
            duration=record.duration / 1e9,
            self_time=(record.duration - record.nested) / 1e9,
            depth=record.depth,
            thread=record.thread,
            flops=sum(known) if known else None,
            bytes=nbytes + sum(event.bytes for event in called),
            input_shapes=inputs,
            output_shapes=outputs,
            method=record.method,
            self_flops=flops,
            self_bytes=nbytes,
        )
        events.append(event)
        if record.depth > 0:
            called_at.setdefault(record.depth, []).append(event)
    return events


def _own_work(record: Record, composed: bool) -> tuple[Shapes, Shapes, int | None, int]:
    """Shapes that went in, shapes that came out, and the FLOPs and bytes of it. What is composed does none itself."""
    shapes, out_shapes = tuple(record.shapes), tuple([shape for shape, _ in record.outputs])
    ins, outs = list(zip(record.shapes, record.dtypes, strict=True)), list(record.outputs)
    flops: int | None = None
    if record.method == "forward":
        flops = forward_flops(record.kind, record.setting, shapes, out_shapes)
    elif record.method == "backward":
        flops = fused_backward_flops(record.kind, record.setting, shapes, out_shapes)
        ins, outs = outs, [meta for meta, need in zip(ins, record.setting, strict=True) if need]
    inputs, outputs = tuple([shape for shape, _ in ins]), tuple([shape for shape, _ in outs])
    if composed or record.setting is ELSEWHERE:
        return inputs, outputs, 0 if composed else None, 0
    touched = ins if record.setting is LATER else ins + outs
    return inputs, outputs, flops, sum(prod(shape) * dtype.itemsize for shape, dtype in touched)


def _name(record: Record) -> str:
    if record.method != "deferred":
        return record.name
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", record.name).lower() + " (deferred)"
