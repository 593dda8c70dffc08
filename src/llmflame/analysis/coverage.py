"""How much of the measured whole is charged to frames with a name."""

from __future__ import annotations

from llmflame.analysis.tree import Tree
from llmflame.store import metrics

UNNAMED = ("unattributed",)


def wall_coverage(tree: Tree) -> dict[str, float]:
    """By phase (and `run` for all): the share of wall time in named frames, 0 to 1.

    A phase's own time, charged to no frame below it, counts as unnamed too.
    """
    wall = tree.selfs.get(metrics.WALL.name, [])
    whole: dict[str, float] = {}
    named: dict[str, float] = {}
    has_name = _named_frames(tree)
    for own, phase, frame in zip(wall, tree.phases(), tree.node_frames, strict=False):
        whole[phase] = whole.get(phase, 0.0) + own
        if has_name[frame]:
            named[phase] = named.get(phase, 0.0) + own
    shares = {phase: named.get(phase, 0.0) / total for phase, total in whole.items() if total > 0}
    everything = sum(whole.values())
    if everything > 0:
        shares["run"] = sum(named.values()) / everything
    return shares


def bytes_coverage(tree: Tree) -> float | None:
    """The share of allocated bytes in frames below a phase; None where no bytes were recorded."""
    whole = named = 0.0
    has_name = _named_frames(tree)
    for metric in (metrics.ALLOCATED.name, metrics.DEVICE_ALLOCATED.name):
        for own, frame in zip(tree.selfs.get(metric, []), tree.node_frames, strict=False):
            whole += own
            if has_name[frame]:
                named += own
    return named / whole if whole > 0 else None


def _named_frames(tree: Tree) -> list[bool]:
    """By frame: is it below a phase, and known?"""
    return [frame.kind not in ("run", "phase") and frame.name not in UNNAMED for frame in tree.frames]


def phases_of(tree: Tree) -> list[str]:
    """The name of the phase that each node lies in: see `Tree.phases`."""
    return tree.phases()
