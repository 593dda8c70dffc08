"""Gauges of a child process, read by a thread of the recorder and warned where its memory is nearly full."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections import deque
from collections.abc import Iterable
from importlib import metadata

from llmflame.probes.gauges import GaugeLoop, ProcessGauges, Reading, Values
from llmflame.probes.machine.outside import why
from llmflame.probes.memory_limits import Limit, Limits
from llmflame.store.rows import GaugeRow, ProbeReportRow, Row

PROBE = "gauges"
GRACE_S = 3.0
"""A driver that doesn't answer must not hold the recording up; the thread ends with the process."""
NEAR_SHARE = 0.96
"""Of the control group's limit. A process can touch some tens of megabytes between two readings, so what is
left of a limit of 2 GiB lasts for one or two."""
GROUP_SHARE = 0.5
"""From here on the group as a whole is asked too, which costs more: its other processes count as well."""


class NearLimit:
    """Sends one SIGUSR1 when a process' control group is nearly full."""

    def __init__(self, pid: int, limit: Limit) -> None:
        self._pid, self._limit = pid, limit
        self.sent_at_bytes: int | None = None

    def check(self, values: Values) -> None:
        """Look at a reading. The process must handle the signal, or it ends it."""
        held = values.get("anonymous_bytes", 0) + values.get("shared_bytes", 0)
        if self.sent_at_bytes is not None or held < GROUP_SHARE * self._limit.bytes:
            return
        held = max(held, self._limit.held_bytes() or 0)
        if held >= NEAR_SHARE * self._limit.bytes:
            self.sent_at_bytes = held
            with contextlib.suppress(OSError):  # it has just ended
                os.kill(self._pid, signal.SIGUSR1)


class GaugeThread:
    """Reads a child's gauges from `start` to `stop`; the thread that owns the writer takes the rows.

    `device` is what CUDA calls the child's GPU, None for a child that uses none.
    """

    def __init__(
        self, pass_name: str, pid: int, *, origin_ns: int, interval_s: float, device: str | None = None
    ) -> None:
        self.warn_signal = False
        """Set once the child handles SIGUSR1."""
        self._pass_name, self._pid = pass_name, pid
        self._device = device
        self._kept: deque[Reading] = deque()
        self._loop = GaugeLoop(self._read, self._kept.append, interval_s=interval_s, origin_ns=origin_ns)
        self._gauges: ProcessGauges | None = None
        self._near: NearLimit | None = None
        self._limits: Limits | None = None
        self._troubles: list[str] = []
        # A lock that the loop waits to acquire: an event's own code costs more than a reading.
        self._running = threading.Lock()
        self._running.acquire()
        self._thread = threading.Thread(target=self._run, name="llmflame gauges", daemon=True)
        self._stopped = False

    def start(self) -> None:
        """Begin reading."""
        self._thread.start()

    def take(self) -> list[Row]:
        """The rows since they were last taken."""
        # The thread only appends, so that what is there now stays there.
        count = len(self._kept)
        return gauge_rows(self._pass_name, (self._kept.popleft() for _ in range(count)))

    def stop(self) -> list[Row]:
        """End reading: the remaining rows, and what the reading says of itself; empty a second time."""
        if self._stopped:
            return []
        self._stopped = True
        self._running.release()
        if self._thread.is_alive():
            self._thread.join(GRACE_S)
        report = self._loop.report()
        if self._limits is not None and self._limits.smallest is not None:
            report.append((f"limit: {self._limits.smallest.name}", self._limits.smallest.bytes, "bytes"))
        if self._near is not None and self._near.sent_at_bytes is not None:
            report.append(("warned near the limit", self._near.sent_at_bytes, "bytes"))
        return [*self.take(), *report_rows(self._pass_name, report, self._troubles)]

    def _run(self) -> None:
        try:
            # In this thread: the driver's library may take a while to start.
            self._gauges = ProcessGauges(self._pid, self._device)
            with contextlib.closing(self._gauges):
                self._limits = Limits.of(self._pid)
                if self._limits.cgroup is not None:
                    self._near = NearLimit(self._pid, self._limits.cgroup)
                self._loop.run(lambda seconds: self._running.acquire(timeout=seconds))
            self._troubles += self._gauges.unreadable
        except Exception as error:  # a recording is worth having without its gauges
            self._troubles.append(why(error))

    def _read(self) -> Values | None:
        assert self._gauges is not None
        values = self._gauges.read()
        if values and self._near is not None and self.warn_signal:
            self._near.check(values)
        return values


def gauge_rows(pass_name: str, readings: Iterable[Reading]) -> list[Row]:
    """Readings as rows of one pass."""
    return [GaugeRow(pass_name, reading.name, reading.time_ns, float(reading.value)) for reading in readings]


def report_rows(
    pass_name: str, report: Iterable[tuple[str, float | None, str]], unreadable: Iterable[str]
) -> list[Row]:
    """What the reading says of itself, and what could not be read."""
    rows: list[Row] = [ProbeReportRow(pass_name, PROBE, name, value, unit) for name, value, unit in report]
    return rows + [ProbeReportRow(pass_name, PROBE, f"unreadable: {words}", None, "") for words in unreadable]


def device_of(name: str) -> str | None:
    """CUDA's name for the device that a workload asks for, None for none; `auto` may turn out as none."""
    if name == "cpu" or (name == "auto" and _built_for_cpus()):
        return None
    return name.partition(":")[2] or "0"


def _built_for_cpus() -> bool:
    # Importing torch to ask it takes seconds and its memory.
    try:
        return metadata.version("torch").endswith("+cpu")
    except metadata.PackageNotFoundError:
        return False
