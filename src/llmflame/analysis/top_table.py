"""Where the time of some phases went by itself: one row a place, the numbered layers of a model together."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, field

from llmflame.analysis.coverage import phases_of
from llmflame.analysis.top import owners_of
from llmflame.analysis.tree import Tree
from llmflame.store import metrics
from llmflame.store.model import FrameKind

_NUMBER = re.compile(r"(?<![^.])\d+(?![^.])")
"""A path's part that is a number: a layer's or an expert's."""


@dataclass(slots=True)
class Place:
    """A frame in a kind of module, over all layers and all paths that lead to it."""

    phase: str | None
    module: str | None
    """The owning module's path, with `*` for numbers: `model.layers.*.mlp.up_proj`."""
    kind: FrameKind
    name: str
    file: str | None
    line: int | None
    self_ns: float = 0.0
    calls: float = 0.0
    modules: set[str] = field(default_factory=set)
    """The paths that `module` stands for."""


def layers_together(path: str) -> str:
    """A module's path with `*` for numbers: what all layers of a model have in common."""
    return _NUMBER.sub("*", path)


def top_places(tree: Tree, phases: Collection[str], limit: int, *, by_phase: bool = False) -> list[Place]:
    """The places with the most time of their own in `phases`; with `by_phase`, apart for each."""
    where, owners = phases_of(tree), owners_of(tree)
    walls = tree.selfs.get(metrics.WALL.name, [0.0] * len(tree))
    calls = tree.selfs.get(metrics.CALLS.name, [0.0] * len(tree))
    found: dict[tuple[object, ...], Place] = {}
    together: dict[str | None, str | None] = {None: None}
    for node, phase in enumerate(where):
        if phase not in phases:
            continue
        frame = tree.frame(node)
        if frame.kind in ("run", "phase"):
            continue
        owner = owners[node]
        if owner is not None and owner not in together:
            together[owner] = layers_together(owner)
        module = together[owner]
        key = (phase if by_phase else None, module, frame.kind, frame.name, frame.file, frame.line)
        place = found.get(key)
        if place is None:
            place = found[key] = Place(
                phase if by_phase else None, module, frame.kind, frame.name, frame.file, frame.line
            )
        place.self_ns += walls[node]
        place.calls += calls[node]
        if owner is not None:
            place.modules.add(owner)
    heaviest = sorted(found.values(), key=lambda place: -place.self_ns)
    return [place for place in heaviest[:limit] if place.self_ns > 0]
