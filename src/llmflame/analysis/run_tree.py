"""One tree over the whole run: each phase's frames, scaled to its undisturbed time.

The tree's wall time is the measured run's, to the nanosecond: one cold start and one warm request. What no
frame explains is a frame named `unattributed`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from llmflame.analysis.phases import gap_ns, phase_spans, run_wall_ns
from llmflame.analysis.replay import charge
from llmflame.analysis.timeline import Timeline
from llmflame.analysis.tree import Tree
from llmflame.analysis.windows import (
    Columns,
    ScaledWindow,
    WindowIndex,
    scaled_windows,
    window_weights,
    with_ancestors,
)
from llmflame.store import metrics
from llmflame.store.model import Frame, Origin
from llmflame.store.profile import Profile
from llmflame.store.rows import SpanRow, WindowRow

UNATTRIBUTED = Frame("other", "unattributed")

COUNTED = (
    metrics.CALLS.name,
    metrics.ALLOCATED.name,
    metrics.FREED.name,
    metrics.DEVICE_ALLOCATED.name,
    metrics.DEVICE_FREED.name,
    metrics.ALLOCATIONS.name,
    metrics.DEVICE.name,
    metrics.COPIED.name,
    metrics.LOW_OCCUPANCY.name,
    *metrics.WORK,
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
    columns: Columns = field(default_factory=lambda: defaultdict(dict))
    origin: Origin = "measured"
    factors: list[float] = field(default_factory=list)
    slowdowns: list[float] = field(default_factory=list)
    windows: list[ScaledWindow] = field(default_factory=list)
    beyond_ns: float = 0.0
    """Device time that did not fit into the steps that launched it."""

    def add(self, node: int, metric: str, value: float) -> None:
        """Add to one node's own value."""
        column = self.columns[metric]
        column[node] = column.get(node, 0.0) + value


@dataclass(frozen=True, slots=True)
class RunTree:
    """The tree with what it took to get it."""

    tree: Tree
    factor: float | None
    """The largest of the decode windows' scale factors: see `Scaled.factor`."""
    slowdown: float | None
    phases: tuple[PhaseTree, ...] = ()
    nodes: Mapping[str, Mapping[int, int]] = field(default_factory=dict)
    """By phase, and node of the profile: the node of the tree."""

    @property
    def device_pace(self) -> float | None:
        """The largest factor by which undisturbed steps' device work was slower than the traced steps'."""
        paces = [w.timeline.pace for p in self.phases for w in p.windows if w.timeline is not None]
        return max(paces, default=None)


def build_run_tree(profile: Profile) -> RunTree:
    """The run's tree. Sum of `wall_ns` = the wall time of all phases, exactly up to rounding."""
    index = WindowIndex(profile)
    phases = [_phase(profile, index, span) for span in phase_spans(profile)]
    builder = _Builder(profile, on_device=index.on_device)
    for phase in phases:
        builder.phase(phase)
    gap = gap_ns(profile)
    if gap:
        builder.leaf(builder.root, UNATTRIBUTED, gap, "measured")
    factors = [factor for phase in phases for factor in phase.factors]
    slowdowns = [slowdown for phase in phases for slowdown in phase.slowdowns]
    return RunTree(
        builder.tree(),
        max(factors, default=None),
        max(slowdowns, default=None),
        tuple(phases),
        builder.places,
    )


def window_columns(phase: PhaseTree, window: ScaledWindow, *, on_device: bool) -> Columns:
    """What one of a phase's windows speaks for, by node of the profile. Over all windows they add up to the
    phase, but for what no frame covers."""
    part = PhaseTree(phase.span)
    _add_window(part, window, on_device=on_device)
    return part.columns


def _phase(profile: Profile, index: WindowIndex, span: SpanRow) -> PhaseTree:
    phase = PhaseTree(span)
    sampled = index.of(span.name, "sampled")
    if sampled:
        _add_sampled(phase, sampled[0], on_device=index.on_device)
        for _, columns in index.of(span.name, "traced"):
            _add_counts(phase, columns, 1.0)
    else:
        phase.windows = scaled_windows(profile, index, span)
        for window in phase.windows:
            phase.origin = "scaled"
            _add_window(phase, window, on_device=index.on_device)
    shapes = index.of(span.name, "shapes")
    weights = window_weights(profile, span, [row.step or 0 for row, _ in shapes])
    for (_, columns), (_, count) in zip(shapes, weights, strict=True):
        _add_counts(phase, columns, count)
    return phase


def _add_sampled(phase: PhaseTree, window: tuple[WindowRow, Columns], *, on_device: bool) -> None:
    row, columns = window
    phase.origin = "sampled"
    rate = phase.span.wall_ns / row.wall_ns if row.wall_ns else 0.0
    for metric in SAMPLED:
        timed = metric in (metrics.WALL.name, metrics.CPU.name, metrics.OVERLAPPED.name)
        for node, value in columns.get(metric, {}).items():
            phase.add(node, metric, value * (rate if timed else 1.0))
            if on_device and metric == metrics.WALL.name:
                phase.add(node, metrics.HOST.name, value * rate)


def _add_counts(phase: PhaseTree, columns: Columns, times: float) -> None:
    for metric in COUNTED:
        if metric in columns:
            own = phase.columns[metric]
            for node, value in columns[metric].items():
                if value:
                    own[node] = own.get(node, 0.0) + value * times


def _add_window(phase: PhaseTree, window: ScaledWindow, *, on_device: bool) -> None:
    """One window's part of a phase: host time by its shares, wall time by who was waited for."""
    _add_counts(phase, window.columns, window.count)
    if window.row.step:
        phase.factors.append(window.scaled.factor)
        phase.slowdowns.append(window.scaled.slowdown)
    span, scaled = phase.span, window.scaled
    overall = None
    if span.thread_cpu_ns is not None and span.wall_ns:
        overall = min(span.thread_cpu_ns / span.wall_ns, 1.0)
    host = phase.columns[metrics.HOST.name if on_device else metrics.WALL.name]
    on_cpu = phase.columns[metrics.CPU.name]
    for node, share, cpu in zip(window.numbers, scaled.shares, scaled.cpu_shares, strict=True):
        if not share:
            continue
        host_ns = share * window.time_ns
        host[node] = host.get(node, 0.0) + host_ns
        part = cpu if window.anchored else overall
        if part is not None:
            on_cpu[node] = on_cpu.get(node, 0.0) + host_ns * part
        if on_device and window.timeline is None:
            phase.add(node, metrics.WALL.name, host_ns)
            if not window.worked:  # nothing was asked of the device: it idled
                phase.add(node, metrics.IDLE.name, host_ns)
    if window.timeline is not None:
        _add_charged(phase, window, window.timeline)


def window_alone(phase: PhaseTree, window: ScaledWindow, *, on_device: bool) -> Columns:
    """What one undisturbed step at the window's place takes, at the profile's nodes."""
    alone = PhaseTree(phase.span)
    _add_window(alone, replace(window, time_ns=window.clean_ns, count=1.0), on_device=on_device)
    return alone.columns


def _add_charged(phase: PhaseTree, window: ScaledWindow, timeline: Timeline) -> None:
    charged = charge(timeline)
    rate = window.time_ns / timeline.wall_ns if timeline.wall_ns else 0.0
    for node, value in charged.wall.items():
        phase.add(node, metrics.WALL.name, value * rate)
    for node, value in charged.idle.items():
        phase.add(node, metrics.IDLE.name, value * rate)
    phase.beyond_ns += charged.beyond_ns * rate


class _Builder:
    """Makes a pre-order tree of the phases' nodes."""

    def __init__(self, profile: Profile, *, on_device: bool) -> None:
        self._profile = profile
        self._on_device = on_device
        self._tree = Tree()
        self._frame_numbers: dict[Frame, int] = {}
        self._numbers: dict[int, int] = {}
        self._values: dict[str, dict[int, float]] = defaultdict(dict)
        self._children: dict[int | None, list[int]] = defaultdict(list)
        self.places: dict[str, dict[int, int]] = {}
        for number, parent, _ in profile.nodes.values():
            self._children[parent].append(number)
        self._roots = {self._frame_of(root).name: root for root in self._children[None]}
        self.root = self._add(-1, Frame("run", str(profile.subject.get("model") or "run")), "measured")

    def _frame_of(self, node: int) -> Frame:
        return self._profile.frames[self._profile.nodes[node].frame]

    def _add(self, parent: int, frame: Frame, origin: Origin) -> int:
        number = self._frame_numbers.setdefault(frame, len(self._tree.frames))
        if number == len(self._tree.frames):
            self._tree.frames.append(frame)
        return self._append(parent, number, origin)

    def _append(self, parent: int, number: int, origin: Origin) -> int:
        self._tree.parents.append(parent)
        self._tree.node_frames.append(number)
        self._tree.origins.append(origin)
        return len(self._tree.parents) - 1

    def _copy(self, node: int, parent: int, origin: Origin) -> int:
        """A node of the profile below one of the tree."""
        of_profile = self._profile.nodes[node].frame
        number = self._numbers.get(of_profile)
        if number is not None:
            return self._append(parent, number, origin)
        here = self._add(parent, self._profile.frames[of_profile], origin)
        self._numbers[of_profile] = self._tree.node_frames[here]
        return here

    def leaf(self, parent: int, frame: Frame, wall_ns: float, origin: Origin) -> int:
        """A node of the host with nothing but time."""
        node = self._add(parent, frame, origin)
        self._take(node, wall_ns)
        return node

    def _take(self, node: int, wall_ns: float) -> None:
        for name in (metrics.WALL.name, metrics.HOST.name)[: 2 if self._on_device else 1]:
            values = self._values[name]
            values[node] = values.get(node, 0.0) + wall_ns

    def phase(self, phase: PhaseTree) -> None:
        """Add a phase with all its frames."""
        span = phase.span
        top = self._add(self.root, Frame("phase", span.name), "measured")
        places = self.places[span.name] = dict[int, int]()
        root = self._roots.get(span.name)
        live = with_ancestors(self._profile, *phase.columns.values())
        if root is None or not live:
            name = "python starts" if span.name == "startup" else "unattributed"
            node = self.leaf(top, Frame("other", name), span.wall_ns, "measured")
            if span.thread_cpu_ns is not None:
                self._values[metrics.CPU.name][node] = min(span.thread_cpu_ns, span.wall_ns)
            return
        places[root] = top
        stack = [(child, top) for child in reversed(self._children[root]) if child in live]
        while stack:
            node, parent = stack.pop()
            here = places[node] = self._copy(node, parent, phase.origin)
            if node in self._children:
                stack += [(child, here) for child in reversed(self._children[node]) if child in live]
        for metric, column in phase.columns.items():
            values = self._values[metric]
            for node, value in column.items():
                if node in places:
                    values[places[node]] = value
        rest = span.wall_ns - sum(phase.columns[metrics.WALL.name].values())
        if abs(rest) < 1:  # rounding
            return
        unattributed = [
            places[n] for n in self._children[root] if n in live and self._frame_of(n) == UNATTRIBUTED
        ]
        self._take(unattributed[0] if unattributed else self.leaf(top, UNATTRIBUTED, 0.0, "computed"), rest)

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


__all__ = ["RunTree", "build_run_tree", "run_wall_ns"]
