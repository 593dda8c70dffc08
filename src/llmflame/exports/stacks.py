"""A tree as stacks: which nodes have something of their own, and the frames above each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from llmflame.analysis.tree import Tree

T = TypeVar("T")


def with_own(tree: Tree, columns: Sequence[Sequence[float]]) -> list[int]:
    """Nodes of which a column knows more than nothing, parents first.

    Amounts below zero (more was given back than is known to be held) have no width in any viewer.
    """
    return [node for node, values in enumerate(zip(*columns, strict=True)) if max(values) > 0]


class Stacks(Generic[T]):
    """The frames from the root down to a node, as one value.

    `name` gives the value of a frame, by its number, when a stack has it for the first time; `push` makes a
    node's value of its parent's and its own frame's. Nodes share what is above them.
    """

    def __init__(self, tree: Tree, name: Callable[[int], T], push: Callable[[T, T], T]) -> None:
        self._tree = tree
        self._name = name
        self._push = push
        self._names: dict[int, T] = {}
        self._known: dict[int, T] = {}

    def of(self, node: int) -> T:
        """The value of a node's stack."""
        parents, known = self._tree.parents, self._known
        missing = []
        while node >= 0 and node not in known:
            missing.append(node)
            node = parents[node]
        for here in reversed(missing):
            name = self._named(self._tree.node_frames[here])
            known[here] = self._push(known[node], name) if node >= 0 else name
            node = here
        return known[node]

    def _named(self, frame: int) -> T:
        if frame not in self._names:
            self._names[frame] = self._name(frame)
        return self._names[frame]


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
