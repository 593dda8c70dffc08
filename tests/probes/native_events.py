"""torch's events as its binding shows them: what a CPU alone never reports."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from torch._C._profiler import _EventType

from llmflame.probes.events import Trace, TraceEvent
from llmflame.probes.eventtree import Modules, read_trace
from llmflame.probes.tracing import CLOSE_MARK, OPEN_MARK, Recorded


@dataclass
class Native:
    """An event of the tree."""

    typed: tuple[Any, Any]
    name: str = ""
    start_time_ns: int = 0
    duration_time_ns: int = 0
    children: list[Native] = field(default_factory=list)
    start_tid: int = 1
    correlation_id: int = 0


@dataclass
class Listed:
    """The same in the flat list."""

    of: Native
    device: str = "DeviceType.CUDA"
    stream: int = 7
    metadata: Any = ""
    annotation: bool = False

    def name(self) -> str:
        return self.of.name

    def device_type(self) -> str:
        return self.device

    def correlation_id(self) -> int:
        return self.of.correlation_id

    def start_ns(self) -> int:
        return self.of.start_time_ns

    def device_resource_id(self) -> int:
        return self.stream

    def is_user_annotation(self) -> bool:
        return self.annotation

    def metadata_json(self) -> Any:
        if isinstance(self.metadata, Exception):
            raise self.metadata
        return self.metadata


@dataclass
class Threaded(Listed):
    """With the thread that it was on, as newer releases of torch list it."""

    def start_thread_id(self) -> int:
        return self.of.start_tid


def op(name: str, start: int, length: int, *children: Native) -> Native:
    return Native((_EventType.TorchOp, None), name, start, length, list(children))


def python(name: str, start: int, length: int, *children: Native) -> Native:
    place = SimpleNamespace(file_name="program.py", function_name=name, line_number=1)
    fields = SimpleNamespace(module=None, callsite=place)
    return Native((_EventType.PyCall, fields), name, start, length, list(children))


def module(name: str, pointer: int, start: int, length: int, *children: Native) -> Native:
    fields = SimpleNamespace(module=SimpleNamespace(self_ptr=pointer, cls_name=name))
    return Native((_EventType.PyCall, fields), name, start, length, list(children))


def kineto(name: str, start: int, length: int, *children: Native, correlation: int = 0) -> Native:
    made = Native((_EventType.Kineto, None), name, start, length, list(children))
    made.correlation_id = correlation
    return made


MARKS = (op(OPEN_MARK, 90, 10), op(CLOSE_MARK, 200, 10))


def read(*roots: Native, listed: tuple[Any, ...] = (), modules: Modules | None = None) -> Trace:
    results = SimpleNamespace(experimental_event_tree=lambda: list(roots), events=lambda: list(listed))
    return read_trace(Recorded("decode", 1, results), modules or Modules({}, None))


def events_of(trace: Trace) -> list[TraceEvent]:
    found, stack = [], [event for roots in trace.roots.values() for event in roots]
    while stack:
        found.append(stack.pop())
        stack.extend(found[-1].children)
    return found


def by_name(trace: Trace) -> dict[str, TraceEvent]:
    return {event.frame[1]: event for event in events_of(trace)}
