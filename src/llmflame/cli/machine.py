"""The command `llmflame machine`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from llmflame.store.model import Fact

SCHEMA = 1


def machine(
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")] = False,
    measure: Annotated[
        bool,
        typer.Option("--measure", help="Measure what memory, disk, CPU and GPUs reach, and keep it."),
    ] = False,
) -> None:
    """Show what this machine is and can reach: CPU, memory, disk, GPUs, limits and software.

    Each value comes with its source. Nothing is guessed: what can't be read is shown as unknown, and its
    source says why. What --measure found (in some 10 to 15 s) is kept, shown from then on, and stored in
    profiles.
    """
    from llmflame.probes.ceilings.kept import with_kept
    from llmflame.probes.machine import read_machine
    from llmflame.subjects import cache

    described = read_machine(cache_folder())
    facts = (
        [*described, *_measured(described, quiet=json)] if measure else with_kept(cache.folder(), described)
    )
    if json:
        from dataclasses import asdict
        from json import dumps

        document = {"schema": SCHEMA, "facts": [asdict(fact) for fact in facts]}
        typer.echo(dumps(document, indent=2, allow_nan=False))
        return
    from llmflame.views.console import console_for
    from llmflame.views.machine import machine_view

    console_for().print(machine_view(facts))


def _measured(described: list[Fact], *, quiet: bool) -> list[Fact]:
    """The ceilings, measured now and kept for later. Raises UsageError without torch."""
    from importlib.util import find_spec

    from llmflame.cli.progress import shown_progress
    from llmflame.errors import UsageError
    from llmflame.probes.ceilings import measure_ceilings
    from llmflame.probes.ceilings.kept import keep
    from llmflame.subjects import cache

    if find_spec("torch") is None:
        raise UsageError('torch is missing, which --measure needs: pip install "llmflame[run]"')
    with shown_progress(quiet=quiet, alone=True) as progress:
        ceilings = measure_ceilings(cache.folder(), progress)
    try:
        keep(cache.folder(), described, ceilings)
    except OSError as error:
        # They were measured: that they can't be kept is no reason not to show them.
        from llmflame.views.safe import safe_text

        words = safe_text(f"{cache.folder()}: {error.strerror or error}", 500)
        typer.echo(f"llmflame: can't keep the ceilings in {words}", err=True)
    return ceilings


def cache_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """The folder that Hugging Face keeps downloaded models in, by that library's own variables."""
    if environment.get("HF_HUB_CACHE"):
        return Path(environment["HF_HUB_CACHE"])
    if environment.get("HF_HOME"):
        return Path(environment["HF_HOME"]) / "hub"
    base = environment.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base) / "huggingface" / "hub"
