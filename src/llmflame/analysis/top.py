"""The frames that hold the most time of their own, with where they are."""

from __future__ import annotations

from dataclasses import dataclass
from operator import add

from llmflame.analysis.tree import Tree
from llmflame.store import metrics
from llmflame.store.model import Frame, FrameKind


@dataclass(frozen=True, slots=True)
class TopFrame:
    """A frame in a module in a phase, summed over all paths that lead to it."""

    phase: str
    module: str | None
    """The path of the module that owns the frame."""
    name: str
    kind: FrameKind
    self_ns: float
    share: float
    """Of the run's wall time."""
    calls: float
    allocated_bytes: float
    place: str | None = None
    """File and line of a Python function."""

    @property
    def path(self) -> str:
        """Phase, module path, name and place, as one text."""
        name = f"{self.name} ({self.place})" if self.place else self.name
        return " › ".join(part for part in (self.phase, self.module, name) if part)


def owners_of(tree: Tree) -> list[str | None]:
    """The path of the module that each node runs in: see `Tree.owners`."""
    return tree.owners()


def top_frames(tree: Tree, limit: int, metric: str = metrics.WALL.name) -> list[TopFrame]:
    """The heaviest frames by their own value of `metric`."""
    phases, owners = tree.phases(), tree.owners()
    columns = [
        tree.selfs.get(name, [0.0] * len(tree))
        for name in (metrics.WALL.name, metrics.CALLS.name, metrics.ALLOCATED.name, metric)
    ]
    whole = sum(columns[0]) or 1.0
    sums: dict[tuple[str, str | None, str, FrameKind, str | None], list[float]] = {}
    names = [_name(frame) for frame in tree.frames]
    for phase, owner, number, *values in zip(phases, owners, tree.node_frames, *columns, strict=True):
        named = names[number]
        if named is None:
            continue
        name, kind, place = named
        total = sums.setdefault((phase, owner if kind != "module" else None, name, kind, place), values)
        if total is not values:
            total[:] = map(add, total, values)
    heaviest = sorted(sums.items(), key=lambda item: -item[1][3])[:limit]
    return [
        TopFrame(phase, module, name, kind, own, own / whole, calls, size, place)
        for (phase, module, name, kind, place), (own, calls, size, _) in heaviest
    ]


def _name(frame: Frame) -> tuple[str, FrameKind, str | None] | None:
    """What a frame is called, its kind, and its place; None where it is no frame of the program."""
    if frame.kind in ("run", "phase"):
        return None
    if frame.kind == "module":
        return frame.module or frame.name, frame.kind, None
    place = f"{frame.file}:{frame.line}" if frame.kind == "python" and frame.file else None
    return frame.name, frame.kind, place
