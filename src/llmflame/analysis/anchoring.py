"""What share of a step each module instance takes, from the steps that ran under module hooks alone."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from statistics import median

from llmflame.store.profile import Profile
from llmflame.store.rows import AnchorRow, SpanRow

Segment = str | None
"""A module's path: the frames that it owns, other modules' apart. None is what runs outside of the root."""
NEAREST = 5
"""How many anchored steps are asked: enough for a median, few enough to leave disturbed ones out."""
MAX_COST_FACTOR = 3.0
"""Hooks were seen to cost twice as much between a model's kernels as in a tight loop."""
NEAR_FACTOR = 4
"""Anchored decode steps within this factor of a window's step speak for it."""


@dataclass(frozen=True, slots=True)
class Anchors:
    """By segment: its share of the step, and what part of its time it was on a CPU."""

    shares: dict[Segment, float]
    """Add up to 1."""
    cpu_shares: dict[Segment, float]
    samples: int


@dataclass(frozen=True, slots=True)
class _Anchored:
    """One step under module hooks, as measured."""

    span: SpanRow
    rows: list[AnchorRow]

    @property
    def calls(self) -> int:
        """Hooked calls: each cost its caller something."""
        return sum(row.calls for row in self.rows)


def anchors_for(profile: Profile, step: int, clean_ns: float) -> Anchors | None:
    """The medians over the anchored steps that resemble `step`, or None where there are none.

    Of the steps with a similar key/value cache, those speak whose time is nearest to `clean_ns`, the
    undisturbed step's: what disturbs a machine slows some modules more than others.
    """
    anchored = _anchored_steps(profile)
    if step == 0:
        near = [one for one in anchored if one.span.step == 0]
    else:
        decode = [one for one in anchored if (one.span.step or 0) > 0]
        near = [one for one in decode if _resembles(one.span.step or 0, step)] or decode
    calibrated = hook_cost_ns(profile)
    near.sort(key=lambda one: abs(one.span.wall_ns - one.calls * calibrated - clean_ns))
    near = near[:NEAREST]
    cost = _fitted_cost_ns(near, calibrated, clean_ns)
    samples = [sample for one in near if (sample := _sample(one, cost)) is not None]
    # In order of appearance: sums over a set's order would differ from run to run in their last digit.
    segments = dict.fromkeys(segment for sample in samples for segment in sample.shares)
    shares = {segment: median(s.shares.get(segment, 0.0) for s in samples) for segment in segments}
    whole = sum(shares.values())
    if whole <= 0:
        return None
    cpu = {segment: median(s.cpu_shares.get(segment, 1.0) for s in samples) for segment in segments}
    return Anchors({segment: share / whole for segment, share in shares.items()}, cpu, len(samples))


def _resembles(anchored: int, step: int) -> bool:
    return step / NEAR_FACTOR <= anchored <= step * NEAR_FACTOR


def _fitted_cost_ns(near: list[_Anchored], calibrated_ns: float, clean_ns: float) -> float:
    """What a hooked call cost among the model's own work: what anchored steps took more than clean ones.

    A calibration in a tight loop is the least that it can have been.
    """
    excess = [(one.span.wall_ns - clean_ns) / one.calls for one in near if one.calls]
    if not excess:
        return calibrated_ns
    return min(max(median(excess), calibrated_ns), calibrated_ns * MAX_COST_FACTOR)


def hook_cost_ns(profile: Profile) -> float:
    """What one hooked module call adds to its caller's time, as calibrated."""
    for report in profile.probe_reports:
        if report.probe == "anchors" and report.name == "hook cost":
            return report.value or 0.0
    return 0.0


def _anchored_steps(profile: Profile) -> list[_Anchored]:
    spans = {
        (span.repetition, span.step): span
        for span in profile.spans
        if span.name == "step" and span.treatment == "anchored"
    }
    rows: dict[tuple[int, int], list[AnchorRow]] = defaultdict(list)
    for row in profile.anchors:
        rows[row.repetition, row.step].append(row)
    return [_Anchored(spans[key], members) for key, members in rows.items() if key in spans]


@dataclass(frozen=True, slots=True)
class _Sample:
    """One anchored step, the hooks' cost taken out."""

    shares: dict[Segment, float]
    cpu_shares: dict[Segment, float]


def _sample(anchored: _Anchored, cost_ns: float) -> _Sample | None:
    span, rows = anchored.span, anchored.rows
    own = {row.module: max(row.wall_ns - row.child_calls * cost_ns, 0.0) for row in rows}
    raw_outside = span.wall_ns - sum(row.wall_ns for row in rows)
    outside = max(raw_outside - cost_ns, 0.0)
    whole = sum(own.values()) + outside
    if whole <= 0:
        return None
    shares: dict[Segment, float] = {module: ns / whole for module, ns in own.items()}
    shares[None] = outside / whole
    cpu: dict[Segment, float] = {
        row.module: min(row.cpu_ns / row.wall_ns, 1.0) if row.wall_ns else 1.0 for row in rows
    }
    outside_cpu = (span.thread_cpu_ns or 0) - sum(row.cpu_ns for row in rows)
    cpu[None] = min(max(outside_cpu / raw_outside, 0.0), 1.0) if raw_outside > 0 else 1.0
    return _Sample(shares, cpu)
