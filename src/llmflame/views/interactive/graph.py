"""A tree that is looked at: its totals by one metric, in one phase, with children in one order."""

from __future__ import annotations

from dataclasses import dataclass, field

from llmflame.analysis.tree import Tree
from llmflame.store import metrics


@dataclass(slots=True)
class Graph:
    """A tree with what is folded and sorted of it so far."""

    tree: Tree
    _children: list[list[int]] = field(init=False)
    _totals: dict[str, list[float]] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self._children = [[] for _ in range(len(self.tree))]
        for node in range(1, len(self.tree)):
            self._children[self.tree.parents[node]].append(node)

    def total(self, metric: str) -> list[float]:
        """By node: its own value and all below it; zeros where the tree doesn't have the metric."""
        if metric not in self._totals:
            known = metric in self.tree.selfs
            self._totals[metric] = self.tree.totals(metric) if known else [0.0] * len(self.tree)
        return self._totals[metric]

    def own(self, metric: str, node: int) -> float:
        """A node's value without its children."""
        column = self.tree.selfs.get(metric)
        return column[node] if column is not None else 0.0

    def children(self, node: int) -> list[int]:
        """In the order in which they were first called."""
        return self._children[node]

    def phases(self) -> list[str]:
        """The names of the phases, in the order in which they ran."""
        names = [self.tree.frame(node).name for node in self._phase_nodes()]
        return list(dict.fromkeys(names))

    def tops(self, phase: str | None) -> list[int]:
        """The nodes that stand above all others: the root, or those of one phase."""
        if phase is None:
            return [0] if len(self.tree) else []
        return [node for node in self._phase_nodes() if self.tree.frame(node).name == phase]

    def _phase_nodes(self) -> list[int]:
        tops = self._children[0] if len(self.tree) else []
        return [node for node in tops if self.tree.frame(node).kind == "phase"]


@dataclass(frozen=True, slots=True)
class Look:
    """How a graph is looked at."""

    graph: Graph
    metric: str
    unit: str
    phase: str | None = None
    heaviest_first: bool = True

    def tops(self) -> list[int]:
        """What stands at the left."""
        return self.graph.tops(self.phase)

    def whole(self) -> float:
        """What shares are of."""
        total = self.graph.total(self.metric)
        return sum(total[node] for node in self.tops())

    def total(self, node: int) -> float:
        """A node's total."""
        return self.graph.total(self.metric)[node]

    def below(self, node: int) -> list[int]:
        """The children that have something of the metric. Phases stay in the order in which they ran."""
        total = self.graph.total(self.metric)
        found = [child for child in self.graph.children(node) if total[child]]
        if self.heaviest_first and self.graph.tree.frame(node).kind != "run":
            found.sort(key=lambda child: -total[child])
        return found

    def floor(self, node: int) -> float:
        """What the operators at or below a node need at least, in nanoseconds; 0 where that isn't known."""
        timed = self.metric == metrics.WALL.name and metrics.FLOOR.name in self.graph.tree.selfs
        return self.graph.total(metrics.FLOOR.name)[node] if timed else 0.0
