"""Timing a call by the host's clock."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

LEAST_RUNS = 3


@dataclass(frozen=True, slots=True)
class Timed:
    """The median time of a call and how often it was timed."""

    median_ns: float
    runs: int


def timed(call: Callable[[], object], repeats: int, limit_s: float) -> Timed:
    """Call once to warm up, then `repeats` times, fewer (but at least 3) where `limit_s` is over."""
    call()
    times: list[int] = []
    deadline = time.monotonic() + limit_s
    while len(times) < repeats and (len(times) < LEAST_RUNS or time.monotonic() < deadline):
        begin = time.perf_counter_ns()
        call()
        times.append(time.perf_counter_ns() - begin)
    return Timed(median(times), len(times))


def per_second(amount: float, time_ns: float) -> float:
    """A rate from an amount and nanoseconds."""
    return amount * 1e9 / time_ns
