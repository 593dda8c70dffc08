"""A bare decode loop with and without somebody who reads its gauges from outside, in turn."""

from __future__ import annotations

import json
import os
import random
import select
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import IO, Any

from benchmarks.spawn import ROOT
from llmflame.probes.gauges import INTERVAL_S
from llmflame.recording.gauge_feed import PROBE, GaugeThread
from llmflame.recording.supervisor import GAUGES_STORED_S
from llmflame.store.rows import PassRow, ProbeReportRow
from llmflame.store.writer import ProfileWriter

PASS = "clean"


def measure(pairs: int, environment: dict[str, str]) -> dict[str, Any]:
    """Walls of bare requests in nanoseconds, by whether their process was read; and what reading took.

    This process does what a recorder does: its thread reads, and once a second it stores what was read.
    """
    command = [sys.executable, "-m", "benchmarks.memory_parts", "decode"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with (
        tempfile.TemporaryDirectory() as folder,
        subprocess.Popen(command, cwd=ROOT, env=environment, **pipes) as child,  # type: ignore[call-overload]
    ):
        try:
            return _pairs(child, pairs, Path(folder))
        finally:
            child.kill()


def _pairs(child: subprocess.Popen[bytes], pairs: int, folder: Path) -> dict[str, Any]:
    assert child.stdin is not None and child.stdout is not None
    child.stdout.readline()
    origin_ns, order = time.perf_counter_ns(), random.Random(0)
    found: dict[str, Any] = {"reader_cpu_ns": 0.0, "readings": 0.0, "rows": 0}
    found |= {name: [] for name in ("bare_ns", "read_ns", "bare_cpu_ns", "read_cpu_ns")}
    writer = ProfileWriter(folder / "gauges.llmflame", version="benchmark", mode="profile")
    writer.rows([PassRow(PASS, "recording", None, child.pid, 0, None, None)])
    for _ in range(pairs):
        for read in order.sample([True, False], 2):
            gauges = None
            if read:
                gauges = GaugeThread(PASS, child.pid, origin_ns=origin_ns, interval_s=INTERVAL_S)
                gauges.start()
            child.stdin.write(b"\n")
            child.stdin.flush()
            told = _told(child.stdout, gauges, writer)
            found["read_ns" if read else "bare_ns"].append(told["wall_ns"])
            found["read_cpu_ns" if read else "bare_cpu_ns"].append(told["cpu_ns"])
            if gauges is not None:
                rows = gauges.stop()
                reports = {
                    row.name: row.value
                    for row in rows
                    if isinstance(row, ProbeReportRow) and row.probe == PROBE
                }
                found["reader_cpu_ns"] += reports["cost"] or 0
                found["readings"] += reports["readings"] or 0
                found["rows"] += len(rows) - len(reports)
    writer.abandon()
    return found


def _told(stdout: IO[bytes], gauges: GaugeThread | None, writer: ProfileWriter) -> dict[str, int]:
    due = time.monotonic() + GAUGES_STORED_S
    while not select.select([stdout], [], [], GAUGES_STORED_S)[0] or time.monotonic() >= due:
        if gauges is not None:
            writer.rows(gauges.take())
        due = time.monotonic() + GAUGES_STORED_S
    told: dict[str, int] = json.loads(stdout.readline())
    return told


def environment(threads: int) -> dict[str, str]:
    """Of a process that measures: torch's threads where their number is said."""
    found = {**os.environ, "PYTHONPATH": str(ROOT), "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
    return found | ({"OMP_NUM_THREADS": str(threads)} if threads else {})
