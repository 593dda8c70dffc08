"""Where each kernel stands against the roofline: the work of the operators that launched it, by its time.

An operator's bytes and floating-point operations come from its shapes (probes/work). Where it launches
several kernels they share its work by their device time: all then have the operator's own rates.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace

from llmflame.analysis.ceiling import Rates
from llmflame.analysis.roofline import working_operators
from llmflame.analysis.tree import Tree
from llmflame.store import metrics


@dataclass(frozen=True, slots=True)
class Position:
    """A kernel of one phase: its time, its work, and how near that is to the ceilings."""

    device_ns: float
    calls: float
    moved_bytes: float
    """By the shapes of its operators: read and written."""
    flops: float
    known_ns: float
    """The part of `device_ns` below operators whose work is known: what rates are of."""
    memory_share: float | None = None
    """Of the memory's bandwidth: how much its operators' bytes need. Above 1 where caches serve some."""
    arithmetic_share: float | None = None
    """Of the rate of matrix products."""

    def against(self, rates: Rates) -> Position:
        """The same with its shares of the ceilings."""
        if not self.known_ns:
            return self
        seconds = self.known_ns / 1e9
        return replace(
            self,
            memory_share=self.moved_bytes / seconds / rates.bytes_per_s if rates.bytes_per_s else None,
            arithmetic_share=self.flops / seconds / rates.flop_per_s if rates.flop_per_s else None,
        )

    @property
    def side(self) -> str | None:
        """Which ceiling it would meet first: `memory` or `arithmetic`; None where that is not known."""
        if self.memory_share is None or not (self.moved_bytes or self.flops):
            return None
        return "arithmetic" if (self.arithmetic_share or 0.0) > self.memory_share else "memory"

    @property
    def used(self) -> float | None:
        """The share of the ceiling that it would meet first: floor over time."""
        if self.side is None:
            return None
        return max(self.memory_share or 0.0, self.arithmetic_share or 0.0)


def positions(tree: Tree) -> dict[tuple[str, str], Position]:
    """By phase and kernel: time and work, without the ceilings."""
    phases, owners = tree.phases(), working_operators(tree)
    empty = [0.0] * len(tree)
    device, calls, flops, read, written = (
        tree.selfs.get(metric.name, empty)
        for metric in (metrics.DEVICE, metrics.CALLS, metrics.FLOPS, metrics.READ, metrics.WRITTEN)
    )
    is_kernel = [frame.kind == "kernel" for frame in tree.frames]
    kernels = [node for node, frame in enumerate(tree.node_frames) if is_kernel[frame]]
    of_operator: dict[int, float] = defaultdict(float)
    for node in kernels:
        owner = owners[node]
        if owner is not None:
            of_operator[owner] += device[node]
    sums: dict[tuple[str, str], list[float]] = defaultdict(lambda: [0.0] * 5)
    for node in kernels:
        own = sums[phases[node], tree.frame(node).name]
        own[0] += device[node]
        own[1] += calls[node]
        owner = owners[node]
        if owner is not None and of_operator[owner]:
            part = device[node] / of_operator[owner]
            own[2] += (read[owner] + written[owner]) * part
            own[3] += flops[owner] * part
            own[4] += device[node]
    return {key: Position(*own) for key, own in sums.items()}
