"""All trees of bytes as one: a node for each place, a metric for each phase's peak and each traced step.

The phases' trees differ in their numbers and hardly in their places, so that one tree with many columns is
far smaller, and a place that is looked at stays the same one when the phase is changed.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from llmflame.analysis.memory.composition import Composition
from llmflame.analysis.memory.held_tree import METRIC, held_tree, held_trees, traced_steps
from llmflame.analysis.tree import Tree
from llmflame.store import categories
from llmflame.store.model import Frame, Metric
from llmflame.store.profile import Profile

MOST_NODES = 12_000
"""Of the merged tree: a model of many experts has owners by the ten thousand."""
LEAST_SHARE = 1e-4
"""Of a peak: where the tree is larger than that, what holds less is counted to the place above it."""


def held_columns(profile: Profile) -> Tree | None:
    """Run > category > owner and run > frames > category; None where nobody counted who holds what.

    A metric's name is `held_bytes@decode`, or `held_bytes@decode.3` with the frames of step 3.
    """
    union = _Union()
    for composition, tree in held_trees(profile):
        union.add(_metric(composition, None), tree)
        for window in traced_steps(profile):
            if window.span_name != composition.phase:
                continue
            own = held_tree(profile, composition, window.id)
            if not _equal(own, tree):
                union.add(_metric(composition, window.step), own)
    return union.ordered() if union.tree.metrics else None


def _metric(composition: Composition, step: int | None) -> Metric:
    where = composition.phase if step is None else f"{composition.phase}.{step}"
    words = composition.phase if step is None else f"{composition.phase} step {step}"
    name = METRIC[composition.space].name
    return Metric(f"{name}@{where}", "bytes", "sum", f"Bytes held in {words} ({composition.space})")


def _equal(one: Tree, other: Tree) -> bool:
    def content(tree: Tree) -> object:
        return tree.parents, [tree.frame(node) for node in range(len(tree))], list(tree.selfs.values())

    return content(one) == content(other)


@dataclass(slots=True)
class _Union:
    tree: Tree = field(default_factory=Tree)
    frames: dict[Frame, int] = field(default_factory=dict)
    known: dict[tuple[int, Frame], int] = field(default_factory=dict)

    def add(self, metric: Metric, other: Tree) -> None:
        """One more column. Phases have no node: their column says which it is."""
        if not self.tree.parents:
            self._node(-1, other.frame(0))
        (own,) = other.selfs.values()
        to: list[int] = []
        column: dict[int, float] = {}
        for node, parent in enumerate(other.parents):
            frame = other.frame(node)
            here = 0 if parent < 0 else to[parent]
            if parent >= 0 and frame.kind != "phase":
                here = self._node(here, frame)
            to.append(here)
            column[here] = column.get(here, 0.0) + own[node]
        self.tree.metrics.append(metric)
        values = self.tree.selfs[metric.name] = [0.0] * len(self.tree)
        for node, value in column.items():
            values[node] = value

    def ordered(self) -> Tree:
        """In pre-order, with columns of equal length, and without what is too small where there is much."""
        tree = self.tree
        for column in tree.selfs.values():
            column.extend([0.0] * (len(tree) - len(column)))
        kept = _large(tree) if len(tree) > MOST_NODES else [True] * len(tree)
        children: list[list[int]] = [[] for _ in tree.parents]
        for node, parent in enumerate(tree.parents[1:], start=1):
            children[parent].append(node)
        children[0].sort(key=lambda child: _rank(tree.frame(child)))
        found = Tree(tree.frames, metrics=tree.metrics, selfs={metric.name: [] for metric in tree.metrics})
        stack = [(0, -1)]
        while stack:
            node, above = stack.pop()
            if kept[node]:
                found.parents.append(above)
                found.node_frames.append(tree.node_frames[node])
                found.origins.append("measured")
                above = len(found) - 1
                for name, column in tree.selfs.items():
                    found.selfs[name].append(column[node])
            else:
                for name, column in tree.selfs.items():
                    found.selfs[name][above] += column[node]
            stack.extend((child, above) for child in reversed(children[node]))
        return found

    def _node(self, parent: int, frame: Frame) -> int:
        node = self.known.get((parent, frame))
        if node is None:
            node = self.known[parent, frame] = len(self.tree)
            number = self.frames.setdefault(frame, len(self.frames))
            if number == len(self.tree.frames):
                self.tree.frames.append(frame)
            self.tree.parents.append(parent)
            self.tree.node_frames.append(number)
            self.tree.origins.append("measured")
        return node


def _rank(frame: Frame) -> int:
    """Categories in their order, then the frames of steps."""
    known = frame.kind == "memory" and frame.name in categories.ORDER
    return categories.ORDER.index(frame.name) if known else len(categories.ORDER)


def _large(tree: Tree) -> list[bool]:
    kept = [parent < 0 for parent in tree.parents]
    for metric in tree.metrics:
        totals = tree.totals(metric.name)
        least = totals[0] * LEAST_SHARE
        kept = [already or total >= least for already, total in zip(kept, totals, strict=True)]
    return kept
