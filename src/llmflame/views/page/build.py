"""From a profile to what its page shows."""

from __future__ import annotations

from dataclasses import replace

from llmflame.analysis.ceiling import ceilings
from llmflame.analysis.compare.comparison import compare
from llmflame.analysis.experiment.experiment import is_experiment
from llmflame.analysis.plumbing import without_plumbing
from llmflame.analysis.roofline import with_floors
from llmflame.analysis.run_tree import RunTree, build_run_tree
from llmflame.analysis.stalls.shown_tree import shown_tree
from llmflame.analysis.step_columns import with_steps
from llmflame.analysis.summary import summarise
from llmflame.store.profile import Profile
from llmflame.views.page.compare import page_compare
from llmflame.views.page.lab import compared_profiles, lab_data
from llmflame.views.page.memory import page_memory
from llmflame.views.page.page import PageData
from llmflame.views.page.sections import page_sections


def page_data(profile: Profile, run: RunTree | None = None, *, all_frames: bool = False) -> PageData:
    """Everything that a profile says, frames that only pass a call on left out unless `all_frames`."""
    if is_experiment(profile):
        return _of_experiment(profile, all_frames=all_frames)
    return _of_profile(profile, run, all_frames=all_frames)


def _of_profile(profile: Profile, run: RunTree | None, *, all_frames: bool) -> PageData:
    run = run if run is not None else build_run_tree(profile)
    tree = with_floors(with_steps(run), ceilings(profile).best)
    shown = shown_tree(profile, run, tree, all_frames=all_frames)
    title = str(profile.subject.get("model") or profile.path.stem)
    return PageData(
        title,
        summarise(profile, run),
        shown,
        page_memory(profile),
        sections=page_sections(profile, run.tree, tree if all_frames else without_plumbing(tree)),
    )


def _of_experiment(profile: Profile, *, all_frames: bool) -> PageData:
    """The rows, above the best one's profile beside the stock model's; without profiles the rows alone."""
    before, after = compared_profiles(profile)
    if after is None:
        return _of_profile(profile, None, all_frames=all_frames)
    if before is None:
        data = _of_profile(after, None, all_frames=all_frames)
    else:
        comparison = compare(before, after, force=True, all_frames=all_frames)
        both = page_compare(comparison)
        data = _of_profile(comparison.after, comparison.run, all_frames=all_frames)
        data = replace(data, tree=both.tree, compared=both.facts)
    return replace(data, sections={**(data.sections or {}), "lab": lab_data(profile)})
