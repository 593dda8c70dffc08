"""One tree over the whole run: each phase's frames, scaled to its undisturbed time.

The tree's wall time is the measured run's, to the nanosecond: one cold start and one warm request. What no
frame explains is a frame named `unattributed`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from llmflame.analysis.anchoring import anchors_for
from llmflame.analysis.phases import (
    decode_steps,
    gap_ns,
    phase_spans,
    representative_repetition,
    run_wall_ns,
)
from llmflame.analysis.scale import EventCosts, Scaled, TracedNode, scale_window, step_weights
from llmflame.analysis.tree import Tree
from llmflame.store import metrics
from llmflame.store.model import Frame, Origin
from llmflame.store.profile import Profile
from llmflame.store.rows import SpanRow, WindowRow

UNATTRIBUTED = Frame("other", "unattributed")

Values = dict[int, dict[str, float]]
"""By node of the profile: metric to value."""

COUNTED = (
    metrics.CALLS.name,
    metrics.ALLOCATED.name,
    metrics.FREED.name,
    metrics.DEVICE_ALLOCATED.name,
    metrics.DEVICE_FREED.name,
    metrics.ALLOCATIONS.name,
    metrics.DEVICE.name,
)
"""Metrics that tracing doesn't change: multiplied by the number of steps that a window speaks for."""
SAMPLED = (
    metrics.WALL.name,
    metrics.CPU.name,
    metrics.OVERLAPPED.name,
    metrics.RESIDENT.name,
    metrics.SAMPLES.name,
)


@dataclass(slots=True)
class PhaseTree:
    """A phase's numbers at the profile's nodes."""

    span: SpanRow
    values: Values = field(default_factory=lambda: defaultdict(dict))
    origin: Origin = "measured"
    factors: list[float] = field(default_factory=list)
    slowdowns: list[float] = field(default_factory=list)

    def add(self, node: int, metric: str, value: float) -> None:
        """Add to one node's own value."""
        cells = self.values[node]
        cells[metric] = cells.get(metric, 0.0) + value


@dataclass(frozen=True, slots=True)
class RunTree:
    """The tree with what it took to get it."""

    tree: Tree
    factor: float | None
    """The largest of the decode windows' scale factors: see `Scaled.factor`."""
    slowdown: float | None


def build_run_tree(profile: Profile) -> RunTree:
    """The run's tree. Sum of `wall_ns` = the wall time of all phases, exactly up to rounding."""
    index = _WindowIndex(profile)
    phases = [_phase(profile, index, span) for span in phase_spans(profile)]
    builder = _Builder(profile)
    for phase in phases:
        builder.phase(phase)
    gap = gap_ns(profile)
    if gap:
        builder.leaf(builder.root, UNATTRIBUTED, gap, "measured")
    factors = [factor for phase in phases for factor in phase.factors]
    slowdowns = [slowdown for phase in phases for slowdown in phase.slowdowns]
    return RunTree(builder.tree(), max(factors, default=None), max(slowdowns, default=None))


class _WindowIndex:
    """Windows by phase, with their cells by node."""

    def __init__(self, profile: Profile) -> None:
        names = {number: metric.name for number, metric in profile.metrics.items()}
        self._cells: dict[int, Values] = defaultdict(lambda: defaultdict(dict))
        for cell in profile.cells:
            self._cells[cell.window][cell.node][names[cell.metric]] = cell.value
        self._windows = profile.windows

    def of(self, phase: str, kind: str) -> list[tuple[WindowRow, Values]]:
        """Windows of a phase in the order of their steps."""
        found = [w for w in self._windows if w.span_name == phase and w.kind == kind]
        return [(w, self._cells[w.id]) for w in sorted(found, key=lambda w: w.step or 0)]


def _phase(profile: Profile, index: _WindowIndex, span: SpanRow) -> PhaseTree:
    phase = PhaseTree(span)
    sampled, traced = index.of(span.name, "sampled"), index.of(span.name, "traced")
    if sampled:
        _add_sampled(phase, sampled[0])
        for _, values in traced:
            _add_counts(phase, values, 1.0)
    elif traced:
        _add_traced(profile, phase, traced)
    return phase


def _add_sampled(phase: PhaseTree, window: tuple[WindowRow, Values]) -> None:
    row, values = window
    phase.origin = "sampled"
    rate = phase.span.wall_ns / row.wall_ns if row.wall_ns else 0.0
    for node, cells in values.items():
        for metric in SAMPLED:
            if metric in cells:
                timed = metric in (metrics.WALL.name, metrics.CPU.name, metrics.OVERLAPPED.name)
                phase.add(node, metric, cells[metric] * (rate if timed else 1.0))


def _add_counts(phase: PhaseTree, values: Values, times: float) -> None:
    for node, cells in values.items():
        for metric in COUNTED:
            if cells.get(metric):
                phase.add(node, metric, cells[metric] * times)


def _add_traced(profile: Profile, phase: PhaseTree, windows: list[tuple[WindowRow, Values]]) -> None:
    phase.origin = "scaled"
    costs = event_costs(profile)
    if phase.span.name == "decode":
        steps = decode_steps(profile, repetition=representative_repetition(profile))
        times = {span.step or 0: float(span.wall_ns) for span in steps}
        stepped = sum(times.values())
        weights = step_weights([row.step or 0 for row, _ in windows], times)
        rate = phase.span.wall_ns / stepped if stepped else 0.0
    else:
        weights, rate = [(float(phase.span.wall_ns), 1.0)], 1.0
    for (row, values), (time_ns, count) in zip(windows, weights, strict=False):
        nodes, numbers = traced_nodes(profile, values)
        clean = _clean_step_ns(profile, phase.span, row)
        anchors = anchors_for(profile, row.step, clean) if row.step is not None else None
        scaled = scale_window(nodes, clean, costs, anchors)
        _add_scaled(phase, numbers, scaled, time_ns * rate, anchored=anchors is not None)
        _add_counts(phase, values, count)
        if row.step:
            phase.factors.append(scaled.factor)
            phase.slowdowns.append(scaled.slowdown)


def _add_scaled(
    phase: PhaseTree, numbers: list[int], scaled: Scaled, time_ns: float, *, anchored: bool
) -> None:
    span = phase.span
    overall = None
    if span.thread_cpu_ns is not None and span.wall_ns:
        overall = min(span.thread_cpu_ns / span.wall_ns, 1.0)
    for node, share, cpu in zip(numbers, scaled.shares, scaled.cpu_shares, strict=True):
        if share:
            phase.add(node, metrics.WALL.name, share * time_ns)
            on_cpu = cpu if anchored else overall
            if on_cpu is not None:
                phase.add(node, metrics.CPU.name, share * time_ns * on_cpu)


def traced_nodes(profile: Profile, values: Values) -> tuple[list[TracedNode], list[int]]:
    """A window's nodes, with those above them, and their numbers in the profile."""
    numbers = sorted(_with_ancestors(profile, values))
    place = {number: position for position, number in enumerate(numbers)}
    nodes = []
    for number in numbers:
        node, cells = profile.nodes[number], values.get(number, {})
        frame = profile.frames[node.frame]
        nodes.append(
            TracedNode(
                parent=place[node.parent] if node.parent is not None else -1,
                kind=frame.kind,
                module=frame.module,
                self_ns=cells.get(metrics.WALL.name, 0.0),
                calls=cells.get(metrics.CALLS.name, 0.0),
                allocations=cells.get(metrics.ALLOCATIONS.name, 0.0),
            )
        )
    return nodes, numbers


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


def _clean_step_ns(profile: Profile, span: SpanRow, row: WindowRow) -> float:
    """The undisturbed time of what the window traced: the median step around it, or the phase."""
    if row.step is None:
        return float(span.wall_ns)
    walls = sorted(
        other.wall_ns
        for other in profile.spans
        if other.pass_name == "clean"
        and other.name == "step"
        and other.step is not None
        and (other.step == row.step if row.step == 0 else other.step > 0 and abs(other.step - row.step) <= 2)
    )
    return float(walls[len(walls) // 2]) if walls else float(span.wall_ns)


class _Builder:
    """Makes a pre-order tree of the phases' nodes."""

    def __init__(self, profile: Profile) -> None:
        self._profile = profile
        self._tree = Tree()
        self._frame_numbers: dict[Frame, int] = {}
        self._values: dict[str, dict[int, float]] = defaultdict(dict)
        self._children: dict[int | None, list[int]] = defaultdict(list)
        self._roots: dict[str, int] = {}
        for node in profile.nodes.values():
            self._children[node.parent].append(node.id)
            if node.parent is None:
                self._roots[profile.frames[node.frame].name] = node.id
        self.root = self._add(-1, Frame("run", str(profile.subject.get("model") or "run")), "measured")

    def _add(self, parent: int, frame: Frame, origin: Origin) -> int:
        number = self._frame_numbers.get(frame)
        if number is None:
            number = self._frame_numbers[frame] = len(self._tree.frames)
            self._tree.frames.append(frame)
        self._tree.parents.append(parent)
        self._tree.node_frames.append(number)
        self._tree.origins.append(origin)
        return len(self._tree.parents) - 1

    def leaf(self, parent: int, frame: Frame, wall_ns: float, origin: Origin) -> int:
        """A node with nothing but wall time."""
        node = self._add(parent, frame, origin)
        self._values[metrics.WALL.name][node] = wall_ns
        return node

    def phase(self, phase: PhaseTree) -> None:
        """Add a phase with all its frames."""
        span = phase.span
        top = self._add(self.root, Frame("phase", span.name), "measured")
        root = self._roots.get(span.name)
        if root is None or not phase.values:
            name = "python starts" if span.name == "startup" else "unattributed"
            node = self.leaf(top, Frame("other", name), span.wall_ns, "measured")
            if span.thread_cpu_ns is not None:
                self._values[metrics.CPU.name][node] = min(span.thread_cpu_ns, span.wall_ns)
            return
        self._put(top, phase.values.get(root, {}))
        live = _with_ancestors(self._profile, phase.values)
        stack = [(child, top) for child in reversed(self._children[root])]
        unattributed: int | None = None
        while stack:
            node, parent = stack.pop()
            if node not in live:
                continue
            frame = self._profile.frames[self._profile.nodes[node].frame]
            here = self._add(parent, frame, phase.origin)
            self._put(here, phase.values.get(node, {}))
            if parent == top and frame == UNATTRIBUTED:
                unattributed = here
            stack.extend((child, here) for child in reversed(self._children[node]))
        charged = sum(cells.get(metrics.WALL.name, 0.0) for cells in phase.values.values())
        rest = span.wall_ns - charged
        if abs(rest) < 1:  # rounding
            return
        if unattributed is None:
            unattributed = self.leaf(top, UNATTRIBUTED, 0.0, "computed")
        wall = self._values[metrics.WALL.name]
        wall[unattributed] = wall.get(unattributed, 0.0) + rest

    def _put(self, node: int, cells: dict[str, float]) -> None:
        for metric, value in cells.items():
            self._values[metric][node] = value

    def tree(self) -> Tree:
        """The finished tree."""
        tree, size = self._tree, len(self._tree)
        for metric in metrics.ALL:
            values = self._values.get(metric.name)
            if values:
                column = [0.0] * size
                for node, value in values.items():
                    column[node] = value
                tree.selfs[metric.name] = column
                tree.metrics.append(metric)
        return tree


def _with_ancestors(profile: Profile, nodes: Iterable[int]) -> set[int]:
    live: set[int] = set()
    for node in nodes:
        current: int | None = node
        while current is not None and current not in live:
            live.add(current)
            current = profile.nodes[current].parent
    return live


__all__ = ["RunTree", "build_run_tree", "run_wall_ns"]
