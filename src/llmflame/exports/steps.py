"""What each traced step speaks for, by node of the exported tree."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from llmflame.analysis.run_tree import window_columns
from llmflame.exports.request import Request
from llmflame.store import metrics

Parts = dict[int, dict[int, list[float]]]
"""By node of `request.tree`, and by step: a value for each metric."""


def step_parts(request: Request, names: Sequence[str]) -> Parts:
    """Values of `names` by node and traced step: step 8 speaks for the steps around it as well."""
    run = request.run
    places = request.places()
    on_device = metrics.IDLE.name in run.tree.selfs
    found: Parts = defaultdict(dict)
    for phase in run.phases:
        name = phase.span.name
        for window in phase.windows if request.wants(name) else ():
            step = window.row.step
            if step is None:
                continue
            nodes = run.nodes[name]
            columns = window_columns(phase, window, on_device=on_device)
            for place, metric in enumerate(names):
                for number, value in columns.get(metric, {}).items():
                    if value and number in nodes:
                        by_step = found[places[nodes[number]]]
                        by_step.setdefault(step, [0.0] * len(names))[place] += value
    return found
