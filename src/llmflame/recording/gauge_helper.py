"""Gauges of this process, read by a helper process so that it does not disturb itself."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from bisect import bisect_right
from typing import IO, Any

from llmflame.probes.gauges import INTERVAL_S, Reading
from llmflame.probes.machine.outside import why
from llmflame.recording.gauge_feed import gauge_rows, report_rows
from llmflame.store.rows import Row
from llmflame.subjects.environment import own_import_path

GRACE_S = 3.0
READ_BYTES = 1 << 20


class GaugeHelper:
    """`start`, `begin` at each pass, `take` between them, `stop` at the end; it never raises for the helper.

    A reading belongs to the pass that had last begun.
    """

    def __init__(self, *, origin_ns: int, interval_s: float = INTERVAL_S, device: str | None = None) -> None:
        self._arguments = [str(os.getpid()), str(interval_s), str(origin_ns), *([device] if device else [])]
        self._origin_ns = origin_ns
        self._begins: list[tuple[int, str]] = []
        self._latest: dict[str, Reading] = {}
        self._pass_number = 0
        self._process: subprocess.Popen[bytes] | None = None
        # A pipe would hold the helper up when it is full and nobody reads; the file goes with its descriptor.
        self._told: IO[bytes] | None = None
        self._offset = 0
        self._rest = b""
        self._troubles: list[str] = []

    def start(self) -> None:
        """Start the helper."""
        try:
            self._told = tempfile.TemporaryFile()  # noqa: SIM115  `stop` closes it
            self._process = subprocess.Popen(
                # -P: the folder that the person is in is data, not a place to import from.
                [sys.executable, "-P", "-m", "llmflame.recording.gauge_process", *self._arguments],
                env=own_import_path(),
                stdin=subprocess.PIPE,
                stdout=self._told,
                stderr=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C is the program's alone
            )
        except OSError as error:
            self._troubles.append(f"helper process: {why(error)}")

    def begin(self, pass_name: str) -> None:
        """A pass begins now, unless it is the one that runs."""
        if not self._begins or self._begins[-1][1] != pass_name:
            self._begins.append((time.perf_counter_ns() - self._origin_ns, pass_name))

    def take(self) -> list[Row]:
        """The rows that the helper has written since they were last taken."""
        return self._rows(self._read())

    def stop(self) -> list[Row]:
        """End the helper: the remaining rows, and what is to be said of the reading itself."""
        if self._process is not None:
            assert self._process.stdin is not None
            self._process.stdin.close()
            try:
                self._process.wait(GRACE_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None
        rows = self.take()
        if self._told is not None:
            self._told.close()
            self._told = None
        if self._begins:
            rows += report_rows(self._begins[0][1], [], self._troubles)
        self._troubles = []
        return rows

    def _read(self) -> list[Any]:
        """Whole lines that are new. By position: the helper writes with the same descriptor's own."""
        if self._told is None:
            return []
        while chunk := os.pread(self._told.fileno(), READ_BYTES, self._offset):
            self._offset += len(chunk)
            self._rest += chunk
        *lines, self._rest = self._rest.split(b"\n")
        return [json.loads(line) for line in lines]

    def _rows(self, told: list[Any]) -> list[Row]:
        rows: list[Row] = []
        if not self._begins:
            return rows
        for item in told:
            if isinstance(item, dict):
                # One helper for all passes: what it says of itself is under the first.
                rows += report_rows(self._begins[0][1], item["report"], item["unreadable"])
                continue
            reading = Reading(*item)
            begun = bisect_right(self._begins, reading.time_ns, key=lambda begin: begin[0])
            rows += self._carried(max(begun - 1, 0))
            rows += gauge_rows(self._begins[self._pass_number][1], [reading])
            self._latest[reading.name] = reading
        return rows

    def _carried(self, pass_number: int) -> list[Row]:
        """What the gauges were when a new pass began: the helper doesn't say again what has not changed."""
        if pass_number <= self._pass_number:
            return []
        self._pass_number = pass_number
        begin_ns, name = self._begins[pass_number]
        return gauge_rows(name, [latest._replace(time_ns=begin_ns) for latest in self._latest.values()])
