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
    _phases: list[str] = field(default_factory=list, init=False, repr=False, compare=False)
    _owners: list[str | None] = field(default_factory=list, init=False, repr=False, compare=False)

    def __len__(self) -> int:
        return len(self.parents)

    def frame(self, node: int) -> Frame:
        """The frame of a node."""
        return self.frames[self.node_frames[node]]

    def phases(self) -> list[str]:
        """The name of the phase that each node lies in; `run` for the root and what hangs directly on it.

        Found once, as `owners` is: every view asks. The list is not to be changed.
        """
        if len(self._phases) != len(self):
            named = [frame.name if frame.kind == "phase" else None for frame in self.frames]
            names: list[str] = []
            for parent, frame in zip(self.parents, self.node_frames, strict=True):
                name = named[frame]
                names.append(name if name is not None else names[parent] if parent >= 0 else "run")
            self._phases = names
        return self._phases

    def owners(self) -> list[str | None]:
        """The path of the module that each node runs in, None outside of any."""
        if len(self._owners) != len(self):
            modules = [frame.module if frame.kind == "module" else None for frame in self.frames]
            owners: list[str | None] = []
            for parent, frame in zip(self.parents, self.node_frames, strict=True):
                owners.append(modules[frame] or (owners[parent] if parent >= 0 else None))
            self._owners = owners
        return self._owners

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
