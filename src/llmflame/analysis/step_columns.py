"""Single traced steps as further metrics of the run's tree: `wall_ns@decode.8` is step 8 alone.

Undisturbed time, as in the run's tree: a step's frames add up to what a step at its place takes when nobody
traces it. Steps between windows have no frames of their own.
"""

from __future__ import annotations

from dataclasses import replace

from llmflame.analysis.run_tree import RunTree, window_alone
from llmflame.analysis.tree import Tree
from llmflame.store import metrics
from llmflame.store.model import Frame, Metric

MOST_STEPS = 16
"""Of a run: windows come at powers of eight, so that more of them are prompts in chunks."""
STEP_METRICS = (
    metrics.WALL,
    metrics.HOST,
    metrics.DEVICE,
    metrics.IDLE,
    metrics.CALLS,
    metrics.ALLOCATED,
    metrics.DEVICE_ALLOCATED,
)


def with_steps(run: RunTree) -> Tree:
    """The run's tree with a column for each metric of each traced step; itself where none was traced.

    A phase that was traced as a whole has no steps to tell apart.
    """
    tree = run.tree
    selfs, added = dict(tree.selfs), list[Metric]()
    rests = {
        tree.frame(tree.parents[node]).name: node
        for node in range(len(tree))
        if tree.frame(node) == Frame("other", "unattributed") and tree.parents[node] > 0
    }
    steps = [
        (phase, window) for phase in run.phases for window in phase.windows if window.row.step is not None
    ]
    several = [
        (phase, window) for phase, window in steps if phase.span.name == "decode" or len(phase.windows) > 1
    ]
    for phase, window in several[:MOST_STEPS]:
        name = phase.span.name
        columns = window_alone(phase, window, on_device=metrics.HOST.name in tree.selfs)
        for metric in STEP_METRICS:
            column: dict[int, float] = {}
            for node, value in columns.get(metric.name, {}).items():
                place = run.nodes[name].get(node)
                if value and place is not None:
                    column[place] = column.get(place, 0.0) + value
            if metric in (metrics.WALL, metrics.HOST) and metric.name in tree.selfs:
                rest = window.clean_ns - sum(column.values())
                if abs(rest) >= 1 and name in rests:
                    column[rests[name]] = column.get(rests[name], 0.0) + rest
            if not column:
                continue
            own = replace(
                metric,
                name=f"{metric.name}@{name}.{window.row.step}",
                label=f"{metric.label}, {name} step {window.row.step}",
            )
            values_of_all = [0.0] * len(tree)
            for place, value in column.items():
                values_of_all[place] = value
            added.append(own)
            selfs[own.name] = values_of_all
    return replace(tree, metrics=[*tree.metrics, *added], selfs=selfs) if added else tree
