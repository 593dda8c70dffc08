"""The tables that can be exported, by the names that `show --view` has for them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from llmflame.analysis.tables import Table
from llmflame.errors import UsageError
from llmflame.exports.request import Request


def _functions(request: Request) -> Table:
    from llmflame.analysis.functions_table import functions_table

    return functions_table(request.tree, request.phases)


def _ops(request: Request) -> Table:
    from llmflame.analysis.ops_table import ops_table

    return ops_table(request.run.tree, request.phases)


def _modules(request: Request) -> Table:
    from llmflame.analysis.modules_table import modules_table

    return modules_table(request.run.tree, request.phases)


def _kernels(request: Request) -> Table:
    from llmflame.analysis.kernels_table import kernels_table

    return kernels_table(request.run.tree, request.phases)


def _phases(request: Request) -> Table:
    from llmflame.analysis.phases_table import phases_table

    return phases_table(request.profile, request.run.tree, request.phases)


def _steps(request: Request) -> Table:
    from llmflame.analysis.steps_table import steps_table

    return steps_table(request.profile)


def _idle(request: Request) -> Table:
    from llmflame.analysis.idle_table import idle_table

    return idle_table(request.run.tree, request.phases)


def _roofline(request: Request) -> Table:
    from llmflame.analysis.ceiling import ceilings
    from llmflame.analysis.roofline import rooflines
    from llmflame.analysis.roofline_table import roofline_table

    return roofline_table(rooflines(request.profile, request.run.tree), ceilings(request.profile))


def _load(request: Request) -> Table:
    from llmflame.analysis.load_table import load_table

    return load_table(request.profile)


def _heap(request: Request) -> Table:
    from llmflame.analysis.heap_table import heap_table

    return heap_table(request.profile, request.phases)


def _stalls(request: Request) -> Table:
    from llmflame.analysis.stalls.stalls_table import stalls_table

    return stalls_table(request.profile, request.run.tree, request.phases)


def _instructions(request: Request) -> Table:
    from llmflame.analysis.stalls.instructions_table import instructions_table

    return instructions_table(request.profile, request.phases)


VIEWS: Mapping[str, Callable[[Request], Table]] = {
    "functions": _functions,
    "ops": _ops,
    "modules": _modules,
    "kernels": _kernels,
    "phases": _phases,
    "steps": _steps,
    "idle": _idle,
    "roofline": _roofline,
    "load": _load,
    "heap": _heap,
    "stalls": _stalls,
    "instructions": _instructions,
}
_OF_FIXED_PHASES: Mapping[str, str] = {
    "steps": "all its rows are of decode",
    "roofline": "its rows are prefill and decode",
    "load": "all its rows are of load",
}


def table_of(request: Request) -> Table:
    """The table of `request.view`. Raises UsageError where an option has no use for it."""
    if request.view in _OF_FIXED_PHASES and request.phases:
        why = _OF_FIXED_PHASES[request.view]
        raise UsageError(f"--phase doesn't go with --view {request.view}: {why}")
    if request.view != "functions" and request.all_frames:
        raise UsageError(f"--all-frames goes with --view functions, not with {request.view}")
    return VIEWS[request.view](request)
