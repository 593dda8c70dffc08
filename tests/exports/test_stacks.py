"""Stacks as values that nodes share."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from llmflame.analysis.tree import Tree
from llmflame.exports.stacks import Stacks, with_own
from llmflame.store.model import Frame

FRAMES = [Frame("python", name) for name in "abcd"]


@st.composite
def trees(draw: st.DrawFn) -> Tree:
    """Parents come before their children; neighbours need not be siblings."""
    size = draw(st.integers(1, 20))
    parents = [-1, *(draw(st.integers(0, node - 1)) for node in range(1, size))]
    return Tree(FRAMES, parents, [draw(st.integers(0, len(FRAMES) - 1)) for _ in range(size)])


@given(trees(), st.data())
def test_a_stack_is_its_path_in_whatever_order_nodes_come(tree: Tree, data: st.DataObject) -> None:
    asked: list[int] = []

    def name(frame: int) -> str:
        asked.append(frame)
        return tree.frames[frame].name

    stacks = Stacks(tree, name, lambda above, own: f"{above};{own}")
    for node in data.draw(st.permutations(range(len(tree)))):
        assert stacks.of(node) == ";".join(tree.frame(above).name for above in tree.path(node))
    assert len(asked) == len(set(asked)), "a frame is named once"


def test_only_what_has_something_of_its_own_is_a_stack() -> None:
    tree = Tree(FRAMES, [-1, 0, 1, 1], [0, 1, 2, 3])
    assert with_own(tree, [[0.0, 1.0, -2.0, 0.0], [0.0, 0.0, 0.0, 0.5]]) == [1, 3]
    assert with_own(tree, []) == []
