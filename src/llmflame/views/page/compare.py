"""What the page of a run shows of its comparison with another: the document, and a tree with both numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from llmflame.analysis.compare.comparison import Comparison
from llmflame.analysis.compare.document import diff_document
from llmflame.analysis.compare.union import Union
from llmflame.analysis.tree import Tree
from llmflame.store import metrics
from llmflame.store.model import Metric

MOST_ROWS = 200
"""Of each list of changes: the flame graph has all of them."""
BEFORE, LARGER = "@before", "@larger"
"""At the end of a metric's name: A's numbers, and in each frame the larger of both."""
BOTH = (
    metrics.WALL,
    metrics.HOST,
    metrics.DEVICE,
    metrics.IDLE,
    metrics.ALLOCATED,
    metrics.DEVICE_ALLOCATED,
    metrics.COPIED,
    metrics.CALLS,
)
"""Metrics of which a page has A's numbers too."""


@dataclass(frozen=True, slots=True)
class PageCompare:
    """A comparison as the page of B has it."""

    facts: Mapping[str, object]
    """The document that `llmflame diff --json` prints."""
    tree: Tree
    """The union: B's metrics, and for each of `BOTH` two more columns."""


def page_compare(comparison: Comparison) -> PageCompare:
    """All that the page's part about another run needs."""
    return PageCompare(
        diff_document(comparison, metrics.WALL, MOST_ROWS), with_both_columns(comparison.joined)
    )


def with_both_columns(joined: Union) -> Tree:
    """The union as a tree of which a width can be B's numbers, A's, or the larger.

    The larger of both is of each frame's own value: a frame that only A has stays to be seen in it.
    """
    tree = joined.tree
    found = replace(tree, metrics=list(tree.metrics), selfs=dict(tree.selfs))
    for metric in BOTH:
        before, after = joined.columns(metric.name)
        if not any(before) and not any(after):
            continue
        larger = [max(pair) for pair in zip(before, after, strict=True)]
        for suffix, words, values in ((BEFORE, "A", before), (LARGER, "larger of both", larger)):
            label = f"{metric.label}, {words}"
            found.metrics.append(Metric(metric.name + suffix, metric.unit, "sum", label))
            found.selfs[metric.name + suffix] = values
    return found
