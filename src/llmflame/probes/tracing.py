"""A window of torch's own profiler: Python frames, operators, allocations and, on CUDA, kernels.

The parts of torch that are not public or that differ between releases are touched here and in
`eventtree` alone.
"""

from __future__ import annotations

import contextlib
import os
import sys
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import FrameType
from typing import Any, cast

import torch
from torch.profiler import ProfilerActivity, profile

from llmflame.errors import UsageError
from llmflame.probes.device import allocated_bytes, launch_prefix, synchronize
from llmflame.probes.hostthreads import HostThread, host_threads
from llmflame.probes.memory.held import CacheAddresses
from llmflame.probes.paths import short_path

OPEN_MARK = "llmflame: window opens"
CLOSE_MARK = "llmflame: window closes"
PART_MARK = "llmflame: part: "
"""Before the name of a stretch that is marked where no Python frames are traced."""

LOG_LEVEL = "KINETO_LOG_LEVEL"
NO_LOG = "6"
"""Above the tracer's highest level."""

FrameLines = dict[tuple[str, str], int]
"""(file, function) to the line that the function begins at."""


@dataclass(slots=True)
class Recorded:
    """A closed window, not yet read. Holds the tracer's events: release it by dropping it."""

    span_name: str
    step: int | None
    results: Any
    """torch's `_ProfilerResult`."""
    frame_lines: FrameLines = field(default_factory=dict)
    allocated_bytes: int | None = None
    """By how much the device allocator's bytes in use grew between the window's marks."""
    shapes: bool = False
    """It has the operators' inputs."""
    only_shapes: bool = False
    """And neither kernels nor allocations."""
    pinned_bytes: int | None = None
    """Page-locked memory that torch asked the driver for in the window."""
    cache: CacheAddresses = field(default_factory=CacheAddresses)
    host_threads: tuple[HostThread, ...] = ()
    """Python's threads when the window opened, and when it closed."""


class Window:
    """Traces what runs between `open` and `close` in the calling thread, with `cuda` its kernels too.

    With `shapes` it keeps the operators' inputs, and neither kernels nor allocations: torch then holds on to
    every input, which changes when memory is freed. With `inputs` it keeps them beside all else: for a load,
    whose peak is the same with and without (what is let go of is freed), and which has few operators.
    """

    def __init__(
        self,
        span_name: str,
        step: int | None,
        *,
        cuda: bool,
        stacks: bool = True,
        shapes: bool = False,
        inputs: bool = False,
    ) -> None:
        self.span_name = span_name
        self.step = step
        self.shapes = shapes
        self._inputs = inputs or shapes
        self._cuda = cuda and not shapes
        self._stacks = stacks
        self._profile: Any = None
        self._frame_lines: FrameLines = {}
        self._allocated: int | None = None
        self._host_threads: tuple[HostThread, ...] = ()

    def open(self) -> None:
        """Start tracing. Raises UsageError where another profiler holds the interpreter's hook."""
        refuse_taken_slot()
        self._frame_lines = _stack_lines(sys._getframe(1))
        self._host_threads = host_threads()
        activities = [ProfilerActivity.CPU]
        if self._cuda:
            synchronize()
            activities.append(ProfilerActivity.CUDA)
        with warnings.catch_warnings(), contextlib.nullcontext() if self._cuda else _quiet_tracer():
            warnings.simplefilter("ignore")  # torch's own remarks on its profiler's state
            self._profile = profile(
                activities=activities,
                with_stack=self._stacks,
                profile_memory=not self.shapes,
                record_shapes=self._inputs,
                experimental_config=_device_details() if self._cuda else None,
            )
            self._profile.__enter__()
        if self._cuda:
            launch_prefix()
            self._allocated = allocated_bytes()
        mark(OPEN_MARK)

    def close(self) -> Recorded:
        """Stop tracing; returns what was recorded."""
        mark(CLOSE_MARK)
        grown: int | None = None
        try:
            if self._cuda:
                before, now = self._allocated, allocated_bytes()
                grown = now - before if now is not None and before is not None else None
                synchronize()
        finally:
            results = self._stop()
        return Recorded(
            self.span_name,
            self.step,
            results,
            self._frame_lines,
            grown,
            self._inputs,
            self.shapes,
            host_threads=(*self._host_threads, *host_threads()),
        )

    def _stop(self) -> Any:
        """End torch's session; returns its results."""
        stopped, self._profile = self._profile, None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                stopped.__exit__(None, None, None)
            except Exception:
                # torch waits for the device first; where that fails it leaves its hooks in the interpreter,
                # which then can't end.
                with contextlib.suppress(Exception):
                    torch._C._autograd._disable_profiler()
                raise
        return stopped.profiler.kineto_results


@contextlib.contextmanager
def _quiet_tracer() -> Iterator[None]:
    """Without a line on standard error for each window, which a notebook shows below the cell.

    The tracer asks once, when it is first started. What it says of a device is worth reading.
    """
    if LOG_LEVEL in os.environ:
        yield
        return
    os.environ[LOG_LEVEL] = NO_LOG
    try:
        yield
    finally:
        del os.environ[LOG_LEVEL]


def _device_details() -> Any:
    """Ask for each kernel's grid and each copy's bytes, where this release of torch can tell them."""
    try:
        return torch._C._profiler._ExperimentalConfig(expose_kineto_event_metadata=True)
    except TypeError:
        return None


def refuse_taken_slot() -> None:
    """Tracers share one hook of the interpreter and silently blind each other: one at a time."""
    # A torch.profiler without stacks leaves the hook free, but a window inside it would end its session.
    taken = sys.getprofile() is not None
    if sys.version_info >= (3, 12):  # where cProfile has a slot of its own
        taken = taken or sys.monitoring.get_tool(sys.monitoring.PROFILER_ID) is not None
    if taken or torch._C._autograd._profiler_enabled():
        raise UsageError(
            "another profiler (cProfile, memray, torch.profiler ...) is active in this process: "
            "stop it first, two would blind each other"
        )


def mark(name: str) -> None:
    """Leave a named instant in the trace."""
    with torch._C._profiler._RecordFunctionFast(name):
        pass


def part(name: str) -> contextlib.AbstractContextManager[None]:
    """Name a stretch in the trace: what it allocates and calls hangs below it."""
    return cast(
        "contextlib.AbstractContextManager[None]", torch._C._profiler._RecordFunctionFast(PART_MARK + name)
    )


def _stack_lines(frame: FrameType | None) -> FrameLines:
    lines: FrameLines = {}
    while frame is not None:
        code = frame.f_code
        lines[short_path(code.co_filename), code.co_name] = code.co_firstlineno
        frame = frame.f_back
    return lines
