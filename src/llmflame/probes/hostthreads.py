"""Which of the program's threads is which of the tracer's."""

from __future__ import annotations

import itertools
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from llmflame.probes.events import Trace, TraceEvent
from llmflame.probes.paths import short_path
from llmflame.probes.pools import stack_of

Places = tuple[tuple[str | None, str], ...]
"""File and function of a stack's frames, the outermost first."""
THREAD_BEGINS = ("threading.py", "_bootstrap")
"""The outermost frame of every thread that Python code starts; nothing calls it."""


@dataclass(frozen=True, slots=True)
class HostThread:
    """A thread of Python's, as it was at an instant."""

    native_id: int
    name: str
    places: Places


def host_threads() -> tuple[HostThread, ...]:
    """All that there are now."""
    frames = sys._current_frames()
    found = []
    for thread in threading.enumerate():
        if thread.native_id is not None:
            stack = stack_of(frames.get(thread.ident or 0))
            places = tuple((short_path(code.co_filename), code.co_name) for code in stack)
            found.append(HostThread(thread.native_id, thread.name, places))
    # This function's own frame is among them: a cycle.
    frames.clear()
    return tuple(found)


def name_threads(trace: Trace, native_ids: Mapping[int, int], known: Sequence[HostThread]) -> None:
    """Say which threads of a trace are which; `native_ids` is by the tracer's own number of a thread.

    Threads that stayed in one call all the while are one to the tracer, the stack of each below that of the
    one before, and it doesn't know the system's number of any. They are put apart where a thread begins, and
    each is known by the stack that it was in when the window opened, if no other was in the same.
    """
    fresh = itertools.count(-1, -1)
    for thread, roots in list(trace.roots.items()):
        if thread != trace.main_thread and not native_ids.get(thread):
            for own in _begun_below(roots):
                trace.roots[next(fresh)] = [own]
    for thread, roots in trace.roots.items():
        native_id = native_ids.get(thread)
        if native_id:
            name = next((one.name for one in known if one.native_id == native_id), None)
            trace.threads[thread] = (native_id, name)
        else:
            trace.threads[thread] = _by_stack(_places(roots, trace.open_ns), known)


def _begun_below(roots: Sequence[TraceEvent]) -> list[TraceEvent]:
    """The outermost frames of threads that hang below a frame of another thread; takes them from there."""
    found: list[TraceEvent] = []
    stack = list(roots)
    while stack:
        event = stack.pop()
        begun = [child for child in event.children if _begins_a_thread(child)]
        if begun:
            event.children = [child for child in event.children if not _begins_a_thread(child)]
            found += begun
        stack += event.children
        stack += begun
    return found


def _begins_a_thread(event: TraceEvent) -> bool:
    kind, name, file, _, _ = event.frame
    return kind == "python" and (file, name) == THREAD_BEGINS


def _by_stack(places: Places, known: Sequence[HostThread]) -> tuple[int | None, str | None]:
    same = {(one.native_id, one.name) for one in known if places and one.places == places}
    return same.pop() if len(same) == 1 else (None, None)


def _places(roots: Sequence[TraceEvent], open_ns: int) -> Places:
    """The Python frames that were under way at an instant."""
    found: list[tuple[str | None, str]] = []
    level = roots
    while level:
        inside = next((one for one in level if one.start_ns <= open_ns < one.end_ns), None)
        if inside is None or inside.frame[0] != "python":
            break
        found.append((inside.frame[2], inside.frame[1]))
        level = inside.children
    return tuple(found)
