"""The metrics that a tree can be looked at by, in the order in which they are asked for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from llmflame.analysis.tree import Tree
from llmflame.store import metrics
from llmflame.store.model import Metric
from llmflame.views.safe import safe_text

ORDER = (
    metrics.WALL,
    metrics.HOST,
    metrics.DEVICE,
    metrics.IDLE,
    metrics.FLOOR,
    metrics.CPU,
    metrics.OVERLAPPED,
    metrics.ALLOCATED,
    metrics.DEVICE_ALLOCATED,
    metrics.COPIED,
    metrics.FREED,
    metrics.DEVICE_FREED,
    metrics.RESIDENT,
    metrics.FLOPS,
    metrics.CALLS,
)
"""What is asked for most comes first; others follow in the order of the tree."""
NOT_ALONE = frozenset(
    metric.name
    for metric in (
        metrics.LOW_OCCUPANCY,
        metrics.UNKNOWN_WORK,
        metrics.READ,
        metrics.WRITTEN,
        metrics.WEIGHTS_READ,
    )
)
"""They say how others came about, or are part of what the floor is made of."""
LABELS = {
    metrics.DEVICE.name: "GPU time",
    metrics.FLOPS.name: "FLOPs",
    metrics.FLOOR.name: "Operators' floor",
}
"""Shorter than the file's own labels."""
HELD = "held_bytes@"


@dataclass(frozen=True, slots=True)
class Choice:
    """A metric of one of the two trees: what ran, or (`held`) what memory was held by at a peak."""

    metric: Metric
    held: bool

    @property
    def label(self) -> str:
        """What it is called, safe to show."""
        return label(self.metric)


def label(metric: Metric) -> str:
    """What a metric is called, safe to show."""
    return LABELS.get(metric.name) or safe_text(metric.label, 60)


def choices(tree: Tree, held: Tree | None) -> list[Choice]:
    """All that a tree can be looked at by. Calls are counted up the tree: at or below a frame so many."""
    ranks = {metric.name: rank for rank, metric in enumerate(ORDER)}
    found = [metric for metric in tree.metrics if _adds_up(metric) and any(tree.selfs[metric.name])]
    found.sort(key=lambda metric: ranks.get(metric.name, len(ranks)))
    peaks: Iterable[Metric] = held.metrics if held is not None else ()
    # Single steps' peaks are the page's: here the phases' are enough.
    whole = [metric for metric in peaks if "." not in metric.name.partition(HELD)[2]]
    return [Choice(metric, False) for metric in found] + [Choice(metric, True) for metric in whole]


def _adds_up(metric: Metric) -> bool:
    return (metric.fold == "sum" or metric.name == metrics.CALLS.name) and metric.name not in NOT_ALONE
