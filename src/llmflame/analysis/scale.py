"""From a traced window to undisturbed time: subtract what tracing cost, then scale to what was timed clean.

A traced step is slower than its neighbours, and unevenly so. Within each module (a *segment*: the frames
between it and the modules that it calls) the excess over the module's undisturbed share is taken from its
frames in proportion to the calibrated cost of their events; the rest is scaled to the share. What a segment
gets is thus measured, only its division among the frames within is estimated.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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
    for number, node in enumerate(nodes):
        if node.is_instrument:
            added[number] += node.self_ns
        kind = _KIND_OF_COST.get(node.kind)
        if kind is not None:
            added[number] += node.calls * costs.inside_ns.get(kind, 0.0)
            if node.parent >= 0:
                added[node.parent] += node.calls * costs.outside_ns.get(kind, 0.0)
        added[number] += node.allocations * costs.outside_ns.get("allocation", 0.0)
    return added


def segments(nodes: Sequence[TracedNode]) -> list[Segment]:
    """The module that owns each node: itself, or the nearest one above it."""
    owners: list[Segment] = []
    for node in nodes:
        inherited = owners[node.parent] if node.parent >= 0 else None
        owners.append(node.module if node.kind == "module" and node.module is not None else inherited)
    return owners


def scale_window(
    nodes: Sequence[TracedNode], clean_ns: float, costs: EventCosts, anchors: Anchors | None
) -> Scaled:
    """Shares of the clean step, one a node. `clean_ns` is the step's undisturbed time."""
    added = tracing_costs(nodes, costs)
    traced = sum(node.self_ns for node in nodes)
    owners = segments(nodes)
    members: dict[Segment, list[int]] = defaultdict(list)
    for number, owner in enumerate(owners):
        members[owner].append(number)
    targets = _targets(nodes, members, added, clean_ns, anchors)
    scaled, bound = [0.0] * len(nodes), [0.0] * len(nodes)
    usual = _usual_rate(nodes, members, added, targets)
    for owner, numbers in members.items():
        fit = _fit_waiting if any(nodes[number].bound_ns for number in numbers) else _fit
        for number, (value, waited) in zip(
            numbers, fit(nodes, numbers, added, targets[owner], usual), strict=True
        ):
            scaled[number], bound[number] = value, waited
    whole = sum(scaled)
    shares = [value / whole for value in scaled] if whole > 0 else scaled
    bounds = [value / whole for value in bound] if whole > 0 else bound
    cpu = [anchors.cpu_shares.get(owner, 1.0) if anchors else 1.0 for owner in owners]
    return Scaled(
        shares,
        bounds,
        cpu,
        factor=max(traced - sum(added), 0.0) / clean_ns if clean_ns else 1.0,
        slowdown=traced / clean_ns if clean_ns else 1.0,
        cost_rate=usual,
    )


def _targets(
    nodes: Sequence[TracedNode],
    members: Mapping[Segment, list[int]],
    added: Sequence[float],
    clean_ns: float,
    anchors: Anchors | None,
) -> dict[Segment, float]:
    """The undisturbed time of each segment; one without an anchor gets its calibrated share."""
    calibrated = {
        owner: max(sum(nodes[number].self_ns - added[number] for number in numbers), 0.0)
        for owner, numbers in members.items()
    }
    if sum(calibrated.values()) <= 0:  # the tracer cost more than all that it saw: shares as it saw them
        calibrated = {owner: sum(nodes[n].self_ns for n in numbers) for owner, numbers in members.items()}
    whole = sum(calibrated.values())
    if anchors is None:
        return {owner: ns * clean_ns / whole if whole else 0.0 for owner, ns in calibrated.items()}
    known = {owner: anchors.shares[owner] * clean_ns for owner in members if owner in anchors.shares}
    anchored = sum(calibrated[owner] for owner in known)
    rate = sum(known.values()) / anchored if anchored else clean_ns / whole if whole else 0.0
    return {owner: known.get(owner, calibrated[owner] * rate) for owner in members}


def _usual_rate(
    nodes: Sequence[TracedNode],
    members: Mapping[Segment, list[int]],
    added: Sequence[float],
    targets: Mapping[Segment, float],
) -> float:
    """How many times its calibrated cost an event cost, over the modules that didn't wait for a device."""
    quiet = [owner for owner, numbers in members.items() if not any(nodes[n].bound_ns for n in numbers)]
    excess = sum(sum(nodes[n].self_ns for n in members[owner]) - targets[owner] for owner in quiet)
    cost = sum(added[n] for owner in quiet for n in members[owner])
    return min(max(excess, 0.0) / cost, MAX_COST_FACTOR) if cost > 0 else 1.0


def _fit(
    nodes: Sequence[TracedNode],
    numbers: Sequence[int],
    added: Sequence[float],
    target_ns: float,
    _usual: float,
) -> list[tuple[float, float]]:
    """Divide a segment's undisturbed time among its nodes."""
    selfs = [nodes[number].self_ns for number in numbers]
    costs = [added[number] for number in numbers]
    excess = sum(selfs) - target_ns
    whole_cost = sum(costs)
    rate = min(max(excess, 0.0) / whole_cost, MAX_COST_FACTOR) if whole_cost > 0 else 0.0
    left = [max(own - rate * cost, 0.0) for own, cost in zip(selfs, costs, strict=True)]
    if sum(left) <= 0:
        left = selfs
    whole = sum(left)
    return [(value * target_ns / whole, 0.0) if whole > 0 else (value, 0.0) for value in left]


def _fit_waiting(
    nodes: Sequence[TracedNode],
    numbers: Sequence[int],
    added: Sequence[float],
    target_ns: float,
    usual: float,
) -> list[tuple[float, float]]:
    """The same where the host waits for a device: the waits take what the frames leave.

    A host that tracing slows down waits less: the wait is what remains of the segment's time when tracing's
    cost is taken from everything else.
    """
    active = [
        max(nodes[number].self_ns - nodes[number].bound_ns - usual * added[number], 0.0) for number in numbers
    ]
    waits = [nodes[number].bound_ns for number in numbers]
    busy, waited = sum(active), sum(waits)
    rest = target_ns - busy
    if rest < 0:  # the host was never ahead: what its waits took is the cost of asking
        factor = target_ns / (busy + waited)
        return [((value + wait) * factor, wait * factor) for value, wait in zip(active, waits, strict=True)]
    return [
        (value + wait * rest / waited, wait * rest / waited)
        for value, wait in zip(active, waits, strict=True)
    ]


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
