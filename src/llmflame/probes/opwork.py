"""Gives each operator of a window with shapes the work that it must do, counting none twice."""

from __future__ import annotations

import contextlib
from collections.abc import Collection
from typing import Any

from llmflame.probes.events import OpWork, Trace, TraceEvent
from llmflame.probes.work import Work, arguments, count, op_work


def assign_work(trace: Trace, weights: Collection[int]) -> None:
    """Set `work` on the operators that count. `weights`: addresses of the parameters' storages."""
    roots = [root for members in trace.roots.values() for root in members]
    counted = count(roots, lambda event: event.children, _operator, _work)
    for event, work in counted.known:
        read = sum(size for tensor, size in work.reads if tensor.storage in weights)
        event.work = OpWork(work.flops, work.read_bytes, work.written_bytes, read)
    for event in counted.unknown:
        event.work = OpWork(known=False)


def _operator(event: TraceEvent) -> str | None:
    """An operator's name; None of what is none: a range that somebody named has no inputs."""
    return event.frame[1] if event.frame[0] == "op" and event.inputs else None


def _work(event: TraceEvent) -> Work | None:
    return op_work(event.frame[1], arguments(event.inputs))


def weight_storages(root: Any) -> frozenset[int]:
    """The addresses of the storages of a module's parameters and buffers, of those that have one."""
    found: set[int] = set()
    for tensor in (*root.parameters(), *root.buffers()):
        # Sparse, quantised (a subclass around others) and not yet initialised ones refuse, each its own way.
        with contextlib.suppress(RuntimeError, NotImplementedError, ValueError):
            found.add(tensor.untyped_storage().data_ptr())
    return frozenset(found)
