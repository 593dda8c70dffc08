"""Why kernels wait, of two runs: by group, by kernel and by reason. Needs no kernel to be in both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from llmflame.analysis.run_tree import RunTree
from llmflame.analysis.stalls.breakdown import stall_breakdown
from llmflame.analysis.stalls.reasons import GROUPS, Group, group_of
from llmflame.store.profile import Profile


@dataclass(frozen=True, slots=True)
class StallAmount:
    """Device time that belongs to a group or reason by the shares of its kernels' samples."""

    phase: str
    kernel: str | None
    """None for the whole phase."""
    group: Group
    reason: str | None
    """None for the whole group."""
    a_ns: float
    b_ns: float
    a_share: float
    """Of the device time of the kernel, or of the phase's sampled kernels."""
    b_share: float

    @property
    def change_ns(self) -> float:
        """More than nothing where B has more."""
        return self.b_ns - self.a_ns


@dataclass(frozen=True, slots=True)
class StallComparison:
    """What is different in how kernels wait. Empty where one of the runs has no stalls."""

    missing: Literal["a", "b"] | None
    """Which run has none, where the other one has."""
    groups: tuple[StallAmount, ...]
    """By phase, in the groups' order."""
    kernels: tuple[StallAmount, ...]
    """By kernel and reason, the largest changes first."""


_Times = Mapping[tuple[str, str, str], float]
"""By phase, kernel and reason: device time."""


def compare_stalls(before: Profile, after: Profile, runs: tuple[RunTree, RunTree]) -> StallComparison | None:
    """None where neither run has stalls."""
    times = [_times(profile, run) for profile, run in zip((before, after), runs, strict=True)]
    if not all(times):
        return StallComparison("a" if times[1] else "b", (), ()) if any(times) else None
    a, b = times
    wholes = [_wholes(side) for side in (a, b)]
    kernels = [_amount(key, (a, b), wholes) for key in sorted({*a, *b})]
    ranked = sorted(
        kernels, key=lambda one: (-abs(one.change_ns), one.phase, one.kernel or "", one.reason or "")
    )
    return StallComparison(None, tuple(_groups(a, b)), tuple(ranked))


def _times(profile: Profile, run: RunTree) -> _Times:
    return {
        (one.phase, one.name, reason): one.share_ns(reason)
        for one in (stall_breakdown(profile, run.tree) if profile.stalls else ())
        for reason in one.by_reason
        if one.device_ns
    }


def _wholes(times: _Times) -> dict[tuple[str, str], float]:
    """By phase and kernel: device time."""
    sums: dict[tuple[str, str], float] = {}
    for (phase, kernel, _), own in times.items():
        sums[phase, kernel] = sums.get((phase, kernel), 0.0) + own
    return sums


def _amount(
    key: tuple[str, str, str], sides: Sequence[_Times], wholes: Sequence[Mapping[tuple[str, str], float]]
) -> StallAmount:
    phase, kernel, reason = key
    parts = [side.get(key, 0.0) for side in sides]
    shares = _shares(parts, [whole.get((phase, kernel), 0.0) for whole in wholes])
    return StallAmount(phase, kernel, group_of(reason), reason, *parts, *shares)


def _groups(a: _Times, b: _Times) -> list[StallAmount]:
    found = []
    for phase in dict.fromkeys(phase for phase, _, _ in (*a, *b)):
        wholes = [sum(own for (of, _, _), own in side.items() if of == phase) for side in (a, b)]
        for group in GROUPS:
            parts = [
                sum(own for (of, _, reason), own in side.items() if of == phase and group_of(reason) == group)
                for side in (a, b)
            ]
            if any(parts):
                found.append(StallAmount(phase, None, group, None, *parts, *_shares(parts, wholes)))
    return found


def _shares(parts: list[float], wholes: list[float]) -> list[float]:
    return [part / whole if whole else 0.0 for part, whole in zip(parts, wholes, strict=True)]
