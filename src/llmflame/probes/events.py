"""One traced event as plain data, and a window's worth of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from llmflame.probes.memory.held import Taken
from llmflame.store.observed import FrameKey

PROGRAM = ("python", "module")
"""Kinds of frame that are Python code."""


@dataclass(frozen=True, slots=True)
class DeviceDetail:
    """What is known of work on a device beside its times."""

    stream: int
    bytes: int | None = None
    """Of a copy or fill."""
    low_occupancy: bool = False
    """Of a kernel: its grid has fewer blocks than the device has multiprocessors."""


@dataclass(slots=True, eq=False)
class TraceEvent:
    """A call, an operator, an allocation or work on a device. Times are on the tracer's clock."""

    frame: FrameKey
    start_ns: int
    end_ns: int
    children: list[TraceEvent] = field(default_factory=list)
    address: int = 0
    """Of an allocator event."""
    allocated_bytes: int = 0
    """Of an allocator event: bytes taken, negative for bytes given back."""
    is_allocation: bool = False
    on_device: bool = False
    """Work on a device (an event's bytes, where it is an allocation): not host time."""
    is_own: bool = False
    """A frame of llmflame itself, or a cost of the tracer."""
    device: DeviceDetail | None = None
    """Of work on a device."""
    inputs: Any = None
    """Of an operator in a window with shapes: what it was called with, in torch's own types."""
    work: OpWork | None = None
    """Of an operator in a window with shapes, where it counts for itself and all below it."""


@dataclass(frozen=True, slots=True)
class OpWork:
    """What an operator must do, by its inputs' shapes. All zero where that isn't known."""

    flops: int = 0
    read_bytes: int = 0
    written_bytes: int = 0
    weight_bytes: int = 0
    """Of the bytes read, those of the model's parameters."""
    known: bool = True


@dataclass(slots=True)
class DeviceChecks:
    """Does the tracer's account of the device agree with itself?"""

    launches: int = 0
    """Calls that put work on a device."""
    works: int = 0
    """Kernels, copies and fills on the tree."""
    listed: int = 0
    """The same, counted in the tracer's flat list."""
    launches_without_work: int = 0
    work_without_launch: int = 0
    early: int = 0
    """Work that began before the call that launched it: the two clocks disagree."""
    skew_ns: int = 0
    """The most by which work began too early."""


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
    checks: DeviceChecks = field(default_factory=DeviceChecks)
    threads: dict[int, tuple[int | None, str | None]] = field(default_factory=dict)
    """By thread of `roots`, where there are others than the main one: the system's number of it, and its
    name."""
    taken: list[Taken] = field(default_factory=list)
    """What was taken from allocators and given back, by the node that it is charged to."""

    @property
    def lost_count(self) -> int:
        """Launches whose work, and work that the tracer listed but that hangs nowhere on the tree."""
        unplaced = max(self.checks.listed - self.checks.works, 0)
        return self.checks.launches_without_work + unplaced
