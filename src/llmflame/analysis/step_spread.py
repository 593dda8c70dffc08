"""How the times of decode steps are spread, which of them are outliers, and what was different in those."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from statistics import median

from llmflame.analysis.phases import decode_steps, waiting
from llmflame.store.profile import Profile
from llmflame.store.rows import SpanRow

DEVIATIONS = 3.0
"""An outlier is so many standard deviations above the steps around it."""
MAD_TO_SIGMA = 1.4826
"""The median absolute deviation of a normal distribution times this is its standard deviation (Rousseeuw and
Croux, "Alternatives to the Median Absolute Deviation", JASA 1993)."""
NEARBY = 15
"""Steps before and after, in the same repetition, whose median a step is compared with: neither a longer
key/value cache nor a slow repetition is an outlier. At a repetition's ends as many as there are on the
shorter side, lest growth be taken for one, but not less than `FEWEST_NEARBY`."""
FEWEST_NEARBY = 3
LEAST_EXCESS = 0.02
"""Of that median: a machine so quiet that 3 deviations are less has no outliers worth a look."""
FEWEST = 8
"""Steps: of fewer nobody knows what is usual."""
BINS = 40
_COUNTED = ("minor_faults", "major_faults", "read_bytes")


@dataclass(frozen=True, slots=True)
class Outlier:
    """A step that took longer than those around it. Parts and counts are differences from their medians."""

    repetition: int
    step: int
    wall_ns: int
    usual_ns: int
    """The median of the steps around it, in the same repetition."""
    parts_ns: dict[str, int]
    """`on CPU`, `run queue`, `disk`, `other waiting`, as far as the system told them."""
    counts: dict[str, int]
    """`minor_faults`, `major_faults`, `read_bytes`, `rss_bytes`, `device_bytes`: only those that rose."""


@dataclass(frozen=True, slots=True)
class StepSpread:
    """All decode steps of all clean repetitions. Percentiles are by nearest rank."""

    count: int
    p50_ns: int
    p90_ns: int
    p99_ns: int
    limit_ns: int | None
    """How far above its neighbours a step must lie to be an outlier; None for too few steps."""
    edges_ns: tuple[float, ...]
    """Of the histogram's bins: one more than `counts`. The last bin holds what lies above it, too."""
    counts: tuple[int, ...]
    outliers: tuple[Outlier, ...]
    """The longest first."""


def step_spread(profile: Profile) -> StepSpread | None:
    """The spread of the decode steps; None where there are none."""
    spans = decode_steps(profile)
    if not spans:
        return None
    walls = sorted(span.wall_ns for span in spans)
    near = _near(spans)
    usual = {number: round(median(one.wall_ns for one in around)) for number, around in near.items()}
    excess = [span.wall_ns - usual[span.id] for span in spans]
    limit = None
    if len(spans) >= FEWEST:
        middle = median(excess)
        deviation = median(abs(one - middle) for one in excess) * MAD_TO_SIGMA
        limit = round(max(DEVIATIONS * deviation, LEAST_EXCESS * median(walls)))
    grown = _grown(spans)
    found = [
        _outlier(span, near[span.id], usual[span.id], grown)
        for span, more in zip(spans, excess, strict=True)
        if limit is not None and more > limit
    ]
    edges, counts = _histogram(walls)
    return StepSpread(
        len(walls),
        percentile(walls, 0.5),
        percentile(walls, 0.9),
        percentile(walls, 0.99),
        limit,
        edges,
        counts,
        tuple(sorted(found, key=lambda one: one.usual_ns - one.wall_ns)),
    )


def percentile(ordered: Sequence[int], share: float) -> int:
    """Of values in order: the smallest that at least `share` of them don't exceed (nearest rank)."""
    return ordered[max(ceil(share * len(ordered)), 1) - 1]


def _near(spans: Sequence[SpanRow]) -> dict[int, list[SpanRow]]:
    """By span, the steps around it in its repetition, itself among them."""
    found = {}
    for repetition in {span.repetition for span in spans}:
        own = [span for span in spans if span.repetition == repetition]
        for place, span in enumerate(own):
            reach = max(min(NEARBY, place, len(own) - 1 - place), FEWEST_NEARBY)
            found[span.id] = own[max(place - reach, 0) : place + reach + 1]
    return found


def _grown(spans: Sequence[SpanRow]) -> dict[int, dict[str, int]]:
    """By span, what memory it holds more than the step before of its request held."""
    found: dict[int, dict[str, int]] = {}
    before: SpanRow | None = None
    for span in spans:
        own = found.setdefault(span.id, {})
        if before is not None and before.repetition == span.repetition:
            for name in ("rss_bytes", "device_bytes"):
                now, then = getattr(span, name), getattr(before, name)
                if now is not None and then is not None:
                    own[name] = now - then
        before = span
    return found


def _outlier(
    span: SpanRow, around: Sequence[SpanRow], usual: int, grown: dict[int, dict[str, int]]
) -> Outlier:
    near = [one for one in around if one.id != span.id]
    own, others = _parts(span), [_parts(one) for one in near]
    parts = {}
    for name, value in own.items():
        known = [other[name] for other in others if name in other]
        if known:
            parts[name] = value - round(median(known))
    counts = {}
    for name in _COUNTED:
        more = _more(getattr(span, name), [getattr(one, name) for one in near])
        if more is not None and more > 0:
            counts[name] = more
    for name, value in grown.get(span.id, {}).items():
        more = _more(value, [grown.get(one.id, {}).get(name) for one in near])
        if more is not None and more > 0:
            counts[name] = more
    return Outlier(span.repetition or 0, span.step or 0, span.wall_ns, usual, parts, counts)


def _parts(span: SpanRow) -> dict[str, int]:
    split = waiting(span)
    named = {
        "on CPU": split.on_cpu_ns,
        "run queue": split.run_queue_ns,
        "disk": split.disk_ns,
        "other waiting": split.other_ns,
    }
    return {name: value for name, value in named.items() if value is not None}


def _more(value: int | None, others: Sequence[int | None]) -> int | None:
    known = [other for other in others if other is not None]
    return value - round(median(known)) if value is not None and known else None


def _histogram(walls: Sequence[int]) -> tuple[tuple[float, ...], tuple[int, ...]]:
    """Even bins from the shortest to somewhat above the 99th percentile: one stray step must not flatten
    the rest into a line, so it falls into the last bin."""
    low = walls[0]
    high = min(walls[-1], percentile(walls, 0.99) + (percentile(walls, 0.99) - low) // 4)
    width = max(high - low, 1) / BINS
    counts = [0] * BINS
    for wall in walls:
        counts[min(int((wall - low) / width), BINS - 1)] += 1
    return tuple(low + width * number for number in range(BINS + 1)), tuple(counts)
