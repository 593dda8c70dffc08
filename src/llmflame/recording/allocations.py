"""The pass in which every allocation of the process is followed, for bytes alone: its times mean nothing.

It runs once, without a warm-up: import, load, one request.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from llmflame.probes.heap_follower import HeapFollower, Marks
from llmflame.probes.heap_trace import HeapPhase, HeapReading, paths_of, phase_tree
from llmflame.probes.sections import STEP, RequestProbe, Section, prefill_count
from llmflame.recording import cold_start, pieces
from llmflame.recording.session import Phase, Session
from llmflame.recording.workload import Workload
from llmflame.subjects.checkpoint import Checkpoint

MOST_NEW_TOKENS = 256
"""A decode step leaves up to a hundred thousand records: more tokens take minutes to read."""


def run_allocations(session: Session, checkpoint: Checkpoint, workload: Workload) -> None:
    """Follow import, load and one request; one window a phase goes to the session's sink.

    Raises UsageError where another profiler is active, ProgramFailedError where the disk is full.
    """
    with HeapFollower() as follower:
        with follower.following():
            _follow(session, follower.marks, checkpoint, workload)
        session.progress(pieces.READING)
        sizes = {file.stat().st_size for file in checkpoint.weight_files}
        reading = follower.read(sizes)
        _report_cost(session, follower, reading)
    _store(session, reading)


def _follow(session: Session, marks: Marks, checkpoint: Checkpoint, workload: Workload) -> None:
    @contextlib.contextmanager
    def watch(session: Session, name: str) -> Iterator[Phase]:
        with session.phase(name) as phase:
            phase.treatment = "counted"
            marks.place(name)
            yield phase
            marks.place(None, look=True)

    pipeline = cold_start.import_and_load(session, checkpoint, workload, watch, watch)
    from llmflame.recording.requests import request_of

    run, _ = request_of(pipeline, workload)
    new_tokens = min(workload.new_tokens, MOST_NEW_TOKENS)
    session.report("memray", "new tokens", new_tokens, "count")
    session.progress(pieces.FOLLOWED)
    follow_request(session, marks, pipeline.model, lambda probe: run(probe, new_tokens))


def follow_request(session: Session, marks: Marks, root: Any, run: Any) -> None:
    """Run one request with a mark at each of its sections, and name the phases that they belong to."""
    watcher = _SectionMarks(marks)
    probe = RequestProbe(session.counters, opening=watcher.opening)
    probe.attach(root)
    try:
        run(probe)
        sections = probe.finish()
    finally:
        probe.detach()
    marks.place(None, look=True)
    watcher.name_steps(sections)


class _SectionMarks:
    """Marks where sections begin. A prompt may be fed in chunks: only afterwards it is known which steps are
    prefill."""

    def __init__(self, marks: Marks) -> None:
        self._marks = marks
        self._steps: list[int] = []
        """By step: its mark."""

    def opening(self, name: str, index: int | None) -> bool:
        """Mark a section."""
        if name != STEP or not index or index == 1:
            self._marks.place(None, look=True)
        if name == STEP:
            self._steps.append(len(self._marks.labels))
        self._marks.place(name)
        return True

    def name_steps(self, sections: list[Section]) -> None:
        """Name the phases of the marked steps."""
        prefills = prefill_count([section for section in sections if section.name == STEP])
        for step, mark in enumerate(self._steps):
            self._marks.labels[mark] = "prefill" if step < prefills else "decode"


def _report_cost(session: Session, follower: HeapFollower, reading: HeapReading) -> None:
    kinds = follower.kinds
    for name, value, unit in (
        ("records", reading.records, "count"),
        ("stacks", len(reading.stacks), "count"),
        ("file of records", follower.file_bytes, "bytes"),
        ("telling mappings apart", follower.telling_apart_ns, "ns"),
        ("adding up", follower.adding_up_ns, "ns"),
        ("marks", reading.marks, "count"),
        ("marks without a stack", reading.marks_without_stack, "count"),
        ("blocks whose end is unknown", reading.overwritten, "count"),
        ("frees of unknown blocks", reading.unknown_frees, "count"),
        ("mappings told by the system", kinds.listed, "count"),
        ("files told by their size", kinds.by_size, "count"),
        ("mappings taken for anonymous", kinds.unlisted, "count"),
        ("addresses reserved", reading.reserved_bytes, "bytes"),
        ("held at the end", reading.end_bytes, "bytes"),
    ):
        session.report("memray", name, value, unit)


def _store(session: Session, reading: HeapReading) -> None:
    paths = paths_of(reading)
    for phase in reading.phases:
        row = session.window(
            kind="allocations",
            span_name=phase.name,
            step=None,
            wall_ns=0,
            samples=None,
            events=phase.records,
            dropped=0,
        )
        session.sink.tree(row, phase_tree(phase, paths))
        _report_phase(session, phase)
    session.flush()


def _report_phase(session: Session, phase: HeapPhase) -> None:
    """Begin + left - given back = end: what the views' sums are held against."""
    for name, value in (
        ("held at the beginning", phase.begin_bytes),
        ("held at the peak", phase.peak_bytes),
        ("held at the end", phase.end_bytes),
        ("given back of what was there", phase.given_back_bytes),
    ):
        session.report("memray", f"{phase.name}: {name}", value, "bytes")
