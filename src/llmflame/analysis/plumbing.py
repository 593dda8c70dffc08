"""Hides frames that only pass a call on: their numbers go to the frame above, and no total changes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import chain

from llmflame.analysis.tree import Tree
from llmflame.store import metrics
from llmflame.store.model import Frame

_PASSED_ON = {
    "torch/nn/modules/module.py": frozenset({"_call_impl", "_wrapped_call_impl", "inner"}),
    "torch/utils/_contextlib.py": frozenset({"decorate_context"}),
    "transformers/modeling_layers.py": frozenset({"__call__", "forward_with_checkpointing"}),
    "threading.py": frozenset({"_bootstrap", "_bootstrap_inner"}),
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


@dataclass(frozen=True, slots=True)
class Shown:
    """A tree without such frames, and where their numbers went."""

    tree: Tree
    _groups: list[list[int]]
    _absorbed: list[list[int]]

    def places(self) -> list[int]:
        """By node of the whole tree: the node of this one that its numbers are in."""
        places = [0] * sum(map(len, chain(self._groups, self._absorbed)))
        for here, (group, hidden) in enumerate(zip(self._groups, self._absorbed, strict=True)):
            for node in (*group, *hidden):
                places[node] = here
        return places


def without_plumbing(tree: Tree) -> Tree:
    """The tree without such frames: see `shown`."""
    return shown(tree).tree


def shown(tree: Tree) -> Shown:
    """What is shown of a tree. Every metric that adds up keeps its sum; frames that meet are merged.

    A frame directly below a phase stays: a phase has no time of its own. Calls of a hidden frame are no
    calls of the one above it, and are dropped.
    """
    groups, absorbed, parents = _grouped(tree)
    firsts = [group[0] for group in groups]
    several = [
        (here, group[1:], hidden)
        for here, (group, hidden) in enumerate(zip(groups, absorbed, strict=True))
        if hidden or len(group) > 1
    ]
    left = Tree(
        frames=list(tree.frames),
        parents=parents,
        node_frames=[tree.node_frames[first] for first in firsts],
        metrics=list(tree.metrics),
        selfs={name: _merged(name, column, firsts, several) for name, column in tree.selfs.items()},
        origins=[tree.origins[first] for first in firsts],
    )
    return Shown(left, groups, absorbed)


def _grouped(tree: Tree) -> tuple[list[list[int]], list[list[int]], list[int]]:
    """By new node: the old nodes of one frame that it stands for, those hidden in it, and its parent."""
    plumbing, frames = [is_plumbing(frame) for frame in tree.frames], tree.node_frames
    children: list[list[int]] = [[] for _ in range(len(tree))]
    for node, parent in enumerate(tree.parents):
        if parent >= 0:
            children[parent].append(node)
    groups: list[list[int]] = []
    absorbed: list[list[int]] = []
    parents: list[int] = []
    stack: list[tuple[int, list[int]]] = [(-1, [0])] if len(tree) else []
    while stack:
        parent, members = stack.pop()
        here = len(groups)
        groups.append(members)
        parents.append(parent)
        pending = [child for member in reversed(members) for child in reversed(children[member])]
        hidden: list[int] = []
        absorbed.append(hidden)
        if not pending:
            continue
        below: dict[int, list[int]] = {}
        keep = tree.frame(members[0]).kind in ("run", "phase")
        while pending:
            child = pending.pop()
            frame = frames[child]
            if plumbing[frame] and not keep:
                hidden.append(child)
                pending.extend(reversed(children[child]))
            elif frame in below:
                below[frame].append(child)
            else:
                below[frame] = [child]
        stack.extend((here, group) for group in reversed(below.values()))
    return groups, absorbed, parents


def _merged(
    metric: str,
    column: list[float],
    firsts: list[int],
    several: list[tuple[int, list[int], list[int]]],
) -> list[float]:
    """`firsts`: by new node, the first old one; `several`: where there are others, and those hidden in it."""
    counted = metric.partition("@")[0] != metrics.CALLS.name
    values = [column[first] for first in firsts]
    for here, others, hidden in several:
        for member in others:
            values[here] += column[member]
        if counted:
            for member in hidden:
                values[here] += column[member]
    return values
