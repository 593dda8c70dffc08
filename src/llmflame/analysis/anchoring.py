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
class _Sample:
    step: int
    whole_ns: float
    shares: dict[Segment, float]
    cpu_shares: dict[Segment, float]


def anchors_for(profile: Profile, step: int, clean_ns: float) -> Anchors | None:
    """The medians over the anchored steps that resemble `step`, or None where there are none.

    Of the steps with a similar key/value cache, those speak whose time is nearest to `clean_ns`, the
    undisturbed step's: what disturbs a machine slows some modules more than others.
    """
    samples = _samples(profile)
    if step == 0:
        near = [sample for sample in samples if sample.step == 0]
    else:
        decode = [sample for sample in samples if sample.step > 0]
        near = [s for s in decode if step / NEAR_FACTOR <= s.step <= step * NEAR_FACTOR] or decode
    if not near:
        return None
    near = sorted(near, key=lambda sample: abs(sample.whole_ns - clean_ns))[:NEAREST]
    segments = {segment for sample in near for segment in sample.shares}
    shares = {segment: median(s.shares.get(segment, 0.0) for s in near) for segment in segments}
    whole = sum(shares.values())
    if whole <= 0:
        return None
    cpu = {segment: median(s.cpu_shares.get(segment, 1.0) for s in near) for segment in segments}
    return Anchors({segment: share / whole for segment, share in shares.items()}, cpu, len(near))


def hook_cost_ns(profile: Profile) -> float:
    """What one hooked module call adds to its caller's time, as calibrated."""
    for report in profile.probe_reports:
        if report.probe == "anchors" and report.name == "hook cost":
            return report.value or 0.0
    return 0.0


def _samples(profile: Profile) -> list[_Sample]:
    spans = {
        (span.repetition, span.step): span
        for span in profile.spans
        if span.name == "step" and span.treatment == "anchored"
    }
    rows: dict[tuple[int, int], list[AnchorRow]] = defaultdict(list)
    for row in profile.anchors:
        rows[row.repetition, row.step].append(row)
    cost = hook_cost_ns(profile)
    found = (_sample(spans[key], members, cost) for key, members in rows.items() if key in spans)
    return [sample for sample in found if sample is not None]


def _sample(span: SpanRow, rows: list[AnchorRow], cost_ns: float) -> _Sample | None:
    own = {row.module: max(row.wall_ns - row.child_calls * cost_ns, 0.0) for row in rows}
    outside = max(span.wall_ns - sum(row.wall_ns for row in rows) - cost_ns, 0.0)
    whole = sum(own.values()) + outside
    if whole <= 0:
        return None
    shares: dict[Segment, float] = {module: ns / whole for module, ns in own.items()}
    shares[None] = outside / whole
    cpu: dict[Segment, float] = {
        row.module: min(row.cpu_ns / row.wall_ns, 1.0) if row.wall_ns else 1.0 for row in rows
    }
    outside_cpu = (span.thread_cpu_ns or 0) - sum(row.cpu_ns for row in rows)
    raw_outside = span.wall_ns - sum(row.wall_ns for row in rows)
    cpu[None] = min(max(outside_cpu / raw_outside, 0.0), 1.0) if raw_outside > 0 else 1.0
    return _Sample(span.step or 0, whole, shares, cpu)
