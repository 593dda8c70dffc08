"""Hides frames that only pass a call on: their numbers go to the frame above, and no total changes."""

from __future__ import annotations

import re

from llmflame.analysis.tree import Tree
from llmflame.store import metrics
from llmflame.store.model import Frame

_PASSED_ON = {
    "torch/nn/modules/module.py": frozenset({"_call_impl", "_wrapped_call_impl", "inner"}),
    "torch/utils/_contextlib.py": frozenset({"decorate_context"}),
    "transformers/modeling_layers.py": frozenset({"__call__", "forward_with_checkpointing"}),
}
_DECORATORS = frozenset({"wrapper", "wrapped", "wrapped_func"})
"""What decorators call the function that they return."""
_LIBRARIES = ("transformers/", "torch/")
_TRACING_STATE = re.compile(r"(?:.*\.)?_get_tracing_state")
"""A flag that every module call reads."""


def is_plumbing(frame: Frame) -> bool:
    """Whether a frame does nothing but call what a person would name."""
    if frame.kind == "builtin":
        return _TRACING_STATE.fullmatch(frame.name) is not None
    if frame.kind != "python" or frame.file is None:
        return False
    if frame.name in _PASSED_ON.get(frame.file, ()):
        return True
    return frame.name in _DECORATORS and frame.file.startswith(_LIBRARIES)


def without_plumbing(tree: Tree) -> Tree:
    """The tree without such frames. Every metric that adds up keeps its sum; frames that meet are merged.

    A frame directly below a phase stays: a phase has no time of its own. Calls of a hidden frame are no
    calls of the one above it, and are dropped.
    """
    plumbing = [is_plumbing(frame) for frame in tree.frames]
    children: list[list[int]] = [[] for _ in range(len(tree))]
    for node, parent in enumerate(tree.parents):
        if parent >= 0:
            children[parent].append(node)
    merged = _Merged(tree)
    if not len(tree):
        return merged.tree
    # Each entry: a node of the new tree's parent (-1 for none) and the nodes of the old tree that it stands for.
    stack: list[tuple[int, list[int]]] = [(-1, [0])]
    while stack:
        parent, members = stack.pop()
        here = merged.add(parent, members)
        below: dict[int, list[int]] = {}
        keep = tree.frame(members[0]).kind in ("run", "phase")
        pending = [child for member in reversed(members) for child in reversed(children[member])]
        while pending:
            child = pending.pop()
            if plumbing[tree.node_frames[child]] and not keep:
                merged.absorb(here, child)
                pending.extend(reversed(children[child]))
            else:
                below.setdefault(tree.node_frames[child], []).append(child)
        stack.extend((here, group) for group in reversed(below.values()))
    return merged.tree


class _Merged:
    """The new tree, in pre-order, and how old nodes become part of it."""

    def __init__(self, old: Tree) -> None:
        self._old = old
        self.tree = Tree(frames=list(old.frames), metrics=list(old.metrics))
        self.tree.selfs = {name: [] for name in old.selfs}

    def add(self, parent: int, members: list[int]) -> int:
        """A new node that stands for old ones of the same frame."""
        new, old = self.tree, self._old
        new.parents.append(parent)
        new.node_frames.append(old.node_frames[members[0]])
        new.origins.append(old.origins[members[0]])
        for name, column in old.selfs.items():
            new.selfs[name].append(sum(column[member] for member in members))
        return len(new) - 1

    def absorb(self, node: int, hidden: int) -> None:
        """Give a hidden node's own numbers to a new node."""
        for name, column in self._old.selfs.items():
            if name != metrics.CALLS.name:
                self.tree.selfs[name][node] += column[hidden]
