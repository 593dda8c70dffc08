"""Memory over the clean pass as the page draws it: step functions on shared instants, stacked, and few.

A chart's layers add up to what is known of its space: of the host the resident set, of a device what is in
use, of which what is reserved is a part, of which what is allocated is a part.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from llmflame.analysis.memory.series import EMPTY, Series, series
from llmflame.analysis.phases import ORDER, REQUEST_PHASES
from llmflame.store.profile import Profile
from llmflame.store.rows import Space, SpanRow

MOST_POINTS = 1_500
"""Of a series: more than a screen has columns for."""
NS_PER_US = 1_000

HOST = (("anonymous", "anonymous_bytes"), ("file-backed", "file_bytes"), ("shared or pinned", "shared_bytes"))
DEVICE = (
    ("allocated", "device_allocated_bytes"),
    ("reserved, not allocated", "device_reserved_bytes"),
    ("in use beyond the allocator", "device_used_bytes"),
)
"""Each holds the one before it: a layer is what it has more."""


@dataclass(frozen=True, slots=True)
class Curves:
    """Layers of one space, the lowest first; `layers[i][n]` bytes from `times_ns[n]` on."""

    space: Space
    labels: Sequence[str]
    times_ns: Sequence[int]
    layers: Sequence[Sequence[int]]

    def encoded(self) -> dict[str, object]:
        """Differences, in the largest unit in which all are whole: small numbers that compress well."""
        columns = [_differences(layer) for layer in self.layers]
        unit = math.gcd(*(value for column in columns for value in column)) or 1
        return {
            "space": self.space,
            "labels": list(self.labels),
            "time_us": _differences([time // NS_PER_US for time in self.times_ns]),
            "unit": unit,
            "layers": [[value // unit for value in column] for column in columns],
        }


def curves(profile: Profile) -> list[Curves]:
    """The host's, and the device's where there is one; empty where nothing was read over time."""
    gauges = series(profile, "clean")
    ends = [band.start_ns + band.wall_ns for band in bands(profile)]
    found = []
    for space, names in (("host", HOST), ("device", DEVICE)):
        known = [(label, gauges[name]) for label, name in names if name in gauges]
        times = _instants([one for _, one in known], max(ends, default=None))
        if not times:
            continue
        rows = [[round(one.at(time) or 0) for _, one in known] for time in times]
        if space == "device":
            rows = [_beyond_the_one_below(row) for row in rows]
        kept = _thinned(rows)
        found.append(
            Curves(
                "device" if space == "device" else "host",
                [label for label, _ in known],
                [times[place] for place in kept],
                [[rows[place][layer] for place in kept] for layer in range(len(known))],
            )
        )
    return found


def bands(profile: Profile) -> list[SpanRow]:
    """The phases of the clean pass in order of time, those of each request too."""
    found = [
        span
        for span in profile.spans
        if span.pass_name == "clean"
        and span.name in ORDER
        and (span.repetition is not None if span.name in REQUEST_PHASES else span.parent is None)
    ]
    return sorted(found, key=lambda span: span.start_ns)


def encoded_bands(profile: Profile) -> list[dict[str, object]]:
    """Where each phase lies, and its high-water marks."""
    return [
        {
            "name": band.name,
            "request": band.repetition,
            "start_us": band.start_ns // NS_PER_US,
            "wall_us": -(-band.wall_ns // NS_PER_US),
            "host": band.peak_rss_bytes,
            "device": band.device_peak_bytes,
        }
        for band in bands(profile)
    ]


def chart_data(profile: Profile) -> Mapping[str, object]:
    """All that the charts over time need."""
    return {
        "curves": [one.encoded() for one in curves(profile)],
        "bands": encoded_bands(profile),
    }


def _instants(known: Sequence[Series], end_ns: int | None) -> list[int]:
    times = {time for one in known for time in (one or EMPTY).times_ns}
    return sorted(time for time in times if end_ns is None or time <= end_ns)


def _beyond_the_one_below(row: Sequence[int]) -> list[int]:
    """The readings are of different instants, so that what holds another may be seen to be less: then it
    adds nothing."""
    layers, below = [], 0
    for value in row:
        layers.append(max(value - below, 0))
        below = max(below, value)
    return layers


def _thinned(rows: Sequence[Sequence[int]]) -> list[int]:
    """Of each few readings in a row, the place of the highest: no peak is lost."""
    size = -(-len(rows) // MOST_POINTS)
    return [
        max(range(begin, min(begin + size, len(rows))), key=lambda place: sum(rows[place]))
        for begin in range(0, len(rows), size)
    ]


def _differences(values: Sequence[int]) -> list[int]:
    return [value - before for before, value in zip([0, *values[:-1]], values, strict=True)]
