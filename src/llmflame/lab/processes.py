"""Runs a trial in a fresh process, within a time limit, and leaves nothing of it behind."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

from llmflame.lab.trial import TrialResult, TrialSpec
from llmflame.probes.memory_limits import Limits, oom_kills
from llmflame.recording.killed import MemoryEvidence, kill_reason, without_dumps
from llmflame.subjects.environment import own_import_path

WORKER = "llmflame.lab.worker"
TICK_S = 0.5
STDERR_TAIL_BYTES = 1 << 16
MOST_REASON = 400


@dataclass(frozen=True, slots=True)
class Ran:
    """A trial that has ended, one way or another."""

    result: TrialResult
    wall_ns: int
    """Of the process."""


class TrialRunner(Protocol):
    """Runs trials one at a time."""

    def run(self, spec: TrialSpec) -> Ran:
        """Never raises for what the trial does; KeyboardInterrupt passes after the trial's end."""


@dataclass(frozen=True, slots=True)
class TrialProcesses:
    """The runner of real experiments."""

    time_limit_s: float
    """After it a trial is ended and has failed."""
    temporary: Path
    """Where trials put temporary files: compiled code stays there from one trial to the next."""
    tick: Callable[[], None] = lambda: None
    """Called now and then while a trial runs."""
    worker: str = WORKER
    """The module that does a trial, run as a program with the spec's file as its argument."""

    def run(self, spec: TrialSpec) -> Ran:
        """Start the worker, wait, end whatever is left of it, and read what it wrote."""
        folder = Path(spec.folder)
        order = folder / "spec.json"
        order.write_text(spec.to_json(), "utf-8")
        kills = oom_kills(os.getpid())
        begin = time.perf_counter_ns()
        with tempfile.TemporaryFile() as stderr:
            child = subprocess.Popen(
                # -P: the folder that the person is in is data, not a place to import from.
                [sys.executable, "-P", "-m", "llmflame.lab.child", str(os.getpid()), self.worker, str(order)],
                env={**own_import_path(), "TMPDIR": str(self.temporary)},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
                start_new_session=True,  # Ctrl-C reaches the experiment alone; one group to end
            )
            try:
                code = self._wait(child)
            finally:
                _end(child)
            wall = time.perf_counter_ns() - begin
            if code is None:
                words = f"ended after {self.time_limit_s:g} s, its time limit"
                return Ran(TrialResult("failed", words), wall)
            limit = Limits.of(os.getpid()).cgroup
            memory = MemoryEvidence(limit.bytes if limit else None, kills, oom_kills(os.getpid()))
            return Ran(_read(folder, code, stderr, memory), wall)

    def _wait(self, child: subprocess.Popen[bytes]) -> int | None:
        """The exit code; None where the time limit came first."""
        deadline = time.monotonic() + self.time_limit_s
        while (left := deadline - time.monotonic()) > 0:
            with contextlib.suppress(subprocess.TimeoutExpired):
                return child.wait(timeout=min(left, TICK_S))
            self.tick()
        return None


def _end(child: subprocess.Popen[bytes]) -> None:
    """End the child and all that it started: compilers' worker processes outlive it otherwise."""
    with contextlib.suppress(OSError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()


def _read(folder: Path, code: int, stderr: IO[bytes], memory: MemoryEvidence) -> TrialResult:
    """What the trial wrote; how it ended where it wrote nothing that can be read."""
    try:
        result = TrialResult.from_json((folder / "result.json").read_text("utf-8"))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return TrialResult("failed", _ending(code, stderr, memory))
    if result.outcome == "done" and code != 0:
        return TrialResult("failed", _ending(code, stderr, memory))
    return result


def _ending(code: int, stderr: IO[bytes], memory: MemoryEvidence) -> str:
    stderr.seek(0, os.SEEK_END)
    stderr.seek(max(stderr.tell() - STDERR_TAIL_BYTES, 0))
    tail = stderr.read().decode(errors="replace")
    if code < 0:
        return kill_reason(code, tail, memory)
    lines = without_dumps(tail).strip().splitlines()
    return f"ended with exit code {code}" + (f": {lines[-1][:MOST_REASON]}" if lines else " and no result")
