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
    phase_of = phases_of(tree)
    for node, own in enumerate(wall):
        frame, phase = tree.frame(node), phase_of[node]
        whole[phase] = whole.get(phase, 0.0) + own
        if frame.kind not in ("run", "phase") and frame.name not in UNNAMED:
            named[phase] = named.get(phase, 0.0) + own
    shares = {phase: named.get(phase, 0.0) / total for phase, total in whole.items() if total > 0}
    everything = sum(whole.values())
    if everything > 0:
        shares["run"] = sum(named.values()) / everything
    return shares


def bytes_coverage(tree: Tree) -> float | None:
    """The share of allocated bytes in frames below a phase; None where no bytes were recorded."""
    whole = named = 0.0
    for metric in (metrics.ALLOCATED.name, metrics.DEVICE_ALLOCATED.name):
        for node, own in enumerate(tree.selfs.get(metric, [])):
            whole += own
            frame = tree.frame(node)
            if frame.kind not in ("run", "phase") and frame.name not in UNNAMED:
                named += own
    return named / whole if whole > 0 else None


def phases_of(tree: Tree) -> list[str]:
    """The name of the phase that each node lies in; `run` for the root and what hangs directly on it."""
    names: list[str] = []
    for node, parent in enumerate(tree.parents):
        frame = tree.frame(node)
        if frame.kind == "phase":
            names.append(frame.name)
        else:
            names.append(names[parent] if parent >= 0 else "run")
    return names
