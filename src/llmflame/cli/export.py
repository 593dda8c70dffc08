"""The command `llmflame export`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from llmflame.cli.known import known
from llmflame.cli.show import no_collection
from llmflame.errors import UsageError

if TYPE_CHECKING:
    from llmflame.exports.formats import Format
    from llmflame.exports.request import Request
    from llmflame.store.profile import Profile

EXPERIMENTS = ("markdown", "json")
"""Formats that an experiment has."""
STDOUT = "-"


def export(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A profile, *.llmflame.", show_default=False)],
    form: Annotated[
        str,
        typer.Option(
            "--format",
            metavar="FORMAT",
            help="speedscope, folded, pstats, chrome, pprof, csv, parquet, markdown or json.",
            show_default=False,
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="OUT", help="The file, - for stdout; by default FILE's name beside it."
        ),
    ] = None,
    metric: Annotated[
        str | None,
        typer.Option(
            metavar="METRIC", help="folded: wall, host, device, idle, samples or bytes.", show_default="wall"
        ),
    ] = None,
    view: Annotated[
        str | None,
        typer.Option(
            metavar="VIEW",
            help="csv, parquet: functions, ops, modules, kernels, phases, steps, idle, roofline, load, heap, "
            "stalls or instructions.",
            show_default="functions",
        ),
    ] = None,
    phase: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Only this phase (may be repeated).")
    ] = None,
    all_frames: Annotated[
        bool, typer.Option("--all-frames", help="Keep frames that only pass a call on.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace the file if it exists.")] = False,
) -> None:
    """Write a profile for another tool: speedscope, flame graphs, pstats, Perfetto, pprof, a spreadsheet."""
    from llmflame.cli.progress import shown_progress
    from llmflame.exports.folded import METRICS
    from llmflame.exports.formats import ALL_FRAMES, FORMATS, METRIC, PHASES, VIEW
    from llmflame.exports.request import Request
    from llmflame.exports.tables import VIEWS

    form = known("--format", form, FORMATS)
    given = {PHASES: phase, METRIC: metric, VIEW: view, ALL_FRAMES: all_frames}
    _refuse_useless(form, [option for option, value in given.items() if value])
    metric = known(METRIC, metric or "wall", METRICS)
    view = known(VIEW, view or "functions", VIEWS)
    phases = tuple(dict.fromkeys(phase or ()))
    with no_collection():
        with shown_progress() as progress:
            progress(f"reading {file.name}")
            profile = _read(file, form)
            request = Request(profile, phases, metric, view, all_frames)
        _hand_over(file, output, form, request, force=force)


def _refuse_useless(form: str, options: Iterable[str]) -> None:
    """An option that a format has no use for is a mistake, which silence would hide."""
    from llmflame.exports.formats import FORMATS

    for option in options:
        if option not in FORMATS[form].options:
            names = ", ".join(name for name, other in FORMATS.items() if option in other.options)
            raise UsageError(f"{option} goes with --format {names}, not with {form}")


def _read(file: Path, form: str) -> Profile:
    """An experiment is a table: raises UsageError for a format of frames, which its rows' profiles have."""
    from llmflame.analysis.experiment.experiment import is_experiment
    from llmflame.exports.formats import FORMATS
    from llmflame.store.profile import read_profile

    profile = read_profile(file, timelines=FORMATS[form].timelines, cells=FORMATS[form].cells)
    if is_experiment(profile) and form not in EXPERIMENTS:
        words = " and ".join(EXPERIMENTS)
        raise UsageError(
            f"{profile.path} is an experiment, for {words}; {profile.path}:ROW is a row's profile"
        )
    return profile


def _hand_over(file: Path, output: Path | None, form: str, request: Request, *, force: bool) -> None:
    from llmflame.exports.formats import FORMATS

    chosen = FORMATS[form]
    if output is not None and str(output) == STDOUT:
        _print(form, chosen, request)
    else:
        _write(file, output, chosen, request, force=force)


def _print(form: str, chosen: Format, request: Request) -> None:
    if not chosen.is_text:
        raise UsageError(f"--format {form} is no text: name a file with -o")
    typer.echo(chosen.make(request), nl=False)


def _write(file: Path, output: Path | None, chosen: Format, request: Request, *, force: bool) -> None:
    from llmflame.atomic import check_writable, write_atomically
    from llmflame.cli.progress import shown_progress
    from llmflame.views.safe import safe_text

    target = output or file.with_name(chosen.file_name(file.stem, request))
    check_writable(target, force=force)
    if target.exists() and target.samefile(file):
        raise UsageError(f"{target} is the profile itself: name another file with -o")
    with shown_progress() as progress:
        progress(f"writing {target.name}")
        write_atomically(target, chosen.make(request))
    typer.echo(safe_text(str(target), 4_096))
