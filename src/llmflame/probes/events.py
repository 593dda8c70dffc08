"""One traced event as plain data, and a window's worth of them."""

from __future__ import annotations

from dataclasses import dataclass, field

from llmflame.store.observed import FrameKey


@dataclass(slots=True, eq=False)
class TraceEvent:
    """A call, an operator, an allocation or work on a device. Times are on the tracer's clock."""

    frame: FrameKey
    start_ns: int
    end_ns: int
    children: list[TraceEvent] = field(default_factory=list)
    allocated_bytes: int = 0
    """Of an allocator event: bytes taken, negative for bytes given back."""
    is_allocation: bool = False
    on_device: bool = False
    """Work on a device (an event's bytes, where it is an allocation): not host time."""
    is_own: bool = False
    """A frame of llmflame itself."""


@dataclass(slots=True)
class Trace:
    """What one window recorded."""

    roots: dict[int, list[TraceEvent]]
    """By thread, the events without a parent."""
    main_thread: int
    open_ns: int
    close_ns: int
    counted_when_open: set[int]
    """`id()` of events on the stack when the window opened whose call belongs to the window all the same."""
    cut_when_close: set[int]
    """`id()` of events under way when the window closed whose call belongs to what comes after."""
    event_count: int
    lost_count: int
    """Launches without the work that they launched."""
