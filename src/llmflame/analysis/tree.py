"""A tree of frames with self values per metric: what every view draws.

Nodes are in pre-order: a parent's index is smaller than its children's, so one pass from the end folds
self values into totals.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from llmflame.store import metrics
from llmflame.store.model import Frame, Metric, Origin


@dataclass(slots=True)
class Tree:
    """`parents[i]` is the index of node i's parent (-1 for the root); `selfs[metric][i]` its own share."""

    frames: list[Frame] = field(default_factory=list)
    parents: list[int] = field(default_factory=list)
    node_frames: list[int] = field(default_factory=list)
    """Index into `frames` of each node."""
    metrics: list[Metric] = field(default_factory=list)
    selfs: dict[str, list[float]] = field(default_factory=dict)
    """By metric name: each node's own value, without its children."""
    origins: list[Origin] = field(default_factory=list)
    """How each node's time was obtained."""

    def __len__(self) -> int:
        return len(self.parents)

    def frame(self, node: int) -> Frame:
        """The frame of a node."""
        return self.frames[self.node_frames[node]]

    def totals(self, metric: str) -> list[float]:
        """Self values folded up the tree, one per node."""
        return self.fold(self.selfs[metric])

    def fold(self, selfs: list[float]) -> list[float]:
        """Any self values, one per node, folded up the tree."""
        totals = list(selfs)
        for node in range(len(totals) - 1, 0, -1):
            parent = self.parents[node]
            if parent >= 0:
                totals[parent] += totals[node]
        return totals

    def path(self, node: int) -> list[int]:
        """The nodes from the root down to this one."""
        path = []
        while node >= 0:
            path.append(node)
            node = self.parents[node]
        return path[::-1]


def host_metric(tree: Tree) -> str:
    """The metric of the host's own time: wall time where no device was waited for."""
    return metrics.HOST.name if metrics.HOST.name in tree.selfs else metrics.WALL.name
