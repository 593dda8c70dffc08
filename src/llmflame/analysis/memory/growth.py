"""How memory grows from step to step and from request to request, and what explains it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import linear_regression

from llmflame.analysis.memory.moments import moments
from llmflame.analysis.memory.series import EMPTY, Series, series
from llmflame.analysis.phases import steps
from llmflame.store import metrics
from llmflame.store.categories import REWRITTEN
from llmflame.store.profile import Profile
from llmflame.store.rows import Space

FEWEST_STEPS = 4
"""A line through fewer says nothing."""


@dataclass(frozen=True, slots=True)
class Slope:
    """A line fitted to readings at the steps' edges (least squares)."""

    bytes_per_step: float
    explained: float
    """The share of the readings' variance that the line explains (r squared); 1 where nothing varies."""


@dataclass(frozen=True, slots=True)
class Growth:
    """What a decode step adds."""

    space: Space
    steps: int
    held: Slope
    """Bytes in use: of the heap, or of the device's allocator."""
    kv_cache: Slope
    slack: Slope | None
    """Of a device: reserved, but not in use: fragmentation."""
    peak: Slope | None
    """Of a device: the highest use within the step, less what was in use when it began."""
    rewritten_bytes: int | None
    """Of the cache in the last traced step: what lies in storages that this step made. None where unknown."""
    left: tuple[tuple[int, float], ...]
    """(node of the profile, bytes a step) of what traced steps left behind, the largest first."""

    @property
    def unexplained_bytes_per_step(self) -> float:
        """Growth that is not the cache's."""
        return self.held.bytes_per_step - self.kv_cache.bytes_per_step

    @property
    def left_bytes_per_step(self) -> float:
        """What was seen to be taken in traced steps and lived on after the request."""
        return sum(size for _, size in self.left)


def growth(profile: Profile) -> list[Growth]:
    """For each space in which enough decode steps were counted."""
    gauges = series(profile, "memory")
    spans = [span for span in steps(profile, pass_name="memory") if (span.step or 0) >= 1]
    if len(spans) < FEWEST_STEPS:
        return []
    starts = [span.start_ns for span in spans]
    cached = _at(gauges.get("kv_cache_bytes", EMPTY), starts)
    found = []
    allocated = _at(gauges.get("device_allocated_bytes", EMPTY), starts)
    if cached and allocated:
        reserved = _at(gauges.get("device_reserved_bytes", EMPTY), starts)
        slack = [r - a for r, a in zip(reserved, allocated, strict=False)]
        peaks = [
            span.device_peak_bytes - before
            for span, before in zip(spans, allocated, strict=True)
            if span.device_peak_bytes is not None
        ]
        found.append(
            Growth("device", len(spans), _slope(allocated), _slope(cached), _optional(slack, len(spans)),
                   _optional(peaks, len(spans)), _rewritten(profile, "device"),
                   _left(profile, metrics.DEVICE_LEFT.name))
        )  # fmt: skip
    heap = _at(gauges.get("heap_bytes", EMPTY), starts)
    if cached and heap:
        own = cached if not allocated else [0.0] * len(heap)
        found.append(
            Growth("host", len(spans), _slope(heap), _slope(own), None, None, _rewritten(profile, "host"),
                   _left(profile, metrics.LEFT.name))
        )  # fmt: skip
    return found


def _rewritten(profile: Profile, space: Space) -> int | None:
    """In the last traced decode step; windows are read in their order."""
    peak = moments(profile).peak("decode")
    return peak.readings.get(f"{space}_{REWRITTEN}") if peak is not None else None


def floors(profile: Profile) -> dict[Space, list[float]]:
    """What was still held after each undisturbed request, in order: it must not grow."""
    gauges = series(profile, "clean")
    found: dict[Space, list[float]] = {}
    names: tuple[tuple[Space, str], ...] = (("host", "heap_floor_bytes"), ("device", "device_floor_bytes"))
    for space, name in names:
        values = list(gauges.get(name, EMPTY).values)
        if len(values) > 1:
            found[space] = values
    return found


def _at(readings: Series, instants: Sequence[int]) -> list[float]:
    values = [readings.at(instant) for instant in instants]
    return [value for value in values if value is not None] if None not in values else []


def _optional(values: Sequence[float], wanted: int) -> Slope | None:
    return _slope(values) if len(values) == wanted else None


def _slope(values: Sequence[float]) -> Slope:
    """The line through readings at consecutive steps."""
    places = range(len(values))
    line = linear_regression(places, values)
    middle = sum(values) / len(values)
    spread = sum((value - middle) ** 2 for value in values)
    off = sum(
        (value - line.intercept - line.slope * place) ** 2
        for place, value in zip(places, values, strict=True)
    )
    return Slope(line.slope, 1 - off / spread if spread else 1.0)


def left_behind(profile: Profile, space: Space) -> tuple[tuple[int, float], ...]:
    """By node, what traced phases of a request took and that outlived it, the largest first."""
    return asked_for(profile, (metrics.LEFT if space == "host" else metrics.DEVICE_LEFT).name)


def asked_for(profile: Profile, metric: str) -> tuple[tuple[int, float], ...]:
    """By node, the sum of a metric over all traced windows of a request, the largest first."""
    return _sums(profile, metric, None)


def _left(profile: Profile, metric: str) -> tuple[tuple[int, float], ...]:
    """By node, the mean over the traced decode steps."""
    return _sums(profile, metric, "decode")


def _sums(profile: Profile, metric: str, phase: str | None) -> tuple[tuple[int, float], ...]:
    windows = {
        row.id
        for row in profile.windows
        if row.kind == "traced" and row.span_name != "load" and phase in (None, row.span_name)
    }
    numbers = {number for number, known in profile.metrics.items() if known.name == metric}
    share = 1 / len(windows) if phase is not None and windows else 1.0
    found: dict[int, float] = {}
    for cell in profile.cells:
        if cell.window in windows and cell.metric in numbers:
            found[cell.node] = found.get(cell.node, 0.0) + cell.value * share
    return tuple(sorted(found.items(), key=lambda item: -item[1]))
