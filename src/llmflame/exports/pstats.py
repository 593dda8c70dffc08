"""What `pstats.Stats` loads: a marshalled dict of functions with their callers, as cProfile writes it.

Times are seconds of wall time. A function whose calls were not counted (the sampler saw it) has 0 calls.
"""

from __future__ import annotations

import marshal
from dataclasses import dataclass, field

from llmflame.analysis.tree import Tree
from llmflame.exports.names import file_name, one_line
from llmflame.exports.request import Request
from llmflame.store import metrics
from llmflame.store.model import Frame

Function = tuple[str, int, str]
Numbers = tuple[int, int, float, float]
NO_FILE = "~"
"""As cProfile has it for what is not written in Python."""
NS = 1e9


@dataclass(slots=True)
class _Calls:
    """Of one function by one caller."""

    calls: int = 0
    primitive: int = 0
    """Not from within itself."""
    own_ns: float = 0.0
    total_ns: float = 0.0


@dataclass(slots=True)
class _Entry:
    outside: _Calls = field(default_factory=_Calls)
    """What nobody called: the run itself."""
    callers: dict[Function, _Calls] = field(default_factory=dict)


def pstats(request: Request) -> bytes:
    """Each function, operator and module class once; the sum of `tottime` is the wall time."""
    stats = {function: _numbers(entry) for function, entry in _collect(request.tree).items()}
    return marshal.dumps(stats)


def function_of(frame: Frame) -> Function:
    """A Python function by its place; everything else as a built-in: `{aten::mm}`, `{phase decode}`."""
    if frame.kind == "python":
        return (file_name(frame) or NO_FILE, frame.line or 0, one_line(frame.name))
    name = one_line(frame.name)
    if frame.kind in ("run", "phase", "thread"):
        name = f"{frame.kind} {name}"
    elif frame.kind == "builtin":
        name = f"built-in {name}"
    elif frame.kind == "module":
        name = f"{name}.__call__"
    return (NO_FILE, 0, f"<{name}>")


def _collect(tree: Tree) -> dict[Function, _Entry]:
    empty = [0.0] * len(tree)
    own, calls = tree.selfs.get(metrics.WALL.name, empty), tree.selfs.get(metrics.CALLS.name, empty)
    totals = tree.fold(own)
    functions = [function_of(frame) for frame in tree.frames]
    entries: dict[Function, _Entry] = {}
    path: list[int] = []
    active: dict[Function, int] = {}
    for node, parent in enumerate(tree.parents):
        while path and path[-1] != parent:
            active[functions[tree.node_frames[path.pop()]]] -= 1
        function = functions[tree.node_frames[node]]
        entry = entries.setdefault(function, _Entry())
        if parent < 0:
            edge = entry.outside
        else:
            edge = entry.callers.setdefault(functions[tree.node_frames[parent]], _Calls())
        counted = round(calls[node])
        edge.calls += counted
        edge.own_ns += own[node]
        if not active.get(function):
            edge.primitive += counted
            edge.total_ns += totals[node]
        active[function] = active.get(function, 0) + 1
        path.append(node)
    return {function: entry for function, entry in entries.items() if _is_known(entry)}


def _is_known(entry: _Entry) -> bool:
    return any(edge.calls or edge.total_ns for edge in (entry.outside, *entry.callers.values()))


def _numbers(entry: _Entry) -> tuple[int, int, float, float, dict[Function, Numbers]]:
    edges = (entry.outside, *entry.callers.values())
    return (
        sum(edge.primitive for edge in edges),
        sum(edge.calls for edge in edges),
        sum(edge.own_ns for edge in edges) / NS,
        sum(edge.total_ns for edge in edges) / NS,
        {
            # Of a caller cProfile writes all calls first, of the function itself the primitive ones.
            caller: (edge.calls, edge.primitive, edge.own_ns / NS, edge.total_ns / NS)
            for caller, edge in entry.callers.items()
        },
    )
