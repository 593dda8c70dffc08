"""Of which windows it is known what threads did when, and why not of the others."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from llmflame.store.profile import Profile
from llmflame.store.rows import WindowRow, slices_left_out, thread_slices_left_out


@dataclass(frozen=True, slots=True)
class Unkept:
    """Windows without slices, in order of the run. Those without the main thread's are traced ones."""

    too_many: tuple[WindowRow, ...]
    """The recording left theirs out: together they were too many."""
    unknown: tuple[WindowRow, ...]
    """The recording doesn't say: older releases kept slices only where a device worked."""
    threads: tuple[WindowRow, ...]
    """Windows of which the recording left out what threads beside the main one did, or were sampled in."""


def unkept(profile: Profile) -> Unkept:
    """The windows of which the file has no slices, or none of threads that were seen."""
    kept: Collection[int] = {piece.window for piece in profile.slices}
    said = {(report.pass_name, report.name) for report in profile.probe_reports}
    without = [row for row in profile.windows if row.kind == "traced" and row.id not in kept]
    told = [(row.pass_name, slices_left_out(row)) in said for row in without]
    return Unkept(
        tuple(row for row, known in zip(without, told, strict=True) if known),
        tuple(row for row, known in zip(without, told, strict=True) if not known),
        tuple(row for row in profile.windows if (row.pass_name, thread_slices_left_out(row)) in said),
    )
