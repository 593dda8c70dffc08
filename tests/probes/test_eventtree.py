"""torch's events as plain data: nothing lost, everything named as a person would."""

from __future__ import annotations

import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from torch import nn
from torch._C._profiler import _EventType

from llmflame.probes.charge import charge
from llmflame.probes.events import Trace
from llmflame.probes.eventtree import (
    Modules,
    TraceLostError,
    builtin_name,
    module_paths,
    read_trace,
)
from llmflame.probes.pools import stack_of
from llmflame.probes.tracing import CLOSE_MARK, OPEN_MARK, PART_MARK, Recorded, Window, mark, part
from llmflame.store.observed import ObservedTree
from tests.probes.native_events import MARKS, Listed, Native, Threaded, events_of, op, read


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.up = nn.Linear(8, 16)
        self.down = nn.Linear(16, 8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return cast("torch.Tensor", x + self.down(torch.relu(self.up(x))))


class Model(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList([Block(), Block()])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for layer in self.layers:
            x = layer(x)
        return x


def helper(x: torch.Tensor) -> torch.Tensor:
    return x.softmax(-1)


def waiting(stop: threading.Event) -> None:
    stop.wait(60)


def resting(stop: threading.Event) -> None:
    stop.wait(60)


def under_way(thread: threading.Thread) -> bool:
    """Is it in the lock that an event's `wait` ends in?"""
    names = [code.co_name for code in stack_of(sys._current_frames().get(thread.ident or 0))]
    return names[-3:] in (["waiting", "wait", "wait"], ["resting", "wait", "wait"])


def path_of(tree: ObservedTree, node: int) -> list[int]:
    path = []
    while node > 0:
        path.append(node)
        node = tree.parents[node]
    return path


HELPER_LINE = helper.__code__.co_firstlineno


@dataclass
class Taken:
    """A window over two calls of a model and one of a function."""

    recorded: Recorded
    trace: Trace
    model: Model


@pytest.fixture(scope="module")
def taken() -> Taken:
    return _take()


def _take() -> Taken:
    torch.manual_seed(0)
    model = Model()
    x = torch.ones(2, 8)
    with torch.no_grad():
        model(x)
        window = Window("decode", 3, cuda=False)
        window.open()
        helper(model(model(x)))
        recorded = window.close()
    return Taken(recorded, read_trace(recorded, module_paths(model)), model)


def test_no_operator_is_lost(taken: Taken) -> None:
    """Against the flat list that torch itself reports of the same session."""
    reported = Counter(
        event.name()
        for event in taken.recorded.results.events()
        if event.activity_type() == "cpu_op" and event.name() not in (OPEN_MARK, CLOSE_MARK)
    )
    read = Counter(e.frame[1] for e in events_of(taken.trace) if e.frame[0] == "op" and not e.is_own)
    assert reported["aten::linear"] == 8 and reported["aten::softmax"] == 1
    assert read == reported


def test_every_operator_is_charged_once(taken: Taken) -> None:
    reported = Counter(e.frame[1] for e in events_of(taken.trace) if e.frame[0] == "op" and not e.is_own)
    tree = charge(taken.trace)
    counted: Counter[str] = Counter()
    for node, calls in tree.cells["calls"].items():
        frame = tree.frames[node]
        if frame is not None and frame[0] == "op":
            counted[frame[1]] += int(calls)
    assert counted == reported
    assert sum(tree.cells["wall_ns"].values()) == taken.trace.close_ns - taken.trace.open_ns > 0


def test_events_are_counted(taken: Taken) -> None:
    assert taken.trace.event_count == len(events_of(taken.trace))
    assert taken.trace.lost_count == 0


def test_module_frames_carry_the_modules_path(taken: Taken) -> None:
    seen = Counter((e.frame[1], e.frame[4]) for e in events_of(taken.trace) if e.frame[0] == "module")
    expected = {("Model", ""): 2}
    for layer in range(2):
        expected[("Block", f"layers.{layer}")] = 2
        for name in ("up", "down"):
            expected[("Linear", f"layers.{layer}.{name}")] = 2
    assert seen == expected


def test_a_module_that_is_not_the_models_has_no_path() -> None:
    stranger = nn.Linear(8, 8)
    window = Window("x", None, cuda=False)
    window.open()
    stranger(torch.ones(1, 8))
    trace = read_trace(window.close(), Modules({}, None))
    frames = {e.frame for e in events_of(trace) if e.frame[0] == "module"}
    assert frames == {("module", "Linear", None, None, None)}


def test_python_frames_have_file_and_first_line(taken: Taken) -> None:
    frames = {e.frame for e in events_of(taken.trace) if e.frame[0] == "python" and e.frame[1] == "helper"}
    ((_, _, file, line, _),) = frames
    assert file is not None and file.endswith("test_eventtree.py")
    assert line == HELPER_LINE
    places = {
        (e.frame[1], e.frame[3])
        for e in events_of(taken.trace)
        if (e.frame[2] or "").endswith("test_eventtree.py")
    }
    assert ("forward", Block.forward.__code__.co_firstlineno) in places
    assert ("forward", Model.forward.__code__.co_firstlineno) in places


def test_a_frame_that_was_running_has_its_first_line_too(taken: Taken) -> None:
    """torch knows only the line at which a frame stood when the window opened."""
    (frame,) = {e.frame for e in events_of(taken.trace) if e.frame[1] == "_take"}
    assert frame[3] == _take.__code__.co_firstlineno


def test_llmflames_own_frames_are_marked(taken: Taken) -> None:
    own = {e.frame[1] for e in events_of(taken.trace) if e.is_own}
    assert OPEN_MARK in own and CLOSE_MARK in own and "mark" in own
    assert not {"helper", "forward", "_take"} & own


def test_bytes_of_a_tensor_that_is_kept_and_of_one_that_is_not() -> None:
    window = Window("x", None, cuda=False)
    window.open()
    kept = torch.empty(1000, dtype=torch.float32)
    torch.empty(500, dtype=torch.float32)
    tree = charge(read_trace(window.close(), Modules({}, None)))
    assert sum(tree.cells["allocated_bytes"].values()) == 4 * 1500
    assert sum(tree.cells["freed_bytes"].values()) == 4 * 500
    assert sum(tree.cells["allocations"].values()) == 3
    assert kept.numel() == 1000


def test_a_named_part_is_a_frame_of_its_own() -> None:
    window = Window("load", None, cuda=False, stacks=False)
    window.open()
    with part("weights"):
        torch.ones(3)
    recorded = window.close()
    trace = read_trace(recorded, Modules({}, None))
    (found,) = (e for e in events_of(trace) if e.frame == ("other", "weights", None, None, None))
    assert "aten::ones" in {child.frame[1] for child in found.children}
    assert not any(PART_MARK in e.frame[1] for e in events_of(trace))


def test_a_window_inside_the_root_modules_call() -> None:
    """Opened in the pre-hook of one call and closed in that of the next, as steps are."""
    model = Model()
    opened: list[Window] = []
    recorded: list[Recorded] = []

    def hook(*_: Any) -> None:
        if not opened:
            opened.append(Window("decode", 1, cuda=False))
            opened[0].open()
        elif not recorded:
            recorded.append(opened[0].close())

    handle = model.register_forward_pre_hook(hook)
    with torch.no_grad():
        for _ in range(3):
            model(torch.ones(1, 8))
    handle.remove()
    trace = read_trace(recorded[0], module_paths(model))
    tree = charge(trace)
    calls: Counter[tuple[str, str | None]] = Counter()
    for node, count in tree.cells["calls"].items():
        frame = tree.frames[node]
        if frame is not None and frame[0] == "module":
            calls[frame[1], frame[4]] += int(count)
    # One step: the call that opened the window, and not the one that closed it.
    assert calls[("Model", "")] == 1
    assert calls[("Linear", "layers.1.down")] == 1
    assert sum(calls.values()) == 1 + 2 + 4
    assert sum(tree.cells["wall_ns"].values()) == trace.close_ns - trace.open_ns


# --- fakes: what a CPU alone never reports ---------------------------------------------------------------


@pytest.mark.parametrize("roots", [(), (op("aten::mm", 0, 5),), MARKS[:1], MARKS[1:]])
def test_a_trace_without_its_marks_is_lost(roots: tuple[Native, ...]) -> None:
    with pytest.raises(TraceLostError):
        read(*roots)


def test_a_window_lies_between_its_marks() -> None:
    trace = read(*MARKS)
    assert (trace.open_ns, trace.close_ns, trace.main_thread) == (100, 200, 1)


def test_a_negative_duration_is_none() -> None:
    trace = read(MARKS[0], op("aten::mm", 150, -30), MARKS[1])
    (found,) = (e for e in events_of(trace) if e.frame[1] == "aten::mm")
    assert (found.start_ns, found.end_ns) == (150, 150)


def test_an_event_of_an_unknown_kind_keeps_its_name() -> None:
    other = Native((_EventType.Backend, None), "OOM", 150, 0)
    trace = read(MARKS[0], other, MARKS[1])
    assert ("other", "OOM", None, None, None) in {e.frame for e in events_of(trace)}


def test_device_allocations_are_the_devices() -> None:
    device = SimpleNamespace(type="cuda")
    memory = Native(
        (_EventType.Allocation, SimpleNamespace(alloc_size=64, ptr=1, device=device)), "[memory]", 150
    )
    (found,) = (e for e in events_of(read(MARKS[0], memory, MARKS[1])) if e.is_allocation)
    assert found.on_device and found.allocated_bytes == 64


def test_threads_are_apart() -> None:
    other = op("aten::mm", 120, 5)
    other.start_tid = 9
    trace = read(MARKS[0], other, MARKS[1])
    assert {thread: len(roots) for thread, roots in trace.roots.items()} == {1: 2, 9: 1}


def test_a_deep_tree_isread() -> None:
    inner = op("aten::leaf", 150, 1)
    for _ in range(5000):
        inner = op("aten::nest", 150, 1, inner)
    assert read(MARKS[0], inner, MARKS[1]).event_count == 5003


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        ("<built-in method get of dict object at 0x7f12ab>", "dict.get"),
        ("<built-in function len>", "len"),
        ("<built-in method linear of type object at 0x7fAB>", "linear"),
        ("<built-in method relu>", "relu"),
        ("<built-in method x of a b.c object at 0x1>", "a b.c.x"),
        ("<built-in method __exit__ of pkg.Lock object at 0xdeadBEEF>", "pkg.Lock.__exit__"),
        ("something else at 0x7f00", "something else"),
        ("", ""),
    ],
)
def test_builtin_names(raw: str, name: str) -> None:
    assert builtin_name(raw) == name


def test_module_paths_keep_the_first_of_a_shared_module() -> None:
    shared = nn.Linear(1, 1)
    root = nn.ModuleDict({"a": shared, "b": nn.Sequential(shared)})
    modules = module_paths(root)
    assert modules.root == id(root)
    assert modules.paths[id(root)] == "" and modules.paths[id(shared)] == "a"
    assert set(modules.paths.values()) == {"", "a", "b"}


def test_marks_by_hand_are_operators() -> None:
    window = Window("x", None, cuda=False, stacks=False)
    window.open()
    mark("an instant")
    trace = read_trace(window.close(), Modules({}, None))
    assert ("op", "an instant", None, None, None) in {e.frame for e in events_of(trace)}


def test_a_thread_that_was_there_has_its_name_and_its_frames() -> None:
    """Of Python code alone: torch notes the operators of the thread that traces."""
    stop, turns = threading.Event(), threading.Semaphore(0)

    def turning() -> None:
        while not stop.is_set():
            turns.release()
            helper(torch.ones(2))

    thread = threading.Thread(target=turning, name="turner")
    thread.start()
    try:
        window = Window("decode", 1, cuda=False)
        window.open()
        while turns.acquire(blocking=False):
            pass
        for _ in range(3):
            assert turns.acquire(timeout=60)
        recorded = window.close()
    finally:
        stop.set()
        thread.join()
    trace = read_trace(recorded, Modules({}, None))
    assert trace.threads[trace.main_thread] == (threading.get_native_id(), threading.current_thread().name)
    tree = charge(trace)
    (lane,) = (lane for lane in tree.threads if lane.name == "turner")
    assert lane.native_id == thread.native_id and not lane.is_main
    names = {frame[1] for node, _, _ in lane.stays if (frame := tree.frames[node]) is not None}
    assert {"turning", "helper"} & names and "aten::softmax" not in names
    assert sum(tree.cells["wall_ns"].values()) == trace.close_ns - trace.open_ns


def test_native_ids_are_looked_up_where_there_are_several_threads() -> None:
    other = op("aten::mm", 120, 5)
    other.start_tid = 9
    listed = tuple(Threaded(event, "DeviceType.CPU", 4700 + event.start_tid) for event in (*MARKS, other))
    assert read(MARKS[0], other, MARKS[1], listed=listed).threads == {1: (4701, None), 9: (4709, None)}
    assert read(MARKS[0], MARKS[1], listed=listed).threads == {}


def test_a_torch_that_does_not_tell_them_leaves_threads_without_a_name() -> None:
    other = op("aten::mm", 120, 5)
    other.start_tid = 9
    listed = (Listed(other, "DeviceType.CPU"),)
    assert read(MARKS[0], other, MARKS[1], listed=listed).threads == {1: (None, None), 9: (None, None)}


def test_a_thread_that_only_waits_is_known_by_its_stack() -> None:
    """The tracer has no number of the system for it."""
    stop = threading.Event()
    threads = [threading.Thread(target=wait, args=(stop,), name="waiter") for wait in (waiting, resting)]
    twin = threading.Thread(target=resting, args=(stop,), name="twin")
    for thread in (*threads, twin):
        thread.start()
    try:
        while not all(under_way(thread) for thread in (*threads, twin)):
            time.sleep(0.001)
        window = Window("decode", 1, cuda=False)
        window.open()
        helper(torch.ones(2))
        trace = read_trace(window.close(), Modules({}, None))
    finally:
        stop.set()
        for thread in (*threads, twin):
            thread.join()
    tree = charge(trace)
    lanes = {
        frame[1]: (lane.native_id, lane.name)
        for lane in tree.threads
        for node in path_of(tree, lane.stays[0][0])
        if (frame := tree.frames[node]) is not None and frame[1] in ("waiting", "resting")
    }
    assert lanes == {"waiting": (threads[0].native_id, "waiter"), "resting": (None, None)}
