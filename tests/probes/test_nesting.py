"""Ranges that a program names have a stretch of the device's time, too, which torch takes for a frame of the
host: everything then hung below it was once charged to the device."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmflame.probes.charge import charge
from llmflame.probes.events import DeviceChecks, TraceEvent
from llmflame.probes.eventtree import Modules
from llmflame.probes.nesting import path_to, renest
from llmflame.probes.tracing import CLOSE_MARK
from tests.probes.made_traces import Named, event, named
from tests.probes.native_events import MARKS, Listed, Native, kineto, module, op, python, read


def displaced() -> tuple[tuple[Native, ...], tuple[Listed, ...]]:
    """`f` calls `g`, which launches a kernel in a range; then a, b. The range's stretch on the device lasts
    from 140 to 165, in which torch opens it as a frame and where it ends closes `g`, `a` and `b`'s frames."""
    kernel = kineto("gemm", 140, 25, correlation=1)
    launch = kineto("cudaLaunchKernel", 130, 5, kernel, correlation=1)
    b = op("aten::b", 160, 15)
    inside = python("a", 150, 30, b)
    stretch = kineto("my range", 140, 25, inside)
    late = op("aten::late", 166, 4)  # called by b
    g = python("g", 120, 65, launch, stretch, late, op("aten::later", 176, 3))
    roots = (MARKS[0], python("f", 110, 80, g), MARKS[1])
    return roots, (Listed(kernel), Listed(stretch, annotation=True))


def test_the_stretch_of_a_range_is_no_work_and_no_frame() -> None:
    roots, listed = displaced()
    trace = read(*roots, listed=listed)
    tree = charge(trace)
    assert named(tree, "device_ns") == {("f", "g", "cudaLaunchKernel", "gemm"): 25}
    assert "my range" not in {frame[1] for frame in tree.frames[1:] if frame is not None}
    assert trace.checks == DeviceChecks(launches=1, works=1, listed=1)


def test_frames_below_it_and_those_cut_off_by_its_end_are_back_in_their_place() -> None:
    roots, listed = displaced()
    expected: Named = {
        ("f",): 15,
        ("f", "g"): 65 - 5 - 30,
        ("f", "g", "cudaLaunchKernel"): 5,
        ("f", "g", "a"): 30 - 15 - 3,
        ("f", "g", "a", "aten::b"): 15 - 4,
        ("f", "g", "a", "aten::b", "aten::late"): 4,
        ("f", "g", "a", "aten::later"): 3,
        ("unattributed",): 20,
    }
    assert named(charge(read(*roots, listed=listed)), "wall_ns") == expected


def test_frames_below_work_whose_launch_was_lost_are_the_hosts() -> None:
    orphan = kineto("orphan", 120, 60, python("f", 130, 40, op("aten::mm", 135, 10)), correlation=4)
    tree = charge(read(MARKS[0], orphan, MARKS[1], listed=(Listed(orphan),)))
    assert named(tree, "device_ns") == {("orphan",): 60}
    assert named(tree, "wall_ns") == {("f",): 30, ("f", "aten::mm"): 10, ("unattributed",): 60}


def test_a_module_call_that_was_cut_off_from_the_closing_mark_is_found_again() -> None:
    root = 77
    stretch = kineto("my range", 180, 12, module("Root", root, 190, 60))
    hook = python("hook", 195, 30, op(CLOSE_MARK, 200, 10))
    roots = (python("generate", 80, 300, MARKS[0], stretch, hook),)
    trace = read(*roots, listed=(Listed(stretch, annotation=True),), modules=Modules({root: ""}, root))
    assert len(trace.cut_when_close) == 2, "the call of the root module, and its machinery"
    assert "Root" not in {path[-1] for path in named(charge(trace), "calls")}


def test_a_range_on_the_host_stays_what_it_is() -> None:
    """Only its stretch on the device goes; both have the same name."""
    kernel = kineto("gemm", 140, 25, correlation=1)
    launch = kineto("cudaLaunchKernel", 130, 5, kernel, correlation=1)
    stretch = kineto("mine", 140, 25)
    roots = (MARKS[0], op("mine", 120, 30, launch), stretch, MARKS[1])
    tree = charge(read(*roots, listed=(Listed(kernel), Listed(stretch, annotation=True))))
    assert named(tree, "wall_ns")[("mine",)] == 25
    assert named(tree, "device_ns") == {("mine", "cudaLaunchKernel", "gemm"): 25}


def test_allocations_move_with_their_frame() -> None:
    made = event("other", "", 15, 15)
    made.is_allocation = made.on_device = True
    (top,) = renest([event("python", "f", 0, 30), event("op", "a", 10, 20), made])
    assert [child.frame[1] for child in top.children] == ["a"]
    assert top.children[0].children == [made]


def test_work_and_calls_hold_no_frames() -> None:
    gemm = event("kernel", "gemm", 0, 50)
    gemm.on_device = True
    call = event("runtime", "cudaStreamSynchronize", 0, 50)
    inner = event("python", "f", 10, 20)
    assert renest([gemm, call, inner]) == [gemm, call, inner]


@st.composite
def families(draw: st.DrawFn) -> list[TraceEvent]:
    """Frames that lie properly within each other, no two with one edge in common."""

    def below(begin: int, end: int, depth: int) -> list[TraceEvent]:
        found: list[TraceEvent] = []
        at = begin
        while depth < 4 and end - at > 4 and draw(st.booleans()):
            start = draw(st.integers(at + 1, end - 3))
            stop = draw(st.integers(start + 1, end - 1))
            name = f"{start}"
            found.append(event("python", name, start, stop, *below(start, stop, depth + 1)))
            at = stop
        return found

    return below(0, 200, 0)


def _pairs(roots: list[TraceEvent]) -> Counter[tuple[str, str]]:
    stack, pairs = [(root, "") for root in roots], Counter[tuple[str, str]]()
    while stack:
        top, above = stack.pop()
        pairs[above, top.frame[1]] += 1
        stack += [(child, top.frame[1]) for child in top.children]
    return pairs


@given(families())
def test_what_was_flat_is_nested_as_it_was(roots: list[TraceEvent]) -> None:
    expected = _pairs(roots)
    flat, stack = [], list(roots)
    while stack:
        top = stack.pop()
        stack += top.children
        top.children = []
        flat.append(top)
    assert _pairs(renest(flat)) == expected


@given(families())
def test_what_is_nested_stays(roots: list[TraceEvent]) -> None:
    expected = _pairs(roots)
    assert _pairs(renest(roots)) == expected


@pytest.mark.parametrize("wanted", ["d", "a"])
def test_the_path_to_an_event(wanted: str) -> None:
    d = event("op", "d", 3, 4)
    a = event("python", "a", 0, 9, event("python", "b", 1, 2), event("python", "c", 3, 4, d))
    found = [above.frame[1] for above in path_to({"d": d, "a": a}[wanted], [event("op", "x", 0, 1), a])]
    assert found == {"d": ["c", "a"], "a": []}[wanted]
    assert path_to(event("op", "elsewhere", 0, 0), [a]) == []
