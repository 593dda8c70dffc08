"""The command `llmflame machine`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

SCHEMA = 1


def machine(
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")] = False,
) -> None:
    """Show what this machine is: CPU, memory, disk, GPUs, limits and software, each with its source.

    Nothing is guessed: what can't be read is shown as unknown, and its source says why.
    """
    from llmflame.probes.machine import read_machine

    facts = read_machine(cache_folder())
    if json:
        from dataclasses import asdict
        from json import dumps

        document = {"schema": SCHEMA, "facts": [asdict(fact) for fact in facts]}
        typer.echo(dumps(document, indent=2, allow_nan=False))
        return
    from llmflame.views.console import console_for
    from llmflame.views.machine import machine_view

    console_for().print(machine_view(facts))


def cache_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """The folder that Hugging Face keeps downloaded models in, by that library's own variables."""
    if environment.get("HF_HUB_CACHE"):
        return Path(environment["HF_HUB_CACHE"])
    if environment.get("HF_HOME"):
        return Path(environment["HF_HOME"]) / "hub"
    base = environment.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base) / "huggingface" / "hub"
