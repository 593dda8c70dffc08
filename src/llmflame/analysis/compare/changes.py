"""Where the change is: the numbers of both runs by frame and by module, the largest changes first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from llmflame.analysis.compare.interval import Verdict
from llmflame.analysis.compare.noise import Bands, change_verdict
from llmflame.analysis.compare.union import SIDES, Union
from llmflame.analysis.coverage import phases_of
from llmflame.analysis.top import owners_of
from llmflame.analysis.top_table import layers_together
from llmflame.store import metrics
from llmflame.store.model import FrameKind, Metric

_INSIDE = frozenset({"kernel", "copy", "runtime", "builtin", "wait"})
"""Frames that are how another one does its work: where only one run has them, they are counted to it."""
_RANKS: Mapping[Verdict, int] = {"unknown": 1, "noise": 1, "same": 2}
"""What is known to have changed comes first."""
TIMES = (metrics.WALL, metrics.HOST, metrics.DEVICE, metrics.IDLE)
Only = Literal["a", "b"]
Columns = Mapping[str, tuple[list[float], list[float]]]
"""By metric: the own values of A and B."""


@dataclass(slots=True)
class Change:
    """A frame in a kind of module in one phase, over all layers and paths; sums of own values.

    Where only one run has a frame, all that is below it is counted to it, but for calls.
    """

    phase: str
    module: str | None
    """The owning module's path with `*` for numbers; None outside of modules."""
    kind: FrameKind
    name: str
    file: str | None
    line: int | None
    only: Only | None
    """The run that alone calls it."""
    values: dict[str, list[float]] = field(default_factory=dict)
    """By metric: of A and B."""
    modules: set[str] = field(default_factory=set)
    """The paths that `module` stands for."""

    def of(self, metric: str) -> tuple[float, float]:
        """The values of A and B."""
        before, after = self.values.get(metric, (0.0, 0.0))
        return before, after

    def change(self, metric: str) -> float:
        """B - A."""
        before, after = self.of(metric)
        return after - before


@dataclass(frozen=True, slots=True)
class Ranked:
    """A change by one metric, with a word for it."""

    change: Change
    metric: Metric
    verdict: Verdict


def frame_changes(joined: Union) -> list[Change]:
    """Every node of the union in exactly one change: their sums are the two runs' totals (not of calls)."""
    where, owners, alone = phases_of(joined.tree), owners_of(joined.tree), _alone(joined)
    places = _places(joined, alone)
    columns = {metric.name: joined.columns(metric.name) for metric in joined.tree.metrics}
    found: dict[tuple[object, ...], Change] = {}
    sides: dict[tuple[object, ...], set[Only | None]] = {}
    for node, place in enumerate(places):
        frame, phase, owner = joined.tree.frame(place), where[place], owners[place]
        module = None if owner is None else layers_together(owner)
        key: tuple[object, ...] = (phase, module, frame.kind, frame.name, frame.file)
        change = found.get(key)
        if change is None:
            change = found[key] = Change(phase, module, frame.kind, frame.name, frame.file, frame.line, None)
        if owner is not None:
            change.modules.add(owner)
        sides.setdefault(key, set()).add(alone[place])
        _add(change.values, columns, node, counted=node == place)
    for where_it_is, seen in sides.items():
        if len(seen) == 1:
            (found[where_it_is].only,) = seen
    return list(found.values())


def module_changes(joined: Union) -> list[Change]:
    """Every node in exactly one row, by the module that owns it; outside of modules, one row a phase.

    A module's own time is without that of the modules below it. `name` is its class.
    """
    where, owners = phases_of(joined.tree), owners_of(joined.tree)
    classes = {
        frame.module: frame.name for frame in joined.tree.frames if frame.kind == "module" and frame.module
    }
    columns = {metric.name: joined.columns(metric.name) for metric in joined.tree.metrics}
    found: dict[tuple[str, str | None], Change] = {}
    for node, phase in enumerate(where):
        owner = owners[node]
        module = None if owner is None else layers_together(owner)
        row = found.get((phase, module))
        if row is None:
            name = classes.get(owner or "", "outside modules")
            row = found[phase, module] = Change(phase, module, "module", name, None, None, None)
        if owner is not None:
            row.modules.add(owner)
        _add(row.values, columns, node, counted=True)
    return list(found.values())


def ranked(changes: Sequence[Change], metric: Metric, bands: Bands) -> list[Ranked]:
    """Those that have any of a metric: what is known to have changed first, then by how much."""
    rows = [
        Ranked(one, metric, change_verdict(*one.of(metric.name), metric, bands.get(one.phase)))
        for one in changes
        if any(one.of(metric.name))
    ]
    return sorted(rows, key=lambda row: (_RANKS.get(row.verdict, 0), -abs(row.change.change(metric.name))))


def calls_changed(changes: Sequence[Change]) -> list[Change]:
    """What one run calls and the other doesn't, or more often: counted, so no matter of noise.

    By how much time of any kind goes with it, the most first. What only the sampler saw is left out.
    """
    found = [one for one in changes if round(one.change(metrics.CALLS.name)) != 0]
    kinds = [one for one in found if one.only is not None or one.kind not in _INSIDE]
    return sorted(kinds, key=lambda one: (one.only is None, -weight_ns(one)))


def weight_ns(change: Change) -> float:
    """The largest change of time, whichever kind of time that is."""
    return max(abs(change.change(metric.name)) for metric in TIMES)


def _add(values: dict[str, list[float]], columns: Columns, node: int, *, counted: bool) -> None:
    """Calls of what is below a frame are no calls of it."""
    for name, both in columns.items():
        if name == metrics.CALLS.name and not counted:
            continue
        for side in SIDES:
            value = both[side][node]
            if value:
                values.setdefault(name, [0.0, 0.0])[side] += value


def _alone(joined: Union) -> list[Only | None]:
    """By node: the run that alone calls it. What was sampled is not counted: to miss it there is chance."""
    before, after = joined.columns(metrics.CALLS.name)
    return [
        None if all(sides) or not (one or other) else "a" if sides[0] else "b"
        for sides, one, other in zip(joined.sides, before, after, strict=True)
    ]


def _places(joined: Union, alone: Sequence[Only | None]) -> list[int]:
    """By node: the node that it is counted to."""
    inside = [frame.kind in _INSIDE for frame in joined.tree.frames]
    places: list[int] = []
    for node, parent in enumerate(joined.tree.parents):
        above = places[parent] if parent >= 0 else node
        part = inside[joined.tree.node_frames[node]] and not all(joined.sides[node])
        hidden = above != node and (part or alone[above] is not None)
        places.append(above if hidden else node)
    return places
