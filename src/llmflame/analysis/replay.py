"""Runs a timeline: as fitted, to charge each instant; or changed, to bound what a change could gain."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import prod

from llmflame.analysis.device_queue import DeviceQueue
from llmflame.analysis.timeline import Slice, Timeline, Work

Interval = tuple[float, float, int]
"""Start, end, node."""


@dataclass(frozen=True, slots=True)
class Charged:
    """A step's time, each instant at one node (or shared by the works that ran in it)."""

    wall: Mapping[int, float]
    """By node of the host or of device work. Adds up to the timeline's `wall_ns`."""
    idle: Mapping[int, float]
    """By node of the host: the part of `wall` in which the device had nothing to do."""
    busy_ns: float
    beyond_ns: float
    """Device time that did not fit into the step: it would have ended after it."""


def charge(timeline: Timeline) -> Charged:
    """Charge each instant to the works that run in it, and where none does, to the host's frame."""
    starts = [0.0, *accumulate(piece.host_ns + piece.bound_ns for piece in timeline.slices)]
    whole = starts[-1]
    intervals = _place(timeline.works, starts, timeline.pace)
    wall: dict[int, float] = defaultdict(float)
    idle: dict[int, float] = defaultdict(float)
    beyond = sum(max(end - max(start, whole), 0.0) for start, end, _ in intervals)
    clipped = [(start, min(end, whole), node) for start, end, node in intervals if start < whole]
    busy, cursor = 0.0, 0.0
    for begin, end, nodes in _busy(clipped):
        _give(timeline.slices, starts, cursor, begin, wall, idle)
        for node in nodes:
            wall[node] += (end - begin) / len(nodes)
        busy += end - begin
        cursor = end
    _give(timeline.slices, starts, cursor, whole, wall, idle)
    return Charged(wall, idle, busy, beyond)


def _place(works: tuple[Work, ...], starts: list[float], pace: float) -> list[Interval]:
    """Queue the works behind their launches, each stream in order."""
    device = DeviceQueue()
    placed: list[Interval] = []
    for work in works:
        begin, end = starts[work.slice], starts[work.slice + 1]
        start = device.launch(work, begin + work.within * (end - begin), pace)
        placed.append((start, device.ends[-1], work.node))
    return placed


def _busy(intervals: list[Interval]) -> list[tuple[float, float, list[int]]]:
    """Stretches in which the same works run, in order."""
    edges: list[tuple[float, int, int]] = []
    for number, (start, end, _) in enumerate(intervals):
        if end > start:
            edges += [(start, 1, number), (end, 0, number)]
    edges.sort()
    running: set[int] = set()
    found: list[tuple[float, float, list[int]]] = []
    since = 0.0
    for time, opens, number in edges:
        if running and time > since:
            found.append((since, time, [intervals[one][2] for one in running]))
        since = time
        if opens:
            running.add(number)
        else:
            running.discard(number)
    return found


def _give(
    slices: tuple[Slice, ...],
    starts: list[float],
    begin: float,
    end: float,
    *columns: dict[int, float],
) -> None:
    """Give a stretch in which the device is idle to the host's frames."""
    if end <= begin:
        return
    number = max(bisect_right(starts, begin) - 1, 0)
    while number < len(slices) and starts[number] < end:
        part = min(end, starts[number + 1]) - max(begin, starts[number])
        if part > 0:
            for column in columns:
                column[slices[number].node] += part
        number += 1


@dataclass(frozen=True, slots=True)
class Change:
    """What is different in a timeline that never was. Factors are by node; 1 leaves it as it is."""

    host: Callable[[int], float] = lambda _node: 1.0
    device: Callable[[int], float] = lambda _node: 1.0
    waits: Callable[[int], bool] = lambda _node: True
    """Whether the host waits for the device in this frame."""


class Model:
    """A timeline that is run many times: what doesn't change is worked out once."""

    def __init__(self, timeline: Timeline) -> None:
        self.timeline = timeline
        self._residues = _residues(timeline)
        self.unchanged_ns = _run(timeline, self._residues, Change())
        """The model's own account of the undisturbed step: what a change gains is measured against that, so
        that an error of the model doesn't pass for a gain."""

    def changed_ns(self, changes: Sequence[Change]) -> float:
        """The step's length with all of these changes."""
        return _run(self.timeline, self._residues, together(changes)) if changes else self.unchanged_ns


def changed_ns(timeline: Timeline, change: Change | None = None) -> float:
    """The step's length with a change: the host runs until it waits, the device until its queue is empty."""
    return _run(timeline, _residues(timeline), change or Change())


def together(changes: Iterable[Change]) -> Change:
    """Several changes at once."""
    made = list(changes)
    if len(made) == 1:
        return made[0]

    def host(node: int) -> float:
        return prod(change.host(node) for change in made)

    def device(node: int) -> float:
        return prod(change.device(node) for change in made)

    return Change(host, device, lambda node: all(change.waits(node) for change in made))


def _run(timeline: Timeline, residues: Sequence[float], change: Change) -> float:
    device, now, next_work = DeviceQueue(), 0.0, 0
    works = timeline.works
    for number, piece in enumerate(timeline.slices):
        length = piece.host_ns * change.host(piece.node)
        while next_work < len(works) and works[next_work].slice <= number:
            work = works[next_work]
            factor = change.device(work.node) * timeline.pace
            device.launch(work, now + work.within * length, factor)
            next_work += 1
        now += length
        if (piece.waits_for_all or piece.waits_for) and change.waits(piece.node):
            done = device.all_done() if piece.waits_for_all else max(device.ends[n] for n in piece.waits_for)
            now = max(now, done) + residues[number]
    return max(now, device.all_done())


def steady_ns(timeline: Timeline, change: Change) -> float:
    """A step among many like it, where the host need not wait for the device at a step's end: as long as the
    busier of the two."""
    host = sum(piece.host_ns * change.host(piece.node) for piece in timeline.slices)
    device: dict[int, float] = defaultdict(float)
    for work in timeline.works:
        device[work.stream] += work.duration_ns * change.device(work.node) * timeline.pace
    return max(host, max(device.values(), default=0.0))


def _residues(timeline: Timeline) -> list[float]:
    """By slice: how long its wait went on after the device was done, in the fitted timeline."""
    starts = [0.0, *accumulate(piece.host_ns + piece.bound_ns for piece in timeline.slices)]
    ends = [end for _, end, _ in _place(timeline.works, starts, timeline.pace)]
    residues = [0.0] * len(timeline.slices)
    launched, done = 0, 0.0
    for number, piece in enumerate(timeline.slices):
        while launched < len(ends) and timeline.works[launched].slice <= number:
            done = max(done, ends[launched])
            launched += 1
        if piece.waits_for_all or piece.waits_for:
            own = done if piece.waits_for_all else max(ends[one] for one in piece.waits_for)
            residues[number] = max(starts[number + 1] - max(starts[number] + piece.host_ns, own), 0.0)
    return residues
