"""Gauges as step functions: a reading holds until the next one of its name."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from llmflame.store.profile import Profile
from llmflame.store.rows import SpanRow


@dataclass(frozen=True, slots=True)
class Series:
    """Readings of one quantity in one pass, in order of time."""

    times_ns: Sequence[int]
    values: Sequence[float]

    def at(self, time_ns: int) -> float | None:
        """The reading that holds at an instant; None before the first."""
        place = bisect_right(self.times_ns, time_ns) - 1
        return self.values[place] if place >= 0 else None

    def within(self, begin_ns: int, end_ns: int) -> list[tuple[int, float]]:
        """The readings between two instants, with the one that holds when it begins."""
        first, last = bisect_left(self.times_ns, begin_ns), bisect_right(self.times_ns, end_ns)
        inside = list(zip(self.times_ns[first:last], self.values[first:last], strict=True))
        before = self.at(begin_ns)
        return [(begin_ns, before), *inside] if before is not None else inside


EMPTY = Series((), ())


def series(profile: Profile, pass_name: str) -> dict[str, Series]:
    """All gauges of a pass, by name."""
    rows: dict[str, list[tuple[int, float]]] = defaultdict(list)
    for gauge in profile.gauges:
        if gauge.pass_name == pass_name:
            rows[gauge.name].append((gauge.time_ns, gauge.value))
    found = {}
    for name, readings in rows.items():
        readings.sort(key=lambda reading: reading[0])
        found[name] = Series([time for time, _ in readings], [value for _, value in readings])
    return found


def highest_together(parts: Sequence[Series], span: SpanRow) -> tuple[float, ...] | None:
    """The readings of several gauges at the instant of a span at which their sum is largest."""
    begin, end = span.start_ns, span.start_ns + span.wall_ns
    instants = sorted({time for part in parts for time, _ in part.within(begin, end)})
    known = [
        tuple(value for value in (part.at(instant) for part in parts) if value is not None)
        for instant in instants
    ]
    whole = [readings for readings in known if len(readings) == len(parts)]
    return max(whole, key=sum, default=None)
