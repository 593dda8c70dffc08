"""Each kernel of a phase with why its warps waited, its device time, and what it is bound by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from llmflame.analysis.ceiling import ceilings
from llmflame.analysis.stalls.bound import MIN_SAMPLES, Bound, Dominant, bound_of, dominant_of, knows_lost
from llmflame.analysis.stalls.counts import StallCounts, counts_by_kernel
from llmflame.analysis.stalls.position import Position, positions
from llmflame.analysis.tree import Tree
from llmflame.store.profile import Profile


@dataclass(frozen=True, slots=True)
class KernelStalls:
    """A kernel in one phase: all functions of its name together."""

    name: str
    phase: str
    counts: StallCounts
    device_ns: float
    """Of the phase, as the run's tree has it; 0 where the anatomy pass did not see the kernel."""
    calls: float
    position: Position
    """Against the ceilings; of nothing where they or the kernel's work are not known."""
    bound: Bound | None
    """None where there are too few samples, or the ceilings would be needed and are not known."""
    dominant: Dominant | None
    """What its time goes into most; None where there are too few samples."""

    @property
    def samples(self) -> int:
        """All samples."""
        return self.counts.samples

    @property
    def not_issued(self) -> int:
        """Those in which the scheduler issued nothing."""
        return self.counts.not_issued

    @property
    def by_reason(self) -> Mapping[str, tuple[int, int]]:
        """By reason: samples, and those of them in which nothing was issued."""
        return self.counts.by_reason

    @property
    def lost_share(self) -> float | None:
        """The share of samples in which the scheduler issued nothing; None where nobody counted that."""
        return self.not_issued / self.samples if self.samples and knows_lost(self.counts) else None

    def share_ns(self, reason: str) -> float:
        """The part of the kernel's device time that a reason has of its samples."""
        samples, _ = self.by_reason.get(reason, (0, 0))
        return self.device_ns * samples / self.samples if self.samples else 0.0


def stall_breakdown(profile: Profile, tree: Tree, phase: str | None = None) -> list[KernelStalls]:
    """The sampled kernels of a phase, or of all, by device time. `tree` is the run's, without stalls."""
    seen = positions(tree)
    limits = ceilings(profile).best
    found = []
    for name_of_phase, kernels in counts_by_kernel(profile).items():
        if phase is not None and name_of_phase != phase:
            continue
        for name, counts in kernels.items():
            position = seen.get((name_of_phase, name), Position(0.0, 0.0, 0.0, 0.0, 0.0)).against(limits)
            enough = counts.samples >= MIN_SAMPLES
            found.append(
                KernelStalls(
                    name,
                    name_of_phase,
                    counts,
                    position.device_ns,
                    position.calls,
                    position,
                    bound_of(counts, position) if enough else None,
                    dominant_of(counts) if enough else None,
                )
            )
    return sorted(found, key=lambda one: (-one.device_ns, -one.samples, one.phase, one.name))
