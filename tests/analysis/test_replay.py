"""Who is charged with each instant of a step, and how long the step would be if something were different."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmflame.analysis.replay import Change, changed_ns, charge, steady_ns
from llmflame.analysis.timeline import Slice, Timeline, Work

from .timelines import accounted, lived_timelines, timelines

FACTORS = st.fixed_dictionaries(
    {node: st.sampled_from([0.0, 0.5, 1.0]) for node in (0, 1, 2, 3, 100, 101, 102, 103)}
)


def change(factors: dict[int, float], *, waits: bool = True) -> Change:
    return Change(lambda node: factors[node], lambda node: factors[node], lambda _node: waits)


@given(timelines())
def test_every_instant_is_charged_once(timeline: Timeline) -> None:
    charged = charge(timeline)
    assert sum(charged.wall.values()) == pytest.approx(timeline.wall_ns)
    assert charged.busy_ns + sum(charged.idle.values()) == pytest.approx(timeline.wall_ns)


@given(timelines())
def test_charging_agrees_with_an_account_instant_by_instant(timeline: Timeline) -> None:
    """Works that run at once share the instant equally, whatever their streams."""
    charged = charge(timeline)
    wall, idle, busy, beyond = accounted(timeline)
    nodes = {*wall, *charged.wall}
    assert {n: charged.wall.get(n, 0.0) for n in nodes} == pytest.approx({n: wall.get(n, 0.0) for n in nodes})
    nodes = {*idle, *charged.idle}
    assert {n: charged.idle.get(n, 0.0) for n in nodes} == pytest.approx({n: idle.get(n, 0.0) for n in nodes})
    assert (charged.busy_ns, charged.beyond_ns) == pytest.approx((busy, beyond))


@given(timelines())
def test_only_the_host_is_idle_time_charged_to(timeline: Timeline) -> None:
    charged = charge(timeline)
    hosts = {piece.node for piece in timeline.slices}
    assert set(charged.idle) <= hosts
    assert all(0 <= own <= charged.wall[node] + 1e-9 for node, own in charged.idle.items())


def test_two_streams_share_the_instants_in_which_both_work() -> None:
    """Kernel 100 runs from 0 to 40, kernel 101 from 20 to 60; the host's frame 1 lasts until 100."""
    works = (Work(100, 7, 0, 0.0, 0.0, 40.0), Work(101, 8, 0, 0.2, 0.0, 40.0))
    charged = charge(Timeline((Slice(1, 100.0, 0.0),), works))
    assert charged.wall == {100: 20 + 10, 101: 10 + 20, 1: 40}
    assert charged.idle == {1: 40}
    assert (charged.busy_ns, charged.beyond_ns) == (60, 0)


def test_work_that_ends_after_the_step_is_told_and_not_charged() -> None:
    works = (Work(100, 7, 0, 0.5, 10.0, 70.0), Work(101, 7, 0, 1.0, 0.0, 20.0))
    charged = charge(Timeline((Slice(1, 100.0, 0.0),), works))
    assert charged.wall == {1: 60, 100: 40}
    assert charged.beyond_ns == 30 + 20


def test_a_slower_device_keeps_the_host_waiting_for_longer() -> None:
    timeline = Timeline((Slice(1, 100.0, 0.0),), (Work(100, 7, 0, 0.0, 0.0, 40.0),), pace=1.5)
    assert charge(timeline).wall == {100: 60, 1: 40}


@given(lived_timelines())
def test_without_a_change_a_step_is_as_long_as_it_was(timeline: Timeline) -> None:
    """What the device does after the host's end belongs to it: the next step finds a device that is done."""
    beyond = max((end for end in _ends(timeline)), default=0.0)
    assert changed_ns(timeline) == pytest.approx(max(timeline.wall_ns, beyond))


def _ends(timeline: Timeline) -> list[float]:
    begins, now = [], 0.0
    for piece in timeline.slices:
        begins.append(now)
        now += piece.host_ns + piece.bound_ns
    free: dict[int, float] = {}
    found = []
    for work in timeline.works:
        launched = begins[work.slice] + work.within * timeline.slices[work.slice].host_ns
        free[work.stream] = max(launched + work.latency_ns, free.get(work.stream, 0.0)) + work.duration_ns
        found.append(free[work.stream])
    return found


@given(timelines(waiting=False))
def test_a_host_that_waits_for_nothing_ends_with_the_longer_of_its_own_time_and_the_queue(
    timeline: Timeline,
) -> None:
    assert changed_ns(timeline) == pytest.approx(max([timeline.wall_ns, *_ends(timeline)]))


@given(timelines(), FACTORS, FACTORS)
def test_a_step_never_grows_when_anything_in_it_shrinks(
    timeline: Timeline, factors: dict[int, float], further: dict[int, float]
) -> None:
    smaller = {node: factors[node] * further[node] for node in factors}
    assert changed_ns(timeline, change(smaller)) <= changed_ns(timeline, change(factors)) + 1e-9


@given(timelines(), FACTORS)
def test_a_step_never_grows_when_waits_are_dropped(timeline: Timeline, factors: dict[int, float]) -> None:
    free, held = change(factors, waits=False), change(factors)
    assert changed_ns(timeline, free) <= changed_ns(timeline, held) + 1e-9


@given(timelines(), FACTORS)
def test_no_step_is_shorter_than_a_steady_one(timeline: Timeline, factors: dict[int, float]) -> None:
    """Among many like it, a step takes as long as the busier of host and device: never longer than alone."""
    made = change(factors)
    host = sum(piece.host_ns * factors[piece.node] for piece in timeline.slices)
    streams = {
        stream: sum(w.duration_ns * factors[w.node] for w in timeline.works if w.stream == stream)
        for stream in range(3)
    }
    assert steady_ns(timeline, made) == pytest.approx(max(host, *streams.values()))
    assert steady_ns(timeline, made) <= changed_ns(timeline, made) + 1e-9


def _step() -> Timeline:
    """30 of Python, a launch, 10 of Python, a wait for a kernel that runs from 35 to 135, and 2 longer."""
    slices = (Slice(1, 30.0, 0.0), Slice(2, 4.0, 0.0), Slice(1, 10.0, 0.0), Slice(3, 0.0, 93.0, (), True))
    return Timeline(slices, (Work(100, 7, 1, 0.0, 5.0, 100.0),))


def test_what_could_be_different_in_a_step() -> None:
    step = _step()
    assert changed_ns(step) == 137
    assert changed_ns(step, Change(host=lambda node: 0.0 if node == 1 else 1.0)) == 107
    assert changed_ns(step, Change(device=lambda _node: 0.5)) == 87
    assert changed_ns(step, Change(device=lambda _node: 0.0)) == 46
    assert changed_ns(step, Change(waits=lambda _node: False)) == 135
    assert steady_ns(step, Change()) == 100
    assert steady_ns(step, Change(device=lambda _node: 0.1)) == 44


def test_a_blocking_launch_that_no_longer_waits_lets_the_host_go_on() -> None:
    """Twice: 20 of Python, then a call of 5 that stays for its kernel of 100."""
    slices = tuple(piece for work in (0, 1) for piece in (Slice(1, 20.0, 0.0), Slice(2, 5.0, 100.0, (work,))))
    works = (Work(100, 7, 1, 0.0, 5.0, 100.0), Work(100, 7, 3, 0.0, 5.0, 100.0))
    step = Timeline(slices, works)
    assert changed_ns(step) == 250
    assert changed_ns(step, Change(waits=lambda node: node != 2)) == 225
