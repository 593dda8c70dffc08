"""Random timelines, and the plainest account of what happens in one."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from itertools import pairwise

from hypothesis import strategies as st

from llmflame.analysis.timeline import Slice, Timeline, Work

HOSTS = st.integers(0, 3)
DEVICES = st.integers(100, 103)
TIMES = st.integers(0, 50)


@st.composite
def timelines(draw: st.DrawFn, *, waiting: bool = True) -> Timeline:
    """Slices with works; where `waiting`, some slices wait, each with whatever time it was fitted."""
    count = draw(st.integers(1, 6))
    works = [
        Work(
            draw(DEVICES),
            draw(st.integers(0, 2)),
            draw(st.integers(0, count - 1)),
            draw(st.sampled_from([0.0, 0.5, 1.0])),
            float(draw(st.integers(0, 9))),
            float(draw(TIMES)),
        )
        for _ in range(draw(st.integers(0, 8)))
    ]
    works.sort(key=lambda work: (work.slice, work.within))
    slices = []
    for number in range(count):
        own = tuple(index for index, work in enumerate(works) if work.slice == number)
        kind = draw(st.sampled_from(["runs", "all", "own"])) if waiting else "runs"
        bound = float(draw(TIMES)) if kind == "all" or (kind == "own" and own) else 0.0
        slices.append(
            Slice(
                draw(HOSTS),
                float(draw(TIMES)),
                bound,
                own if kind == "own" else (),
                waits_for_all=kind == "all",
            )
        )
    return Timeline(tuple(slices), tuple(works))


@st.composite
def lived_timelines(draw: st.DrawFn) -> Timeline:
    """Timelines in which every wait lasts as long as the device makes it, and a moment of its own.

    Calls that wait launch at their beginning, as copies do.
    """
    timeline = draw(timelines())
    waiting = {n for n, piece in enumerate(timeline.slices) if piece.waits_for_all or piece.waits_for}
    works = tuple(replace(work, within=0.0) if work.slice in waiting else work for work in timeline.works)
    now, number, slices = 0.0, 0, []
    free: dict[int, float] = defaultdict(float)
    ends: list[float] = []
    for index, piece in enumerate(timeline.slices):
        while number < len(works) and works[number].slice == index:
            work = works[number]
            start = max(now + work.within * piece.host_ns + work.latency_ns, free[work.stream])
            free[work.stream] = start + work.duration_ns
            ends.append(free[work.stream])
            number += 1
        now += piece.host_ns
        bound = 0.0
        if index in waiting:
            done = (
                max(free.values(), default=0.0)
                if piece.waits_for_all
                else max(ends[n] for n in piece.waits_for)
            )
            bound = max(done - now, 0.0) + draw(st.integers(0, 3))
        now += bound
        slices.append(replace(piece, bound_ns=bound))
    return Timeline(tuple(slices), works)


def accounted(timeline: Timeline) -> tuple[dict[int, float], dict[int, float], float, float]:
    """Instant by instant: wall and idle time by node, busy time, and device time beyond the end."""
    begins, now = [], 0.0
    for piece in timeline.slices:
        begins.append(now)
        now += piece.host_ns + piece.bound_ns
    whole = now
    free: dict[int, float] = defaultdict(float)
    runs: list[tuple[float, float, int]] = []
    for work in timeline.works:
        piece = timeline.slices[work.slice]
        launched = begins[work.slice] + work.within * (piece.host_ns + piece.bound_ns)
        start = max(launched + work.latency_ns, free[work.stream])
        free[work.stream] = start + work.duration_ns * timeline.pace
        runs.append((start, free[work.stream], work.node))
    edges = sorted({0.0, whole, *begins, *(t for start, end, _ in runs for t in (start, end) if t < whole)})
    wall: dict[int, float] = defaultdict(float)
    idle: dict[int, float] = defaultdict(float)
    busy = 0.0
    for left, right in pairwise(edges):
        running = [node for start, end, node in runs if start <= left and end >= right and end > start]
        for node in running:
            wall[node] += (right - left) / len(running)
        if running:
            busy += right - left
            continue
        host = max(n for n, begin in enumerate(begins) if begin <= left)
        wall[timeline.slices[host].node] += right - left
        idle[timeline.slices[host].node] += right - left
    beyond = sum(max(end - max(start, whole), 0.0) for start, end, _ in runs)
    return dict(wall), dict(idle), busy, beyond
