"""What stands behind `%llmflame` and `%%llmflame`: options first, the rest is code and stays as it is."""

from __future__ import annotations

import keyword
import re
from dataclasses import dataclass

from llmflame.errors import UsageError

VALUED = {
    "-o": "output",
    "--output": "output",
    "--name": "name",
    "--model": "model",
    "-r": "repetitions",
    "--repetitions": "repetitions",
}
FLAGS = {"--once": "once", "--force": "force"}
_OPTION = re.compile(r"(--?[A-Za-z][\w-]*)(?:=|\s+|$)")
_VALUE = re.compile(r""""([^"]*)"(?:\s+|$)|'([^']*)'(?:\s+|$)|(\S+)\s*""")
_LONGEST = 60
"""Of what was typed, in a message."""


@dataclass(frozen=True, slots=True)
class MagicOptions:
    """How a cell is recorded."""

    output: str | None = None
    name: str | None = None
    """Of the variable that the profile is bound to."""
    model: str | None = None
    """An expression for the model or pipeline to watch."""
    repetitions: int | None = None
    once: bool = False
    force: bool = False


def parse_line(line: str) -> tuple[MagicOptions, str]:
    """The options, and what follows them: a statement. `--` ends the options. Raises UsageError."""
    found: dict[str, str | bool | int] = {}
    rest = line.strip()
    while rest.startswith("-"):
        if rest == "--" or rest.startswith("-- "):
            rest = rest[2:].lstrip()
            break
        match = _OPTION.match(rest)
        if match is None:
            break  # a statement may begin with a minus
        option, rest = match.group(1), rest[match.end() :].lstrip()
        if option in FLAGS and match.group().endswith("="):
            raise UsageError(f"{option} takes no value")
        if option in FLAGS:
            found[FLAGS[option]] = True
        elif option in VALUED:
            value, rest = _value(option, rest)
            found[VALUED[option]] = value
        else:
            known = ", ".join((*VALUED, *FLAGS))
            raise UsageError(f"there is no option {option[:_LONGEST]}; there are {known} (`--` ends them)")
    if "repetitions" in found:
        found["repetitions"] = _count(str(found["repetitions"]))
    options = MagicOptions(**found)  # type: ignore[arg-type]
    _check(options)
    return options, rest


def _value(option: str, rest: str) -> tuple[str, str]:
    match = _VALUE.match(rest)
    if match is None or (match.group(3) or "").startswith("--"):
        raise UsageError(f"{option} needs a value")
    value = next(group for group in match.groups() if group is not None)
    if not value:
        raise UsageError(f"{option} needs a value")
    return value, rest[match.end() :]


def _count(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or int(text) < 1:
        raise UsageError(f"--repetitions must be a whole number of at least 1, not {text[:_LONGEST]!r}")
    return int(text)


def _check(options: MagicOptions) -> None:
    name = options.name
    if name is not None and (not name.isidentifier() or keyword.iskeyword(name)):
        raise UsageError(f"--name must be the name of a variable, not {name[:_LONGEST]!r}")
    if options.once and options.repetitions is not None:
        raise UsageError("--once and --repetitions exclude each other")
    if options.force and options.output is None:
        raise UsageError("--force goes with --output")
