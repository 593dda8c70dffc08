"""Memory over the clean pass as the page draws it: step functions on shared instants, stacked, and few.

A chart's layers add up to what is known of its space: of the host the resident set, of a device what is in
use, of which what is reserved is a part, of which what is allocated is a part.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from llmflame.analysis.memory.series import EMPTY, Series, series
from llmflame.analysis.phases import ORDER, REQUEST_PHASES
from llmflame.store.profile import Profile
from llmflame.store.rows import Space, SpanRow

MOST_POINTS = 1_500
"""Of a series: more than a screen has columns for."""
NS_PER_US = 1_000

HOST = {
    "anonymous": "anonymous_bytes",
    "file-backed": "file_bytes",
    "shared or pinned": "shared_bytes",
}
DEVICE = (
    "allocated",
    "reserved, not allocated",
    "in use beyond the allocator",
    "in use, not told apart",
)
"""The last: the driver was asked, but the allocator not yet."""


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
    end = max((band.start_ns + band.wall_ns for band in bands(profile)), default=None)
    host = {label: gauges[name] for label, name in HOST.items() if name in gauges}
    times = _instants(host.values(), end)
    rows = [[round(one.at(time) or 0) for one in host.values()] for time in times]
    found = [_curves("host", list(host), times, rows)]
    device = [
        _allocated(profile, gauges),
        gauges.get("device_reserved_bytes", EMPTY),
        gauges.get("device_used_bytes", EMPTY),
    ]
    times = _instants(device, end)
    rows = [_device_layers(*(one.at(time) for one in device)) for time in times]
    told = [layer for layer in range(len(DEVICE)) if any(row[layer] for row in rows)]
    labels = [DEVICE[layer] for layer in told]
    found.append(_curves("device", labels, times, [[row[layer] for layer in told] for row in rows]))
    return [one for one in found if one.times_ns and one.labels]


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


def _curves(
    space: Space, labels: Sequence[str], times: Sequence[int], rows: Sequence[Sequence[int]]
) -> Curves:
    kept = _thinned(rows)
    layers = [[rows[place][layer] for place in kept] for layer in range(len(labels))]
    return Curves(space, labels, [times[place] for place in kept], layers)


def _allocated(profile: Profile, gauges: Mapping[str, Series]) -> Series:
    """What the allocator said between requests, and whenever a phase or a step ended."""
    asked = gauges.get("device_allocated_bytes", EMPTY)
    found = {
        span.start_ns + span.wall_ns: float(span.device_bytes)
        for span in profile.spans
        if span.pass_name == "clean" and span.device_bytes is not None
    } | dict(zip(asked.times_ns, asked.values, strict=True))
    times = sorted(found)
    return Series(times, [found[time] for time in times])


def _device_layers(allocated: float | None, reserved: float | None, used: float | None) -> list[int]:
    """The readings are of different instants, so that what holds another may be seen to be less: then it
    adds nothing."""
    low = round(allocated or 0)
    middle = max(round(reserved or 0), low)
    rest = max(round(used or 0) - middle, 0)
    return [low, middle - low, *((0, rest) if reserved is None else (rest, 0))]


def _instants(known: Iterable[Series], end_ns: int | None) -> list[int]:
    times = {time for one in known for time in one.times_ns}
    return sorted(time for time in times if end_ns is None or time <= end_ns)


def _thinned(rows: Sequence[Sequence[int]]) -> list[int]:
    """Of each few readings in a row, the place of the highest: no peak is lost."""
    size = max(1, -(-len(rows) // MOST_POINTS))
    return [
        max(range(begin, min(begin + size, len(rows))), key=lambda place: sum(rows[place]))
        for begin in range(0, len(rows), size)
    ]


def _differences(values: Sequence[int]) -> list[int]:
    return [value - before for before, value in zip([0, *values[:-1]], values, strict=True)]
