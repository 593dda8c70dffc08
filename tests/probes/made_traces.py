"""Traces as plain data: by hand, and at random with what must come out of them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from hypothesis import strategies as st

from llmflame.probes.events import Trace, TraceEvent
from llmflame.store.observed import FrameKey, ObservedTree

MAIN = 1
OPEN, CLOSE = 100, 200


def event(kind: str, name: str, start: int, end: int, *children: TraceEvent) -> TraceEvent:
    return TraceEvent((kind, name, None, None, None), start, end, list(children))


def own(start: int, end: int, *children: TraceEvent) -> TraceEvent:
    made = event("python", "llmflame code", start, end, *children)
    made.is_own = True
    return made


def allocation(at: int, size: int, *, on_device: bool = False) -> TraceEvent:
    made = event("other", "", at, at)
    made.is_allocation, made.allocated_bytes, made.on_device = True, size, on_device
    return made


def device(name: str, start: int, end: int, *children: TraceEvent) -> TraceEvent:
    made = event("kernel", name, start, end, *children)
    made.on_device = True
    return made


def trace(*main: TraceEvent, **sets: set[int]) -> Trace:
    return trace_of({MAIN: list(main)}, **sets)


def trace_of(
    roots: dict[int, list[TraceEvent]], counted: set[int] | None = None, cut: set[int] | None = None
) -> Trace:
    return Trace(roots, MAIN, OPEN, CLOSE, counted or set(), cut or set(), 0)


Named = dict[tuple[str, ...], float]


def named(tree: ObservedTree, metric: str) -> Named:
    """The metric's values by the names on the path."""
    found: Named = {}
    for node, value in tree.cells.get(metric, {}).items():
        path: list[str] = []
        while node > 0:
            frame = tree.frames[node]
            assert frame is not None
            path.append(frame[1])
            node = tree.parents[node]
        found[tuple(reversed(path))] = value
    return found


KINDS = ("op", "python", "module", "builtin", "own", "allocation", "device", "runtime")


@dataclass
class Made:
    """A random trace, and what must come out of it: worked out by recursion, event by event."""

    trace: Trace
    calls: Counter[FrameKey] = field(default_factory=Counter)
    bytes: Counter[str] = field(default_factory=Counter)
    device_ns: int = 0
    works: int = 0


@st.composite
def traces(draw: st.DrawFn) -> Made:
    times = st.integers(0, 300) | st.integers(OPEN - 2, CLOSE + 2)
    entries = draw(
        st.lists(
            st.tuples(
                st.integers(0, 60), st.sampled_from(KINDS), st.integers(0, 3), times, times, st.booleans()
            ),
            max_size=50,
        )
    )
    roots: dict[int, list[TraceEvent]] = {MAIN: [], 2: [], 3: []}
    events: list[TraceEvent] = []
    counted: set[int] = set()
    cut: set[int] = set()
    for parent, kind, name, start, end, flag in entries:
        called = "cudaStreamSynchronize" if kind == "runtime" and name == 3 else f"{kind}{name}"
        made = event("python" if kind == "own" else kind, called, start, max(start, end))
        made.is_own = kind == "own"
        if kind == "allocation":
            made.is_allocation, made.on_device, made.allocated_bytes = True, flag, end - 150
        made.on_device = made.on_device or kind == "device"
        hosts = [host for host in events if not host.is_allocation]
        if kind != "device":
            hosts = [host for host in hosts if not host.on_device]
        place = parent % (len(hosts) + 3)
        (hosts[place - 3].children if place >= 3 else roots[(MAIN, 2, 3)[place]]).append(made)
        events.append(made)
        if kind == "module" and flag:
            (counted if start < OPEN else cut).add(id(made))
    result = Made(trace_of(roots, counted, cut))
    for children in roots.values():
        for top in children:
            _expect(result, top, forced_own=False)
    return result


def _leads_to_program(top: TraceEvent) -> bool:
    return any(
        (not child.is_own and child.frame[0] in ("python", "module")) or _leads_to_program(child)
        for child in top.children
    )


def _expect(made: Made, event: TraceEvent, *, forced_own: bool, launched: bool = False) -> None:
    window = made.trace
    if event.is_allocation:
        if OPEN <= event.start_ns <= CLOSE:
            side = "allocated" if event.allocated_bytes > 0 else "freed"
            place = "device_" if event.on_device else ""
            made.bytes[f"{place}{side}_bytes"] += abs(event.allocated_bytes)
            made.bytes["allocations"] += 1
        return
    if event.on_device:
        if not launched and not OPEN <= event.start_ns <= CLOSE:
            return
        made.device_ns += event.end_ns - event.start_ns
        made.works += 1
        made.calls[event.frame] += 1
        for child in event.children:
            _expect(made, child, forced_own=False, launched=launched)
        return
    if event.end_ns < OPEN or event.start_ns > CLOSE:
        return
    if event.is_own or forced_own:
        if _leads_to_program(event):
            for child in event.children:
                program = child.frame[0] in ("python", "module") or _leads_to_program(child)
                _expect(made, child, forced_own=not program)
        return
    if id(event) not in window.cut_when_close and (
        event.start_ns >= OPEN or id(event) in window.counted_when_open
    ):
        made.calls[event.frame] += 1
    for child in event.children:
        _expect(made, child, forced_own=False, launched=event.frame[0] == "runtime")
