"""Every nanosecond of a window is charged once, every byte, call and kernel to one frame, whatever the tracer
reported."""

from __future__ import annotations

import pytest

from llmflame.probes.charge import OWN, UNATTRIBUTED, WORKER, charge
from llmflame.probes.events import Trace, TraceEvent
from tests.probes.made_traces import MAIN, allocation, device, event, named, own, trace, trace_of


def test_an_empty_window_is_unattributed() -> None:
    tree = charge(trace())
    assert named(tree, "wall_ns") == {(UNATTRIBUTED[1],): 100}


def test_a_window_of_no_length_has_no_cell() -> None:
    empty = Trace({MAIN: []}, MAIN, 100, 100, set(), set(), 0)
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
    assert named(tree, "wall_ns") == {(UNATTRIBUTED[1],): 40, ("f",): 60}


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


def test_other_threads_have_lanes_with_names_and_gaps() -> None:
    late = event("op", "late", 160, 250)
    roots = {
        MAIN: [event("python", "f", 100, 200)],
        2: [event("python", "a", 50, 150, event("op", "b", 120, 130)), late],
        3: [own(100, 200)],
        4: [event("python", "before", 10, 90)],
    }
    trace = trace_of(roots)
    trace.threads = {2: (4711, "pool_0")}
    tree = charge(trace)
    assert [(one.native_id, one.name, one.is_main) for one in tree.threads] == [(4711, "pool_0", False)]
    (lane,) = tree.threads
    named_stays = [(tree.frames[node][1], start, end) for node, start, end in lane.stays]  # type: ignore[index]
    assert named_stays == [("a", 0, 20), ("b", 20, 30), ("a", 30, 50), ("late", 60, 100)]
    spent = sum(end - start for _, start, end in lane.stays)
    mine = [value for path, value in named(tree, "overlapped_ns").items() if path[1] != OWN[1]]
    assert spent == sum(mine)
    assert tree.slices == [(1, 0)]


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


def test_a_workers_own_frame_from_before_the_window_stays_beside_the_wall() -> None:
    """It was once taken for the recorder's, and what it called charged to the root."""
    tree = charge(trace_of({MAIN: [], 2: [own(0, 300, event("python", "job", 110, 190))]}))
    assert {path[0] for path in named(tree, "overlapped_ns")} == {WORKER[1]}
