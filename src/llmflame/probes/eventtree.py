"""Reads torch's event tree into plain events.

`experimental_event_tree` is private to torch, but the only source that has Python frames, operators,
allocations and device work on one tree; `events()` and `key_averages()` take ten times the run.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch._C._profiler import _EventType

import llmflame
from llmflame.probes.devicecalls import GRAPH_LAUNCHES, TRACER_COSTS, check_device, is_copy
from llmflame.probes.devicelist import DeviceList, read_device_list, read_native_ids
from llmflame.probes.events import PROGRAM, Trace, TraceEvent
from llmflame.probes.first_lines import FirstLines
from llmflame.probes.hostthreads import name_threads
from llmflame.probes.nesting import path_to, renest
from llmflame.probes.paths import short_path
from llmflame.probes.tracing import CLOSE_MARK, OPEN_MARK, PART_MARK, FrameLines, Recorded

_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")
_BUILTIN = re.compile(
    r"<built-in (?:function|method) (?P<name>.+?)(?: of (?P<type>.+?) object)?>$", re.DOTALL
)
_OWN_FOLDERS = tuple({str(Path(folder)) for folder in llmflame.__path__})


class TraceLostError(Exception):
    """The tracer returned no usable window: its marks are missing."""


@dataclass(frozen=True, slots=True)
class Modules:
    """The module instances that frames are named after."""

    paths: Mapping[int, str]
    """`id(module)` to its path from the root ("" for the root itself)."""
    root: int | None
    """`id()` of the module whose calls cut steps."""


def read_trace(recorded: Recorded, modules: Modules) -> Trace:
    """The window as plain events. Raises TraceLostError where the tracer kept no marks."""
    listed = read_device_list(recorded.results)
    reader = _Reader(modules, recorded.frame_lines, listed, shapes=recorded.shapes)
    trace = reader.read(recorded.results.experimental_event_tree())
    if len(trace.roots) > 1:
        name_threads(trace, read_native_ids(recorded.results), recorded.host_threads)
    return trace


class _Reader:
    def __init__(
        self, modules: Modules, frame_lines: FrameLines, listed: DeviceList, *, shapes: bool
    ) -> None:
        self._modules = modules
        self._listed = listed
        self._shapes = shapes
        self._frame_lines = frame_lines
        self._first_lines = FirstLines()
        self._own_files: dict[str, bool] = {}
        self._events = 0
        self._calls: list[tuple[Any, TraceEvent]] = []
        """The driver's and runtime's calls, torch's event beside ours."""
        self._displaced = False
        """Did torch hang frames of the host below what a device did?"""
        self._marks: dict[str, tuple[Any, TraceEvent]] = {}
        self._module_calls: dict[int, int] = {}
        """By `id()` of an event that is the call of a module: the module's."""

    def read(self, native_roots: list[Any]) -> Trace:
        roots: dict[int, list[TraceEvent]] = {}
        for native in native_roots:
            roots.setdefault(native.start_tid, []).extend(self._subtree(native))
        if self._displaced:
            roots = {thread: renest(events) for thread, events in roots.items()}
        if OPEN_MARK not in self._marks or CLOSE_MARK not in self._marks:
            raise TraceLostError("torch's profiler kept no events of this window")
        (native, opening), (_, closing) = self._marks[OPEN_MARK], self._marks[CLOSE_MARK]
        main_thread = native.start_tid
        return Trace(
            roots=roots,
            main_thread=main_thread,
            open_ns=opening.end_ns,
            close_ns=closing.start_ns,
            counted_when_open=self._root_calls(opening, roots[main_thread]),
            cut_when_close=self._root_calls(closing, roots[main_thread]),
            event_count=self._events,
            checks=check_device(self._calls, self._listed, opening.end_ns, closing.start_ns),
        )

    def _root_calls(self, mark: TraceEvent, roots: list[TraceEvent]) -> set[int]:
        """The innermost call of the root module around a mark, with the frames of its call machinery."""
        inner: list[int] = []
        for event in path_to(mark, roots):
            if event.frame[0] in PROGRAM:
                inner.append(id(event))
            module = self._module_calls.get(id(event))
            if module is not None and module == self._modules.root:
                return set(inner)
        return set()

    def _subtree(self, native_root: Any) -> list[TraceEvent]:
        """The event with what is below it; what torch hung below no frame of the host, beside it."""
        found: list[TraceEvent] = []
        stack = [([native_root], found)]
        while stack:
            natives, beside = stack.pop()
            for native in natives:
                below = beside
                if not self._is_annotation(native):
                    event = self._event(native)
                    beside.append(event)
                    below = beside if event.on_device else event.children
                if native.children:
                    self._displaced = self._displaced or below is beside
                    stack.append((native.children, below))
        return found

    def _is_annotation(self, native: Any) -> bool:
        if not self._listed.annotations or native.typed[0] != _EventType.Kineto:
            return False
        return (native.correlation_id, native.start_time_ns) in self._listed.annotations

    def _event(self, native: Any) -> TraceEvent:
        self._events += 1
        tag, fields = native.typed
        start = native.start_time_ns
        event = TraceEvent(("other", "", None, None, None), start, start + max(native.duration_time_ns, 0))
        if tag == _EventType.TorchOp:
            name = native.name
            if self._shapes:
                event.inputs = fields.inputs
            event.frame = ("op", name, None, None, None)
            if name in (OPEN_MARK, CLOSE_MARK):
                event.is_own = True
                self._marks[name] = (native, event)
            elif name.startswith(PART_MARK):
                event.frame = ("other", name.removeprefix(PART_MARK), None, None, None)
        elif tag == _EventType.Allocation:
            event.is_allocation = True
            event.allocated_bytes = fields.alloc_size
            event.address = fields.ptr
            event.on_device = fields.device.type != "cpu"
        elif tag == _EventType.PyCall:
            self._python(fields, event)
        elif tag == _EventType.PyCCall:
            event.frame = ("builtin", builtin_name(native.name), None, None, None)
        elif tag == _EventType.Kineto:
            self._kineto(native, event)
        else:
            event.frame = ("other", native.name, None, None, None)
        return event

    def _kineto(self, native: Any, event: TraceEvent) -> None:
        """Work on a device, a driver or runtime call, or what the tracer itself took."""
        detail = self._listed.of(native.correlation_id, native.start_time_ns)
        name = native.name
        if detail is not None:
            event.on_device, event.device = True, detail
            event.frame = ("copy" if is_copy(name) else "kernel", name, None, None, None)
            return
        event.is_own = name in TRACER_COSTS
        event.frame = ("runtime", GRAPH_LAUNCHES.get(name, name), None, None, None)
        self._calls.append((native, event))

    def _python(self, fields: Any, event: TraceEvent) -> None:
        module = fields.module
        if module is not None:
            path = self._modules.paths.get(module.self_ptr)
            event.frame = ("module", module.cls_name, None, None, path)
            self._module_calls[id(event)] = module.self_ptr
            return
        place = fields.callsite
        file, function = place.file_name, place.function_name
        line = self._first_line(file, function, place.line_number)
        event.frame = ("python", function, file, line, None)
        event.is_own = self._is_own(file)

    def _first_line(self, file: str, function: str, line: int) -> int:
        known = self._first_lines.of(file, function, line)
        return known if known is not None else self._frame_lines.get((file, function), line)

    def _is_own(self, file: str) -> bool:
        known = self._own_files.get(file)
        if known is None:
            own = [short_path(folder) for folder in _OWN_FOLDERS]
            known = any(file.startswith((f"{folder}/", f"{folder}\\")) for folder in (*own, *_OWN_FOLDERS))
            self._own_files[file] = known
        return known


def builtin_name(name: str) -> str:
    """`<built-in method get of dict object at 0x7f..>` as `dict.get`.

    Functions that C code hangs on a type or a module (`torch.cat`, pybind's) are named by themselves.
    """
    name = _ADDRESS.sub("", name)
    match = _BUILTIN.match(name)
    if match is None:
        return name
    owner = match["type"]
    if owner is None or owner in ("type", "module") or owner.startswith(("pybind11", "PyCapsule")):
        return match["name"]
    return f"{owner}.{match['name']}"


def module_paths(root: Any) -> Modules:
    """The paths of all modules below `root`; a shared module keeps the first."""
    paths: dict[int, str] = {}
    for path, module in root.named_modules():
        paths.setdefault(id(module), path)
    return Modules(paths, id(root))
