"""What the commands write to stdout: views for people, one JSON document for programs."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from rich.console import RenderableType

    from llmflame.analysis.tables import Table
    from llmflame.store.profile import Profile

TOP_ROWS = 10


def print_summary(profile: Profile, *, as_json: bool, limit: int | None = None) -> None:
    """The summary as a screen or as one JSON document; `limit` is the number of top frames.

    A screen begins with what needs no tree: it is there while the rest is worked out.
    """
    if not as_json:
        _print_opening(profile)
    from llmflame.analysis.run_tree import build_run_tree
    from llmflame.analysis.summary import summarise

    run = build_run_tree(profile)
    document = summarise(profile, run) if limit is None else summarise(profile, run, top_limit=limit)
    if as_json:
        print_json(document)
        return
    from llmflame.analysis.plumbing import without_plumbing
    from llmflame.views.summary import rest_view

    print_view(rest_view(document, without_plumbing(run.tree), limit or TOP_ROWS))


def _print_opening(profile: Profile) -> None:
    from llmflame.analysis.opening import opening
    from llmflame.analysis.phases import phase_spans
    from llmflame.views.opening import opening_view

    print_view(opening_view(opening(profile), has_phases=bool(phase_spans(profile))))
    sys.stdout.flush()


def print_table(table: Table, profile: Profile, *, as_json: bool) -> None:
    """A table below the profile's title and, if the run didn't end well, its status."""
    if as_json:
        print_json(table.document())
        return
    from rich.console import Group

    from llmflame.views.heading import heading

    print_view(Group(*heading(profile.subject, profile.run.status, profile.run.reason), _body(table)))


def _body(table: Table) -> RenderableType:
    if table.view == "tree":
        from llmflame.views.tree import tree_view

        return tree_view(table)
    if table.view == "stalls":
        from llmflame.views.stalls import stalls_view

        return stalls_view(table)
    from llmflame.views.table import table_view

    return table_view(table)


def print_findings(profile: Profile, *, as_json: bool, limit: int | None = None) -> None:
    """What should be changed, each finding with its evidence."""
    from llmflame.analysis.findings import find
    from llmflame.analysis.run_tree import build_run_tree
    from llmflame.analysis.summary import finding_document

    found = find(profile, build_run_tree(profile))[:limit]
    documents = [finding_document(one) for one in found]
    if as_json:
        print_json({"schema": 1, "view": "findings", "findings": documents})
        return
    from rich.console import Group

    from llmflame.views.findings import findings_view
    from llmflame.views.heading import heading

    head = heading(profile.subject, profile.run.status, profile.run.reason)
    print_view(Group(*head, findings_view(documents)))


def print_machine(profile: Profile, *, as_json: bool) -> None:
    """The machine that the profile was made on."""
    if as_json:
        from llmflame.analysis.machine_table import machine_table

        print_json(machine_table(profile.machine).document())
        return
    from llmflame.views.machine import machine_view

    print_view(machine_view(list(profile.machine)))


def print_memory(profile: Profile, *, as_json: bool) -> None:
    """Where the bytes are: at the peaks, from step to step, and when memory ran out."""
    from llmflame.analysis.memory.overview import memory_document

    document = memory_document(profile)
    if as_json:
        print_json(document)
        return
    from rich.console import Group

    from llmflame.views.heading import heading
    from llmflame.views.memory import memory_view

    head = heading(profile.subject, profile.run.status, profile.run.reason)
    print_view(Group(*head, memory_view(document)))


def print_lab(profile: Profile, *, as_json: bool) -> None:
    """An experiment's rows: equality first, then speed."""
    from llmflame.analysis.experiment.document import document
    from llmflame.analysis.experiment.experiment import experiment_of

    found = document(experiment_of(profile))
    if as_json:
        print_json(found)
        return
    from llmflame.views.lab import lab_view

    print_view(lab_view(found))


def print_view(body: RenderableType) -> None:
    """Anything that rich can draw."""
    from llmflame.views.console import console_for

    console_for().print(body)


def print_json(document: dict[str, Any]) -> None:
    """One document, in ASCII: it survives every terminal's and pipe's encoding."""
    from json import dumps

    typer.echo(dumps(document, indent=2, allow_nan=False))
