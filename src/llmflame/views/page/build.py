"""From a profile to what its page shows."""

from __future__ import annotations

from llmflame.analysis.ceiling import ceilings
from llmflame.analysis.plumbing import without_plumbing
from llmflame.analysis.roofline import with_floors
from llmflame.analysis.run_tree import RunTree, build_run_tree
from llmflame.analysis.stalls.shown_tree import shown_tree
from llmflame.analysis.step_columns import with_steps
from llmflame.analysis.summary import summarise
from llmflame.store.profile import Profile
from llmflame.views.page.memory import page_memory
from llmflame.views.page.page import PageData
from llmflame.views.page.sections import page_sections


def page_data(profile: Profile, run: RunTree | None = None, *, all_frames: bool = False) -> PageData:
    """Everything that a profile says, frames that only pass a call on left out unless `all_frames`."""
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
