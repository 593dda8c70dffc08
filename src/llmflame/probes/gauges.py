"""Gauges of another process, read from outside of it: what memory it holds, what it read and faulted in.

One reading costs the reader some 150 microseconds and the process nothing but the kernel's locks for as
long as its counters are added up.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple, Protocol

from llmflame.probes.nvml_memory import DeviceMemoryGauge, refusal

INTERVAL_S = 0.010
LATE_INTERVALS = 2
"""A reading that comes more than this many intervals after the one before is counted as late."""
SELDOM_READINGS = 5
"""Faults and bytes read are counts, exact at the edges of spans anyway: every so many readings is enough, and
a third of a reading's cost is theirs."""
STATUS_BYTES, STAT_BYTES, IO_BYTES = 4096, 1024, 512
KIB = 1024
_STATUS_KEYS = (
    (b"\nVmHWM:", "high_water_bytes"),
    (b"\nRssAnon:", "anonymous_bytes"),
    (b"\nRssFile:", "file_bytes"),
    (b"\nRssShmem:", "shared_bytes"),
    (b"\nVmSwap:", "swap_bytes"),
)
"""In the order in which the kernel writes them."""
_STAT_MINOR_FAULTS, _STAT_MAJOR_FAULTS = 7, 9
"""Of the fields behind the name, which may hold spaces and brackets itself (proc_pid_stat(5), from 0)."""
_ENDED = re.compile(rb"^State:\t[ZX]", re.MULTILINE)
"""The process has ended, but nobody has asked how."""
_READ_BYTES = b"\nread_bytes: "

Values = dict[str, int]


class Source(Protocol):
    """One thing to read; OSError says that it can't be."""

    label: str
    seldom: bool

    def read(self, values: Values) -> None:
        """Add what it says now."""

    def close(self) -> None:
        """Release what it holds."""


class GoneError(Exception):
    """The process has ended."""


class ProcessGauges:
    """Reads the gauges of the process `pid`, and of the GPU `device` where one is named.

    `device` is what CUDA calls it: an index among the visible devices, or a UUID. What can't be read is
    absent from a reading and named once in `unreadable`.
    """

    def __init__(self, pid: int, device: str | None = None, *, proc: Path = Path("/proc")) -> None:
        self.unreadable: list[str] = []
        self._gone = False
        self._readings = 0
        self._sources: list[Source] = []
        folder = proc / str(pid)
        if (proc / "self").exists():
            for file in _PROC_FILES:
                self._add(f"/proc/PID/{file.name}", partial(_ProcSource, folder, file))
        else:
            self._add(_PsutilSource.label, lambda: _PsutilSource(pid))
        if device is not None:
            self._add(DeviceMemoryGauge.label, lambda: DeviceMemoryGauge(pid, device, self.unreadable.append))

    def read(self) -> Values | None:
        """The gauges now, by name; None once the process has ended."""
        if self._gone:
            return None
        values: Values = {}
        often = self._readings % SELDOM_READINGS != 0
        self._readings += 1
        try:
            for source in list(self._sources):
                if often and source.seldom:
                    continue
                try:
                    source.read(values)
                except OSError as error:
                    self._sources.remove(source)
                    source.close()
                    self.unreadable.append(f"{source.label}: {refusal(error)}")
        except GoneError:
            return None
        return values if self._sources else None

    def close(self) -> None:
        """Release the descriptors and the driver's library."""
        for source in self._sources:
            source.close()
        self._sources = []

    def _add(self, label: str, make: Callable[[], Source]) -> None:
        try:
            self._sources.append(make())
        except GoneError:
            self._gone = True
        except OSError as error:
            self.unreadable.append(f"{label}: {refusal(error)}")


class _ProcFile(NamedTuple):
    """A file of /proc/PID: its name, the most that it holds, what it says, whether to ask seldom."""

    name: str
    size: int
    parse: Callable[[bytes, Values], None]
    seldom: bool


class _ProcSource:
    """One such file, kept open: the kernel makes its text anew for every read from its start."""

    def __init__(self, folder: Path, file: _ProcFile) -> None:
        self.label, self.seldom = f"/proc/PID/{file.name}", file.seldom
        self._size, self._parse = file.size, file.parse
        try:
            self._descriptor = os.open(folder / file.name, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError as error:
            raise GoneError from error

    def read(self, values: Values) -> None:
        try:
            text = os.pread(self._descriptor, self._size, 0)
        except ProcessLookupError as error:
            raise GoneError from error
        self._parse(text, values)

    def close(self) -> None:
        os.close(self._descriptor)


class _PsutilSource:
    """Where there is no /proc: the resident set as a whole."""

    label = "psutil"
    seldom = False

    def __init__(self, pid: int) -> None:
        import psutil

        self._gone = psutil.NoSuchProcess
        self._refused = psutil.AccessDenied
        try:
            self._process = psutil.Process(pid)
        except psutil.NoSuchProcess as error:
            raise GoneError from error

    def read(self, values: Values) -> None:
        try:
            values["rss_bytes"] = self._process.memory_info().rss
        except self._gone as error:
            raise GoneError from error
        except self._refused as error:
            raise PermissionError(str(error)) from error

    def close(self) -> None:
        """Nothing is held."""


def _stat_values(text: bytes, values: Values) -> None:
    fields = text.rpartition(b")")[2].split()
    values["minor_faults"] = int(fields[_STAT_MINOR_FAULTS])
    values["major_faults"] = int(fields[_STAT_MAJOR_FAULTS])


def _status_values(text: bytes, values: Values) -> None:
    position = 0
    if _ENDED.search(text):
        raise GoneError
    for key, name in _STATUS_KEYS:
        found = text.find(key, position)
        if found >= 0:
            start = found + len(key)
            position = text.index(b" kB", start)
            values[name] = int(text[start:position]) * KIB


def _io_values(text: bytes, values: Values) -> None:
    start = text.find(_READ_BYTES)
    if start >= 0:
        start += len(_READ_BYTES)
        values["storage_read_bytes"] = int(text[start : text.index(b"\n", start)])


_PROC_FILES = (
    _ProcFile("status", STATUS_BYTES, _status_values, seldom=False),
    _ProcFile("stat", STAT_BYTES, _stat_values, seldom=True),
    _ProcFile("io", IO_BYTES, _io_values, seldom=True),
)


class Reading(NamedTuple):
    """One gauge that has changed. `time_ns` counts from the loop's origin."""

    name: str
    time_ns: int
    value: int


class GaugeLoop:
    """Reads at an interval until told to stop or the process has ended, and keeps what has changed.

    A gauge is a step function: it has the value of its last reading until the next.
    """

    def __init__(
        self,
        read: Callable[[], Values | None],
        keep: Callable[[Reading], None],
        *,
        interval_s: float = INTERVAL_S,
        origin_ns: int = 0,
        clock_ns: Callable[[], int] = time.perf_counter_ns,
    ) -> None:
        self._read, self._keep = read, keep
        self._interval_ns = round(interval_s * 1e9)
        self._origin_ns, self._clock_ns = origin_ns, clock_ns
        self._last: Values = {}
        self._last_ns: int | None = None
        self.readings = self.late = 0
        self.longest_gap_ns = self.cpu_ns = 0

    def run(self, stopped: Callable[[float], bool]) -> None:
        """Read until `stopped`, which waits for the seconds that it is given, returns True."""
        began_cpu_ns, due = time.thread_time_ns(), self._clock_ns()
        while self.once():
            # What was missed is not made up for: readings in a row would say nothing new.
            due = max(due + self._interval_ns, self._clock_ns())
            if stopped(max(due - self._clock_ns(), 0) / 1e9):
                self.once()
                break
        self.cpu_ns = time.thread_time_ns() - began_cpu_ns

    def once(self) -> bool:
        """Take one reading; False where the process has ended."""
        now = self._clock_ns()
        values = self._read()
        if values is None:
            return False
        if self._last_ns is not None:
            gap_ns = now - self._last_ns
            self.late += gap_ns > LATE_INTERVALS * self._interval_ns
            self.longest_gap_ns = max(self.longest_gap_ns, gap_ns)
        self._last_ns = now
        self.readings += 1
        for name, value in values.items():
            if self._last.get(name) != value:
                self._last[name] = value
                self._keep(Reading(name, now - self._origin_ns, value))
        return True

    def report(self) -> list[tuple[str, float | None, str]]:
        """What the loop says of itself: name, value, unit."""
        return [
            ("interval", self._interval_ns, "ns"),
            ("readings", self.readings, "readings"),
            ("late readings", self.late, "readings"),
            ("longest gap", self.longest_gap_ns, "ns"),
            ("cost", self.cpu_ns, "ns"),
        ]
