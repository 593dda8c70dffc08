"""What one traced event of each kind costs on this machine now: the same loops with and without the tracer.

`inside` is the part of the cost that falls between an event's own two time stamps, `outside` the part that
lengthens its caller.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

import torch

from llmflame.probes.events import Trace
from llmflame.probes.eventtree import Modules, read_trace
from llmflame.probes.tracing import Window

CALLS = 400
ROUNDS = 5


@dataclass(frozen=True, slots=True)
class EventCost:
    """Nanoseconds that tracing adds for one event."""

    inside_ns: float
    outside_ns: float

    @property
    def total_ns(self) -> float:
        """Both parts."""
        return self.inside_ns + self.outside_ns


def _subject() -> None:
    return None


def _python_loop() -> None:
    for _ in range(CALLS):
        _subject()


def _builtin_loop() -> None:
    subject = time.thread_time_ns
    for _ in range(CALLS):
        subject()


def _op_loop() -> None:
    subject = torch.ones(1)
    for _ in range(CALLS):
        subject.t()


def _allocation_loop() -> None:
    for _ in range(CALLS):
        torch.empty(1)


def measure_event_costs(*, cuda: bool) -> dict[str, EventCost]:
    """By kind: `python`, `builtin`, `op`, `allocation`. Also warms the tracer up."""
    _trace([_python_loop], cuda)  # the first session loads and allocates what later ones reuse
    loops = [_python_loop, _builtin_loop, _op_loop, _allocation_loop]
    plain = [median(_timed(loop) for _ in range(ROUNDS)) / CALLS for loop in loops]
    traced, trace = _trace(loops, cuda)
    inside = _median_durations(trace, ("_subject", "thread_time_ns"))
    python = _cost(traced[0] - plain[0], inside["_subject"])
    builtin = _cost(traced[1] - plain[1], inside["thread_time_ns"] - plain[1])
    # `t()` is a builtin with an operator and its view inside, `empty` a builtin, an operator and two
    # allocator events.
    per_op = max((traced[2] - plain[2] - builtin.total_ns) / 2, 0.0)
    allocation = max((traced[3] - plain[3] - builtin.total_ns - per_op) / 2, 0.0)
    return {
        "python": python,
        "builtin": builtin,
        "op": EventCost(per_op / 2, per_op / 2),
        "allocation": EventCost(0.0, allocation),
    }


def _cost(total_ns: float, inside_ns: float) -> EventCost:
    total_ns = max(total_ns, 0.0)
    inside_ns = min(max(inside_ns, 0.0), total_ns)
    return EventCost(inside_ns, total_ns - inside_ns)


def _trace(loops: list[Callable[[], None]], cuda: bool) -> tuple[list[float], Trace]:
    """Each loop's time a call under the tracer, and what the tracer saw."""
    window = Window("calibration", None, cuda=cuda)
    window.open()
    times = [median(_timed(loop) for _ in range(ROUNDS)) / CALLS for loop in loops]
    return times, read_trace(window.close(), Modules({}, None))


def _timed(loop: Callable[[], None]) -> int:
    begin = time.perf_counter_ns()
    loop()
    return time.perf_counter_ns() - begin


def _median_durations(trace: Trace, names: tuple[str, ...]) -> dict[str, float]:
    found: dict[str, list[int]] = {name: [] for name in names}
    stack = list(trace.roots[trace.main_thread])
    while stack:
        event = stack.pop()
        if event.frame[1] in found:
            found[event.frame[1]].append(event.end_ns - event.start_ns)
        # the loops are llmflame's own frames: what they call is what is measured
        stack.extend(event.children)
    return {name: median(durations) if durations else 0 for name, durations in found.items()}
