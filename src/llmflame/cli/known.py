"""Names that an option can have."""

from __future__ import annotations

from collections.abc import Iterable

from llmflame.errors import UsageError


def known(option: str, value: str, names: Iterable[str]) -> str:
    """The value, if it is one of the names. Raises UsageError with the nearest one."""
    there = list(names)
    if value in there:
        return value
    from difflib import get_close_matches

    near = get_close_matches(value.lower(), there, n=1)
    hint = f"did you mean {near[0]}? " if near else ""
    raise UsageError(f"{option} {value}: {hint}There are {', '.join(there)}")
