"""The traced windows of a Chrome trace: the host's frames, the device's work, and arrows between them."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator

from llmflame.analysis.kernel_name import short_kernel_name
from llmflame.analysis.plumbing import is_plumbing
from llmflame.analysis.thread_lanes import traced_lanes
from llmflame.exports.chrome_threads import ThreadTracks
from llmflame.exports.names import file_name, frame_name, one_line
from llmflame.exports.request import Request
from llmflame.exports.trace_events import complete, flow, naming
from llmflame.store.model import Frame
from llmflame.store.profile import Profile
from llmflame.store.rows import DeviceWorkRow, SliceRow, WindowRow

PID = 2
HOST = 1
FIRST_STREAM = 1_000
"""Added to a stream's number: it is no thread of the host."""
FIRST_THREAD = 1_000_000
"""Of the threads beside the main one: above all streams."""


def window_events(request: Request) -> Iterator[str]:
    """Windows of which slices were kept, at the places where they were traced."""
    profile = request.profile
    slices: dict[int, list[SliceRow]] = defaultdict(list)
    works: dict[int, list[DeviceWorkRow]] = defaultdict(list)
    for piece in profile.slices:
        slices[piece.window].append(piece)
    for work in profile.device_work:
        works[work.window].append(work)
    windows = [
        row
        for row in profile.windows
        if row.kind == "traced" and slices[row.id] and request.wants(row.span_name)
    ]
    if not windows:
        return
    yield naming("process_name", PID, 0, "traced windows (the tracer slows the host)")
    yield naming("thread_name", PID, HOST, "main thread")
    for stream in sorted({work.stream for row in windows for work in works[row.id]}):
        yield naming("thread_name", PID, FIRST_STREAM + stream, f"stream {stream}")
    tracks = _Tracks(profile, all_frames=request.all_frames)
    threads, lanes = thread_tracks(request, PID, FIRST_THREAD), traced_lanes(profile)
    for row in sorted(windows, key=lambda row: (_start_ns(profile, row), row.id)):
        begin = tracks.begin_of(row)
        yield from tracks.window(row, slices[row.id], works[row.id])
        yield from threads.lanes(lanes.get(row.id, ()), begin)


def thread_tracks(request: Request, pid: int, first_thread: int) -> ThreadTracks:
    """Threads of one process of the trace, whose events tell of frames what those of windows do."""
    return ThreadTracks(request, pid, first_thread, lambda frame: _fields(frame, None))


def _start_ns(profile: Profile, row: WindowRow) -> int:
    """When a window was traced: its step's beginning, or its phase's."""
    for span in profile.spans:
        traced = span.pass_name == row.pass_name and span.treatment == "traced"
        if (
            traced
            and span.step == row.step
            and span.name == ("step" if row.step is not None else row.span_name)
        ):
            return span.start_ns
    return 0


class _Tracks:
    """Windows one behind the other, on the host's thread and the device's streams."""

    def __init__(self, profile: Profile, *, all_frames: bool) -> None:
        self._profile = profile
        self._shown = _Shown(profile, all_frames=all_frames)
        self._tails: dict[int, str] = {}
        self._free_ns = 0
        self._arrows = 0

    def begin_of(self, row: WindowRow) -> int:
        """Where a window comes that is next."""
        return max(_start_ns(self._profile, row), self._free_ns)

    def window(self, row: WindowRow, slices: list[SliceRow], works: list[DeviceWorkRow]) -> Iterator[str]:
        """All events of a window."""
        begin = self.begin_of(row)
        step = "" if row.step is None else f", step {row.step}"
        fields = {"name": one_line(f"{row.span_name}{step}"), "cat": "window"}
        yield complete(PID, HOST, begin, row.wall_ns, json.dumps(fields)[1:])
        yield from self._host(begin, row.wall_ns, slices)
        yield from self._device(begin, works)
        ends = [row.wall_ns, *(work.end_ns for work in works)]
        self._free_ns = begin + max(ends)

    def _host(self, begin: int, wall_ns: int, slices: list[SliceRow]) -> list[str]:
        """Frames that go on from one slice to the next are one event.

        Outer frames come first: of two that begin and end together, readers nest the second in the first.
        """
        events: list[str] = []
        opened: list[int] = []
        begun: list[tuple[int, int]] = []
        nearest, above = self._shown.nearest, self._shown.above

        def close(depth: int, now: int) -> None:
            while len(opened) > depth:
                since, place = begun.pop()
                events[place] = complete(PID, HOST, begin + since, now - since, self._tail(opened.pop()))

        now = 0
        for piece in slices:
            now = min(max(piece.start_ns, now), wall_ns)
            entered: list[int] = []
            node, depth = nearest[piece.node]
            while node is not None and (len(opened) < depth or opened[depth - 1] != node):
                entered.append(node)
                node, depth = above[node], depth - 1
            if depth < len(opened):
                close(depth, now)
            for node in reversed(entered):
                begun.append((now, len(events)))
                opened.append(node)
                events.append("")
        close(0, wall_ns)
        return events

    def _device(self, begin: int, works: list[DeviceWorkRow]) -> Iterator[str]:
        free: dict[int, int] = {}
        for work in sorted(works, key=lambda work: (work.start_ns, work.end_ns)):
            thread = FIRST_STREAM + work.stream
            # A stream does one thing at a time; clocks that are aligned to microseconds may say else.
            start = max(work.start_ns, free.get(thread, work.start_ns))
            free[thread] = max(work.end_ns, start)
            if begin + start < 0:
                continue
            yield complete(
                PID, thread, begin + start, free[thread] - start, self._tail(work.node, work.bytes)
            )
            # An arrow back in time would be refused: there the two clocks are not aligned well enough.
            if work.launched_ns is not None and 0 <= work.launched_ns <= start:
                self._arrows += 1
                yield flow("s", self._arrows, PID, HOST, begin + work.launched_ns)
                yield flow("f", self._arrows, PID, thread, begin + start)

    def _tail(self, node: int, size: int | None = None) -> str:
        number = self._profile.nodes[node].frame
        if size is not None:
            return _encoded(self._profile.frames[number], size)
        known = self._tails.get(number)
        if known is None:
            known = self._tails[number] = _encoded(self._profile.frames[number], None)
        return known


class _Shown:
    """Which nodes are events: not a phase, which is the window itself, and not what only passes a call on."""

    def __init__(self, profile: Profile, *, all_frames: bool) -> None:
        hidden = set() if all_frames else {n for n, f in profile.frames.items() if is_plumbing(f)}
        self.nearest: dict[int | None, tuple[int | None, int]] = {None: (None, 0)}
        """By node: the one that is shown at or above it, and how many are from there up."""
        self.above: dict[int, int | None] = {}
        """By node that is shown: the next one above it."""
        for node, parent, frame in profile.nodes.values():
            here = self.nearest[parent]
            if parent is not None and frame not in hidden:
                self.above[node], depth = here
                here = (node, depth + 1)
            self.nearest[node] = here


def _encoded(frame: Frame, size: int | None) -> str:
    return json.dumps(_fields(frame, size), separators=(",", ":"))[1:]


def _fields(frame: Frame, size: int | None) -> dict[str, object]:
    name, place = frame_name(frame), file_name(frame)
    known: dict[str, object] = {}
    if place is not None:
        known["file"] = place if frame.line is None else f"{place}:{frame.line}"
    if frame.module is not None and frame.kind != "module":
        known["module"] = one_line(frame.module)
    if frame.kind == "kernel" and (short := one_line(short_kernel_name(frame.name))) != name:
        known["kernel"], name = name, short
    if size is not None:
        known["bytes"] = size
    return {"name": name, "cat": frame.kind, **({"args": known} if known else {})}
