"""Timing several libraries side by side: warmed up, interleaved, with medians, spread and ratios by round.

A machine's speed drifts, so only ratios of times taken next to each other mean something. The threads of each library
spin for a while after their work and would disturb whoever comes next, so the process sleeps between bursts; and as
caches and threads are cold after that, each burst begins with a call that is not timed.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

from .busy import DISTURBED, Watch


@dataclass(frozen=True)
class Measurement:
    """Seconds for one call and cores that other processes used meanwhile, by round, and what they come to."""

    seconds: tuple[float, ...]
    others: tuple[float, ...] = ()

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    @property
    def spread(self) -> float:
        """Half the distance between the quartiles, as a share of the median."""
        low, _, high = statistics.quantiles(self.seconds, n=4)
        return (high - low) / 2 / self.median

    @property
    def disturbed(self) -> bool:
        """Whether other processes were at work in more than a quarter of the bursts."""
        return sum(cores > DISTURBED for cores in self.others) > len(self.others) / 4

    def ratio_to(self, other: Measurement) -> float:
        """The median over rounds of this time divided by the other's in the same round."""
        return statistics.median(a / b for a, b in zip(self.seconds, other.seconds, strict=True))


def burst(function: Callable[[], object], calls: int) -> float:
    """Seconds for one call, the median over `calls` of them, after one that is not timed."""
    function()
    return statistics.median(_timed(function) for _ in range(calls))


def settle(function: Callable[[], object], seconds: float) -> None:
    """Call `function` for so long, until threads and workers have started and memory has been asked for."""
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        function()


def compare(
    functions: dict[str, Callable[[], object]], rounds: int = 11, burst_seconds: float = 0.1, pause: float = 0.05
) -> dict[str, Measurement]:
    """Time every function in turn, round after round, in an order that alternates."""
    calls = {name: _calls(function, burst_seconds) for name, function in functions.items()}
    seconds: dict[str, list[float]] = {name: [] for name in functions}
    others: dict[str, list[float]] = {name: [] for name in functions}
    for number in range(rounds):
        for name in functions if number % 2 == 0 else reversed(functions):
            time.sleep(pause)
            watch = Watch()
            seconds[name].append(burst(functions[name], calls[name]))
            others[name].append(watch.cores())
    return {name: Measurement(tuple(seconds[name]), tuple(others[name])) for name in functions}


def _calls(function: Callable[[], object], burst_seconds: float) -> int:
    function()  # first calls allocate, compile and fault pages in
    once = _timed(function)
    if once < burst_seconds:
        once = burst(function, 3)
    return max(1, min(200, int(burst_seconds / max(once, 1e-7))))


def _timed(function: Callable[[], object]) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start
