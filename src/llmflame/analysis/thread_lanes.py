"""What the host's threads did when, beside what the main thread did in a traced window.

Where the tracer saw them they are traced; where the sampler did, in the cold start, each stay is as long as
the samples that found the thread there speak for. Neither is ever added to wall time.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from llmflame.store.observed import Stay
from llmflame.store.profile import Profile
from llmflame.store.rows import MAIN_THREAD, SpanRow, ThreadRow, WindowRow

Key = tuple[bool, int | None, str | None]
"""Is it the main thread, the system's number, the name."""


@dataclass(frozen=True, slots=True)
class ThreadLane:
    """One thread: where it was, in order. Gaps are times of which nothing is known."""

    label: str
    """Its name, with the system's number where several have that name, or without a name."""
    stays: tuple[Stay, ...]
    is_main: bool = False

    @property
    def busy_ns(self) -> int:
        """Time in known frames."""
        return sum(end - start for _, start, end in self.stays)


def traced_lanes(profile: Profile) -> dict[int, list[ThreadLane]]:
    """By traced window: its threads but the main one, of which `slice` tells."""
    traced = {row.id for row in profile.windows if row.kind == "traced"}
    stays = _stays(profile)
    found: dict[int, list[ThreadLane]] = {}
    for window, threads in _by_window(profile).items():
        if window in traced:
            found[window] = _lanes({_key(row): stays[window, row.number] for row in threads})
    return found


def sampled_lanes(profile: Profile, phases: Iterable[str] | None = None) -> list[ThreadLane]:
    """The threads that were sampled in the cold start, the main one first; times are since the run's start.

    Of certain `phases`, or of all.
    """
    wanted = None if phases is None else set(phases)
    threads, stays = _by_window(profile), _stays(profile)
    joined: dict[Key, list[Stay]] = defaultdict(list)
    for row in profile.windows:
        span = _sampled_span(profile, row)
        if span is None or (wanted is not None and row.span_name not in wanted):
            continue
        begin = span.start_ns
        for thread in threads.get(row.id, ()):
            joined[_key(thread)] += [
                (node, begin + start, begin + end) for node, start, end in stays[row.id, thread.number]
            ]
    return _lanes(joined)


def _by_window(profile: Profile) -> dict[int, list[ThreadRow]]:
    found: dict[int, list[ThreadRow]] = defaultdict(list)
    for row in profile.threads:
        found[row.window].append(row)
    return found


def _stays(profile: Profile) -> dict[tuple[int, int], list[Stay]]:
    """By window and thread: its stays within the window."""
    walls = {row.id: row.wall_ns for row in profile.windows}
    found: dict[tuple[int, int], list[Stay]] = defaultdict(list)
    for window, thread, _, node, start, end in profile.thread_slices:
        found[window, thread].append((node, max(start, 0), min(end, walls[window])))
    return found


def _sampled_span(profile: Profile, row: WindowRow) -> SpanRow | None:
    if row.kind != "sampled":
        return None
    for span in profile.spans:
        if (span.pass_name, span.name, span.repetition) == (row.pass_name, row.span_name, None):
            return span
    return None


def _key(row: ThreadRow) -> Key:
    return row.number == MAIN_THREAD, row.native_id, row.name


def _lanes(threads: dict[Key, list[Stay]]) -> list[ThreadLane]:
    """Named so that no two are called the same."""
    names = Counter(name for _, _, name in threads)
    lanes = []
    for place, ((is_main, native_id, name), stays) in enumerate(threads.items(), start=1):
        number = native_id if native_id is not None else place
        if is_main:
            label = "main thread"
        elif not name:
            label = f"thread {number}"
        else:
            label = name if names[name] == 1 else f"{name} ({number})"
        if stays:
            lanes.append(ThreadLane(label, tuple(_in_order(stays)), is_main))
    return sorted(lanes, key=lambda lane: not lane.is_main)


def _in_order(stays: Iterable[Stay]) -> list[Stay]:
    """Each from where the one before it ends."""
    found: list[Stay] = []
    free = None
    for node, start, end in sorted(stays, key=lambda stay: stay[1]):
        begin = start if free is None else max(start, free)
        if end > begin:
            found.append((node, begin, end))
            free = end
    return found
