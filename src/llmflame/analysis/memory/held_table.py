"""The bytes of one phase's peak as the rows of a tree."""

from __future__ import annotations

from dataclasses import replace

from llmflame.analysis.memory.composition import Composition, compositions
from llmflame.analysis.memory.held_tree import METRIC, held_tree
from llmflame.analysis.phases import GENERATION
from llmflame.analysis.tables import Table, check_phases
from llmflame.analysis.tree_table import TreeLimits, tree_table
from llmflame.errors import UsageError
from llmflame.store.profile import Profile
from llmflame.units import human_bytes


def held_table(
    profile: Profile, limits: TreeLimits, phases: tuple[str, ...] = (), *, all_frames: bool = False
) -> Table:
    """Of the phase that is asked for, by default the phase of a request's highest peak; of the device where
    it has a peak, else of the host. Raises UsageError where nobody counted, or where it is not one phase."""
    found = compositions(profile)
    if not found:
        raise UsageError("this profile has no tree of bytes: nobody counted who holds the memory in it")
    check_phases(phases, list(dict.fromkeys(one.phase for one in found)))
    if len(phases) > 1:
        raise UsageError("--metric bytes shows the peak of one phase: name one --phase")
    chosen = _chosen(found, phases)
    tree = held_tree(profile, chosen, all_frames=all_frames)
    note = (
        f"By the bytes held at the {chosen.space}'s peak in {chosen.phase}: "
        f"{human_bytes(chosen.peak_bytes)} as measured."
    )
    return replace(tree_table(tree, limits, (), METRIC[chosen.space]), notes=(note,))


def _chosen(found: list[Composition], phases: tuple[str, ...]) -> Composition:
    wanted = phases or GENERATION
    here = [one for one in found if one.phase in wanted] or found
    on_device = [one for one in here if one.space == "device"] or here
    # Of equal peaks the later one: it has the longer cache.
    return max(reversed(on_device), key=lambda one: one.peak_bytes)
