"""The frames that hold the most time of their own, with where they are."""

from __future__ import annotations

from dataclasses import dataclass

from llmflame.analysis.coverage import phases_of
from llmflame.analysis.tree import Tree
from llmflame.store import metrics
from llmflame.store.model import FrameKind


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
    """The path of the module that each node runs in, None outside of any."""
    owners: list[str | None] = []
    for node, parent in enumerate(tree.parents):
        frame = tree.frame(node)
        inherited = owners[parent] if parent >= 0 else None
        owners.append(frame.module if frame.kind == "module" and frame.module else inherited)
    return owners


def top_frames(tree: Tree, limit: int, metric: str = metrics.WALL.name) -> list[TopFrame]:
    """The heaviest frames by their own value of `metric`."""
    phases, owners = phases_of(tree), owners_of(tree)
    columns = [
        tree.selfs.get(name, [0.0] * len(tree))
        for name in (metrics.WALL.name, metrics.CALLS.name, metrics.ALLOCATED.name, metric)
    ]
    whole = sum(columns[0]) or 1.0
    sums: dict[tuple[str, str | None, str, FrameKind, str | None], list[float]] = {}
    for node in range(len(tree)):
        frame = tree.frame(node)
        if frame.kind in ("run", "phase"):
            continue
        name = frame.module or frame.name if frame.kind == "module" else frame.name
        owner = owners[node] if frame.kind != "module" else None
        place = f"{frame.file}:{frame.line}" if frame.kind == "python" and frame.file else None
        key = (phases[node], owner, name, frame.kind, place)
        total = sums.setdefault(key, [0.0] * 4)
        for position, column in enumerate(columns):
            total[position] += column[node]
    heaviest = sorted(sums.items(), key=lambda item: -item[1][3])[:limit]
    return [
        TopFrame(phase, module, name, kind, own, own / whole, calls, size, place)
        for (phase, module, name, kind, place), (own, calls, size, _) in heaviest
    ]
