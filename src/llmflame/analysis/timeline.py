"""One traced step as it would have gone undisturbed: what the host did when, and what the device did then.

The tracer slows the host several times over and the device not at all, so the traced step itself shows a
device that waits far more than it does. Here the host's slices are stretched to their undisturbed times
(`scale`), and the device's work is queued again behind the calls that launched it: each stream in order, each
piece of work for as long as the device took.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

from llmflame.store.rows import DeviceWorkRow, SliceRow


@dataclass(frozen=True, slots=True)
class Work:
    """A kernel, copy or fill, tied to the slice in which it was launched."""

    node: int
    stream: int
    slice: int
    """Index of the slice that launched it."""
    within: float
    """How far into that slice the launching call began, 0 to 1."""
    latency_ns: float
    """From the beginning of the launching call to the start on a free device."""
    duration_ns: float


@dataclass(frozen=True, slots=True)
class Slice:
    """A stretch of the host's time in one frame."""

    node: int
    host_ns: float
    """What the host does by itself, undisturbed."""
    bound_ns: float
    """What it waited for the device beyond that, as fitted to the undisturbed step."""
    waits_for: tuple[int, ...] = ()
    """The works that the call waits for: indices; empty with `waits_for_all` for all launched before."""
    waits_for_all: bool = False


@dataclass(frozen=True, slots=True)
class Timeline:
    """A step: slices in order, works in the order of their launches."""

    slices: tuple[Slice, ...]
    works: tuple[Work, ...]
    pace: float = 1.0
    """How many times as long as in the traced step the device's work took undisturbed: see `fitting`."""

    @property
    def wall_ns(self) -> float:
        """The step's undisturbed length."""
        return sum(piece.host_ns + piece.bound_ns for piece in self.slices)


@dataclass(frozen=True, slots=True)
class Traced:
    """A window's timeline as the tracer saw it, before any scaling."""

    slices: Sequence[SliceRow]
    works: Sequence[DeviceWorkRow]
    wall_ns: int

    def slice_ns(self, number: int) -> int:
        """How long a slice lasted."""
        end = self.slices[number + 1].start_ns if number + 1 < len(self.slices) else self.wall_ns
        return max(end - self.slices[number].start_ns, 0)

    def launches(self) -> list[int | None]:
        """By work, the slice in which its launching call began."""
        starts = [piece.start_ns for piece in self.slices]
        return [
            None if work.launched_ns is None else max(bisect_right(starts, work.launched_ns) - 1, 0)
            for work in self.works
        ]


COVERED = 0.9
"""A launching call that goes on for this share of its own work waited for it; an asynchronous one returns
about when its work starts."""


def blocking(traced: Traced) -> dict[int, float]:
    """By slice: nanoseconds in which a launching call waited for its own work (a pageable copy, or any launch
    under CUDA_LAUNCH_BLOCKING=1), and for what lay before it on its stream."""
    latencies = _latencies(traced)
    usual = _usual_ns(latencies)
    covered: dict[int, bool] = {}
    since: dict[int, float] = {}
    for number, work, latency in zip(traced.launches(), traced.works, latencies, strict=True):
        if number is None or work.launched_ns is None:
            continue
        queued = latency is None
        begin = min(work.start_ns, work.launched_ns + usual) if queued else work.start_ns
        end = traced.slices[number].start_ns + traced.slice_ns(number)
        overlap = min(end, work.end_ns) - work.start_ns
        whole = overlap > COVERED * (work.end_ns - work.start_ns)
        covered[number] = covered.get(number, True) and whole
        since[number] = min(since.get(number, begin), begin)
    found = {}
    for number, waited in covered.items():
        if waited:
            piece = traced.slices[number]
            length = traced.slice_ns(number)
            found[number] = float(min(max(piece.start_ns + length - since[number], 0), length))
    return found


def build(
    traced: Traced,
    *,
    host_ns: Callable[[int], float],
    bound_ns: Callable[[int], float],
    is_wait: Callable[[int], bool],
) -> Timeline:
    """The undisturbed timeline. `host_ns` and `bound_ns` give each slice's times by its index, `is_wait` says
    by node whether its frame is a wait for the device."""
    launches = traced.launches()
    blocked = blocking(traced)
    works: list[Work] = []
    owned: dict[int, list[int]] = {}
    latencies = _latencies(traced)
    usual = _usual_ns(latencies)
    order = sorted(range(len(traced.works)), key=lambda n: (launches[n] or 0, traced.works[n].start_ns))
    for index in order:
        row, number = traced.works[index], launches[index]
        if number is None:
            number, within = 0, 0.0  # a launch that nobody saw: as early as the window
        else:
            length = traced.slice_ns(number)
            within = ((row.launched_ns or 0) - traced.slices[number].start_ns) / length if length else 0.0
        latency = latencies[index]
        works.append(
            Work(
                row.node,
                row.stream,
                number,
                min(max(within, 0.0), 1.0),
                usual if latency is None else latency,
                float(row.end_ns - row.start_ns),
            )
        )
        if number in blocked:
            owned.setdefault(number, []).append(len(works) - 1)
    slices = [
        Slice(
            piece.node,
            host_ns(number),
            bound_ns(number),
            tuple(owned.get(number, ())),
            waits_for_all=is_wait(piece.node),
        )
        for number, piece in enumerate(traced.slices)
    ]
    return Timeline(tuple(slices), tuple(works))


def _usual_ns(latencies: Sequence[float | None]) -> float:
    return median(known) if (known := [one for one in latencies if one is not None]) else 0.0


def _latencies(traced: Traced) -> list[float | None]:
    """From launch to start, of each work that found its stream free; None of the others."""
    free: dict[int, int] = {}
    found: list[float | None] = [None] * len(traced.works)
    for index in sorted(range(len(traced.works)), key=lambda n: traced.works[n].start_ns):
        work = traced.works[index]
        if work.launched_ns is not None and free.get(work.stream, work.launched_ns) <= work.launched_ns:
            found[index] = float(max(work.start_ns - work.launched_ns, 0))
        free[work.stream] = max(free.get(work.stream, 0), work.end_ns)
    return found


def usual_residue_ns(traced: Traced, is_wait: Callable[[int], bool]) -> float:
    """How long a wait of the traced step went on after the device was done: the median; 0 without any."""
    found: list[float] = []
    works = sorted(traced.works, key=lambda work: work.launched_ns or 0)
    done, number = 0, 0
    for index, piece in enumerate(traced.slices):
        end = piece.start_ns + traced.slice_ns(index)
        while number < len(works) and (works[number].launched_ns or 0) < end:
            done = max(done, works[number].end_ns)
            number += 1
        if is_wait(piece.node):
            found.append(float(max(end - max(piece.start_ns, done), 0)))
    return median(found) if found else 0.0
