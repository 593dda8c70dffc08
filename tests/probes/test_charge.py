"""Every nanosecond of a window is charged once, every byte, call and kernel to one frame, whatever the tracer
reported."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmflame.probes.charge import OWN, UNATTRIBUTED, WORKER, charge
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
    return Trace(roots, MAIN, OPEN, CLOSE, counted or set(), cut or set(), 0, 0)


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


# --- by hand ---------------------------------------------------------------------------------------------


def test_an_empty_window_is_unattributed() -> None:
    tree = charge(trace())
    assert named(tree, "wall_ns") == {(UNATTRIBUTED[1],): 100}


def test_a_window_of_no_length_has_no_cell() -> None:
    empty = Trace({MAIN: []}, MAIN, 100, 100, set(), set(), 0, 0)
    assert charge(empty).cells == {}


def test_own_time_is_the_interval_less_the_childrens() -> None:
    tree = charge(
        trace(event("python", "f", 110, 190, event("op", "a", 120, 130), event("op", "b", 150, 155)))
    )
    assert named(tree, "wall_ns") == {("f",): 65, ("f", "a"): 10, ("f", "b"): 5, ("unattributed",): 20}
    assert named(tree, "calls") == {("f",): 1, ("f", "a"): 1, ("f", "b"): 1}


def test_calls_of_one_frame_under_one_parent_add_up() -> None:
    tree = charge(trace(*[event("op", "a", start, start + 5) for start in (100, 110, 120)]))
    assert named(tree, "wall_ns") == {("a",): 15, ("unattributed",): 85}
    assert named(tree, "calls") == {("a",): 3}


def test_overlapping_siblings_are_charged_once() -> None:
    tree = charge(trace(event("op", "a", 100, 150), event("op", "b", 120, 170), event("op", "c", 130, 140)))
    assert named(tree, "wall_ns") == {("a",): 50, ("b",): 20, ("unattributed",): 30}
    assert named(tree, "calls") == {("a",): 1, ("b",): 1, ("c",): 1}


def test_siblings_in_any_order() -> None:
    events = [event("op", "b", 120, 130), event("op", "a", 100, 110)]
    assert named(charge(trace(*events)), "wall_ns") == {("a",): 10, ("b",): 10, ("unattributed",): 80}


def test_a_child_that_exceeds_its_parent_is_cut() -> None:
    tree = charge(trace(event("python", "f", 110, 150, event("op", "a", 100, 180))))
    assert named(tree, "wall_ns") == {("f", "a"): 40, ("unattributed",): 60}


def test_events_are_cut_to_the_window() -> None:
    tree = charge(trace(event("op", "before", 50, 110), event("op", "after", 180, 250)))
    assert named(tree, "wall_ns") == {("before",): 10, ("after",): 20, ("unattributed",): 70}
    assert named(tree, "calls") == {("after",): 1}, "a call belongs to the window that it began in"


def test_events_outside_of_the_window_are_not_charged() -> None:
    tree = charge(trace(event("op", "before", 10, 99), event("op", "after", 201, 250)))
    assert named(tree, "wall_ns") == {("unattributed",): 100}
    assert "calls" not in tree.cells


def test_the_root_call_is_counted_where_it_opens_the_window_and_cut_where_it_closes_it() -> None:
    """A step reaches from one call of the root module to the next: the window opens and closes inside."""
    opening = event("module", "Root", 90, 140, event("op", "a", 100, 130))
    closing = event("module", "Root", 160, 240, event("builtin", "hook", 165, 170))
    top = event("python", "generate", 0, 300, opening, event("python", "choose", 145, 150), closing)
    tree = charge(trace(top, counted={id(opening)}, cut={id(closing)}))
    assert named(tree, "wall_ns") == {
        ("generate",): 100 - 40 - 5 - 5,
        ("generate", "Root"): 10,
        ("generate", "Root", "a"): 30,
        ("generate", "choose"): 5,
        ("generate", "hook"): 5,
    }
    assert named(tree, "calls") == {
        ("generate", "Root"): 1,
        ("generate", "Root", "a"): 1,
        ("generate", "choose"): 1,
        ("generate", "hook"): 1,
    }


def test_instruments_are_charged_as_what_they_are() -> None:
    tree = charge(trace(event("python", "f", 100, 200, own(110, 130, event("builtin", "time", 115, 120)))))
    assert named(tree, "wall_ns") == {("f",): 80, ("f", OWN[1]): 20}
    assert named(tree, "calls") == {("f",): 1}


def test_own_frames_that_call_the_program_are_transparent() -> None:
    program = event("python", "f", 120, 180, event("op", "a", 130, 140))
    instrument = event("builtin", "time", 185, 190)
    tree = charge(trace(event("python", "main", 0, 300, own(110, 195, program, instrument))))
    assert named(tree, "wall_ns") == {
        ("main",): 15 + (85 - 60 - 5),
        ("main", "f"): 50,
        ("main", "f", "a"): 10,
        ("main", OWN[1]): 5,
    }
    assert named(tree, "calls") == {("main", "f"): 1, ("main", "f", "a"): 1}


def test_what_lies_above_the_recorder_is_left_out() -> None:
    program = event("python", "f", 120, 180)
    tree = charge(trace(event("python", "notebook", 0, 300, own(10, 300, program))))
    assert named(tree, "wall_ns") == {(): 40, ("f",): 60}


def test_code_that_dataclasses_generate_is_nobodys_program() -> None:
    generated = TraceEvent(("python", "__init__", "<string>", 1, None), 120, 180)
    tree = charge(trace(event("python", "f", 100, 200, own(110, 190, generated))))
    assert named(tree, "wall_ns") == {("f",): 20, ("f", OWN[1]): 80}


def test_bytes_go_to_the_frame_that_took_them() -> None:
    op = event("op", "a", 110, 120, allocation(112, 64), allocation(115, -16))
    top = event("python", "f", 105, 130, op, allocation(125, -8), allocation(126, 32, on_device=True))
    tree = charge(trace(top, allocation(150, 7), allocation(151, -9, on_device=True)))
    assert named(tree, "allocated_bytes") == {("f", "a"): 64, (): 7}
    assert named(tree, "freed_bytes") == {("f", "a"): 16, ("f",): 8}
    assert named(tree, "device_allocated_bytes") == {("f",): 32}
    assert named(tree, "device_freed_bytes") == {(): 9}
    assert named(tree, "allocations") == {("f", "a"): 2, ("f",): 2, (): 2}
    assert sum(named(tree, "wall_ns").values()) == 100


def test_allocations_before_and_after_the_window_are_not_its_own() -> None:
    top = event("python", "f", 0, 300, allocation(99, 1), allocation(100, 2), allocation(200, 4))
    top.children.append(allocation(201, 8))
    assert named(charge(trace(top)), "allocated_bytes") == {("f",): 6}


def test_device_work_hangs_below_its_launch_and_beside_the_wall() -> None:
    launch = event(
        "runtime", "cudaLaunchKernel", 120, 125, device("gemm", 130, 190, device("part", 140, 150))
    )
    tree = charge(trace(event("op", "mm", 110, 130, launch)))
    assert named(tree, "device_ns") == {
        ("mm", "cudaLaunchKernel", "gemm"): 60,
        ("mm", "cudaLaunchKernel", "gemm", "part"): 10,
    }
    assert named(tree, "wall_ns") == {
        ("mm",): 15,
        ("mm", "cudaLaunchKernel"): 5,
        ("unattributed",): 80,
    }


def test_other_threads_are_beside_the_wall() -> None:
    roots = {
        MAIN: [event("python", "f", 100, 200)],
        2: [event("op", "a", 110, 150, event("op", "b", 120, 130))],
        3: [event("op", "a", 120, 150), event("op", "late", 150, 250)],
    }
    tree = charge(trace_of(roots))
    assert named(tree, "wall_ns") == {("f",): 100}
    assert named(tree, "overlapped_ns") == {
        (WORKER[1], "a"): 60,
        (WORKER[1], "a", "b"): 10,
        (WORKER[1], "late"): 50,
    }


@pytest.mark.parametrize("shape", ["nested", "recorder in between"])
def test_5000_levels(shape: str) -> None:
    inner = event("op", "leaf", 149, 150)
    for level in range(5000):
        if shape != "nested" and level == 2500:
            inner = own(110, 160, inner)
        inner = event("python", "again", 100, 200, inner)
    tree = charge(trace(inner))
    assert sum(tree.cells["wall_ns"].values()) == 100
    assert sum(tree.cells["calls"].values()) == 5001
    assert len(tree) == 5002


# --- at random -------------------------------------------------------------------------------------------

KINDS = ("op", "python", "module", "builtin", "own", "allocation", "device", "runtime")


@dataclass
class Made:
    """A random trace, and what must come out of it: worked out by recursion, event by event."""

    trace: Trace
    calls: Counter[FrameKey] = field(default_factory=Counter)
    bytes: Counter[str] = field(default_factory=Counter)
    device_ns: int = 0


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
        made = event("python" if kind == "own" else kind, f"{kind}{name}", start, max(start, end))
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


def _expect(made: Made, event: TraceEvent, *, forced_own: bool) -> None:
    window = made.trace
    if event.is_allocation:
        if OPEN <= event.start_ns <= CLOSE:
            side = "allocated" if event.allocated_bytes > 0 else "freed"
            place = "device_" if event.on_device else ""
            made.bytes[f"{place}{side}_bytes"] += abs(event.allocated_bytes)
            made.bytes["allocations"] += 1
        return
    if event.on_device:
        made.device_ns += event.end_ns - event.start_ns
        made.calls[event.frame] += 1
        for child in event.children:
            _expect(made, child, forced_own=False)
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
        _expect(made, child, forced_own=False)


@settings(max_examples=300)
@given(traces())
def test_conservation(made: Made) -> None:
    tree = charge(made.trace)
    walls = tree.cells.get("wall_ns", {})
    assert sum(walls.values()) == CLOSE - OPEN
    assert all(
        value > 0 for metric in ("wall_ns", "overlapped_ns") for value in tree.cells.get(metric, {}).values()
    )
    assert sum(tree.cells.get("device_ns", {}).values()) == made.device_ns
    calls: Counter[FrameKey] = Counter()
    for node, count in tree.cells.get("calls", {}).items():
        frame = tree.frames[node]
        assert frame is not None
        calls[frame] += int(count)
    assert calls == made.calls
    for metric in (
        "allocated_bytes",
        "freed_bytes",
        "device_allocated_bytes",
        "device_freed_bytes",
        "allocations",
    ):
        assert sum(tree.cells.get(metric, {}).values()) == made.bytes[metric], metric


@given(traces())
def test_other_threads_never_take_more_than_the_window_each(made: Made) -> None:
    tree = charge(made.trace)
    assert sum(tree.cells.get("overlapped_ns", {}).values()) <= 2 * (CLOSE - OPEN)


@given(traces())
def test_wall_is_below_no_worker(made: Made) -> None:
    """Neither metric is charged to the other's side of the tree."""
    tree = charge(made.trace)
    below = [False]
    for node in range(1, len(tree)):
        below.append(below[tree.parents[node]] or tree.frames[node] == WORKER)
    assert not any(below[node] for node in tree.cells.get("wall_ns", {}))


def test_a_workers_own_frame_from_before_the_window_stays_beside_the_wall() -> None:
    """It was once taken for the recorder's, and what it called charged to the root."""
    tree = charge(trace_of({MAIN: [], 2: [own(0, 300, event("python", "job", 110, 190))]}))
    assert {path[0] for path in named(tree, "overlapped_ns")} == {WORKER[1]}
