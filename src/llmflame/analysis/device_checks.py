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
    """The checks of the anatomy pass, and what kept a GPU from being seen; empty where none was to be."""
    sums: dict[str, float] = {}
    for report in profile.probe_reports:
        if report.probe == PROBE:
            before, value = sums.get(report.name, 0.0), report.value or 0.0
            sums[report.name] = max(before, value) if report.name == SKEW else before + value
    found = [check for check in (_used(profile), _seen(profile), _alone(profile)) if check is not None]
    if sums:
        found += [_launches(sums), _listed(sums), _clocks(sums), _allocator(sums), _beyond(run)]
    return found


def _used(profile: Profile) -> Check | None:
    """A GPU that the driver counts and torch can't use is worth a word: the run was on the CPU."""
    count = next((f.value for f in profile.machine if (f.section, f.name) == ("gpu", "GPUs")), None)
    why = profile.subject.get("cuda_unusable")
    if not isinstance(count, int) or not count or not why:
        return None
    return Check(
        "GPU used", False, f"torch can use none of this machine's {count} GPU(s), it ran on the CPU: {why}"
    )


def _seen(profile: Profile) -> Check | None:
    """On a CUDA device, a traced step without a kernel is one that the tracer was not shown."""
    steps = [window for window in profile.windows if window.kind == "traced" and window.step is not None]
    if not _device(profile).startswith("cuda") or not steps or profile.device_work:
        return None
    words = (
        "no kernel was recorded: CUPTI is not available here, or another profiler (nsys, ncu, DCGM) holds "
        "it; wall time is the host's alone"
    )
    return Check("kernels", False, words)


def _alone(profile: Profile) -> Check | None:
    known = {(fact.section, fact.name): fact.value for fact in profile.machine}
    if not _device(profile).startswith("cuda") or known.get(("gpu", "GPUs")) != 1:
        return None  # of several, the driver's first needn't be torch's
    section = "gpu 0"
    for fact in profile.machine:
        if (fact.section, fact.name) == (section, "other processes") and isinstance(fact.value, int):
            if not fact.value:
                return Check("alone on the GPU", True, "no other process used the GPU when recording began")
            words = (
                f"{fact.value} other process(es) used the GPU when recording began: times may be theirs too"
            )
            return Check("alone on the GPU", False, words)
    return None


def _device(profile: Profile) -> str:
    return str(profile.subject.get("device") or "cpu")


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
    whole = sum(sum(phase.columns.get("device_ns", {}).values()) for phase in run.phases)
    share = beyond / whole if whole else 0.0
    words = f"{percent(share)} of the device's time ends after the step that launched it"
    return Check("device time in its step", share <= BEYOND_SHARE, words)
