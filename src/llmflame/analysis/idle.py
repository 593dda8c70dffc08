"""Who kept the GPU waiting: the host's frames in which it had nothing to do, by cause."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from llmflame.analysis.coverage import UNNAMED, phases_of
from llmflame.analysis.phases import TOKENISER_PHASES
from llmflame.analysis.tree import Tree
from llmflame.store import metrics
from llmflame.store.model import Frame

Cause = Literal["launch-bound Python", "synchronisation", "copy", "allocation", "tokeniser"]
CAUSES: tuple[Cause, ...] = (
    "launch-bound Python",
    "synchronisation",
    "copy",
    "allocation",
    "tokeniser",
)
_COPY_CALLS = ("cudaMemcpy", "cudaMemset", "cuMemcpy", "cuMemset", "hipMemcpy", "hipMemset")
_ALLOCATION_CALLS = (
    "cudaMalloc",
    "cudaFree",
    "cudaHostAlloc",
    "cuMemAlloc",
    "cuMemCreate",
    "cuMemMap",
    "cuMemFree",
    "hipMalloc",
    "hipFree",
    "hipHostMalloc",
)


@dataclass(frozen=True, slots=True)
class Idle:
    """Nanoseconds in which the device had nothing to do, over the phases that were asked for."""

    by_cause: dict[Cause, float]
    wall_ns: float
    """The phases' wall time."""
    named_ns: float
    """The part of the idle time that is charged to host frames with a name."""

    @property
    def total_ns(self) -> float:
        """All causes together."""
        return sum(self.by_cause.values())


def idle(tree: Tree, phases: Collection[str]) -> Idle | None:
    """The idle time of some phases by cause; None where no device worked."""
    if metrics.IDLE.name not in tree.selfs:
        return None
    sums: dict[Cause, float] = dict.fromkeys(CAUSES, 0.0)
    wall = named = 0.0
    columns = zip(tree.selfs[metrics.IDLE.name], tree.selfs[metrics.WALL.name], phases_of(tree), strict=True)
    for node, (own, own_wall, phase) in enumerate(columns):
        if phase not in phases:
            continue
        wall += own_wall
        if own:
            frame = tree.frame(node)
            sums[cause_of(frame, phase)] += own
            named += own if frame.name not in UNNAMED else 0.0
    return Idle(sums, wall, named)


def cause_of(frame: Frame, phase: str) -> Cause:
    """Why the device had nothing to do while the host was in this frame."""
    if frame.kind == "wait":
        return "synchronisation"
    if frame.kind == "runtime" and frame.name.startswith(_COPY_CALLS):
        return "copy"
    if frame.kind == "runtime" and frame.name.startswith(_ALLOCATION_CALLS):
        return "allocation"
    if phase in TOKENISER_PHASES:
        return "tokeniser"
    return "launch-bound Python"
