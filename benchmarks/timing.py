"""Timing several libraries side by side: warmed up, interleaved, with medians, spread and ratios by round.

A machine's speed drifts, so only ratios of times taken next to each other mean something. Between bursts the process
sleeps: the threads of the libraries' BLAS spin for a while after their work and would disturb whoever comes next.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Measurement:
    """Seconds for one call, by round, and what they come to."""

    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    @property
    def spread(self) -> float:
        """Half the distance between the quartiles, as a share of the median."""
        low, _, high = statistics.quantiles(self.seconds, n=4)
        return (high - low) / 2 / self.median

    def ratio_to(self, other: Measurement) -> float:
        """The median over rounds of this time divided by the other's in the same round."""
        return statistics.median(a / b for a, b in zip(self.seconds, other.seconds, strict=True))


def burst(function: Callable[[], object], calls: int) -> float:
    """Seconds for one call, the median over `calls` of them."""
    times = []
    for _ in range(calls):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def compare(
    functions: dict[str, Callable[[], object]], rounds: int = 11, burst_seconds: float = 0.1, pause: float = 0.05
) -> dict[str, Measurement]:
    """Time every function in turn, round after round, in an order that alternates."""
    calls = {}
    for name, function in functions.items():
        function()  # first calls allocate, compile and fault pages in
        calls[name] = max(1, min(200, int(burst_seconds / max(burst(function, 3), 1e-7))))
    seconds: dict[str, list[float]] = {name: [] for name in functions}
    for number in range(rounds):
        for name in functions if number % 2 == 0 else reversed(functions):
            time.sleep(pause)
            seconds[name].append(burst(functions[name], calls[name]))
    return {name: Measurement(tuple(values)) for name, values in seconds.items()}
