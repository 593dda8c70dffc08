"""When a traced window's device had nothing to do, and what the host did meanwhile.

As traced: the tracer slows the host and not the device, so these gaps are longer than undisturbed ones, which
`idle` tells. They show where a step's gaps are, not how much they cost.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from llmflame.analysis.idle import Cause, cause_of
from llmflame.store.profile import Profile
from llmflame.store.rows import DeviceWorkRow, SliceRow, WindowRow


@dataclass(frozen=True, slots=True)
class Gap:
    """A stretch without device work and with one cause. Nanoseconds since the window opened."""

    start_ns: int
    end_ns: int
    cause: Cause


def idle_gaps(
    profile: Profile, row: WindowRow, slices: Sequence[SliceRow], works: Sequence[DeviceWorkRow]
) -> list[Gap]:
    """In order of time; with the works' union they add up to the window. Empty where no device worked."""
    if not works or not slices:
        return []
    found: list[Gap] = []
    edges = [*(piece.start_ns for piece in slices[1:]), row.wall_ns]
    place = 0
    for begin, end in _unused(works, row.wall_ns):
        now = begin
        while now < end:
            while place < len(edges) - 1 and edges[place] <= now:
                place += 1
            until = min(edges[place], end) if edges[place] > now else end
            frame = profile.frames[profile.nodes[slices[place].node].frame]
            cause = cause_of(frame, row.span_name)
            last = found[-1] if found else None
            if last is not None and last.end_ns == now and last.cause == cause:
                found[-1] = Gap(last.start_ns, until, cause)
            else:
                found.append(Gap(now, until, cause))
            now = until
    return found


def _unused(works: Sequence[DeviceWorkRow], wall_ns: int) -> Iterator[tuple[int, int]]:
    """The stretches of a window in which no stream works."""
    free = 0
    for work in sorted(works, key=lambda work: work.start_ns):
        if work.start_ns > free:
            yield free, min(work.start_ns, wall_ns)
        free = max(free, work.end_ns)
        if free >= wall_ns:
            return
    if free < wall_ns:
        yield free, wall_ns
