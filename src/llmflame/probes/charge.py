"""Charges every nanosecond of a window to exactly one frame, and every byte to the frame that took it.

A frame's own time is its interval less its children's. Intervals are clamped into their parent and behind
their elder sibling first, so that whatever a tracer's clock did, own times add up to the window exactly;
what no frame covers is a frame of its own, `unattributed`.
"""

from __future__ import annotations

from llmflame.probes.events import Trace, TraceEvent
from llmflame.store.metrics import (
    ALLOCATED,
    ALLOCATIONS,
    CALLS,
    DEVICE,
    DEVICE_ALLOCATED,
    DEVICE_FREED,
    FREED,
    OVERLAPPED,
    WALL,
)
from llmflame.store.observed import FrameKey, ObservedTree

UNATTRIBUTED: FrameKey = ("other", "unattributed", None, None, None)
OWN: FrameKey = ("other", "llmflame (this profiler)", None, None, None)
WORKER: FrameKey = ("thread", "other threads", None, None, None)

PROGRAM = ("python", "module")
"""Kinds of frame that are the program's own code."""
GENERATED = "<string>"
"""The file of code that the standard library makes for named tuples and dataclasses, llmflame's too."""


def charge(trace: Trace) -> ObservedTree:
    """The tree of a window. Sum of `wall_ns` over all nodes = the window's length."""
    tree = ObservedTree()
    main = _Charger(tree, trace, WALL.name, 0)
    covered = main.siblings(trace.roots.get(trace.main_thread, []), 0, trace.open_ns, trace.close_ns)
    rest = trace.close_ns - trace.open_ns - covered
    if rest:
        tree.add(tree.child(0, UNATTRIBUTED), WALL.name, rest)
    for thread, roots in trace.roots.items():
        if thread != trace.main_thread:
            top = tree.child(0, WORKER)
            others = _Charger(tree, trace, OVERLAPPED.name, top)
            others.siblings(roots, top, trace.open_ns, trace.close_ns)
    return tree


class _Charger:
    def __init__(self, tree: ObservedTree, trace: Trace, time_metric: str, top: int) -> None:
        self._top = top
        self._tree = tree
        self._trace = trace
        self._time = time_metric

    def siblings(self, events: list[TraceEvent], node: int, begin_ns: int, end_ns: int) -> int:
        """Charge events that lie side by side below `node`; returns the time that they cover.

        Own stack instead of recursion: Python's depth limit is lower than a deep model's call depth.
        """
        tree, covered = self._tree, 0
        # (event, its node, its clamped interval); self time is settled when the children's cover is known.
        stack: list[tuple[list[TraceEvent], int, int, int]] = [(events, node, begin_ns, end_ns)]
        top = True
        while stack:
            events, node, begin_ns, end_ns = stack.pop()
            cursor, inside = begin_ns, 0
            for event in sorted(events, key=_start):
                if event.is_allocation:
                    self._allocation(event, node)
                    continue
                if event.on_device:
                    self._device(event, node)
                    continue
                start = min(max(event.start_ns, cursor), end_ns)
                end = min(max(event.end_ns, start), end_ns)
                below = self._enter(event, node, start, end)
                if below is None:
                    continue
                cursor = end
                inside += end - start
                if below >= 0:
                    stack.append((event.children, below, start, end))
            if top:
                covered, top = inside, False
            else:
                own = end_ns - begin_ns - inside
                if own:
                    tree.add(node, self._time, own)
        return covered

    def _enter(self, event: TraceEvent, node: int, start: int, end: int) -> int | None:
        """The node that an event's inside is charged to; -1 where it is settled here, None where the event
        lies outside the window."""
        trace = self._trace
        if event.end_ns < trace.open_ns or event.start_ns > trace.close_ns:
            return None
        if event.is_own:
            return self._enter_own(event, node, start, end)
        if id(event) in trace.cut_when_close:
            return node
        below = self._tree.child(node, event.frame)
        if event.start_ns >= trace.open_ns or id(event) in trace.counted_when_open:
            self._tree.add(below, CALLS.name, 1)
        return below

    def _enter_own(self, event: TraceEvent, node: int, start: int, end: int) -> int:
        """llmflame's frames: those that call the program are transparent, instruments are charged."""
        if _calls_program(event):
            for child in event.children:
                child.is_own = child.is_own or not (child.frame[0] in PROGRAM or _calls_program(child))
            # What lies above the outermost is how the recorder was started: the tree begins below it.
            return self._top if event.start_ns <= self._trace.open_ns else node
        if end > start:
            self._tree.add(self._tree.child(node, OWN), self._time, end - start)
        return -1

    def _allocation(self, event: TraceEvent, node: int) -> None:
        if not self._trace.open_ns <= event.start_ns <= self._trace.close_ns:
            return
        size = event.allocated_bytes
        if event.on_device:
            metric = DEVICE_ALLOCATED if size > 0 else DEVICE_FREED
        else:
            metric = ALLOCATED if size > 0 else FREED
        self._tree.add(node, metric.name, abs(size))
        self._tree.add(node, ALLOCATIONS.name, 1)

    def _device(self, event: TraceEvent, node: int) -> None:
        kernel = self._tree.child(node, event.frame)
        self._tree.add(kernel, DEVICE.name, event.end_ns - event.start_ns)
        self._tree.add(kernel, CALLS.name, 1)
        for child in event.children:
            self._device(child, kernel)


def _calls_program(own: TraceEvent) -> bool:
    """Does a frame of llmflame lead to Python code that isn't llmflame's?"""
    stack = list(own.children)
    while stack:
        event = stack.pop()
        if not event.is_own and event.frame[0] in PROGRAM and event.frame[2] != GENERATED:
            return True
        stack.extend(event.children)
    return False


def _start(event: TraceEvent) -> int:
    return event.start_ns
