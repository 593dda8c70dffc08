"""Runs requests under each pass's instruments, in whatever process it is called."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any

from llmflame.probes.compiler import compiler_counts
from llmflame.probes.eventtree import module_paths
from llmflame.probes.memory.tensors import storages
from llmflame.probes.opwork import weight_storages
from llmflame.probes.sections import STEP, RequestProbe, Section, prefill_count
from llmflame.recording.anatomy import (
    WINDOW_STEPS,
    AnatomyWatcher,
    anchor_steps,
    calibrate,
    read_windows,
)
from llmflame.recording.memory import memory_request
from llmflame.recording.session import PhasePeaks, Session, log_request

ANCHOR_REQUEST_STEPS = frozenset({0, 1, 2, 3, 4})
ANCHOR_REQUESTS = 3

Request = Callable[[RequestProbe], Any]
"""Runs one request and marks its sections on the probe."""


@contextlib.contextmanager
def request(session: Session, root: Any, repetition: int, instruments: str) -> Iterator[RequestProbe]:
    """One request under the named instruments; what runs inside marks its sections on the probe.

    `clean` attaches two hooks to the root module; `memory` counts who holds it between steps; `anchors`
    times the first steps module by module; `windows` traces prefill and geometric decode steps; `shapes`
    notes what the operators of the same steps must do.
    """
    if instruments == "clean":
        with _clean(session, root, repetition) as probe:
            yield probe
    elif instruments == "memory":
        with memory_request(session, root) as probe:
            yield probe
    elif instruments == "shapes":
        with _shapes(session, root) as probe:
            yield probe
    else:
        with _anatomy(session, root, repetition, traced=instruments == "windows") as probe:
            yield probe


def clean_request(session: Session, root: Any, run: Request, repetition: int) -> Any:
    """One undisturbed request; returns what it returned."""
    with request(session, root, repetition, "clean") as probe:
        return run(probe)


def anchor_request(session: Session, root: Any, run: Request, repetition: int) -> Any:
    """One request whose first steps are timed module by module."""
    with request(session, root, repetition, "anchors") as probe:
        return run(probe)


def traced_request(session: Session, root: Any, run: Request, repetition: int) -> Any:
    """One request with windows at prefill and at geometric decode steps."""
    with request(session, root, repetition, "windows") as probe:
        return run(probe)


def shapes_request(session: Session, root: Any, run: Request) -> Any:
    """One request whose windows tell what their operators must do."""
    with request(session, root, 0, "shapes") as probe:
        return run(probe)


def counted_request(session: Session, root: Any, run: Request) -> Any:
    """One request with memory counted around its phases and read at every step."""
    with request(session, root, 0, "memory") as probe:
        return run(probe)


def compiled_graphs() -> int:
    """How many graphs torch.compile has made so far in this process."""
    counts = compiler_counts()
    return counts.graphs if counts is not None else 0


def report_compiler(session: Session, before: int) -> None:
    """What torch.compile did since `before` graphs, and where it had to break off; nothing if unused."""
    counts = compiler_counts()
    if counts is None:
        return
    new = counts.graphs - before if counts.graphs >= before else counts.graphs  # cleared in between
    session.report("compiler", "graphs compiled in timed requests", new, "count")
    for reason, count in counts.breaks.items():
        session.report("compiler", f"graph break: {reason}", count, "count")
    session.flush()


@contextlib.contextmanager
def _clean(session: Session, root: Any, repetition: int) -> Iterator[RequestProbe]:
    watcher = PhasePeaks(session)
    probe = RequestProbe(session.counters, opening=watcher.opening, closing=watcher.closing)
    with _attached(probe, root):
        yield probe
        sections = probe.finish()
    log_request(session, sections, repetition=repetition, peaks=watcher.take(), treatments={})
    session.read_floor()
    session.flush()


@contextlib.contextmanager
def _anatomy(session: Session, root: Any, repetition: int, *, traced: bool) -> Iterator[RequestProbe]:
    modules = module_paths(root)
    windows = frozenset(WINDOW_STEPS) if traced else frozenset()
    anchors = anchor_steps() if traced else ANCHOR_REQUEST_STEPS
    watcher = AnatomyWatcher(session, modules, repetition, windows, anchors, traced)
    probe = RequestProbe(session.counters, opening=watcher.opening, closing=watcher.closing)
    watcher.compiled = lambda: probe.in_compiled_call
    watcher.cache = lambda: probe.cache
    begin = time.perf_counter_ns()
    with _attached(probe, root):
        yield probe
        sections = probe.finish()
    if traced:
        session.report("tracer", "generation wall", time.perf_counter_ns() - begin, "ns")
        session.report("tracer", "starting windows", watcher.opening_ns, "ns")
        session.report("tracer", "stopping windows", watcher.closing_ns, "ns")
    log_request(session, sections, repetition=repetition, peaks={}, treatments=watcher.treatments)
    _name_prefill(watcher, sections)
    session.put(*watcher.rows)
    session.flush()
    if watcher.recorded:
        begin = time.perf_counter_ns()
        alive = {storage.address for storage in storages(root)}
        read_windows(session, watcher.recorded, modules, alive=alive)
        session.report("tracer", "reading", time.perf_counter_ns() - begin, "ns")
        session.flush()


@contextlib.contextmanager
def _shapes(session: Session, root: Any) -> Iterator[RequestProbe]:
    """No time of this request is kept: torch holds on to every input of the windows' operators."""
    modules = module_paths(root)
    # Work grows with the cache: between windows it is interpolated, behind the last one it can't be.
    steps = frozenset(WINDOW_STEPS) | ({session.last_step} if session.last_step is not None else set())
    watcher = AnatomyWatcher(session, modules, 0, steps, frozenset(), False, shapes=True)
    probe = RequestProbe(session.counters, opening=watcher.opening, closing=watcher.closing)
    with _attached(probe, root):
        yield probe
        _name_prefill(watcher, probe.finish())
    read_windows(session, watcher.recorded, modules, weight_storages(root))
    session.flush()


def _name_prefill(watcher: AnatomyWatcher, sections: list[Section]) -> None:
    """A prompt may be fed in chunks: only after the request it is known which steps they were."""
    prefills = prefill_count([section for section in sections if section.name == STEP])
    for window in watcher.recorded:
        if window.step is not None and window.step < prefills:
            window.span_name = "prefill"


@contextlib.contextmanager
def _attached(probe: RequestProbe, root: Any) -> Iterator[None]:
    probe.attach(root)
    try:
        yield
    except BaseException:
        probe.abort()
        raise
    finally:
        probe.detach()


__all__ = [
    "anchor_request",
    "calibrate",
    "clean_request",
    "counted_request",
    "request",
    "shapes_request",
    "traced_request",
]
