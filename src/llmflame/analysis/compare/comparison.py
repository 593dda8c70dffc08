"""Two profiles beside each other, as every view shows them."""

from __future__ import annotations

from dataclasses import dataclass

from llmflame.analysis.ceiling import ceilings
from llmflame.analysis.compare.amounts import (
    Amount,
    bands_of,
    counts,
    peaks,
    phase_figures,
    times,
)
from llmflame.analysis.compare.changes import Change, frame_changes, module_changes
from llmflame.analysis.compare.differences import Difference, differences, refusal
from llmflame.analysis.compare.figures import Figure, figures
from llmflame.analysis.compare.noise import Bands
from llmflame.analysis.compare.stalls import StallComparison, compare_stalls
from llmflame.analysis.compare.union import Union, union
from llmflame.analysis.findings import Finding, find
from llmflame.analysis.plumbing import without_plumbing
from llmflame.analysis.roofline import with_floors
from llmflame.analysis.run_tree import RunTree, build_run_tree
from llmflame.errors import UsageError
from llmflame.store.profile import Profile


@dataclass(frozen=True, slots=True)
class Comparison:
    """What is different between A (`before`) and B (`after`)."""

    before: Profile
    after: Profile
    differs: list[Difference]
    forced: str | None
    """Why the two would not have been compared."""
    figures: list[Figure]
    phases: list[Figure]
    """The wall time of each phase over its repetitions."""
    bands: Bands
    joined: Union
    times: list[Amount]
    peaks: list[Amount]
    counts: list[Amount]
    frames: list[Change]
    modules: list[Change]
    findings: tuple[list[Finding], list[Finding]]
    """Those that only A has, and those that only B has."""
    stalls: StallComparison | None
    """None where neither has stalls."""
    run: RunTree
    """B's own tree, as `llmflame show` has it."""


def compare(before: Profile, after: Profile, *, force: bool = False, all_frames: bool = False) -> Comparison:
    """Put two profiles beside each other.

    Raises UsageError where models or machines differ and `force` isn't given, or one of them has no phase.
    """
    differs = differences(before, after)
    reasons = refusal(differs)
    if reasons and not force:
        raise UsageError(f"A and B differ in their {reasons}: --unlike compares them nevertheless")
    runs = (build_run_tree(before), build_run_tree(after))
    for name, profile, run in zip("AB", (before, after), runs, strict=True):
        if len(run.tree) <= 1:
            raise UsageError(f"{name} ({profile.path}) holds no phase: there is nothing to compare")
    floors = (with_floors(run.tree, ceilings(p).best) for p, run in zip((before, after), runs, strict=True))
    joined = union(*(tree if all_frames else without_plumbing(tree) for tree in floors))
    phases = phase_figures(before, after)
    bands = bands_of(phases, joined)

    return Comparison(
        before=before,
        after=after,
        differs=differs,
        forced=reasons,
        figures=figures(before, after),
        phases=phases,
        bands=bands,
        joined=joined,
        times=times(joined, bands),
        peaks=peaks(before, after),
        counts=counts(joined),
        frames=frame_changes(joined),
        modules=module_changes(joined),
        findings=_findings((before, after), runs),
        stalls=compare_stalls(before, after, runs),
        run=runs[1],
    )


def _findings(
    profiles: tuple[Profile, Profile], runs: tuple[RunTree, RunTree]
) -> tuple[list[Finding], list[Finding]]:
    """Findings are the same where rule and scope are."""
    found = [find(profile, run) for profile, run in zip(profiles, runs, strict=True)]
    known = [{(one.name, one.scope) for one in each} for each in found]
    before, after = (
        [one for one in found[side] if (one.name, one.scope) not in known[1 - side]] for side in (0, 1)
    )
    return before, after
