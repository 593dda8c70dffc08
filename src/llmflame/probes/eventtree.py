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
from llmflame.probes.events import Trace, TraceEvent
from llmflame.probes.first_lines import FirstLines
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
    return _Reader(modules, recorded.frame_lines).read(recorded.results.experimental_event_tree())


class _Reader:
    def __init__(self, modules: Modules, frame_lines: FrameLines) -> None:
        self._modules = modules
        self._frame_lines = frame_lines
        self._first_lines = FirstLines()
        self._own_files: dict[str, bool] = {}
        self._events = 0
        self._launches_without_work = 0
        self._marks: dict[str, Any] = {}
        self._by_id: dict[int, TraceEvent] = {}
        self._module_events: dict[int, tuple[TraceEvent, int]] = {}
        """By torch's event id: events that are calls of a module, with the module's id."""

    def read(self, native_roots: list[Any]) -> Trace:
        roots: dict[int, list[TraceEvent]] = {}
        for native in native_roots:
            event = self._subtree(native)
            roots.setdefault(native.start_tid, []).append(event)
        opening, closing = self._marks.get(OPEN_MARK), self._marks.get(CLOSE_MARK)
        if opening is None or closing is None:
            raise TraceLostError("torch's profiler kept no events of this window")
        return Trace(
            roots=roots,
            main_thread=opening.start_tid,
            open_ns=opening.end_time_ns,
            close_ns=closing.start_time_ns,
            counted_when_open=self._root_calls(opening),
            cut_when_close=self._root_calls(closing),
            event_count=self._events,
            lost_count=self._launches_without_work,
        )

    def _root_calls(self, mark: Any) -> set[int]:
        """The innermost call of the root module around a mark, with the frames of its call machinery."""
        found: set[int] = set()
        ancestor = mark.parent
        inner: list[int] = []
        while ancestor is not None:
            known = self._module_events.get(ancestor.id)
            event = self._by_id.get(ancestor.id)
            if known is not None and known[1] == self._modules.root:
                found.update([id(known[0]), *inner])
                return found
            if event is not None:
                inner.append(id(event))
            ancestor = ancestor.parent
        return found

    def _subtree(self, native_root: Any) -> TraceEvent:
        root = self._event(native_root, None)
        stack = [(native_root, root)]
        while stack:
            native, event = stack.pop()
            for native_child in native.children:
                child = self._event(native_child, event)
                event.children.append(child)
                if native_child.children:
                    stack.append((native_child, child))
        return root

    def _event(self, native: Any, parent: TraceEvent | None) -> TraceEvent:
        self._events += 1
        tag, fields = native.typed
        start = native.start_time_ns
        event = TraceEvent(("other", "", None, None, None), start, start + max(native.duration_time_ns, 0))
        if tag == _EventType.TorchOp:
            name = native.name
            event.frame = ("op", name, None, None, None)
            if name in (OPEN_MARK, CLOSE_MARK):
                event.is_own = True
                self._marks[name] = native
            elif name.startswith(PART_MARK):
                event.frame = ("other", name.removeprefix(PART_MARK), None, None, None)
        elif tag == _EventType.Allocation:
            event.is_allocation = True
            event.allocated_bytes = fields.alloc_size
            event.on_device = fields.device.type != "cpu"
        elif tag == _EventType.PyCall:
            self._python(native, fields, event)
        elif tag == _EventType.PyCCall:
            event.frame = ("builtin", builtin_name(native.name), None, None, None)
        elif tag == _EventType.Kineto:
            self._kineto(native, event, parent)
        else:
            event.frame = ("other", native.name, None, None, None)
        return event

    def _kineto(self, native: Any, event: TraceEvent, parent: TraceEvent | None) -> None:
        event.on_device = parent is not None and (parent.frame[0] == "runtime" or parent.on_device)
        event.frame = ("kernel" if event.on_device else "runtime", native.name, None, None, None)
        if not event.on_device and is_launch(native.name) and not native.children:
            self._launches_without_work += 1

    def _python(self, native: Any, fields: Any, event: TraceEvent) -> None:
        self._by_id[native.id] = event
        module = fields.module
        if module is not None:
            path = self._modules.paths.get(module.self_ptr)
            event.frame = ("module", module.cls_name, None, None, path)
            self._module_events[native.id] = (event, module.self_ptr)
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


def is_launch(name: str) -> bool:
    """Does this driver or runtime call put work on a device?"""
    return name.startswith(
        ("cudaLaunchKernel", "cuLaunchKernel", "cudaMemcpyAsync", "cudaMemsetAsync", "hipLaunchKernel")
    )


def module_paths(root: Any) -> Modules:
    """The paths of all modules below `root`; a shared module keeps the first."""
    paths: dict[int, str] = {}
    for path, module in root.named_modules():
        paths.setdefault(id(module), path)
    return Modules(paths, id(root))
