"""What each traced step speaks for, by node of the exported tree."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from llmflame.analysis.run_tree import window_columns
from llmflame.analysis.stalls.stalled_tree import DIVIDED, Stalled
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
    return _with_stalls(found, request.stalled, names) if request.stalled.parts else found


def _with_stalls(parts: Parts, stalled: Stalled, names: Sequence[str]) -> Parts:
    """The same by node of the tree with stalls: what a kernel's reasons took over goes to them."""
    taken = [name in DIVIDED for name in names]
    found: Parts = defaultdict(dict)
    for before, by_step in parts.items():
        node = stalled.places[before]
        below = stalled.parts.get(node, ())
        for step, values in by_step.items():
            pairs = list(zip(values, taken, strict=True))
            found[node][step] = [0.0 if below and moves else value for value, moves in pairs]
            for leaf, share in below:
                found[leaf][step] = [value * share if moves else 0.0 for value, moves in pairs]
    return found
