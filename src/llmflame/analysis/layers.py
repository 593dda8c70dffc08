"""A model's numbered layers as one: frames that differ only in a layer's number become one frame."""

from __future__ import annotations

from dataclasses import replace

from llmflame.analysis.top_table import layers_together
from llmflame.analysis.tree import Tree
from llmflame.store.model import Frame


def with_layers_together(tree: Tree) -> Tree:
    """The tree with `model.layers.0`, `.1` ... merged into `model.layers.*` where they have one parent.

    Every metric is summed, calls too: the total of each metric stays. Of merged nodes the first one's
    origin is kept. Nodes stay in pre-order, each where the first of those that it stands for was.
    """
    general: dict[Frame, int] = {}
    frames = [_general(frame) for frame in tree.frames]
    numbers = [general.setdefault(frame, len(general)) for frame in frames]
    children: list[list[int]] = [[] for _ in range(len(tree))]
    for node, parent in enumerate(tree.parents):
        if parent >= 0:
            children[parent].append(node)
    groups: list[list[int]] = []
    parents: list[int] = []
    stack: list[tuple[int, list[int]]] = [(-1, [0])] if len(tree) else []
    while stack:
        parent, members = stack.pop()
        here = len(groups)
        groups.append(members)
        parents.append(parent)
        below: dict[int, list[int]] = {}
        for member in members:
            for child in children[member]:
                below.setdefault(numbers[tree.node_frames[child]], []).append(child)
        stack.extend((here, group) for group in reversed(below.values()))
    return Tree(
        frames=list(general),
        parents=parents,
        node_frames=[numbers[tree.node_frames[group[0]]] for group in groups],
        metrics=list(tree.metrics),
        selfs={
            name: [sum(column[member] for member in group) for group in groups]
            for name, column in tree.selfs.items()
        },
        origins=[tree.origins[group[0]] for group in groups],
    )


def _general(frame: Frame) -> Frame:
    return frame if frame.module is None else replace(frame, module=layers_together(frame.module))
