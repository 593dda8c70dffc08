"""The command line: which commands there are, and how each way to end becomes an exit code."""

from __future__ import annotations

import contextlib
import copy
import gc
import os
import sys
from collections.abc import Sequence
from typing import Annotated, NoReturn

import typer

from llmflame.cli.diff import diff
from llmflame.cli.export import export
from llmflame.cli.import_ import import_
from llmflame.cli.lab import lab
from llmflame.cli.machine import machine
from llmflame.cli.optional_value import OptionalValueCommand
from llmflame.cli.plan import plan
from llmflame.cli.profile import profile
from llmflame.cli.report import report
from llmflame.cli.scratch import scratch
from llmflame.cli.show import show
from llmflame.errors import LlmflameError

app = typer.Typer(
    name="llmflame",
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command(cls=OptionalValueCommand)(profile)
for command in (show, report):
    app.command()(command)
app.command(short_help="Compare two profiles: what changed, and how sure that is.")(diff)
app.command(short_help="Write a profile for speedscope, Perfetto, pprof and others.")(export)
app.command("import", short_help="Make a profile of what Nsight Compute or iaprof wrote.")(import_)
app.command(short_help="Measure which change helps, and whether the output stays the same.")(lab)
app.command(short_help="Say whether a model fits into memory, without loading it.")(plan)
app.command(short_help="Show what this machine is, and what limits it.")(machine)
app.command(short_help="Continue a text with a decoder that is there to be read.")(scratch)


def _print_version(wanted: bool) -> None:
    if wanted:
        from llmflame.recording.version import version

        typer.echo(f"llmflame {version()}")
        raise typer.Exit


VersionOption = typer.Option(
    "--version", help="Print the version and exit.", callback=_print_version, is_eager=True
)


@app.callback()
def llmflame(
    version: Annotated[bool, VersionOption] = False,
) -> None:
    """Where every nanosecond and every byte of a language model in PyTorch went."""


def main() -> NoReturn:
    """The entry point: run the command in `sys.argv` and end the process with its exit code."""
    code = run(sys.argv[1:])
    gc.freeze()  # or the interpreter would search a whole profile for cycles before it gives all of it back
    sys.exit(code)


def run(arguments: Sequence[str]) -> int:
    """Run one command; what went wrong is one line on stderr. Returns the exit code."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, ValueError):
            # A terminal that can't show a block character shows another one instead.
            stream.reconfigure(errors="replace")  # type: ignore[union-attr]
    try:
        return _invoke(list(arguments))
    except LlmflameError as error:
        return _fail(str(error), error.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        return _fail("interrupted", 1)
    except BrokenPipeError:
        _drop_stdout()
        return 0


def _parts_of(arguments: Sequence[str]) -> typer.Typer:
    """The command that is named, alone, else all of them: each takes two milliseconds to make a parser of."""
    named = [
        one
        for one in app.registered_commands
        if one.callback is not None and one.callback.__name__ in arguments[:1]
    ]
    if not named:
        return app
    alone = copy.copy(app)
    alone.registered_commands = named
    return alone


def _invoke(arguments: list[str]) -> int:
    command = typer.main.get_command(_parts_of(arguments))
    named = bool(arguments)
    try:
        with command.make_context("llmflame", arguments) as context:
            command.invoke(context)
        sys.stdout.flush()
    except typer.Exit as ending:
        sys.stdout.flush()
        return ending.exit_code
    except Exception as error:
        wording = getattr(error, "format_message", None)
        if wording is None:
            raise
        if not named:
            # No command was named: the parser's message is the whole help.
            typer.echo(wording(), err=True)
            return 2
        # The parser's own errors: an unknown option, a value of the wrong kind.
        place = getattr(getattr(error, "ctx", None), "command_path", "llmflame")
        return _fail(f"{wording()} (see {place} --help)", 2)
    return 0


def _fail(message: str, code: int) -> int:
    from llmflame.views.safe import safe_text

    with contextlib.suppress(OSError):
        print(f"llmflame: {safe_text(message, 2_000)}", file=sys.stderr)  # noqa: T201
    return code


def _drop_stdout() -> None:
    """The reader has seen enough: let nothing more be written, at interpreter exit neither."""
    with contextlib.suppress(OSError, ValueError):
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, sys.stdout.fileno())
        os.close(nothing)
