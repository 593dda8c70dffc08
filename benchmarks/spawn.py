"""Starts a measurement in a fresh process and brings its JSON back, or why there is none."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import psutil

from benchmarks import peers

ROOT = Path(__file__).resolve().parent.parent
TIMEOUT_S = 300.0


def measure(mode: str, *options: str, timeout_s: float = TIMEOUT_S) -> dict[str, Any]:
    """Run a mode of `benchmarks.child`."""
    return _run([sys.executable, "-m", "benchmarks.child", mode, *options], timeout_s)


def measure_under_py_spy(name: str, *, timeout_s: float = TIMEOUT_S) -> dict[str, Any]:
    """Run one bare request in a process that `py-spy record` starts."""
    program = peers.py_spy()
    if program is None:
        return {"error": "not installed"}
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "py-spy.svg"
        child = [sys.executable, "-m", "benchmarks.child", "nothing", "--requests", "1"]
        command = [program, "record", *peers.EXTERNAL[name], "--output", str(output), "--", *child]
        result = _run(command, timeout_s)
        ended = time.perf_counter_ns()
        if "error" not in result:
            result["output_bytes"] = output.stat().st_size if output.exists() else 0
            result["save_ns"] = ended - result["ended_ns"]
    return result


def _run(command: Sequence[str], timeout_s: float) -> dict[str, Any]:
    with tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
        begin, others = time.monotonic(), _others_s()
        child = subprocess.Popen(
            command, stdout=stdout, stderr=stderr, cwd=ROOT, env=_environment(), start_new_session=True
        )
        try:
            failure = _failure(child.wait(timeout=timeout_s))
        except subprocess.TimeoutExpired:
            failure = f"stopped after {timeout_s:.0f} s"
        finally:
            with contextlib.suppress(OSError):
                os.killpg(child.pid, signal.SIGKILL)  # whatever it left behind
            child.wait()
        result: dict[str, Any] = {}
        for document in _documents(_text(stdout)):
            result |= document
        if failure is not None:
            result["late_error" if result else "error"] = _with_reason(failure, _text(stderr))
        result["process_s"] = time.monotonic() - begin
        result["other_cpus"] = max(_others_s() - others, 0.0) / result["process_s"]
        return result


def _text(stream: IO[bytes]) -> bytes:
    stream.seek(0)
    return stream.read()


def _others_s() -> float:
    """CPU seconds of all processes but this one's children: what else the machine did."""
    times = psutil.cpu_times()
    own = sum(os.times()[:4])
    return float(times.user + times.nice + times.system) - own


def _failure(code: int) -> str | None:
    return None if code == 0 else f"exit code {code}"


def _documents(text: bytes) -> list[dict[str, Any]]:
    """The JSON objects among the lines; a tool may print lines of its own."""
    found = []
    for line in text.decode(errors="replace").splitlines():
        if line.startswith("{"):
            with contextlib.suppress(ValueError):
                found.append(json.loads(line))
    return found


def _with_reason(failure: str, stderr: bytes) -> str:
    lines = stderr.decode(errors="replace").strip().splitlines()
    return f"{failure}: {lines[-1][:200]}" if lines and failure.startswith("exit") else failure


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
