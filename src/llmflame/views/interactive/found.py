"""Finding frames by a part of their name, module or file, and what they hold together."""

from __future__ import annotations

from dataclasses import dataclass

from llmflame.store.model import Frame
from llmflame.views.cells import frame_name
from llmflame.views.interactive.graph import Look


@dataclass(frozen=True, slots=True)
class Found:
    """The frames that were found, in the order of the tree."""

    text: str
    nodes: tuple[int, ...]
    total: float
    """Of the outermost ones: what is found within what was found counts once."""
    share: float | None

    def next(self, after: int | None, look: Look, step: int) -> int | None:
        """The first one behind (`step` 1) or before (-1) a node, round the end; None where there is none."""
        if not self.nodes:
            return None
        if after in self.nodes:
            place = self.nodes.index(after)
            return self.nodes[(place + step) % len(self.nodes)]
        keys = [_walk_key(look, node) for node in self.nodes]
        here = _walk_key(look, after) if after is not None else ()
        behind = [place for place, key in enumerate(keys) if key > here]
        place = behind[0] if behind else 0
        return self.nodes[place if step > 0 else place - 1]


def find(look: Look, text: str) -> Found:
    """All nodes of a look whose frame has `text` in its name, module path or file, in whatever case."""
    tree, wanted = look.graph.tree, text.casefold()
    hits = [wanted != "" and _matches(frame, wanted) for frame in tree.frames]
    total = look.graph.total(look.metric)
    found: list[int] = []
    whole = 0.0
    tops = set(look.tops())
    inside = [False] * len(tree)
    covered = [False] * len(tree)
    for node, parent in enumerate(tree.parents):
        inside[node] = node in tops or (parent >= 0 and inside[parent])
        above = parent >= 0 and covered[parent]
        hit = inside[node] and hits[tree.node_frames[node]] and total[node] != 0
        covered[node] = above or hit
        if hit:
            found.append(node)
            whole += 0.0 if above else total[node]
    if look.heaviest_first:
        found.sort(key=lambda node: _walk_key(look, node))
    everything = look.whole()
    return Found(text, tuple(found), whole, whole / everything if everything else None)


def _matches(frame: Frame, wanted: str) -> bool:
    texts = (frame.name, frame_name(frame.name, frame.kind), frame.module, frame.file)
    return any(wanted in text.casefold() for text in texts if text)


def _walk_key(look: Look, node: int) -> tuple[tuple[float, int], ...]:
    """Where a node comes in a walk of the tree as it is shown."""
    graph, key = look.graph, []
    for above in graph.tree.path(node):
        parent = graph.tree.parents[above]
        sorted_here = look.heaviest_first and parent >= 0 and graph.tree.frame(parent).kind != "run"
        key.append((-look.total(above) if sorted_here else 0.0, above))
    return tuple(key)
