"""Starts a pass in a child process, stores what it tells, has its gauges read, and survives its end."""

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
from dataclasses import dataclass
from typing import IO

from llmflame.errors import ProgramFailedError, UsageError
from llmflame.probes.memory_limits import Limits, oom_kills
from llmflame.progress import Progress
from llmflame.recording.gauge_feed import GaugeThread, device_of
from llmflame.recording.killed import MemoryEvidence, kill_reason, without_dumps
from llmflame.recording.pieces import start_of
from llmflame.recording.wire import store
from llmflame.recording.workload import Workload
from llmflame.store.rows import PassRow, Status
from llmflame.store.writer import ProfileWriter
from llmflame.subjects.checkpoint import Checkpoint
from llmflame.subjects.environment import own_import_path

GAUGES_STORED_S = 1.0
"""How often what the gauges' thread has read is written."""
READ_BYTES = 1 << 20
GRACE_S = 3.0
STDERR_TAIL_BYTES = 1 << 16
"""Room for a dumped stack and what the program wrote after it."""


@dataclass(slots=True)
class _Told:
    """What a child said that is not a row."""

    gauges: GaugeThread
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
        progress: Progress,
        *,
        stalls: str | None = None,
    ) -> None:
        self._stalls = stalls
        self._writer = writer
        self._checkpoint = checkpoint
        self._workload = workload
        self._progress = progress
        self._origin_ns = time.perf_counter_ns()

    def run(self, pass_name: str) -> None:
        """Run one pass. Raises UsageError, ProgramFailedError or KeyboardInterrupt; its rows are stored."""
        self._progress.step(start_of(pass_name))
        with tempfile.TemporaryFile() as stderr:
            pipe, child = self._start(pass_name, stderr)
            begin = time.perf_counter_ns()
            told = _Told(self._gauges_of(pass_name, child.pid))
            kills = oom_kills(os.getpid())
            row = PassRow(pass_name, "recording", None, child.pid, begin - self._origin_ns, None, None)
            try:
                self._writer.rows([row])
                told.gauges.start()
                self._listen(pipe, told)
                self._writer.rows(told.gauges.stop())
                code = child.wait(timeout=GRACE_S)
            except subprocess.TimeoutExpired:
                code = _kill(child)
            except BaseException as error:
                _kill(child)
                with contextlib.suppress(Exception):
                    self._writer.rows([_ended(row, begin, "partial", _interruption(error), told)])
                    self._writer.rows(told.gauges.stop())
                raise
            finally:
                os.close(pipe)
            limit = Limits.of(os.getpid()).cgroup
            memory = MemoryEvidence(limit.bytes if limit else None, kills, oom_kills(os.getpid()))
            failure = _failure(told, code, stderr, memory)
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
            "stalls": self._stalls,
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

    def _gauges_of(self, pass_name: str, pid: int) -> GaugeThread:
        return GaugeThread(
            pass_name,
            pid,
            origin_ns=self._origin_ns,
            interval_s=self._workload.gauge_interval_ms / 1e3,
            device=device_of(self._workload.device),
        )

    def _listen(self, pipe: int, told: _Told) -> None:
        """Store messages until the child closes its end of the pipe."""
        buffer = bytearray()
        due = time.monotonic() + GAUGES_STORED_S
        with selectors.DefaultSelector() as selector:
            selector.register(pipe, selectors.EVENT_READ)
            while True:
                ready = selector.select(GAUGES_STORED_S)
                self._progress.tick()
                if time.monotonic() >= due:
                    self._writer.rows(told.gauges.take())
                    due = time.monotonic() + GAUGES_STORED_S
                if not ready:
                    continue
                chunk = os.read(pipe, READ_BYTES)
                if not chunk:
                    break
                buffer += chunk
                while (end := buffer.find(b"\n")) >= 0:
                    self._message(bytes(buffer[:end]), told)
                    del buffer[: end + 1]

    def _message(self, line: bytes, told: _Told) -> None:
        kind, body = json.loads(line)
        if store(self._writer, kind, body):
            return
        if kind == "usage":
            told.usage = body
        elif kind == "failed":
            told.failure = body
        elif kind == "progress":
            self._progress.step(body)
        elif kind == "peak":
            told.peak_bytes = body
        elif kind == "warn_signal":
            told.gauges.warn_signal = bool(body)
        elif kind == "done":
            told.done = True


def _ended(row: PassRow, begin_ns: int, status: Status, reason: str | None, told: _Told) -> PassRow:
    return dataclasses.replace(
        row,
        status=status,
        reason=reason,
        wall_ns=time.perf_counter_ns() - begin_ns,
        peak_rss_bytes=told.peak_bytes,
    )


def _failure(told: _Told, code: int, stderr: IO[bytes], memory: MemoryEvidence) -> str | None:
    if told.done:  # how long the interpreter takes to clear away a model is no failure of it
        return None
    if told.failure is not None:
        return told.failure["reason"]
    if told.usage is not None:
        return told.usage
    stderr.seek(0, os.SEEK_END)
    stderr.seek(max(stderr.tell() - STDERR_TAIL_BYTES, 0))
    tail = stderr.read().decode(errors="replace")
    if code < 0:
        return kill_reason(code, tail, memory)
    lines = without_dumps(tail).strip().splitlines()
    return f"the process ended with exit code {code}" + (f": {lines[-1]}" if lines else "")


def _interruption(error: BaseException) -> str:
    return "interrupted" if isinstance(error, KeyboardInterrupt) else str(error) or type(error).__name__


def _kill(child: subprocess.Popen[bytes]) -> int:
    """End the child and all that it started."""
    with contextlib.suppress(OSError):
        os.killpg(child.pid, signal.SIGKILL)
    return child.wait()
