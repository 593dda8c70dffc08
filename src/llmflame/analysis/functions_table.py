"""The functions, with the columns of cProfile, in undisturbed time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from llmflame.analysis.coverage import phases_of
from llmflame.analysis.tables import Column, Row, Table, check_phases, ratio
from llmflame.analysis.tree import Tree, host_metric
from llmflame.store import metrics
from llmflame.store.model import Frame

COLUMNS = (
    Column("ncalls", "count", "ncalls"),
    Column("primitive_calls", "count", "primitive", shown=False),
    Column("tottime_ns", "ns", "tottime"),
    Column("tottime_percall_ns", "ns", "percall"),
    Column("cumtime_ns", "ns", "cumtime"),
    Column("cumtime_percall_ns", "ns", "percall"),
    Column("counted_share", "share", "counted", shown=False),
    Column("function", "text", "filename:lineno(function)"),
)
Key = tuple[str, str, str | None, int | None]


@dataclass(slots=True)
class _Function:
    """Sums over all places where one function ran."""

    own_ns: float = 0.0
    total_ns: float = 0.0
    calls: float = 0.0
    primitive: float = 0.0
    """Calls from outside of itself."""
    counted_own_ns: float = 0.0
    """The parts of the times above in which calls were counted too."""
    counted_total_ns: float = 0.0


def functions_table(tree: Tree, phases: tuple[str, ...] = ()) -> Table:
    """One row a function over `phases` (the whole run if none are given), by its own time.

    As for cProfile, an operator's time is its caller's own, and `cumtime` counts recursion once. Where the
    sampler saw a function its calls weren't counted: `ncalls` is None if none were, and the times per call
    are of the counted part (`counted_share` of `cumtime_ns`). The sum of `tottime_ns` is the wall time.
    """
    where = phases_of(tree)
    check_phases(phases, list(dict.fromkeys(name for name in where if name != "run")))
    inside = [not phases or name in phases for name in where]
    functions = _collect(tree, inside)
    rows = [_row(key, function) for key, function in functions.items()]
    rows.sort(key=lambda row: -(row[2] or 0))  # type: ignore[operator]
    return Table("functions", COLUMNS, tuple(rows))


def _collect(tree: Tree, inside: Sequence[bool]) -> dict[Key, _Function]:
    empty = [0.0] * len(tree)
    time = host_metric(tree)
    walls, calls = tree.selfs.get(time, empty), tree.selfs.get(metrics.CALLS.name, empty)
    totals = tree.totals(time) if time in tree.selfs else empty
    keys = [_key(frame) for frame in tree.frames]
    functions: dict[Key, _Function] = {}
    path: list[tuple[int, Key | None]] = []
    active: dict[Key, int] = {}
    owners: list[int] = []
    """By node: the nearest node at or above it that is a function's."""
    for node, parent in enumerate(tree.parents):
        while path and path[-1][0] != parent:
            left = path.pop()[1]
            if left is not None:
                active[left] -= 1
        key = keys[tree.node_frames[node]]
        path.append((node, key))
        owners.append(node if key is not None or parent < 0 else owners[parent])
        recursive = False
        if key is not None:
            recursive = active.get(key, 0) > 0
            active[key] = active.get(key, 0) + 1
        if not inside[node]:
            continue
        owner = keys[tree.node_frames[owners[node]]] or _UNNAMED
        function = functions.setdefault(owner, _Function())
        function.own_ns += walls[node]
        counted = calls[owners[node]] > 0
        if counted:
            function.counted_own_ns += walls[node]
        if key is None:
            continue
        function.calls += calls[node]
        if not recursive:
            function.primitive += calls[node]
            function.total_ns += totals[node]
            if counted:
                function.counted_total_ns += totals[node]
    _add_unnamed(functions)
    return {key: function for key, function in functions.items() if function.total_ns or function.calls}


_UNNAMED: Key = ("other", "unattributed", None, None)


def _add_unnamed(functions: dict[Key, _Function]) -> None:
    """Time of a phase outside of all frames has no function: it is a row of its own."""
    unnamed = functions.get(_UNNAMED)
    if unnamed is not None:
        unnamed.total_ns = unnamed.own_ns


def _key(frame: Frame) -> Key | None:
    """What makes two frames one function; None for what cProfile doesn't see."""
    if frame.kind in ("python", "builtin", "other"):
        return (frame.kind, frame.name, frame.file, frame.line)
    if frame.kind == "module":
        return ("module", frame.name, None, None)
    return None


def function_name(key: Key) -> str:
    """As cProfile writes it: `file:line(name)`, `{built-in name}`; `Linear.__call__` for a module's class."""
    kind, name, file, line = key
    if kind == "module":
        return f"{name}.__call__"
    if kind == "python":
        return f"{file or '?'}:{line if line is not None else '?'}({name})"
    return f"{{built-in {name}}}" if kind == "builtin" else f"{{{name}}}"


def _row(key: Key, function: _Function) -> Row:
    counted = function.calls > 0
    return (
        round(function.calls) if counted else None,
        round(function.primitive) if counted else None,
        round(function.own_ns),
        ratio(function.counted_own_ns, function.calls),
        round(function.total_ns),
        ratio(function.counted_total_ns, function.primitive),
        ratio(function.counted_total_ns, function.total_ns) if counted else 0.0,
        function_name(key),
    )
