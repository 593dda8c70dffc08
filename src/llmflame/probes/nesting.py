"""Puts the host's frames back where they were, after torch hung them below what a device did.

torch builds its tree by time and thread. Work on a device that no call is known to have launched, and the
stretch of the device's time that belongs to a range which the program named (`record_function`, and the
graphs of torch.compile), count there as events of the thread that stopped the profiler: what the host did at
that time then hangs below them, and where they end, every frame that is open is cut off from what it calls
afterwards.
"""

from __future__ import annotations

from typing import TypeAlias

from llmflame.probes.events import TraceEvent

_Chain: TypeAlias = "tuple[TraceEvent, _Chain | None]"
"""An event and what lies above it."""


def renest(roots: list[TraceEvent]) -> list[TraceEvent]:
    """One thread's events, each below the innermost elder one in whose time it lies. Changes them."""
    top = TraceEvent(("other", "", None, None, None), 0, 0, roots)
    stack = [top]
    while stack:
        parent = stack.pop()
        parent.children = _nested(parent.children)
        stack += [child for child in parent.children if _is_frame(child)]
    return top.children


def _nested(events: list[TraceEvent]) -> list[TraceEvent]:
    kept: list[TraceEvent] = []
    elder: TraceEvent | None = None
    for event in sorted(events, key=lambda event: event.start_ns):
        if elder is not None and not _is_work(event) and _holds(elder, event):
            elder.children.append(event)
            continue
        kept.append(event)
        if _is_frame(event):
            elder = event
    return kept


def _is_frame(event: TraceEvent) -> bool:
    """May the host be in it while it does something else? Not in an allocation or a driver's call."""
    return not (event.on_device or event.is_allocation or event.frame[0] == "runtime")


def _is_work(event: TraceEvent) -> bool:
    return event.on_device and not event.is_allocation


def path_to(wanted: TraceEvent, roots: list[TraceEvent]) -> list[TraceEvent]:
    """What lies above an event, the innermost first."""
    stack: list[_Chain] = [(root, None) for root in roots]
    while stack:
        event, above = chain = stack.pop()
        if event is wanted:
            return _unrolled(above)
        stack += [(child, chain) for child in event.children if child.children or child is wanted]
    return []


def _unrolled(chain: _Chain | None) -> list[TraceEvent]:
    found = []
    while chain is not None:
        event, chain = chain
        found.append(event)
    return found


def _holds(elder: TraceEvent, event: TraceEvent) -> bool:
    begins_inside = elder.start_ns <= event.start_ns < elder.end_ns
    return begins_inside and event.end_ns <= elder.end_ns
