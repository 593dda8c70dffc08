"""Phases of two runs beside each other: times of each kind, peaks, bytes and calls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from llmflame.analysis.compare.changes import TIMES
from llmflame.analysis.compare.figures import Figure, figure
from llmflame.analysis.compare.interval import Verdict
from llmflame.analysis.compare.noise import Band, Bands, band_of, change_verdict
from llmflame.analysis.compare.repetitions import phase_walls_ns
from llmflame.analysis.compare.union import AFTER, SIDES, Union
from llmflame.analysis.coverage import phases_of
from llmflame.analysis.phases import ORDER, phase_spans
from llmflame.store import metrics
from llmflame.store.model import Metric
from llmflame.store.profile import Profile

HOST_PEAK = Metric("host_peak_bytes", "bytes", "max", "Peak resident set")
RESIDENT_SPREAD = 0.05
"""What the resident sets of two recordings of the same thing may differ by: pages are touched, arenas grow
and libraries are mapped by chance (4.0 % measured)."""
DEVICE_PEAK = Metric("device_peak_bytes", "bytes", "max", "Peak allocated on the device")
COUNTED = (metrics.CALLS, metrics.ALLOCATIONS, metrics.ALLOCATED, metrics.DEVICE_ALLOCATED, metrics.COPIED)


@dataclass(frozen=True, slots=True)
class Amount:
    """One metric of one phase in both runs; None where that run doesn't know it or doesn't have the phase."""

    phase: str
    metric: Metric
    a: float | None
    b: float | None
    verdict: Verdict


def phase_figures(before: Profile, after: Profile) -> list[Figure]:
    """The wall time of each phase over its repetitions, in the order of a run."""
    found = [
        figure(name, name, "ns", phase_walls_ns(before, name), phase_walls_ns(after, name)) for name in ORDER
    ]
    return [one for one in found if one.a is not None or one.b is not None]


def bands_of(figures: Sequence[Figure], joined: Union) -> dict[str, Band]:
    """The band of noise of each phase that has an interval."""
    sums = _phase_sums(joined, metrics.WALL.name)
    runs = tuple(sum(both[side] for both in sums.values()) for side in SIDES)
    return {
        one.name: band_of(one.interval, (sums[one.name][0], sums[one.name][AFTER]), (runs[0], runs[AFTER]))
        for one in figures
        if one.interval is not None and one.name in sums
    }


def times(joined: Union, bands: Bands) -> list[Amount]:
    """Wall time, and host, device and idle time where a GPU worked, of each phase of the two trees."""
    return _amounts(joined, [metric for metric in TIMES if _has(joined, metric)], bands)


def counts(joined: Union) -> list[Amount]:
    """Calls, allocations, bytes allocated and copied, of each phase."""
    return _amounts(joined, [metric for metric in COUNTED if _has(joined, metric)], {})


def peaks(before: Profile, after: Profile) -> list[Amount]:
    """The peaks of each phase. Each is one reading: a word says which is larger, not how sure
    that is; resident sets within `RESIDENT_SPREAD` are called the same."""
    found = []
    for metric in (HOST_PEAK, DEVICE_PEAK):
        one, other = (_peaks(profile, metric) for profile in (before, after))
        for phase in ORDER:
            a, b = one.get(phase), other.get(phase)
            if a is not None or b is not None:
                close = metric is HOST_PEAK and a and b and abs(b - a) <= RESIDENT_SPREAD * max(a, b)
                found.append(Amount(phase, metric, a, b, "same" if close else _word(a, b, metric, None)))
    return found


def _peaks(profile: Profile, metric: Metric) -> dict[str, float | None]:
    return {
        span.name: span.peak_rss_bytes if metric is HOST_PEAK else span.device_peak_bytes
        for span in phase_spans(profile)
    }


def _amounts(joined: Union, wanted: Sequence[Metric], bands: Bands) -> list[Amount]:
    present = _present(joined)
    found = []
    for metric in wanted:
        sums = _phase_sums(joined, metric.name)
        for phase, has in present.items():
            both = sums.get(phase, [0.0, 0.0])
            a, b = (both[side] if has[side] else None for side in SIDES)
            if a or b:
                found.append(Amount(phase, metric, a, b, _word(a, b, metric, bands.get(phase))))
    return found


def _word(a: float | None, b: float | None, metric: Metric, band: Band | None) -> Verdict:
    return "unknown" if a is None or b is None else change_verdict(a, b, metric, band)


def _has(joined: Union, metric: Metric) -> bool:
    return any(any(column) for column in joined.columns(metric.name))


def _present(joined: Union) -> dict[str, tuple[bool, bool]]:
    """The phases of both, and which run has each."""
    return {
        joined.tree.frame(node).name: joined.sides[node]
        for node, parent in enumerate(joined.tree.parents)
        if parent == 0 and joined.tree.frame(node).kind == "phase"
    }


def _phase_sums(joined: Union, metric: str) -> Mapping[str, list[float]]:
    columns, where = joined.columns(metric), phases_of(joined.tree)
    sums: dict[str, list[float]] = {}
    for node, phase in enumerate(where):
        both = sums.setdefault(phase, [0.0, 0.0])
        for side in SIDES:
            both[side] += columns[side][node]
    return sums
