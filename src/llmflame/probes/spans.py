"""Spans in the making: edges in, rows out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from llmflame.probes.counters import Edge
from llmflame.store.rows import SpanRow, Treatment


@dataclass(frozen=True, slots=True)
class DeviceMemory:
    """Device bytes allocated at a span's end and at most within it."""

    now_bytes: int | None = None
    peak_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """Where a span belongs."""

    name: str
    parent: int | None = None
    repetition: int | None = None
    step: int | None = None
    treatment: Treatment = "clean"
    tokens: int | None = None
    kv_tokens: int | None = None


class SpanLog:
    """Numbers the spans of one pass and turns pairs of edges into rows on the run's clock."""

    def __init__(self, pass_name: str, origin_ns: int, put: Callable[[SpanRow], None]) -> None:
        self._pass_name = pass_name
        self.origin_ns = origin_ns
        self._put = put
        self._next_id = 1

    def reserve(self) -> int:
        """An id for a span whose children are logged before it ends."""
        number = self._next_id
        self._next_id += 1
        return number

    def log(
        self,
        place: Place,
        begin: Edge,
        end: Edge,
        *,
        peak_rss_bytes: int | None = None,
        device: DeviceMemory | None = None,
        disk_wait_ns: int | None = None,
        number: int | None = None,
    ) -> int:
        """Write the span between two edges; returns its id."""
        number = self.reserve() if number is None else number
        device = device or DeviceMemory()
        self._put(
            SpanRow(
                pass_name=self._pass_name,
                id=number,
                parent=place.parent,
                name=place.name,
                repetition=place.repetition,
                step=place.step,
                treatment=place.treatment,
                start_ns=begin.time_ns - self.origin_ns,
                wall_ns=end.time_ns - begin.time_ns,
                tokens=place.tokens,
                kv_tokens=place.kv_tokens,
                thread_cpu_ns=end.thread_cpu_ns - begin.thread_cpu_ns,
                process_cpu_ns=end.process_cpu_ns - begin.process_cpu_ns,
                run_queue_ns=_difference(begin.run_queue_ns, end.run_queue_ns),
                disk_wait_ns=disk_wait_ns,
                minor_faults=_difference(begin.minor_faults, end.minor_faults),
                major_faults=_difference(begin.major_faults, end.major_faults),
                read_bytes=_difference(begin.read_bytes, end.read_bytes),
                rss_bytes=end.rss_bytes,
                rss_file_bytes=end.rss_file_bytes,
                peak_rss_bytes=peak_rss_bytes,
                device_bytes=device.now_bytes,
                device_peak_bytes=device.peak_bytes,
            )
        )
        return number


def _difference(begin: int | None, end: int | None) -> int | None:
    return None if begin is None or end is None else end - begin
