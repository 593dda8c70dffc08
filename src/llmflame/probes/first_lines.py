"""Where a function begins, given any line inside it.

A tracer names a frame by the line that it is at when it is first seen: for a generator that is resumed, or a
frame on the stack when tracing began, that is not its first. One function must not become several frames.
"""

from __future__ import annotations

import linecache
import re
import sys
from bisect import bisect_right
from pathlib import Path

_DEFINITION = re.compile(r"\s*(?:async\s+)?def\s+(?P<name>\w+)")


class FirstLines:
    """Reads sources as they are asked for; keeps what it read."""

    def __init__(self) -> None:
        self._starts: dict[str, dict[str, list[int]]] = {}

    def of(self, file: str, function: str, line: int) -> int | None:
        """The first line (its decorators included, as in `co_firstlineno`) of the function of that name that
        `line` lies in; None where the source can't be found or doesn't define it."""
        starts = self._starts.get(file)
        if starts is None:
            starts = self._starts[file] = definitions(_lines(file))
        begins = starts.get(function)
        if not begins:
            return None
        before = bisect_right(begins, line)
        return begins[before - 1] if before else None


def definitions(lines: list[str]) -> dict[str, list[int]]:
    """By function name: the lines, counted from 1, at which its definitions begin, in rising order."""
    found: dict[str, list[int]] = {}
    for number, line in enumerate(lines, start=1):
        match = _DEFINITION.match(line)
        if match is None:
            continue
        begin = number
        while begin > 1 and lines[begin - 2].lstrip().startswith("@"):
            begin -= 1
        found.setdefault(match["name"], []).append(begin)
    return found


def _lines(file: str) -> list[str]:
    if file.startswith("<"):
        return linecache.getlines(file)
    if not Path(file).is_absolute():
        for folder in sys.path:
            candidate = Path(folder) / file
            if candidate.is_file():
                return linecache.getlines(str(candidate))
    return linecache.getlines(file)
