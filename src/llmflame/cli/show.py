"""The command `llmflame show`."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from llmflame.errors import UsageError

if TYPE_CHECKING:
    from llmflame.analysis.run_tree import RunTree
    from llmflame.analysis.tables import Table
    from llmflame.analysis.tree_table import TreeLimits
    from llmflame.store.profile import Profile

ROWS = 30
TREE_ROWS = 60
TREE_ALIKE = 2
"""Of a model's layers; the others are one row."""
TREE_MIN_PERCENT = 1.0
STEP_ROWS = 40


class View(str, Enum):  # noqa: UP042  older typer versions read no StrEnum
    """What of a profile is shown."""

    summary = "summary"
    phases = "phases"
    tree = "tree"
    ops = "ops"
    functions = "functions"
    modules = "modules"
    steps = "steps"
    kernels = "kernels"
    idle = "idle"
    roofline = "roofline"
    memory = "memory"
    load = "load"
    heap = "heap"
    stalls = "stalls"
    instructions = "instructions"
    findings = "findings"
    machine = "machine"


class TreeMetric(str, Enum):  # noqa: UP042  older typer versions read no StrEnum
    """Which of a recording's trees is shown."""

    wall = "wall"
    host = "host"
    device = "device"
    idle = "idle"
    samples = "samples"
    bytes = "bytes"
    heap = "heap"


def show(  # noqa: PLR0913  each option is a parameter
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A profile, *.llmflame.", show_default=False)],
    view: Annotated[View, typer.Option(help="What to show.")] = View.summary,
    sort: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="Order a table by a column, e.g. cumtime.")
    ] = None,
    limit: Annotated[int | None, typer.Option(metavar="N", min=1, help="Show at most N rows.")] = None,
    phase: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Only this phase (may be repeated): load, prefill, decode ..."),
    ] = None,
    depth: Annotated[int | None, typer.Option(metavar="N", min=0, help="tree: N levels deep.")] = None,
    min_share: Annotated[
        float | None,
        typer.Option(
            metavar="PERCENT", min=0, max=100, help="tree: fold frames with less.", show_default="1"
        ),
    ] = None,
    metric: Annotated[
        TreeMetric | None,
        typer.Option(
            help="tree: by wall time, the host's, the GPU's, its idle time, samples, or bytes at a peak: all "
            "that are held, or the heap's by who allocated them (of --host-allocations).",
            show_default="wall",
        ),
    ] = None,
    all_frames: Annotated[
        bool, typer.Option("--all-frames", help="Keep frames that only pass a call on.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")] = False,
    interactive: Annotated[
        bool, typer.Option("--interactive", "-i", help="Browse its tree and tables with the keyboard.")
    ] = False,
) -> None:
    """Show a profile: the summary, or one view of it.

    Times are undisturbed ones: frames seen by the tracer are scaled to the clean pass.
    """
    from llmflame.store.profile import read_profile

    phases = tuple(dict.fromkeys(phase or ()))
    _refuse_useless(
        view,
        sort=sort,
        depth=depth,
        min_share=min_share,
        phases=phases,
        all_frames=all_frames,
        limit=limit,
        metric=metric,
    )
    wanted = _Wanted(view, sort, limit, phases, depth, min_share, metric, all_frames, json)
    if interactive:
        _browse(file, wanted)
        return
    with no_collection():
        _print(wanted, read_profile(file, timelines=False))


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What was asked for."""

    view: View
    sort: str | None
    limit: int | None
    phases: tuple[str, ...]
    depth: int | None
    min_share: float | None
    metric: TreeMetric | None
    all_frames: bool
    json: bool


def _browse(file: Path, wanted: _Wanted) -> None:
    """Raises UsageError where nobody could press a key, or where another option was given."""
    from llmflame.store.profile import read_profile
    from llmflame.views.interactive.start import browser_of, check_terminal

    if wanted != _Wanted(View.summary, None, None, (), None, None, None, False, False):
        raise UsageError("--interactive goes with no other option: everything is chosen by keys")
    check_terminal()
    with no_collection():
        run = browser_of(read_profile(file, timelines=False))
    run()


def _print(wanted: _Wanted, profile: Profile) -> None:
    from llmflame.cli.printing import (
        print_findings,
        print_lab,
        print_machine,
        print_memory,
        print_summary,
        print_table,
    )

    view, as_json, limit = wanted.view, wanted.json, wanted.limit
    if _is_lab(profile):
        print_lab(_lab_of(profile, wanted), as_json=as_json)
        return
    if view is View.summary:
        print_summary(profile, as_json=as_json, limit=limit)
    elif view is View.machine:
        print_machine(profile, as_json=as_json)
    elif view is View.findings:
        print_findings(profile, as_json=as_json, limit=limit)
    elif view is View.memory:
        print_memory(profile, as_json=as_json)
    elif view is View.tree:
        limits = _tree_limits(limit, wanted.depth, wanted.min_share, as_json=as_json)
        tree = {TreeMetric.bytes: _held_tree, TreeMetric.heap: _heap_tree}.get(
            wanted.metric or TreeMetric.wall, _tree
        )
        table = tree(profile, wanted.phases, limits, wanted.all_frames, wanted.metric)
        print_table(table, profile, as_json=as_json)
    else:
        table = _table(view, profile, wanted.phases, wanted.all_frames)
        print_table(_cut(table, wanted.sort, limit, as_json=as_json), profile, as_json=as_json)


def _is_lab(profile: Profile) -> bool:
    from llmflame.analysis.experiment.experiment import is_experiment

    return is_experiment(profile)


def _lab_of(profile: Profile, wanted: _Wanted) -> Profile:
    """An experiment has one view. Raises UsageError where another was asked for."""
    if wanted != _Wanted(View.summary, None, None, (), None, None, None, False, wanted.json):
        named = [f"{profile.path}:{one.row}@{one.batch}" for one in profile.row_profiles]
        hint = f": its rows have profiles of their own, as {named[0]}" if named else ""
        raise UsageError(f"{profile.path} is an experiment, which has no other view than its rows{hint}")
    return profile


@contextlib.contextmanager
def no_collection() -> Iterator[None]:
    """Without the garbage collector: a tenth of the time would go to it, and rows have no cycles."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _tree_limits(
    limit: int | None, depth: int | None, min_share: float | None, *, as_json: bool
) -> TreeLimits:
    """What a screen has room for, unless told otherwise; a document holds the whole tree."""
    from llmflame.analysis.tree_table import TreeLimits

    if as_json:
        return TreeLimits(depth, (min_share or 0.0) / 100, limit)
    least = TREE_MIN_PERCENT if min_share is None else min_share
    return TreeLimits(depth, least / 100, limit or TREE_ROWS, TREE_ALIKE)


def _tree(
    profile: Profile, phases: tuple[str, ...], limits: TreeLimits, all_frames: bool, metric: TreeMetric | None
) -> Table:
    from llmflame.analysis.ceiling import ceilings
    from llmflame.analysis.roofline import with_floors
    from llmflame.analysis.run_tree import build_run_tree
    from llmflame.analysis.stalls.shown_tree import shown_tree
    from llmflame.analysis.tree_table import WIDTHS, tree_table, widest

    run = build_run_tree(profile)
    tree = shown_tree(profile, run, with_floors(run.tree, ceilings(profile).best), all_frames=all_frames)
    return tree_table(tree, limits, phases, WIDTHS[metric.value] if metric is not None else widest(tree))


def _held_tree(
    profile: Profile, phases: tuple[str, ...], limits: TreeLimits, all_frames: bool, _: TreeMetric | None
) -> Table:
    from llmflame.analysis.memory.held_table import held_table

    return held_table(profile, limits, phases, all_frames=all_frames)


def _heap_tree(
    profile: Profile, phases: tuple[str, ...], limits: TreeLimits, all_frames: bool, _: TreeMetric | None
) -> Table:
    from llmflame.analysis.heap_table import heap_tree_table

    return heap_tree_table(profile, limits, phases, all_frames=all_frames)


def _refuse_useless(view: View, **options: Any) -> None:
    """An option that a view has no use for is a mistake, which silence would hide."""
    useful = {
        "sort": {
            View.phases,
            View.ops,
            View.functions,
            View.modules,
            View.steps,
            View.kernels,
            View.idle,
            View.load,
            View.heap,
            View.stalls,
            View.instructions,
        },
        "depth": {View.tree},
        "min_share": {View.tree},
        "phases": {
            View.phases,
            View.tree,
            View.ops,
            View.functions,
            View.modules,
            View.kernels,
            View.idle,
            View.heap,
            View.stalls,
            View.instructions,
        },
        "all_frames": {View.tree, View.functions, View.idle},
        "limit": set(View) - {View.machine, View.roofline, View.memory},
        "metric": {View.tree},
    }
    for name, views in useful.items():
        if options[name] not in (None, (), False) and view not in views:
            option = "--phase" if name == "phases" else f"--{name.replace('_', '-')}"
            names = " and ".join(sorted(f"--view {each.value}" for each in views))
            raise UsageError(f"{option} goes with {names}, not with --view {view.value}")


def _table(view: View, profile: Profile, phases: tuple[str, ...], all_frames: bool) -> Table:
    if view is View.steps:
        from llmflame.analysis.steps_table import steps_table

        return steps_table(profile)
    if view is View.roofline:
        from llmflame.analysis.ceiling import ceilings
        from llmflame.analysis.roofline import rooflines
        from llmflame.analysis.roofline_table import roofline_table

        return roofline_table(rooflines(profile, _run_tree(profile, True).tree), ceilings(profile))
    if view is View.load:
        from llmflame.analysis.load_table import load_table

        return load_table(profile)
    if view is View.heap:
        from llmflame.analysis.heap_table import heap_table

        return heap_table(profile, phases)
    if view is View.instructions:
        from llmflame.analysis.stalls.instructions_table import instructions_table

        return instructions_table(profile, phases)
    run = _run_tree(profile, all_frames or view not in (View.functions, View.idle))
    if view is View.kernels:
        from llmflame.analysis.kernels_table import kernels_table

        return kernels_table(run.tree, phases)
    if view is View.stalls:
        from llmflame.analysis.stalls.stalls_table import stalls_table

        return stalls_table(profile, run.tree, phases)
    if view is View.modules:
        from llmflame.analysis.modules_table import modules_table

        return modules_table(run.tree, phases)
    if view is View.idle:
        from llmflame.analysis.idle_table import idle_table

        return idle_table(run.tree, phases)
    if view is View.phases:
        from llmflame.analysis.phases_table import phases_table

        return phases_table(profile, run.tree, phases)
    if view is View.ops:
        from llmflame.analysis.ops_table import ops_table

        return ops_table(run.tree, phases)
    from llmflame.analysis.functions_table import functions_table

    return functions_table(run.tree, phases)


def _run_tree(profile: Profile, all_frames: bool) -> RunTree:
    from dataclasses import replace

    from llmflame.analysis.plumbing import without_plumbing
    from llmflame.analysis.run_tree import build_run_tree

    run = build_run_tree(profile)
    return run if all_frames else replace(run, tree=without_plumbing(run.tree))


def _cut(table: Table, sort: str | None, limit: int | None, *, as_json: bool) -> Table:
    """Sorted and shortened; a document is as long as it is, unless told otherwise."""
    if sort is not None:
        table = table.sorted_by(_column_of(table, sort))
    if table.view == "steps" and sort is None and not as_json:
        from llmflame.analysis.steps_table import compact

        return compact(table, limit or STEP_ROWS)
    if limit is None and not as_json and table.view not in ("phases", "roofline"):
        limit = ROWS
    return table.limited(limit)


def _column_of(table: Table, wanted: str) -> str:
    """A column by its name, with or without the unit at its end: `cumtime` is `cumtime_ns`."""
    names = [column.name for column in table.columns]
    for name in (wanted, f"{wanted}_ns", f"{wanted}_bytes", f"{wanted}_share"):
        if name in names:
            return name
    return wanted
