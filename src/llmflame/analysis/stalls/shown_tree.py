"""The tree that people look at, with stalls below its kernels."""

from __future__ import annotations

from llmflame.analysis.plumbing import shown
from llmflame.analysis.run_tree import RunTree
from llmflame.analysis.stalls.stalled_tree import with_stalls
from llmflame.analysis.tree import Tree
from llmflame.store.profile import Profile


def shown_tree(profile: Profile, run: RunTree, tree: Tree | None = None, *, all_frames: bool = False) -> Tree:
    """The run's tree, or one with more columns at the same nodes (`tree`), without the frames that only pass
    a call on unless `all_frames`, and with stalls where they were sampled: down to the instructions with
    `all_frames`, else to the reason."""
    whole = run.tree if tree is None else tree
    if all_frames:
        return with_stalls(whole, profile, run.nodes, instructions=True) if profile.stalls else whole
    visible = shown(whole)
    if not profile.stalls:
        return visible.tree
    now = visible.places()
    places = {
        phase: {node: now[place] for node, place in nodes.items()} for phase, nodes in run.nodes.items()
    }
    return with_stalls(visible.tree, profile, places)
