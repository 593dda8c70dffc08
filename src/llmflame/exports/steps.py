"""What each traced step speaks for, by node of the exported tree."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from llmflame.analysis.plumbing import shown_nodes
from llmflame.analysis.run_tree import window_values
from llmflame.exports.request import Request
from llmflame.store import metrics

Parts = dict[int, dict[int, list[float]]]
"""By node of `request.tree`, and by step: a value for each metric."""


def step_parts(request: Request, names: Sequence[str]) -> Parts:
    """Values of `names` by node and traced step: step 8 speaks for the steps around it as well."""
    run = request.run
    places = range(len(run.tree)) if request.all_frames else shown_nodes(run.tree)
    on_device = metrics.IDLE.name in run.tree.selfs
    found: Parts = defaultdict(dict)
    for phase in run.phases:
        name = phase.span.name
        for window in phase.windows if request.wants(name) else ():
            step = window.row.step
            if step is None:
                continue
            for number, cells in window_values(phase, window, on_device=on_device).items():
                node = run.nodes.get((name, number))
                values = [cells.get(metric, 0.0) for metric in names]
                if node is None or not any(values):
                    continue
                by_step = found[places[node]]
                known = by_step.get(step)
                by_step[step] = (
                    values if known is None else [a + b for a, b in zip(known, values, strict=True)]
                )
    return found
