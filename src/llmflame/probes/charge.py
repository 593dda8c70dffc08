"""Charges every nanosecond of a window to exactly one frame, and every byte to the frame that took it.

A frame's own time is its interval less its children's. Intervals are clamped into their parent and behind
their elder sibling first, so that whatever a tracer's clock did, own times add up to the window exactly;
what no frame covers is a frame of its own, `unattributed`. The same pieces of time, in order, are the
window's slices: from them and the device's work the analysis tells who kept a device waiting, and the
timeline what happened when.
"""

from __future__ import annotations

from llmflame.probes.devicecalls import is_wait
from llmflame.probes.events import PROGRAM, DeviceDetail, OpWork, Trace, TraceEvent
from llmflame.probes.memory.held import Taken
from llmflame.store.metrics import (
    ALLOCATED,
    ALLOCATIONS,
    CALLS,
    COPIED,
    DEVICE,
    DEVICE_ALLOCATED,
    DEVICE_FREED,
    FLOPS,
    FREED,
    LOW_OCCUPANCY,
    OVERLAPPED,
    READ,
    UNKNOWN_WORK,
    WALL,
    WEIGHTS_READ,
    WRITTEN,
)
from llmflame.store.observed import FrameKey, ObservedThread, ObservedTree, Slice, Stay

UNATTRIBUTED: FrameKey = ("other", "unattributed", None, None, None)
OWN: FrameKey = ("other", "llmflame (this profiler)", None, None, None)
WORKER: FrameKey = ("thread", "other threads", None, None, None)
WAITING: FrameKey = ("wait", "waiting for GPU", None, None, None)

SETTLED = -1
"""Instead of a node: the event is charged already, and with it all below."""
_Level = tuple[list[TraceEvent], int, int, int, int | None, int]
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
            stays = others.stays()
            # A thread that does nothing else is the tracer's.
            if any(tree.frames[node] != OWN for node, _, _ in stays):
                native_id, name = trace.threads.get(thread, (None, None))
                tree.threads.append(ObservedThread(name, native_id, stays=stays))
    tree.slices = main.slices()
    return tree


class _Charger:
    def __init__(self, tree: ObservedTree, trace: Trace, time_metric: str, top: int) -> None:
        self._top = top
        self._tree = tree
        self._trace = trace
        self._time = time_metric
        self._pieces: list[tuple[int, int]] = []
        """(start, node) of every stretch of own time."""

    def slices(self) -> list[Slice]:
        """What the thread did, in order, from the window's opening on; each lasts until the next."""
        slices: list[Slice] = []
        for start, node in sorted(self._pieces):
            where = self._named(node)
            if not slices or slices[-1][0] != where:
                slices.append((where, start - self._trace.open_ns))
        return slices

    def stays(self) -> list[Stay]:
        """Where the thread was, in order; nothing of the times in which it was in no frame."""
        stays: list[Stay] = []
        end = self._trace.close_ns - self._trace.open_ns
        for node, start in reversed(self.slices()):
            if node != self._top and end > start:
                stays.append((node, start, end))
            end = start
        return stays[::-1]

    def _named(self, node: int) -> int:
        """A window has no time of its own: what no frame covers is a frame."""
        return node or self._tree.child(0, UNATTRIBUTED)

    def siblings(self, events: list[TraceEvent], node: int, begin_ns: int, end_ns: int) -> int:
        """Charge events that lie side by side below `node`; returns the time that they cover.

        Own stack instead of recursion: Python's depth limit is lower than a deep model's call depth.
        """
        tree, covered = self._tree, 0
        # (events, the node above them, its clamped interval, when it began where it is a call that launches,
        # when the call of the module around it ends).
        stack: list[_Level] = [(events, node, begin_ns, end_ns, None, end_ns)]
        top = True
        while stack:
            events, node, begin_ns, end_ns, launched_ns, until_ns = stack.pop()
            cursor, inside = begin_ns, 0
            for event in sorted(events, key=_start):
                if event.is_allocation:
                    self._allocation(event, node, until_ns)
                    continue
                if event.on_device:
                    self._device(event, node, launched_ns)
                    continue
                start = min(max(event.start_ns, cursor), end_ns)
                end = min(max(event.end_ns, start), end_ns)
                below = self._enter(event, node, start, end)
                if below is None:
                    continue
                if start > cursor:
                    self._pieces.append((cursor, node))
                if below == SETTLED and end > start:
                    self._pieces.append((start, self._tree.child(node, OWN)))
                cursor = end
                inside += end - start
                if below != SETTLED:
                    launch = event.start_ns if event.frame[0] == "runtime" else None
                    until = end if event.frame[0] == "module" else until_ns
                    stack.append((event.children, below, start, end, launch, until))
            if end_ns > cursor:
                self._pieces.append((cursor, node))
            if top:
                covered, top = inside, False
            else:
                own = end_ns - begin_ns - inside
                if own:
                    tree.add(self._named(node), self._time, own)
        return covered

    def _enter(self, event: TraceEvent, node: int, start: int, end: int) -> int | None:
        """The node that an event's inside is charged to; SETTLED where it is charged here, None where the
        event lies outside the window."""
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
            if event.work is not None:
                self._work(event.work, below)
        return (
            self._tree.child(below, WAITING)
            if event.frame[0] == "runtime" and is_wait(event.frame[1])
            else below
        )

    def _work(self, work: OpWork, node: int) -> None:
        if not work.known:
            self._tree.add(node, UNKNOWN_WORK.name, 1)
        self._tree.add(node, FLOPS.name, work.flops)
        self._tree.add(node, READ.name, work.read_bytes)
        self._tree.add(node, WRITTEN.name, work.written_bytes)
        self._tree.add(node, WEIGHTS_READ.name, work.weight_bytes)

    def _enter_own(self, event: TraceEvent, node: int, start: int, end: int) -> int:
        """llmflame's frames: those that call the program are transparent, instruments are charged."""
        if _calls_program(event):
            for child in event.children:
                child.is_own = child.is_own or not (child.frame[0] in PROGRAM or _calls_program(child))
            # What lies above the outermost is how the recorder was started: the tree begins below it.
            return self._top if event.start_ns <= self._trace.open_ns else node
        if end > start:
            self._tree.add(self._tree.child(node, OWN), self._time, end - start)
        return SETTLED

    def _allocation(self, event: TraceEvent, node: int, until_ns: int) -> None:
        if not self._trace.open_ns <= event.start_ns <= self._trace.close_ns:
            return
        size = event.allocated_bytes
        if event.on_device:
            metric = DEVICE_ALLOCATED if size > 0 else DEVICE_FREED
        else:
            metric = ALLOCATED if size > 0 else FREED
        self._tree.add(node, metric.name, abs(size))
        self._tree.add(node, ALLOCATIONS.name, 1)
        self._trace.taken.append(Taken(event.start_ns, event.address, size, event.on_device, node, until_ns))

    def _device(self, event: TraceEvent, node: int, launched_ns: int | None) -> None:
        opened, closed = self._trace.open_ns, self._trace.close_ns
        if launched_ns is None and not opened <= event.start_ns <= closed:
            return  # no call says whose it is, and it began in another window
        work = self._tree.child(node, event.frame)
        self._tree.add(work, DEVICE.name, event.end_ns - event.start_ns)
        self._tree.add(work, CALLS.name, 1)
        detail = event.device or DeviceDetail(stream=0)
        if detail.low_occupancy:
            self._tree.add(work, LOW_OCCUPANCY.name, event.end_ns - event.start_ns)
        if detail.bytes:
            self._tree.add(work, COPIED.name, detail.bytes)
        launched = None if launched_ns is None else launched_ns - opened
        start, end = event.start_ns - opened, event.end_ns - opened
        self._tree.device_work.append((work, detail.stream, launched, start, end, detail.bytes))
        for child in event.children:
            self._device(child, work, launched_ns)


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
