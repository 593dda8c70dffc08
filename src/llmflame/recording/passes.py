"""Runs a workload's requests under each pass's instruments, in whatever process it is called."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from llmflame.probes.eventtree import module_paths
from llmflame.probes.sections import RequestProbe
from llmflame.recording.anatomy import (
    WINDOW_STEPS,
    AnatomyWatcher,
    anchor_steps,
    calibrate,
    read_windows,
)
from llmflame.recording.session import PhasePeaks, Session, log_request

ANCHOR_REQUEST_STEPS = frozenset({0, 1, 2, 3, 4})
ANCHOR_REQUESTS = 3

Request = Callable[[RequestProbe], Any]
"""Runs one request and marks its sections on the probe."""


def clean_request(session: Session, root: Any, request: Request, repetition: int) -> Any:
    """One undisturbed request: two hooks on the root module, counters at the edges."""
    watcher = PhasePeaks(session)
    probe = RequestProbe(session.counters, opening=watcher.opening, closing=watcher.closing)
    output, sections = _run(probe, root, request)
    log_request(session, sections, repetition=repetition, peaks=watcher.take(), treatments={})
    session.flush()
    return output


def anchor_request(session: Session, root: Any, request: Request, repetition: int) -> None:
    """One request whose first steps are timed module by module."""
    _anatomy_request(session, root, request, repetition, frozenset(), ANCHOR_REQUEST_STEPS)


def traced_request(session: Session, root: Any, request: Request, repetition: int) -> None:
    """One request with windows at prefill and at geometric decode steps."""
    _anatomy_request(session, root, request, repetition, frozenset(WINDOW_STEPS), anchor_steps())


def _anatomy_request(
    session: Session,
    root: Any,
    request: Request,
    repetition: int,
    windows: frozenset[int],
    anchors: frozenset[int],
) -> None:
    modules = module_paths(root)
    watcher = AnatomyWatcher(session, modules, repetition, windows, anchors, bool(windows))
    probe = RequestProbe(session.counters, opening=watcher.opening, closing=watcher.closing)
    begin = time.perf_counter_ns()
    _, sections = _run(probe, root, request)
    if windows:
        session.report("tracer", "generation wall", time.perf_counter_ns() - begin, "ns")
    log_request(session, sections, repetition=repetition, peaks={}, treatments=watcher.treatments)
    session.put(*watcher.rows)
    session.flush()
    if watcher.recorded:
        begin = time.perf_counter_ns()
        read_windows(session, watcher.recorded, modules)
        session.report("tracer", "reading", time.perf_counter_ns() - begin, "ns")
        session.flush()


def _run(probe: RequestProbe, root: Any, request: Request) -> tuple[Any, list[Any]]:
    probe.attach(root)
    try:
        output = request(probe)
        return output, probe.finish()
    except BaseException:
        probe.abort()
        raise
    finally:
        probe.detach()


__all__ = ["anchor_request", "calibrate", "clean_request", "traced_request"]
