"""Single events of a Chrome trace, as text: a trace has a hundred thousand of them."""

from __future__ import annotations

import json

GRID = 1_024
"""Times are multiples of 1/1024 of a microsecond, about a nanosecond: readers count in binary fractions,
and what they had to round would let events cross that end together, or where the next one begins."""


def micros(time_ns: int) -> str:
    """Nanoseconds as microseconds."""
    return repr(_grid(time_ns) / GRID)


def _grid(time_ns: int) -> int:
    return (time_ns * GRID + 500) // 1_000


def complete(pid: int, thread: int, start_ns: int, wall_ns: int, tail: str) -> str:
    """An `X` event; `tail` holds its other fields, without the opening brace."""
    begin, end = _grid(start_ns), _grid(start_ns + max(wall_ns, 0))
    times = f'"ts":{begin / GRID!r},"dur":{(end - begin) / GRID!r}'
    return f'{{"ph":"X","pid":{pid},"tid":{thread},{times},{tail}'


def naming(what: str, pid: int, thread: int, name: str) -> str:
    """A name for a process or a thread."""
    head = f'{{"ph":"M","name":"{what}","cat":"__metadata","pid":{pid},"tid":{thread}'
    return f'{head},"ts":0,"args":{{"name":{json.dumps(name)}}}}}'


def flow(phase: str, number: int, pid: int, thread: int, time_ns: int) -> str:
    """One end of an arrow from a launch (`s`) to its work (`f`, bound to the slice around it)."""
    bound = ',"bp":"e"' if phase == "f" else ""
    head = f'{{"ph":"{phase}","id":{number},"name":"launch","cat":"launch"{bound}'
    return f'{head},"pid":{pid},"tid":{thread},"ts":{micros(time_ns)}}}'
