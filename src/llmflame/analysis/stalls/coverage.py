"""How much of what was sampled belongs to known kernels, how much of the device's time is explained, and what
sampling cost and lost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from llmflame.analysis.stalls.counts import StallCounts, counts_by_kernel, function_windows
from llmflame.analysis.stalls.reasons import GROUPS, Group
from llmflame.analysis.tree import Tree
from llmflame.store import metrics
from llmflame.store.model import FrameKind
from llmflame.store.profile import Profile

PROBE = "stalls"


@dataclass(frozen=True, slots=True)
class StallCoverage:
    """Of one phase."""

    phase: str
    samples: int
    """In functions with a name: without dropped and hidden ones."""
    attributed: int
    """Of those, in kernels that the anatomy pass saw in this phase."""
    busy_ns: float
    """Device time of the phase's kernels, copies and fills, as the anatomy pass has it."""
    explained_ns: float
    """Of that, in kernels with samples. Copies and fills have no instructions to be sampled."""
    groups_ns: Mapping[Group, float]
    """Device time of the kernels with samples, divided by their own shares, over all of them."""
    dropped: int
    hidden: int
    """In kernels that the vendor shows nothing of."""
    buffer_full: bool
    """The hardware's buffer ran full: an unknown number of samples is missing."""
    cost: float | None
    """What a sampled phase took more than one without, as a share of that; None where it was not measured."""
    unknown_kernels: tuple[str, ...]
    """Sampled kernels that the anatomy pass did not see, those with the most samples first."""

    @property
    def attributed_share(self) -> float | None:
        """Of the samples in functions with a name."""
        return self.attributed / self.samples if self.samples else None

    @property
    def explained_share(self) -> float | None:
        """Of the device's time."""
        return self.explained_ns / self.busy_ns if self.busy_ns else None


def stall_coverage(profile: Profile, tree: Tree) -> list[StallCoverage]:
    """By sampled phase. `tree` is the run's, without stalls."""
    seen, copied = (_device_times(tree, kind) for kind in ("kernel", "copy"))
    sampled = counts_by_kernel(profile)
    found = []
    for phase in dict.fromkeys(window.span_name for window in function_windows(profile)):
        counts = {name: own.samples for name, own in sampled.get(phase, {}).items() if own.samples}
        times = seen.get(phase, {})
        unknown = sorted((name for name in counts if name not in times), key=lambda name: -counts[name])
        windows = [one for one in function_windows(profile) if one.span_name == phase]
        found.append(
            StallCoverage(
                phase,
                sum(counts.values()),
                sum(own for name, own in counts.items() if name in times),
                sum(times.values()) + sum(copied.get(phase, {}).values()),
                sum(took for name, took in times.items() if name in counts),
                _groups(sampled.get(phase, {}), times),
                sum(window.dropped or 0 for window in windows),
                int(sum(_report(profile, f"{window.label}: hidden") or 0 for window in windows)),
                any(_report(profile, f"{window.label}: buffer full") for window in windows),
                _cost(profile, phase),
                tuple(unknown),
            )
        )
    return found


def _groups(kernels: Mapping[str, StallCounts], times: Mapping[str, float]) -> dict[Group, float]:
    sums: dict[Group, float] = {}
    for name, counts in kernels.items():
        for group, (samples, _) in counts.by_group().items():
            sums[group] = sums.get(group, 0.0) + times.get(name, 0.0) * samples / counts.samples
    return {group: sums[group] for group in GROUPS if sums.get(group)}


def _report(profile: Profile, name: str) -> float | None:
    return next((one.value for one in profile.probe_reports if (one.probe, one.name) == (PROBE, name)), None)


def _cost(profile: Profile, phase: str) -> float | None:
    """The median over pairs of requests where that was reported, else the ratio of the two medians."""
    ratio = _report(profile, f"{phase}: sampled over clean")
    if ratio is not None:
        return ratio - 1
    clean, sampled = (_report(profile, f"{phase}: {which} wall") for which in ("clean", "sampled"))
    return sampled / clean - 1 if clean and sampled else None


def _device_times(tree: Tree, kind: FrameKind) -> Mapping[str, Mapping[str, float]]:
    """By phase and name of a kernel or copy: device time."""
    device = tree.selfs.get(metrics.DEVICE.name, [0.0] * len(tree))
    wanted = [frame.kind == kind for frame in tree.frames]
    found: dict[str, dict[str, float]] = {}
    for took, phase, frame in zip(device, tree.phases(), tree.node_frames, strict=True):
        if wanted[frame]:
            times = found.setdefault(phase, {})
            name = tree.frames[frame].name
            times[name] = times.get(name, 0.0) + took
    return found
