"""Does the recording's account of the device agree with itself? A mismatch is told, never hidden."""

from __future__ import annotations

from dataclasses import dataclass

from llmflame.analysis.run_tree import RunTree
from llmflame.store.profile import Profile
from llmflame.units import human_bytes, human_time_ns, percent

PROBE = "device checks"
SKEW = "largest clock skew"
"""The one report that is a maximum, not a sum."""
BEYOND_SHARE = 0.01
"""Of the device's time that may end after the step that launched it, before it is worth a word."""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that should hold. `passed` is None where it could not be looked at."""

    name: str
    passed: bool | None
    words: str


def device_checks(profile: Profile, run: RunTree) -> list[Check]:
    """The checks of the anatomy pass; empty where no device worked."""
    sums: dict[str, float] = {}
    for report in profile.probe_reports:
        if report.probe == PROBE:
            before, value = sums.get(report.name, 0.0), report.value or 0.0
            sums[report.name] = max(before, value) if report.name == SKEW else before + value
    if not sums:
        return []
    return [
        _launches(sums),
        _listed(sums),
        _clocks(sums),
        _allocator(sums),
        _beyond(run),
    ]


def _launches(sums: dict[str, float]) -> Check:
    launches, lost = sums.get("launches", 0.0), sums.get("launches without work", 0.0)
    orphans = sums.get("work without launch", 0.0)
    words = f"{launches:,.0f} launches, {sums.get('work on the tree', 0.0):,.0f} kernels, copies and fills"
    if lost:
        words += f"; {lost:,.0f} launches lost their work"
    if orphans:
        words += f"; {orphans:,.0f} ran without a known launch"
    return Check("launches", not lost and not orphans, words)


def _listed(sums: dict[str, float]) -> Check:
    listed, placed = sums.get("work listed", 0.0), sums.get("work on the tree", 0.0)
    words = f"{placed:,.0f} of the {listed:,.0f} that the tracer listed hang on the tree"
    return Check("work on the tree", listed == placed, words)


def _clocks(sums: dict[str, float]) -> Check:
    early = sums.get("work before its launch", 0.0)
    skew = human_time_ns(sums.get(SKEW, 0.0))
    if not early:
        return Check("clocks", True, "no work began before its launch")
    return Check("clocks", False, f"{early:,.0f} works began before their launch, by up to {skew}")


def _allocator(sums: dict[str, float]) -> Check:
    off = sums.get("allocator imbalance")
    if off is None:
        return Check("allocator", None, "the allocator's own counter was not read")
    if not off:
        return Check("allocator", True, "allocated less freed is what the allocator says")
    return Check(
        "allocator", False, f"allocated less freed differs by {human_bytes(off)} from the allocator's counter"
    )


def _beyond(run: RunTree) -> Check:
    beyond = sum(phase.beyond_ns for phase in run.phases)
    whole = sum(cells.get("device_ns", 0.0) for phase in run.phases for cells in phase.values.values())
    share = beyond / whole if whole else 0.0
    words = f"{percent(share)} of the device's time ends after the step that launched it"
    return Check("device time in its step", share <= BEYOND_SHARE, words)
