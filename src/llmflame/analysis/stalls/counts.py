"""Samples of stalls by phase and kernel: what was recorded, added up."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from llmflame.analysis.stalls.reasons import GROUPS, Group, group_of
from llmflame.store.profile import Profile
from llmflame.store.rows import WindowRow

PASS = "stalls"
KIND = "stalls"

Shares = Mapping[str, float]
"""By reason: how much of something; they add up to 1. Groups in their order, in each the largest first."""


@dataclass(slots=True)
class StallCounts:
    """By reason: samples, and those of them in which the scheduler issued nothing."""

    by_reason: dict[str, tuple[int, int]] = field(default_factory=dict)

    def add(self, reason: str, samples: int, not_issued: int) -> None:
        """Count more samples of a reason."""
        before, lost = self.by_reason.get(reason, (0, 0))
        self.by_reason[reason] = before + samples, lost + not_issued

    @property
    def samples(self) -> int:
        """All of them."""
        return sum(samples for samples, _ in self.by_reason.values())

    @property
    def not_issued(self) -> int:
        """Those in which the scheduler issued nothing: its cycle was lost."""
        return sum(lost for _, lost in self.by_reason.values())

    @property
    def shares(self) -> Shares:
        """By reason: its share of all samples."""
        return in_order({reason: samples for reason, (samples, _) in self.by_reason.items()})

    def by_group(self) -> dict[Group, tuple[int, int]]:
        """The same by group, in the groups' order; groups without samples are left out."""
        sums: dict[Group, tuple[int, int]] = {}
        for group in GROUPS:
            members = [pair for reason, pair in self.by_reason.items() if group_of(reason) == group]
            if samples := sum(pair[0] for pair in members):
                sums[group] = samples, sum(pair[1] for pair in members)
        return sums


def in_order(weights: Mapping[str, float]) -> Shares:
    """Shares of what reasons weigh; those that weigh nothing are left out."""
    whole = sum(weights.values())
    order = {group: number for number, group in enumerate(GROUPS)}
    ranked = sorted(
        ((reason, weight) for reason, weight in weights.items() if weight),
        key=lambda item: (order[group_of(item[0])], -item[1], item[0]),
    )
    return {reason: weight / whole for reason, weight in ranked}


def stall_windows(profile: Profile) -> list[WindowRow]:
    """The ranges in which program counters were sampled."""
    return [window for window in profile.windows if window.kind == KIND]


def function_windows(profile: Profile) -> list[WindowRow]:
    """The ranges that tell of a phase's kernels as a whole: where launches were not told apart, else those in
    which they were."""
    windows = stall_windows(profile)
    whole = {window.span_name for window in windows if window.step is None}
    return [window for window in windows if window.step is None or window.span_name not in whole]


def counts_by_kernel(profile: Profile) -> dict[str, dict[str, StallCounts]]:
    """By phase, then by kernel as the tracer names it: functions of the same name are one kernel."""
    phases = {window.id: window.span_name for window in function_windows(profile)}
    names = {(kernel.pass_name, kernel.id): kernel.name for kernel in profile.stall_kernels}
    found: dict[str, dict[str, StallCounts]] = {}
    for row in profile.stalls:
        phase = phases.get(row.window)
        if phase is not None:
            kernels = found.setdefault(phase, {})
            counts = kernels.setdefault(names[row.pass_name, row.kernel], StallCounts())
            counts.add(row.reason, row.samples, row.not_issued)
    return found


def launches(profile: Profile, window: WindowRow) -> Iterator[tuple[int, str, StallCounts]]:
    """The launches of a range that tells them apart: number from 1, kernel and samples, in order. A launch so
    short that no sample fell into it is not among them."""
    names = {(kernel.pass_name, kernel.id): kernel.name for kernel in profile.stall_kernels}
    found: dict[tuple[int, str], StallCounts] = {}
    for row in profile.stalls:
        if row.window == window.id and row.launch:
            key = row.launch, names[row.pass_name, row.kernel]
            found.setdefault(key, StallCounts()).add(row.reason, row.samples, row.not_issued)
    for (number, name), counts in sorted(found.items(), key=lambda item: item[0]):
        yield number, name, counts
