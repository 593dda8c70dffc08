"""Launches that were sampled one by one, and the same launches as the anatomy pass traced them.

A sampler that runs each kernel alone numbers the launches of its range; the traced window of the same step
lists the kernels that it launched. The k-th is the k-th, as long as both did the same: where they differ in
count or in a name, nothing is matched, and a check says where.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

from llmflame.analysis.kernel_name import short_kernel_name
from llmflame.analysis.stalls.counts import StallCounts, launches, stall_windows
from llmflame.store.profile import Profile
from llmflame.store.rows import WindowRow


@dataclass(frozen=True, slots=True)
class Aligned:
    """A sampled step and the traced window of the same step."""

    window: WindowRow
    launches: int
    """Of kernels, as traced; 0 where no window of this step was traced."""
    sampled: int
    """Of those, how many had samples."""
    refused: str | None
    """Why nothing is matched, in words."""
    weights: Mapping[int, Mapping[str, float]] = field(default_factory=dict)
    """By node of the profile, by reason: time of its launches that had samples. Empty where refused."""


@dataclass(frozen=True, slots=True)
class _Traced:
    node: int
    name: str
    took_ns: int


def aligned_steps(profile: Profile) -> list[Aligned]:
    """Every step whose launches were told apart, in order."""
    return [_aligned(profile, window) for window in stall_windows(profile) if window.step is not None]


def _aligned(profile: Profile, window: WindowRow) -> Aligned:
    traced = _traced(profile, window)
    found = list(launches(profile, window))
    if traced is None:
        why = f"the anatomy pass traced no window of {window.label}"
        return Aligned(window, 0, len(found), why)
    why_not = _mismatch(window, traced, found)
    if why_not:
        return Aligned(window, len(traced), len(found), why_not)
    sums: dict[int, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for number, _, counts in found:
        launch = traced[number - 1]
        for reason, share in counts.shares.items():
            # A launch of no duration still says something where it is its node's only one.
            sums[launch.node][reason] += share * max(launch.took_ns, 1)
    return Aligned(window, len(traced), len(found), None, sums)


def _traced(profile: Profile, sampled: WindowRow) -> list[_Traced] | None:
    """The kernels of the traced window of the same step, in the order of their launches."""
    window = next(
        (
            one
            for one in profile.windows
            if one.kind == "traced" and (one.span_name, one.step) == (sampled.span_name, sampled.step)
        ),
        None,
    )
    if window is None:
        return None
    works = sorted(
        (work for work in profile.device_work if work.window == window.id),
        key=lambda work: (work.launched_ns if work.launched_ns is not None else work.start_ns, work.start_ns),
    )
    frames = ((work, profile.frames[profile.nodes[work.node].frame]) for work in works)
    return [
        _Traced(work.node, frame.name, work.end_ns - work.start_ns)
        for work, frame in frames
        if frame.kind == "kernel"
    ]


def _mismatch(
    window: WindowRow, traced: list[_Traced], found: list[tuple[int, str, StallCounts]]
) -> str | None:
    last = max((number for number, _, _ in found), default=0)
    count = window.events if window.events is not None else last
    if count != len(traced) and (window.events is not None or last > len(traced)):
        return f"{window.label} launched {count:,} kernels when sampled and {len(traced):,} when traced"
    for number, name, _ in found:
        if traced[number - 1].name != name:
            return (
                f"launch {number:,} of {window.label} was {short_kernel_name(name)} when sampled "
                f"and {short_kernel_name(traced[number - 1].name)} when traced"
            )
    return None
