"""Two call trees as one: every place that either has, with the numbers of both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from llmflame.analysis.tree import Tree
from llmflame.store.model import Frame, Metric, Origin

AFTER = 1
SIDES = (0, AFTER)


class Identity(NamedTuple):
    """What makes two frames one: not the line, which moves when a file is edited."""

    kind: str
    name: str
    module: str | None
    file: str | None


def identity(frame: Frame) -> Identity:
    """A frame's identity among the children of one parent."""
    return Identity(frame.kind, frame.name, frame.module, frame.file)


@dataclass(frozen=True, slots=True)
class Union:
    """A tree in pre-order whose metrics have two columns each.

    `tree` holds frames (B's where it has one: its lines are those of the newer file), places and B's numbers;
    `before` holds A's, by metric. The sums of every metric over all nodes are those of the two trees.
    """

    tree: Tree
    before: dict[str, list[float]]
    sides: list[tuple[bool, bool]]
    """By node: whether A has it, whether B has it."""

    def columns(self, metric: str) -> tuple[list[float], list[float]]:
        """The own values of A and B."""
        found = (self.before.get(metric), self.tree.selfs.get(metric))
        before, after = (column if column is not None else [0.0] * len(self.tree) for column in found)
        return before, after

    def totals(self, metric: str) -> tuple[list[float], list[float]]:
        """Folded up the tree, of A and B."""
        before, after = self.columns(metric)
        return self.tree.fold(before), self.tree.fold(after)


def union(before: Tree, after: Tree) -> Union:
    """Join by identity along the path; equal siblings of one tree become one node.

    Children stand in the order in which B has them; what only A has comes after what A has before it.
    """
    trees = (before, after)
    children = tuple(_children(tree) for tree in trees)
    tree = Tree(metrics=_metrics(before, after))
    numbers: dict[Frame, int] = {}
    members: list[tuple[list[int], list[int]]] = []
    roots = ([0] if len(before) else [], [0] if len(after) else [])
    stack: list[tuple[int, tuple[list[int], list[int]]]] = [(-1, roots)] if any(roots) else []
    while stack:
        parent, both = stack.pop()
        here = len(members)
        members.append(both)
        side = AFTER if both[AFTER] else 0
        frame, origin = trees[side].frame(both[side][0]), trees[side].origins[both[side][0]]
        _append(tree, parent, numbers, frame, origin)
        groups = _groups(trees, children, both)
        stack.extend((here, group) for group in reversed(groups))
    for metric in tree.metrics:
        tree.selfs[metric.name] = _column(after, metric.name, [both[AFTER] for both in members])
    columns = {metric.name: _column(before, metric.name, [both[0] for both in members])
               for metric in tree.metrics}  # fmt: skip
    return Union(tree, columns, [(bool(one), bool(other)) for one, other in members])


def _children(tree: Tree) -> list[list[int]]:
    children: list[list[int]] = [[] for _ in range(len(tree))]
    for node, parent in enumerate(tree.parents):
        if parent >= 0:
            children[parent].append(node)
    return children


def _metrics(before: Tree, after: Tree) -> list[Metric]:
    known = {metric.name for metric in after.metrics}
    return [*after.metrics, *(metric for metric in before.metrics if metric.name not in known)]


def _append(tree: Tree, parent: int, numbers: dict[Frame, int], frame: Frame, origin: Origin) -> None:
    number = numbers.setdefault(frame, len(numbers))
    if number == len(tree.frames):
        tree.frames.append(frame)
    tree.parents.append(parent)
    tree.node_frames.append(number)
    tree.origins.append(origin)


def _groups(
    trees: tuple[Tree, Tree], children: tuple[list[list[int]], ...], both: tuple[list[int], list[int]]
) -> list[tuple[list[int], list[int]]]:
    """The children of one place, those of one identity together, in order."""
    found: dict[Identity, tuple[list[int], list[int]]] = {}
    orders: list[list[Identity]] = []
    for side in SIDES:
        order: dict[Identity, None] = {}
        for member in both[side]:
            for child in children[side][member]:
                key = identity(trees[side].frame(child))
                order.setdefault(key)
                found.setdefault(key, ([], []))[side].append(child)
        orders.append(list(order))
    return [found[key] for key in _merged(*orders)]


def _merged(before: list[Identity], after: list[Identity]) -> list[Identity]:
    """B's order, with each of A's own behind the one that stands before it in A."""
    in_after = set(after)
    behind: dict[Identity | None, list[Identity]] = {}
    last: Identity | None = None
    for key in before:
        if key in in_after:
            last = key
        else:
            behind.setdefault(last, []).append(key)
    merged = list(behind.get(None, ()))
    for key in after:
        merged.append(key)
        merged.extend(behind.get(key, ()))
    return merged


def _column(tree: Tree, metric: str, members: list[list[int]]) -> list[float]:
    own = tree.selfs.get(metric)
    if own is None:
        return [0.0] * len(members)
    return [sum(own[member] for member in group) for group in members]
