"""The windows of a phase: what was seen in each, scaled to undisturbed time, and how much it speaks for."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from llmflame.analysis.anchoring import anchors_for
from llmflame.analysis.fitting import Own, fit
from llmflame.analysis.phases import representative_repetition, steps
from llmflame.analysis.scale import (
    EventCosts,
    Scaled,
    TracedNode,
    scale_window,
    segments,
    step_weights,
    tracing_costs,
)
from llmflame.analysis.timeline import Timeline, Traced, blocking, build, usual_residue_ns
from llmflame.store import metrics
from llmflame.store.model import Frame
from llmflame.store.profile import Profile
from llmflame.store.rows import DeviceWorkRow, SliceRow, SpanRow, WindowRow

Columns = dict[str, dict[int, float]]
"""By metric: node of the profile to value. A node has few of the metrics."""
INSTRUMENT = Frame("other", "llmflame (this profiler)")
STEPS_NEARBY = 2
"""The undisturbed time of a traced step is the median over the steps this near to it."""


@dataclass(frozen=True, slots=True)
class ScaledWindow:
    """A traced window in undisturbed time."""

    row: WindowRow
    columns: Columns
    numbers: list[int]
    """The profile's number of each node of `scaled`."""
    scaled: Scaled
    clean_ns: float
    """The undisturbed length of what the window traced."""
    time_ns: float
    """How much of the phase's time it speaks for."""
    count: float
    """For how many steps."""
    anchored: bool
    timeline: Timeline | None
    """Where a device worked in it, and it is known what the host did meanwhile."""
    worked: bool
    """Did a device work in it?"""


class WindowIndex:
    """Windows by phase, with their cells by metric."""

    def __init__(self, profile: Profile) -> None:
        cells: dict[int, dict[int, dict[int, float]]] = defaultdict(lambda: defaultdict(dict))
        for window, node, metric, value in profile.cells:
            cells[window][metric][node] = value
        self._columns: dict[int, Columns] = {
            window: {profile.metrics[metric].name: column for metric, column in columns.items()}
            for window, columns in cells.items()
        }
        self._windows = profile.windows
        self._slices: dict[int, list[SliceRow]] = defaultdict(list)
        for piece in profile.slices:
            self._slices[piece.window].append(piece)
        self._works: dict[int, list[DeviceWorkRow]] = defaultdict(list)
        for work in profile.device_work:
            self._works[work.window].append(work)
        self.on_device = bool(profile.device_work)
        """Did a device work in any window?"""

    def of(self, phase: str, kind: str) -> list[tuple[WindowRow, Columns]]:
        """Windows of a phase in the order of their steps."""
        found = [w for w in self._windows if w.span_name == phase and w.kind == kind]
        return [(w, self._columns.get(w.id, {})) for w in sorted(found, key=lambda w: w.step or 0)]

    def worked(self, row: WindowRow) -> bool:
        """Did a device work in a window?"""
        return bool(self._works[row.id])

    def traced(self, row: WindowRow) -> Traced | None:
        """A window's timeline as the tracer saw it; None where no device worked in it."""
        if not self.worked(row) or not self._slices[row.id]:
            return None
        return Traced(self._slices[row.id], self._works[row.id], row.wall_ns)


def scaled_windows(profile: Profile, index: WindowIndex, span: SpanRow) -> list[ScaledWindow]:
    """The traced windows of a phase; their `time_ns` add up to the phase's time."""
    windows = index.of(span.name, "traced")
    costs = event_costs(profile)
    weights = window_weights(profile, span, [row.step or 0 for row, _ in windows])
    found = []
    for (row, columns), (time_ns, count) in zip(windows, weights, strict=True):
        traced = index.traced(row)
        blocked = blocking(traced) if traced is not None else {}
        bound = _bound(profile, traced, blocked) if traced is not None else {}
        nodes, numbers = traced_nodes(profile, columns, bound)
        clean = clean_ns(profile, span, row)
        anchors = anchors_for(profile, row.step, clean) if row.step is not None else None
        scaled = scale_window(nodes, clean, costs, anchors)
        timeline = None
        if traced is not None:
            timeline = _timeline(profile, traced, blocked, nodes, numbers, scaled, clean, costs)
            scaled = with_waits(scaled, timeline, numbers)
        found.append(
            ScaledWindow(
                row,
                columns,
                numbers,
                scaled,
                clean,
                time_ns,
                count,
                anchors is not None,
                timeline,
                index.worked(row),
            )
        )
    return found


def window_weights(profile: Profile, span: SpanRow, steps: list[int]) -> list[tuple[float, float]]:
    """By window of a phase, at these steps: the time and the number of steps that it speaks for."""
    times = {one.step or 0: float(one.wall_ns) for one in _steps_of(profile, span)}
    stepped = sum(times.values())
    if not stepped:  # a phase without steps has one window, of all of it
        return [(float(span.wall_ns) / len(steps), 1.0) for _ in steps]
    rate = span.wall_ns / stepped
    return [(time_ns * rate, count) for time_ns, count in step_weights(steps, times)]


def _steps_of(profile: Profile, span: SpanRow) -> list[SpanRow]:
    """The undisturbed steps of prefill or decode in the request that the run's tree is of."""
    members = steps(profile, repetition=representative_repetition(profile))
    return [step for step in members if step.parent == span.id]


def traced_nodes(
    profile: Profile, columns: Columns, bound: Mapping[int, float] | None = None
) -> tuple[list[TracedNode], list[int]]:
    """A window's nodes, with those above them, and their numbers in the profile. `bound`: by number, how much
    of its time the host waited for a device."""
    numbers = sorted(with_ancestors(profile, *columns.values()))
    place = {number: position for position, number in enumerate(numbers)}
    bound = bound or {}
    wall, calls, allocations = (
        columns.get(metric.name, {}) for metric in (metrics.WALL, metrics.CALLS, metrics.ALLOCATIONS)
    )
    nodes = []
    for number in numbers:
        _, parent, of_frame = profile.nodes[number]
        frame = profile.frames[of_frame]
        own = wall.get(number, 0.0)
        nodes.append(
            TracedNode(
                place[parent] if parent is not None else -1,
                frame.kind,
                frame.module,
                own,
                calls.get(number, 0.0),
                allocations.get(number, 0.0),
                min(bound[number], own) if number in bound else 0.0,
                frame.kind == INSTRUMENT.kind and frame == INSTRUMENT,
            )
        )
    return nodes, numbers


def _bound(profile: Profile, traced: Traced, blocked: Mapping[int, float]) -> dict[int, float]:
    found: dict[int, float] = defaultdict(float)
    for number, piece in enumerate(traced.slices):
        if _is_wait(profile, piece.node):
            found[piece.node] += traced.slice_ns(number)
        elif number in blocked:
            found[piece.node] += blocked[number]
    return found


def _is_wait(profile: Profile, node: int) -> bool:
    return profile.frames[profile.nodes[node].frame].kind == "wait"


def _timeline(
    profile: Profile,
    traced: Traced,
    blocked: Mapping[int, float],
    nodes: list[TracedNode],
    numbers: list[int],
    scaled: Scaled,
    clean: float,
    costs: EventCosts,
) -> Timeline:
    """The window's slices with each node's undisturbed time divided among them as it was traced."""
    place = {number: position for position, number in enumerate(numbers)}
    waits = {node: _is_wait(profile, node) for node in {piece.node for piece in traced.slices}}

    def traced_bound(number: int) -> float:
        if waits[traced.slices[number].node]:
            return float(traced.slice_ns(number))
        return blocked.get(number, 0.0)

    def bound_ns(number: int) -> float:
        position = place.get(traced.slices[number].node)
        whole = nodes[position].bound_ns if position is not None else 0.0
        if position is None:  # a frame without time of its own
            return 0.0
        return traced_bound(number) / whole * scaled.bound_shares[position] * clean if whole else 0.0

    def host_ns(number: int) -> float:
        position = place.get(traced.slices[number].node)
        if position is None:
            return 0.0
        node = nodes[position]
        whole = node.self_ns - node.bound_ns
        share = scaled.shares[position] - scaled.bound_shares[position]
        own = traced.slice_ns(number) - traced_bound(number)
        # The difference of two shares may be less than nothing by rounding.
        return max(own, 0.0) / whole * max(share, 0.0) * clean if whole > 0 else 0.0

    made = build(traced, host_ns=host_ns, bound_ns=bound_ns, is_wait=lambda node: waits[node])
    added = tracing_costs(nodes, costs)
    owners = segments(nodes)
    waiting = {owner for owner, node in zip(owners, nodes, strict=True) if node.bound_ns}

    def own(number: int) -> Own | None:
        position = place.get(traced.slices[number].node)
        if position is None or owners[position] not in waiting:
            return None
        mine = max(traced.slice_ns(number) - traced_bound(number), 0.0)
        whole = nodes[position].self_ns - nodes[position].bound_ns
        return Own(mine, added[position] * mine / whole if whole > 0 else 0.0)

    usual = usual_residue_ns(traced, lambda node: waits[node])
    return fit(
        made,
        [own(number) for number in range(len(traced.slices))],
        clean,
        usual_rate=max(scaled.cost_rate, 1.0),
        usual_wait_ns=usual,
    )


def with_waits(scaled: Scaled, timeline: Timeline, numbers: list[int]) -> Scaled:
    """The shares as the fitted timeline has them: its slices are all of the host's time."""
    host: dict[int, float] = defaultdict(float)
    bound: dict[int, float] = defaultdict(float)
    for piece in timeline.slices:
        host[piece.node] += piece.host_ns
        bound[piece.node] += piece.bound_ns
    whole = timeline.wall_ns
    if not whole:
        return scaled
    return replace(
        scaled,
        shares=[(host[number] + bound[number]) / whole for number in numbers],
        bound_shares=[bound[number] / whole for number in numbers],
    )


def event_costs(profile: Profile) -> EventCosts:
    """What the recording machine's tracer was calibrated to cost."""
    inside: dict[str, float] = {}
    outside: dict[str, float] = {}
    for report in profile.probe_reports:
        if report.probe == "tracer" and report.value is not None:
            kind, _, side = report.name.partition(" ")
            if side == "inside":
                inside[kind] = report.value
            elif side == "outside":
                outside[kind] = report.value
    return EventCosts(inside, outside)


def clean_ns(profile: Profile, span: SpanRow, row: WindowRow) -> float:
    """The undisturbed time of what the window traced: the phase, a prompt's own chunk, or the median of the
    decode steps around it, over all repetitions."""
    if row.step is None:
        return float(span.wall_ns)
    if span.name != "decode":
        own = [step.wall_ns for step in _steps_of(profile, span) if step.step == row.step]
        return float(own[0]) if own else float(span.wall_ns)
    walls = sorted(
        other.wall_ns
        for other in steps(profile)
        if other.step is not None and other.step > 0 and abs(other.step - row.step) <= STEPS_NEARBY
    )
    return float(walls[len(walls) // 2]) if walls else float(span.wall_ns)


def with_ancestors(profile: Profile, *nodes: Iterable[int]) -> set[int]:
    """The nodes and all above them."""
    live = set[int]()
    found = set[int]().union(*nodes)
    while found:
        live |= found
        parents = {profile.nodes[node].parent for node in found}
        found = {parent for parent in parents if parent is not None and parent not in live}
    return live
