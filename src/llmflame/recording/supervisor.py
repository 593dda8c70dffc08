"""Starts a pass in a child process, stores what it tells, watches its memory, and survives its end."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import IO

from llmflame.errors import ProgramFailedError, UsageError
from llmflame.probes.counters import PAGE_BYTES
from llmflame.recording.wire import store
from llmflame.recording.workload import Workload
from llmflame.store.rows import GaugeRow, PassRow, Status
from llmflame.store.writer import ProfileWriter
from llmflame.subjects.checkpoint import Checkpoint
from llmflame.subjects.environment import own_import_path

GAUGE_INTERVAL_S = 0.05
"""Read from outside the child, so that watching costs it nothing."""
READ_BYTES = 1 << 20
GRACE_S = 3.0
STDERR_TAIL_BYTES = 4096


@dataclass(slots=True)
class _Told:
    """What a child said that is not a row."""

    usage: str | None = None
    failure: dict[str, str] | None = None
    done: bool = False
    peak_bytes: int | None = None


class PassRunner:
    """Runs passes one after the other into one writer."""

    def __init__(
        self,
        writer: ProfileWriter,
        checkpoint: Checkpoint,
        workload: Workload,
        progress: Callable[[str], None],
    ) -> None:
        self._writer = writer
        self._checkpoint = checkpoint
        self._workload = workload
        self._progress = progress
        self._origin_ns = time.perf_counter_ns()

    def run(self, pass_name: str) -> None:
        """Run one pass. Raises UsageError, ProgramFailedError or KeyboardInterrupt; its rows are stored."""
        self._progress(f"{pass_name} pass")
        with tempfile.TemporaryFile() as stderr:
            pipe, child = self._start(pass_name, stderr)
            begin = time.perf_counter_ns()
            told = _Told()
            row = PassRow(pass_name, "recording", None, child.pid, begin - self._origin_ns, None, None)
            try:
                self._writer.rows([row])
                self._listen(pass_name, pipe, child.pid, told)
                code = child.wait(timeout=GRACE_S)
            except subprocess.TimeoutExpired:
                code = _kill(child)
            except BaseException as error:
                _kill(child)
                with contextlib.suppress(Exception):
                    self._writer.rows([_ended(row, begin, "partial", _interruption(error), told)])
                raise
            finally:
                os.close(pipe)
            failure = _failure(told, code, stderr)
            self._writer.rows([_ended(row, begin, "failed" if failure else "complete", failure, told)])
        if told.usage is not None:
            raise UsageError(told.usage)
        if failure is not None:
            raise ProgramFailedError(f"the {pass_name} pass failed: {failure}")

    def _start(self, pass_name: str, stderr: IO[bytes]) -> tuple[int, subprocess.Popen[bytes]]:
        read_end, write_end = os.pipe()
        fields = dataclasses.asdict(self._checkpoint)
        fields |= {"folder": str(fields["folder"]), "weight_files": [str(f) for f in fields["weight_files"]]}
        order = {
            "pass": pass_name,
            "pipe": write_end,
            "parent": os.getpid(),
            "origin_ns": self._origin_ns,
            "checkpoint": fields,
            "workload": self._workload.to_dict(),
            "spawned_ns": time.perf_counter_ns(),
        }
        child = subprocess.Popen(
            # -P: the folder that the person is in is data, not a place to import from.
            [sys.executable, "-P", "-m", "llmflame.recording.child"],
            env=own_import_path(),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=stderr,
            pass_fds=(write_end,),
            start_new_session=True,  # Ctrl-C reaches the recorder alone, which then ends its child
        )
        os.close(write_end)
        assert child.stdin is not None
        with contextlib.suppress(BrokenPipeError), child.stdin as stdin:
            stdin.write(json.dumps(order).encode() + b"\n")
        return read_end, child

    def _listen(self, pass_name: str, pipe: int, pid: int, told: _Told) -> None:
        """Store messages until the child closes its end of the pipe."""
        buffer = bytearray()
        gauges: list[GaugeRow] = []
        due = 0.0
        with selectors.DefaultSelector() as selector:
            selector.register(pipe, selectors.EVENT_READ)
            while True:
                ready = selector.select(GAUGE_INTERVAL_S)
                if time.monotonic() >= due:
                    gauges += self._gauge(pass_name, pid)
                    due = time.monotonic() + GAUGE_INTERVAL_S
                if not ready:
                    continue
                chunk = os.read(pipe, READ_BYTES)
                if not chunk:
                    break
                buffer += chunk
                while (end := buffer.find(b"\n")) >= 0:
                    self._message(bytes(buffer[:end]), told)
                    del buffer[: end + 1]
                if len(gauges) > 200:
                    self._writer.rows(gauges)
                    gauges = []
        self._writer.rows(gauges)

    def _message(self, line: bytes, told: _Told) -> None:
        kind, body = json.loads(line)
        if store(self._writer, kind, body):
            return
        if kind == "usage":
            told.usage = body
        elif kind == "failed":
            told.failure = body
        elif kind == "progress":
            self._progress(body)
        elif kind == "peak":
            told.peak_bytes = body
        elif kind == "done":
            told.done = True

    def _gauge(self, pass_name: str, pid: int) -> list[GaugeRow]:
        now = time.perf_counter_ns() - self._origin_ns
        try:
            with open(f"/proc/{pid}/statm", "rb") as file:  # noqa: PTH123  half the cost
                fields = file.read(128).split()
            resident, shared = int(fields[1]) * PAGE_BYTES, int(fields[2]) * PAGE_BYTES
        except (OSError, IndexError, ValueError):
            return []
        return [
            GaugeRow(pass_name, "rss_bytes", now, resident),
            GaugeRow(pass_name, "rss_file_bytes", now, shared),
        ]


def _ended(row: PassRow, begin_ns: int, status: Status, reason: str | None, told: _Told) -> PassRow:
    return dataclasses.replace(
        row,
        status=status,
        reason=reason,
        wall_ns=time.perf_counter_ns() - begin_ns,
        peak_rss_bytes=told.peak_bytes,
    )


def _failure(told: _Told, code: int, stderr: IO[bytes]) -> str | None:
    if told.done:  # how long the interpreter takes to clear away a model is no failure of it
        return None
    if told.failure is not None:
        return told.failure["reason"]
    if told.usage is not None:
        return told.usage
    if code < 0:
        name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
        hint = " (out of memory?)" if code == -signal.SIGKILL else ""
        return f"the process was killed by {name}{hint}"
    stderr.seek(0, os.SEEK_END)
    stderr.seek(max(stderr.tell() - STDERR_TAIL_BYTES, 0))
    lines = stderr.read().decode(errors="replace").strip().splitlines()
    return f"the process ended with exit code {code}" + (f": {lines[-1]}" if lines else "")


def _interruption(error: BaseException) -> str:
    return "interrupted" if isinstance(error, KeyboardInterrupt) else str(error) or type(error).__name__


def _kill(child: subprocess.Popen[bytes]) -> int:
    """End the child and all that it started."""
    with contextlib.suppress(OSError):
        os.killpg(child.pid, signal.SIGKILL)
    return child.wait()
