"""Threads beside the main one, as threads of a Chrome trace: their frames, boxed where they go on."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator

from llmflame.analysis.plumbing import is_plumbing
from llmflame.analysis.thread_lanes import ThreadLane
from llmflame.exports.names import one_line
from llmflame.exports.request import Request
from llmflame.exports.trace_events import complete, naming
from llmflame.store.model import Frame
from llmflame.store.observed import Stay


class ThreadTracks:
    """Lanes of one process of the trace: one thread for each name. `fields` makes an event's of a frame."""

    def __init__(
        self, request: Request, pid: int, first_thread: int, fields: Callable[[Frame], dict[str, object]]
    ) -> None:
        self._profile = request.profile
        self._pid = pid
        self._first = first_thread
        self._fields = fields
        self._hidden = (
            set()
            if request.all_frames
            else {number for number, frame in request.profile.frames.items() if is_plumbing(frame)}
        )
        self._threads: dict[str, int] = {}
        self._paths: dict[int, tuple[int, ...]] = {}
        self._tails: dict[int, str] = {}

    def lanes(self, lanes: Iterable[ThreadLane], begin_ns: int = 0, how: str = "") -> Iterator[str]:
        """All events of lanes, from an instant on; `how` they were seen is part of what they are called."""
        for lane in lanes:
            name = one_line(lane.label + how)
            thread = self._threads.get(name)
            if thread is None:
                thread = self._threads[name] = self._first + len(self._threads)
                yield naming("thread_name", self._pid, thread, name)
            yield from self._boxes(thread, begin_ns, lane.stays)

    def _boxes(self, thread: int, begin_ns: int, stays: Iterable[Stay]) -> list[str]:
        """Outer frames come first: of two that begin and end together, readers nest the second in the first.
        A gap ends them all."""
        events: list[str] = []
        opened: list[tuple[int, int, int]] = []

        def close(depth: int, now: int) -> None:
            while len(opened) > depth:
                node, since, place = opened.pop()
                events[place] = complete(self._pid, thread, begin_ns + since, now - since, self._tail(node))

        ended = 0
        for leaf, start, end in stays:
            if start > ended:
                close(0, ended)
            path, same = self._path(leaf), 0
            while same < min(len(opened), len(path)) and opened[same][0] == path[same]:
                same += 1
            close(same, start)
            for node in path[same:]:
                opened.append((node, start, len(events)))
                events.append("")
            ended = end
        close(0, ended)
        return events

    def _path(self, node: int) -> tuple[int, ...]:
        """The nodes that are shown from below the phase, or what gave the thread its work, to this one."""
        known = self._paths.get(node)
        if known is None:
            path = self._below(node)
            known = self._paths[node] = tuple(reversed(path)) or (node,)
        return known

    def _below(self, node: int) -> list[int]:
        path: list[int] = []
        at: int | None = node
        while at is not None:
            _, parent, frame = self._profile.nodes[at]
            if parent is None or self._profile.frames[frame].kind == "thread":
                break
            if frame not in self._hidden:
                path.append(at)
            at = parent
        return path

    def _tail(self, node: int) -> str:
        known = self._tails.get(node)
        if known is None:
            fields = self._fields(self._profile.frames[self._profile.nodes[node].frame])
            known = self._tails[node] = json.dumps(fields, separators=(",", ":"))[1:]
        return known
