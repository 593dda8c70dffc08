"""The command `llmflame import`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from llmflame.cli.known import known
from llmflame.errors import UsageError

SUFFIX = ".llmflame"


def import_(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="What the other tool wrote.", show_default=False)
    ],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="OUT", help="The profile; by default FILE as .llmflame."),
    ] = None,
    form: Annotated[
        str | None,
        typer.Option(
            "--format",
            metavar="FORMAT",
            help="ncu-csv, iaprof or folded; told from the file where it is left out.",
            show_default=False,
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the profile if it exists.")] = False,
) -> None:
    """Make a profile of another tool's file: a table of Nsight Compute, or collapsed (GPU) stacks.

    Tables are those of ncu --csv, with --page raw or --page details.
    """
    from llmflame.atomic import check_writable
    from llmflame.cli.progress import shown_progress
    from llmflame.importing.formats import FORMATS, format_of
    from llmflame.importing.write import write_profile
    from llmflame.recording.version import version
    from llmflame.views.safe import safe_text

    target = output or file.with_suffix(SUFFIX)
    if target.exists() and file.exists() and target.samefile(file):
        raise UsageError(f"{target} is the file itself: name another one with -o")
    check_writable(target, force=force)
    chosen = format_of(file) if form is None else known("--format", form, FORMATS)
    with shown_progress() as progress:
        progress(f"reading {file.name}")
        found = FORMATS[chosen].read(file)
        progress(f"writing {target.name}")
        write_profile(found, target, version=version())
    for note in found.notes:
        typer.echo(f"{safe_text(file.name, 200)}: {note}", err=True)
    typer.echo(safe_text(str(target), 4_096))
