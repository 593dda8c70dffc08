"""A tree as stacks: each node that has something of its own, with the frames above it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from llmflame.analysis.tree import Tree


def stacks(tree: Tree, columns: Sequence[Sequence[float]]) -> Iterator[tuple[int, list[int]]]:
    """Nodes of which a column knows more than nothing, each with its frames' numbers from the root down.

    Amounts below zero (more was given back than is known to be held) have no width in any viewer.
    """
    path: list[int] = []
    nodes: list[int] = []
    for node, parent in enumerate(tree.parents):
        while nodes and nodes[-1] != parent:
            nodes.pop()
            path.pop()
        nodes.append(node)
        path.append(tree.node_frames[node])
        if any(column[node] > 0 for column in columns):
            yield node, list(path)


class WholeNumbers:
    """Rounds amounts one after the other so that their sum is off by less than one."""

    def __init__(self) -> None:
        self._rest = 0.0

    def next(self, value: float) -> int:
        """The whole number for a value: what was cut off before is added to it."""
        exact = max(value, 0.0) + self._rest
        whole = max(round(exact), 0)
        self._rest = exact - whole
        return whole
