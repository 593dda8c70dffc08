"""A whole recording, seen from outside: its size, its coverage, its cost and the wait for it."""

from __future__ import annotations

import contextlib
import os
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

import psutil

from benchmarks.workload import short
from llmflame.analysis.coverage import wall_coverage
from llmflame.analysis.phases import phase_spans, run_wall_ns, steps
from llmflame.analysis.run_tree import build_run_tree
from llmflame.analysis.summary import summarise
from llmflame.progress import Silent
from llmflame.recording.record import record
from llmflame.store import metrics
from llmflame.store.profile import Profile, read_profile
from llmflame.store.rows import SpanRow
from llmflame.subjects.resolve import resolve

WATCH_INTERVAL_S = 0.02


class _Begun(Silent):
    """The first piece begins at the instant that the profile's times count from."""

    def __init__(self) -> None:
        self.at_ns: int | None = None

    def step(self, name: str) -> None:
        """Note when the first one begins."""
        if self.at_ns is None:
            self.at_ns = time.perf_counter_ns()


def measure(new_tokens: int) -> dict[str, Any]:
    """Record the demo model and read it back."""
    checkpoint = resolve("demo", progress=lambda _text: None)
    begun = _Begun()
    with tempfile.TemporaryDirectory() as folder, _child_peaks() as peaks:
        path = Path(folder) / "demo.llmflame"
        begin = time.perf_counter_ns()
        record(checkpoint, short(new_tokens), path, progress=begun)
        recorded = time.perf_counter_ns()
        summary = summarise(read_profile(path))
        readable = time.perf_counter_ns()
        size = path.stat().st_size
        profile = read_profile(path)
    return {
        "recording_ns": recorded - begin,
        "summary_ns": readable - recorded,
        "until_readable_ns": readable - (begun.at_ns or begin) - _last_request_end(profile),
        "file_bytes": size,
        "peak_rss_bytes": _peaks_by_pass(profile, peaks),
        "cost": summary["cost"],
        **_walls(profile),
        **_coverage(profile),
    }


def _last_request_end(profile: Profile) -> int:
    return max(s.start_ns + s.wall_ns for s in _requests(profile, "anatomy"))


def _requests(profile: Profile, pass_name: str) -> list[SpanRow]:
    return [s for s in profile.spans if s.pass_name == pass_name and s.name == "request"]


def _walls(profile: Profile) -> dict[str, Any]:
    """Clean requests, the traced one, and its untraced steps beside the same clean steps."""
    reports = {(r.pass_name, r.name): r.value for r in profile.probe_reports if r.value is not None}
    by_index: dict[int, list[int]] = {}
    for step in steps(profile):
        by_index.setdefault(step.step or 0, []).append(step.wall_ns)
    anatomy = steps(profile, pass_name="anatomy", repetition=0)
    return {
        "clean_walls_ns": [s.wall_ns for s in _requests(profile, "clean")],
        "traced_wall_ns": reports["anatomy", "generation wall"],
        "reading_ns": reports["anatomy", "reading"],
        "untraced_ratio": median(
            s.wall_ns / median(by_index[s.step or 0]) for s in anatomy if s.treatment == "clean"
        ),
    }


def _coverage(profile: Profile) -> dict[str, Any]:
    run = build_run_tree(profile)
    measured = run_wall_ns(profile)
    shares = wall_coverage(run.tree)
    return {
        "coverage": {s.name: [s.wall_ns, shares.get(s.name, 0.0)] for s in phase_spans(profile)},
        "tree_error": abs(sum(run.tree.selfs[metrics.WALL.name]) / measured - 1),
    }


def _peaks_by_pass(profile: Profile, peaks: dict[int, int]) -> dict[str, int]:
    return {row.name: peaks.get(row.pid or 0, 0) for row in profile.passes}


@contextlib.contextmanager
def _child_peaks() -> Iterator[dict[int, int]]:
    """The highest VmHWM of each child process, read until it ends: it may reset its own mark on the way."""
    peaks: dict[int, int] = {}
    ended = threading.Event()
    parent = psutil.Process(os.getpid())

    def watch() -> None:
        while not ended.wait(WATCH_INTERVAL_S):
            for child in parent.children():
                peaks[child.pid] = max(peaks.get(child.pid, 0), high_water(child.pid))

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield peaks
    finally:
        ended.set()
        thread.join()


def high_water(pid: int) -> int:
    """The highest resident set of a process so far, in bytes; 0 where it can't be read."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return 0
