"""From a traced window to undisturbed time: subtract what tracing cost, then scale to what was timed clean.

A traced step is slower than its neighbours, and unevenly so. Within each module (a *segment*: the frames
between it and the modules that it calls) the excess over the module's undisturbed share is taken from its
frames in proportion to the calibrated cost of their events; the rest is scaled to the share. What a segment
gets is thus measured, only its division among the frames within is estimated.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import NamedTuple

from llmflame.analysis.anchoring import Anchors, Segment
from llmflame.store.model import FrameKind

_KIND_OF_COST: dict[FrameKind, str] = {
    "python": "python",
    "module": "python",
    "builtin": "builtin",
    "op": "op",
}
MAX_COST_FACTOR = 8.0
"""Events cost more between large kernels than in the calibration's tight loops (5 to 6 times was seen: cold
caches, fresh pages). An excess beyond this is a disturbance of the machine and shared out by time."""


@dataclass(frozen=True, slots=True)
class EventCosts:
    """Calibrated nanoseconds that tracing adds, by kind of event."""

    inside_ns: Mapping[str, float]
    outside_ns: Mapping[str, float]


class TracedNode(NamedTuple):
    """One node of a window as it was traced. Parents come before their children.

    A plain tuple: a profile has tens of thousands of them.
    """

    parent: int
    """Index into the window's nodes, -1 for a top one."""
    kind: FrameKind
    module: str | None
    self_ns: float
    calls: float
    allocations: float
    bound_ns: float = 0.0
    """The part of `self_ns` in which the host waited for a device: tracing lengthens the rest, not this."""
    is_instrument: bool = False
    """A frame of llmflame in the window: undisturbed steps have next to nothing of it."""


@dataclass(frozen=True, slots=True)
class Scaled:
    """A window's nodes as shares of the undisturbed step."""

    shares: list[float]
    """Add up to 1 (or are all 0 for an empty window)."""
    bound_shares: list[float]
    """By node: the part of its share in which the host waited for a device."""
    cpu_shares: list[float]
    """By node: the part of its time that it was on a CPU."""
    factor: float
    """Traced time less the calibrated cost, over clean time: what calibration left for scaling to explain."""
    slowdown: float
    """Traced time over clean time."""
    cost_rate: float = 1.0
    """How many times its calibrated cost an event cost, in the modules that didn't wait for a device."""


def tracing_costs(nodes: Sequence[TracedNode], costs: EventCosts) -> list[float]:
    """What the tracer added to each node's own time: inside its events, and outside its children's."""
    added = [0.0] * len(nodes)
    events = {
        kind: (costs.inside_ns.get(cost, 0.0), costs.outside_ns.get(cost, 0.0))
        for kind, cost in _KIND_OF_COST.items()
    }
    allocation = costs.outside_ns.get("allocation", 0.0)
    for number, (parent, kind, _, self_ns, calls, allocations, _, is_instrument) in enumerate(nodes):
        if is_instrument:
            added[number] += self_ns
        if kind in events:
            inside, outside = events[kind]
            added[number] += calls * inside
            if parent >= 0:
                added[parent] += calls * outside
        if allocations:
            added[number] += allocations * allocation
    return added


def segments(nodes: Sequence[TracedNode]) -> list[Segment]:
    """The module that owns each node: itself, or the nearest one above it."""
    owners: list[Segment] = []
    for parent, kind, module, _, _, _, _, _ in nodes:
        if kind == "module" and module is not None:
            owners.append(module)
        else:
            owners.append(owners[parent] if parent >= 0 else None)
    return owners


@dataclass(slots=True)
class _Segment:
    """A module's nodes as traced, column by column."""

    numbers: list[int] = field(default_factory=list)
    selfs: list[float] = field(default_factory=list)
    bounds: list[float] = field(default_factory=list)
    costs: list[float] = field(default_factory=list)

    def calibrated_ns(self) -> float:
        """What is left of its time when the calibrated cost is taken from it."""
        return max(sum([own - cost for own, cost in zip(self.selfs, self.costs, strict=True)]), 0.0)


Segments = Mapping[Segment, _Segment]


def scale_window(
    nodes: Sequence[TracedNode], clean_ns: float, costs: EventCosts, anchors: Anchors | None
) -> Scaled:
    """Shares of the clean step, one a node. `clean_ns` is the step's undisturbed time."""
    added = tracing_costs(nodes, costs)
    traced = sum([node.self_ns for node in nodes])
    owners = segments(nodes)
    members = _members(nodes, owners, added)
    targets = _targets(members, clean_ns, anchors)
    scaled, bound = [0.0] * len(nodes), [0.0] * len(nodes)
    usual = _usual_rate(members, targets)
    for owner, segment in members.items():
        if any(segment.bounds):
            for number, (value, waited) in _fit_waiting(segment, targets[owner], usual):
                scaled[number], bound[number] = value, waited
        else:
            for number, value in _fit(segment, targets[owner]):
                scaled[number] = value
    whole = sum(scaled)
    shares = [value / whole for value in scaled] if whole > 0 else scaled
    bounds = [value / whole for value in bound] if whole > 0 else bound
    cpu = [anchors.cpu_shares.get(owner, 1.0) for owner in owners] if anchors else [1.0] * len(nodes)
    return Scaled(
        shares,
        bounds,
        cpu,
        factor=max(traced - sum(added), 0.0) / clean_ns if clean_ns else 1.0,
        slowdown=traced / clean_ns if clean_ns else 1.0,
        cost_rate=usual,
    )


def _members(nodes: Sequence[TracedNode], owners: Sequence[Segment], added: Sequence[float]) -> Segments:
    members: dict[Segment, _Segment] = defaultdict(_Segment)
    for number, (owner, node, cost) in enumerate(zip(owners, nodes, added, strict=True)):
        segment = members[owner]
        segment.numbers.append(number)
        segment.selfs.append(node.self_ns)
        segment.bounds.append(node.bound_ns)
        segment.costs.append(cost)
    return members


def _targets(members: Segments, clean_ns: float, anchors: Anchors | None) -> dict[Segment, float]:
    """The undisturbed time of each segment; one without an anchor gets its calibrated share."""
    calibrated = {owner: segment.calibrated_ns() for owner, segment in members.items()}
    if sum(calibrated.values()) <= 0:  # the tracer cost more than all that it saw: shares as it saw them
        calibrated = {owner: sum(segment.selfs) for owner, segment in members.items()}
    whole = sum(calibrated.values())
    if anchors is None:
        return {owner: ns * clean_ns / whole if whole else 0.0 for owner, ns in calibrated.items()}
    known = {owner: anchors.shares[owner] * clean_ns for owner in members if owner in anchors.shares}
    anchored = sum(calibrated[owner] for owner in known)
    rate = sum(known.values()) / anchored if anchored else clean_ns / whole if whole else 0.0
    return {owner: known.get(owner, calibrated[owner] * rate) for owner in members}


def _usual_rate(members: Segments, targets: Mapping[Segment, float]) -> float:
    """How many times its calibrated cost an event cost, over the modules that didn't wait for a device."""
    quiet = [owner for owner, segment in members.items() if not any(segment.bounds)]
    excess = sum(sum(members[owner].selfs) - targets[owner] for owner in quiet)
    cost = sum(chain.from_iterable(members[owner].costs for owner in quiet))
    return min(max(excess, 0.0) / cost, MAX_COST_FACTOR) if cost > 0 else 1.0


def _fit(segment: _Segment, target_ns: float) -> Iterable[tuple[int, float]]:
    """Divide a segment's undisturbed time among its nodes."""
    excess = sum(segment.selfs) - target_ns
    cost = sum(segment.costs)
    rate = min(max(excess, 0.0) / cost, MAX_COST_FACTOR) if cost > 0 else 0.0
    left = [
        rest if (rest := own - rate * spent) > 0 else 0.0
        for own, spent in zip(segment.selfs, segment.costs, strict=True)
    ]
    whole = sum(left)
    if whole <= 0:
        left, whole = segment.selfs, sum(segment.selfs)
    if whole > 0:
        left = [value * target_ns / whole for value in left]
    return zip(segment.numbers, left, strict=True)


def _fit_waiting(
    segment: _Segment, target_ns: float, usual: float
) -> Iterable[tuple[int, tuple[float, float]]]:
    """The same where the host waits for a device, each node's wait beside it: waits take what frames leave.

    A host that tracing slows down waits less: the wait is what remains of the segment's time when tracing's
    cost is taken from everything else.
    """
    active = [
        max(own - wait - usual * cost, 0.0)
        for own, wait, cost in zip(segment.selfs, segment.bounds, segment.costs, strict=True)
    ]
    busy, waited = sum(active), sum(segment.bounds)
    rest = target_ns - busy
    if rest < 0:  # the host was never ahead: what its waits took is the cost of asking
        factor = target_ns / (busy + waited)
        fitted = [
            ((own + wait) * factor, wait * factor) for own, wait in zip(active, segment.bounds, strict=True)
        ]
    else:
        fitted = [
            (own + wait * rest / waited, wait * rest / waited)
            for own, wait in zip(active, segment.bounds, strict=True)
        ]
    return zip(segment.numbers, fitted, strict=True)


def step_weights(windows: Sequence[int], steps: Mapping[int, float]) -> list[tuple[float, float]]:
    """How much each window speaks for: (time, number of steps), interpolated over the step's index.

    `windows` are the traced steps in rising order, `steps` each decode step's clean time. The times add up
    to all steps' time, the numbers to their count.
    """
    weights = [[0.0, 0.0] for _ in windows]
    for index, wall_ns in steps.items() if windows else ():
        for window, part in _shares_of(windows, index):
            weights[window][0] += part * wall_ns
            weights[window][1] += part
    return [(time, count) for time, count in weights]


def _shares_of(windows: Sequence[int], index: int) -> list[tuple[int, float]]:
    if index <= windows[0]:
        return [(0, 1.0)]
    for number in range(1, len(windows)):
        left, right = windows[number - 1], windows[number]
        if index <= right:
            part = (index - left) / (right - left)
            return [(number - 1, 1.0 - part), (number, part)]
    return [(len(windows) - 1, 1.0)]
