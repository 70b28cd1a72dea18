"""The stopwatch of :class:`minidl.profile`: wrappers around the few places where operations run.

The first profile to begin puts them there, the last one to end takes them away: the engine knows nothing of it, and
outside a profile nothing is paid. Noted on the spot is only what will be gone later, and no array and no node of the
graph is kept; what can be worked out from the notes is left to the reader.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator, Sequence
from time import perf_counter_ns
from typing import Any, NamedTuple

from . import _patches, engine
from ._flops import ELSEWHERE, LATER, kept_setting
from .deferred import Deferred, DeferredTensor
from .function import Function


class Record(NamedTuple):
    """One run of an operation's forward or backward, or the computing of a deferred result; times in nanoseconds.

    ``nested`` is the part of ``duration`` spent in operations that it called; ``depth`` counts those that it was called
    by, ``passes`` the backward passes that it was part of. ``method`` is "forward", "backward" or "deferred". Then what
    the node knows: its class and name, the shapes and dtypes of its inputs, (shape, dtype) of each output. ``setting``:
    what the formula for the FLOPs needs beside the shapes; of a backward, which inputs needed a gradient.
    """

    start: int
    duration: int
    nested: int
    depth: int
    passes: int
    thread: int
    method: str
    kind: type
    name: str
    shapes: Sequence[tuple[int, ...]]
    dtypes: Sequence[Any]
    outputs: Sequence[tuple[tuple[int, ...], Any]]
    setting: Any


class Recording:
    """The records of one profile, from beginning to end, in one thread."""

    def __init__(self) -> None:
        self.records: list[Any] = []  # what Record takes, as tuples, which are made in half the time
        self.log = _thread.log
        self.base = len(self.log.nested)  # operations that were open before it
        _patches.put("profile", _wrappers())
        self.log.recordings.append(self)
        self.start = perf_counter_ns()

    def end(self) -> int:
        """Stop; returns the nanoseconds that it lasted."""
        elapsed = perf_counter_ns() - self.start
        self.log.recordings.remove(self)
        _patches.take_away("profile")
        return elapsed


class _Log:
    """What one thread is doing: who records it, and the operations that it is inside of."""

    __slots__ = ("nested", "passes", "recordings", "thread")

    def __init__(self) -> None:
        self.recordings: list[Recording] = []
        self.nested: list[int] = []  # for each open operation, the nanoseconds spent in what it called
        self.passes = 0  # how many backward passes it is inside of
        self.thread = threading.get_ident()


class _Thread(threading.local):
    def __init__(self) -> None:
        self.log = _Log()


_thread = _Thread()


def _timed(original: Callable[..., Any], describe: Callable[..., tuple[Any, ...]]) -> Callable[..., Any]:
    """The method, timed in threads that are recorded; ``describe(self, args, result)`` gives the rest of a Record."""

    @functools.wraps(original)
    def wrapper(self: Any, *args: Any, **settings: Any) -> Any:
        log = _thread.log
        if not log.recordings:
            return original(self, *args, **settings)
        open_operations = log.nested
        open_operations.append(0)
        try:
            start = perf_counter_ns()
            result = original(self, *args, **settings)
            duration = perf_counter_ns() - start
        finally:
            nested = open_operations.pop()
        what = describe(self, args, result)
        depth = len(open_operations)
        for recording in log.recordings:
            if start >= recording.start:
                place = (start, duration, nested, depth - recording.base, log.passes, log.thread)
                recording.records.append(place + what)
            else:  # the recording began inside this operation, which has just ended
                recording.base = depth
        if depth:  # the caller is charged neither for this operation nor for noting it
            open_operations[-1] += perf_counter_ns() - start
        return result

    return wrapper


def _counted(original: Callable[..., Any]) -> Callable[..., Any]:
    """The function, during which operations are part of a backward pass: hooks and sums of gradients too."""

    @functools.wraps(original)
    def wrapper(*args: Any, **settings: Any) -> Any:
        log = _thread.log
        log.passes += 1
        try:
            return original(*args, **settings)
        finally:
            log.passes -= 1

    return wrapper


# What there is to say about each kind of run: (method, class, name, shapes, dtypes, outputs, setting) ----------------


def _application(function: Function, inputs: tuple[Any, ...], result: Any) -> tuple[Any, ...]:
    """``Function.__call__``. A deferred result tells its shape without being computed."""
    ys = result if type(result) is tuple else (result,)
    shapes: Any = function.input_shapes
    dtypes: Any = function.input_dtypes
    outputs: Any = function._output_metas
    if not outputs:  # it was not recorded for a backward
        shapes, dtypes, outputs = [], [], []
        for x in inputs:
            array = x.data if type(x) is not DeferredTensor else x.deferred or x.data
            shapes.append(array.shape)
            dtypes.append(array.dtype)
        for y in ys:
            array = y.data if type(y) is not DeferredTensor else y.deferred or y.data
            outputs.append((array.shape, array.dtype))
    waits = type(ys[0]) is DeferredTensor and ys[0].deferred is not None
    setting = LATER if waits else kept_setting(function, shapes, outputs)
    return "forward", type(function), function.name, shapes, dtypes, outputs, setting


def _computed(function: Function, args: tuple[Any, ...], y: Any) -> tuple[Any, ...]:
    """``Function.computed``: all that happens here is that the node is made."""
    inputs = args[0]
    shapes, dtypes = tuple([x.shape for x in inputs]), tuple([x.dtype for x in inputs])
    return "forward", type(function), function.name, shapes, dtypes, ((y.shape, y.dtype),), ELSEWHERE


def _deferred(deferred: Deferred, args: tuple[Any, ...], array: Any) -> tuple[Any, ...]:
    """``Deferred.compute``."""
    return "deferred", type(deferred), type(deferred).__name__, (), (), ((deferred.shape, deferred.dtype),), None


def _backward(node: Function, args: tuple[Any, ...], result: None) -> tuple[Any, ...]:
    """The engine's ``_propagate``, which runs the backward of one node."""
    shapes, dtypes, outputs = node.input_shapes, node.input_dtypes, node._output_metas
    return "backward", type(node), node.name, shapes, dtypes, outputs, node.needs_input_grad


def _wrappers() -> list[_patches.Wrapper]:
    return [
        (Function, "__call__", lambda original: _timed(original, _application)),
        (Function, "computed", lambda original: _timed(original, _computed)),
        *(
            (kind, "compute", lambda original: _timed(original, _deferred))
            for kind in _subclasses(Deferred)
            if "compute" in vars(kind)
        ),
        (engine, "_propagate", lambda original: _timed(original, _backward)),
        (engine, "_propagate", _counted),  # a hook may have begun the profile
        (engine, "run", _counted),
        (engine, "backward", _counted),
    ]


def _subclasses(kind: type[Any]) -> Iterator[type]:
    for child in kind.__subclasses__():
        yield child
        yield from _subclasses(child)
