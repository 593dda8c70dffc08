"""What tracing costs is worked out of four loops, with and without the tracer."""

from __future__ import annotations

import sys

import pytest

from llmflame.probes import calibration
from llmflame.probes.calibration import EventCost, measure_event_costs
from llmflame.probes.events import Trace, TraceEvent


def _trace(**durations: int) -> Trace:
    """A trace in which functions of these names took so long, below llmflame's own loop."""
    loop = TraceEvent(("python", "_python_loop", "llmflame/x.py", 1, None), 0, 10_000, is_own=True)
    for name, duration in durations.items():
        for extra in (-1, 0, 0, 50):  # the median counts
            made = TraceEvent(("python", name, "llmflame/x.py", 1, None), 100, 100 + duration + extra)
            loop.children.append(made)
    return Trace({1: [loop], 2: []}, 1, 0, 10_000, set(), set(), 0)


def _costs(
    monkeypatch: pytest.MonkeyPatch, plain: list[float], traced: list[float], trace: Trace
) -> dict[str, EventCost]:
    times = iter([one for one in plain for _ in range(calibration.ROUNDS)])
    monkeypatch.setattr(calibration, "_timed", lambda _loop: next(times) * calibration.CALLS)
    monkeypatch.setattr(calibration, "_trace", lambda _loops, _cuda: (traced, trace))
    return measure_event_costs(cuda=False)


def test_costs_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """plain: 50 a Python call, 30 a builtin, 400 a t(), 500 an empty(); traced 450, 230, 1600, 1900."""
    costs = _costs(
        monkeypatch,
        [50.0, 30.0, 400.0, 500.0],
        [450.0, 230.0, 1600.0, 1900.0],
        _trace(_subject=150, thread_time_ns=110),
    )
    assert costs == {
        "python": EventCost(150, 400 - 150),
        "builtin": EventCost(110 - 30, 200 - 80),
        # (1200 - 200) / 2 operators, half of it inside
        "op": EventCost(250, 250),
        # (1400 - 200 - 500) / 2 allocator events
        "allocation": EventCost(0, 350),
    }
    assert costs["python"].total_ns == 400


def test_noise_never_makes_a_cost_negative(monkeypatch: pytest.MonkeyPatch) -> None:
    costs = _costs(
        monkeypatch,
        [500.0, 300.0, 4000.0, 5000.0],
        [450.0, 230.0, 1600.0, 1900.0],
        _trace(_subject=1500, thread_time_ns=10),
    )
    assert set(costs.values()) == {EventCost(0.0, 0.0)}


def test_an_inside_larger_than_the_whole_is_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    costs = _costs(
        monkeypatch,
        [50.0, 30.0, 400.0, 500.0],
        [150.0, 30.0, 400.0, 500.0],
        _trace(_subject=900, thread_time_ns=30),
    )
    assert costs["python"] == EventCost(100, 0)


def test_this_machines_costs() -> None:
    costs = measure_event_costs(cuda=False)
    assert set(costs) == {"python", "builtin", "op", "allocation"}
    assert all(cost.inside_ns >= 0 and cost.outside_ns >= 0 for cost in costs.values())
    assert costs["python"].total_ns > 0, "a traced call can't be free"
    assert sys.getprofile() is None
