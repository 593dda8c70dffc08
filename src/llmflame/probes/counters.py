"""Cheap counters that are read at both edges of a span: about 10 us an edge on Linux, no privileges.

They say how much of a span was spent on a CPU, in the run queue, and what it read and faulted in. What
the platform can't tell is None.
"""

from __future__ import annotations

import os
import time
from itertools import pairwise
from statistics import median
from typing import NamedTuple

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

PAGE_BYTES = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096
COST_READINGS = 100


class Edge(NamedTuple):
    """The counters at one instant. Thread CPU and run queue are the reading thread's."""

    time_ns: int
    thread_cpu_ns: int
    process_cpu_ns: int
    run_queue_ns: int | None
    minor_faults: int | None
    major_faults: int | None
    read_bytes: int | None
    rss_bytes: int | None
    rss_file_bytes: int | None


class Counters:
    """Reads edges. Made in the thread whose CPU time matters; `close` releases its descriptors."""

    def __init__(self) -> None:
        self._statm = open_readable("/proc/self/statm")
        self._io = open_readable("/proc/self/io")
        self._schedstat = open_readable("/proc/thread-self/schedstat")

    def read(self) -> Edge:
        """The counters now. The clock is read last, so that reading is charged to what came before."""
        rss, shared = self._memory()
        minor = major = None
        if resource is not None:
            usage = resource.getrusage(resource.RUSAGE_SELF)
            minor, major = usage.ru_minflt, usage.ru_majflt
        return Edge(
            run_queue_ns=self._run_queue(),
            minor_faults=minor,
            major_faults=major,
            read_bytes=self._read_bytes(),
            rss_bytes=rss,
            rss_file_bytes=shared,
            process_cpu_ns=time.process_time_ns(),
            thread_cpu_ns=time.thread_time_ns(),
            time_ns=time.perf_counter_ns(),
        )

    def cost_ns(self) -> float:
        """What one reading takes, here and now: the median of a few."""
        instants = [self.read().time_ns for _ in range(COST_READINGS + 1)]
        return median(later - earlier for earlier, later in pairwise(instants))

    def _memory(self) -> tuple[int | None, int | None]:
        if self._statm is None:
            return None, None
        fields = os.pread(self._statm, 128, 0).split()
        return int(fields[1]) * PAGE_BYTES, int(fields[2]) * PAGE_BYTES

    def _run_queue(self) -> int | None:
        if self._schedstat is None:
            return None
        return int(os.pread(self._schedstat, 128, 0).split()[1])

    def _read_bytes(self) -> int | None:
        if self._io is None:
            return None
        text = os.pread(self._io, 512, 0)
        start = text.find(b"\nread_bytes: ")
        return int(text[start + 13 : text.index(b"\n", start + 13)]) if start >= 0 else None

    def close(self) -> None:
        """Release the descriptors."""
        for descriptor in (self._statm, self._io, self._schedstat):
            if descriptor is not None:
                os.close(descriptor)
        self._statm = self._io = self._schedstat = None


def open_readable(path: str) -> int | None:
    """A descriptor of a file of /proc, or None where it can't be read."""
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
    except OSError:
        return None
    try:
        os.pread(descriptor, 16, 0)
    except OSError:  # some sandboxes let /proc/self/io be opened but not read
        os.close(descriptor)
        return None
    return descriptor
