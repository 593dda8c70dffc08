"""What the passes of one recording share: where rows go, clocks, counters, the device and its peaks."""

from __future__ import annotations

import contextlib
import itertools
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from llmflame.probes.counters import Counters, Edge
from llmflame.probes.memory.heap import Heap
from llmflame.probes.peak import HighWaterMark
from llmflame.probes.sections import STEP, Section, prefill_count
from llmflame.probes.spans import DeviceMemory, Place, SpanLog
from llmflame.recording.wire import Sink
from llmflame.store.rows import (
    GaugeRow,
    HoldingRow,
    MomentRow,
    ProbeReportRow,
    ReadingRow,
    Row,
    Space,
    Treatment,
    WindowRow,
)
from llmflame.store.writer import Scalar

if TYPE_CHECKING:
    from llmflame.probes.device import AllocatorUse, Device

FIRST_WINDOW = {"clean": 1, "anatomy": 1001, "allocations": 2001, "memory": 3001, "stalls": 4001}
"""Windows are numbered in one table for all passes."""


@dataclass(slots=True)
class Peaks:
    """The highest use of memory in one phase."""

    rss_bytes: int | None = None
    device: DeviceMemory = field(default_factory=DeviceMemory)


class Session:
    """One pass in this process. Rows are gathered and sent at `flush`, outside of what is timed."""

    def __init__(
        self, pass_name: str, sink: Sink, origin_ns: int, progress: Callable[[str], None] | None = None
    ) -> None:
        self.pass_name = pass_name
        self.progress = progress or (lambda _text: None)
        self.sink = sink
        self.counters = Counters()
        self.high_water = HighWaterMark()
        self.heap = Heap()
        self.device: Device | None = None
        """Known once the libraries are imported: this module must not import torch before that is timed."""
        self.device_name = "cpu"
        self._rows: list[Row] = []
        self.spans = SpanLog(pass_name, origin_ns, self._rows.append)
        self._window_ids = itertools.count(FIRST_WINDOW[pass_name])
        self._moment_ids = itertools.count(1)
        self.highest_rss_bytes = 0
        self.seen_shape: dict[str, Scalar] = {}
        """Of the last request."""
        self.checkpoint_dtype: str | None = None
        """Of the weight files, where the model was loaded from some here."""
        self.last_step: int | None = None
        """Of a request, where that is known before it runs: the index of its last forward call."""

        self.reserved_bytes: int | None = None
        """What torch had taken of the device before the first request."""

    def beside(self, pass_name: str) -> Session:
        """Another pass in this process: the same sink, clock, device and request."""
        other = Session(pass_name, self.sink, self.spans.origin_ns, self.progress)
        other.device, other.device_name = self.device, self.device_name
        other.checkpoint_dtype, other.reserved_bytes = self.checkpoint_dtype, self.reserved_bytes
        tokens = self.seen_shape.get("new_tokens")
        other.last_step = tokens - 1 if isinstance(tokens, int) else None
        return other

    @property
    def on_cuda(self) -> bool:
        """Does the model run on a CUDA device?"""
        return self.device is not None and self.device.is_cuda

    def close(self) -> None:
        """Release the counters' descriptors."""
        self.counters.close()

    def put(self, *rows: Row) -> None:
        """Gather rows for the next flush."""
        self._rows.extend(rows)

    def report(self, probe: str, name: str, value: float | None, unit: str) -> None:
        """Gather what a probe says of itself."""
        self._rows.append(ProbeReportRow(self.pass_name, probe, name, value, unit))

    def flush(self) -> None:
        """Send what was gathered."""
        rows, self._rows[:] = list(self._rows), []
        if rows:
            self.sink.rows(rows)

    def window(self, **fields: Any) -> WindowRow:
        """A new window of this pass."""
        return WindowRow(pass_name=self.pass_name, id=next(self._window_ids), **fields)

    def moment(self, **fields: Any) -> MomentRow:
        """A new moment of this pass; its time is now unless it is said."""
        fields.setdefault("time_ns", time.perf_counter_ns() - self.spans.origin_ns)
        fields.setdefault("window", None)
        row = MomentRow(pass_name=self.pass_name, id=next(self._moment_ids), **fields)
        self._rows.append(row)
        return row

    def held(
        self,
        moment: MomentRow,
        holdings: Mapping[tuple[Space, str, str], tuple[int, int]],
        readings: Mapping[str, int],
    ) -> None:
        """Gather who held what at a moment: (bytes, blocks) by space, category and owner; and the
        readings."""
        for (space, category, owner), (size, blocks) in holdings.items():
            if size:
                self._rows.append(HoldingRow(self.pass_name, moment.id, space, category, owner, size, blocks))
        self._rows += [ReadingRow(self.pass_name, moment.id, *reading) for reading in readings.items()]

    def gauge(self, name: str, value: float | None) -> None:
        """Gather a reading of now; none where it is not known."""
        if value is not None:
            now = time.perf_counter_ns() - self.spans.origin_ns
            self._rows.append(GaugeRow(self.pass_name, name, now, value))

    def read_floor(self) -> None:
        """Gather what is still held when a request has ended: it must not grow from one to the next."""
        use = self.heap.read()
        self.gauge("heap_floor_bytes", use.used_bytes if use is not None else None)
        held = self.gauge_device()
        self.gauge("device_floor_bytes", held.allocated_bytes if held is not None else None)

    def gauge_device(self) -> AllocatorUse | None:
        """Gather what the device's allocator has given out and what it has reserved, where there is one."""
        use = self.device.allocator() if self.device is not None else None
        if use is not None:
            self.gauge("device_allocated_bytes", use.allocated_bytes)
            self.gauge("device_reserved_bytes", use.reserved_bytes)
        return use

    def note_reserved(self) -> None:
        """Keep what the load left reserved of the device: later a request's own share can't be told apart."""
        use = self.device.allocator() if self.device is not None else None
        self.reserved_bytes = use.reserved_bytes if use is not None else None

    def start_peak(self) -> None:
        """Begin a new peak of host and device memory."""
        self.high_water.reset()
        if self.device is not None:
            self.device.reset_peak()

    def peak(self) -> Peaks:
        """The peaks since `start_peak`."""
        rss = self.high_water.read_bytes()
        self.highest_rss_bytes = max(self.highest_rss_bytes, rss or 0)
        return Peaks(rss, self.device.memory() if self.device is not None else DeviceMemory())

    @contextlib.contextmanager
    def phase(self, name: str) -> Iterator[Phase]:
        """A phase with its counters and its peak; parts of it can be marked inside."""
        phase = Phase(self, name, self.spans.reserve())
        self.start_peak()
        begin = self.counters.read()
        phase.begin = begin
        yield phase
        end = phase.finish()
        peaks = self.peak()
        self.spans.log(
            Place(name, treatment=phase.treatment),
            begin,
            end,
            peak_rss_bytes=peaks.rss_bytes,
            device=peaks.device,
            disk_wait_ns=phase.disk_wait_ns,
            number=phase.number,
        )
        self.flush()


class Phase:
    """A phase that runs."""

    def __init__(self, session: Session, name: str, number: int) -> None:
        self._session = session
        self._end: Edge | None = None
        self.name = name
        self.number = number
        self.treatment: Treatment = "clean"
        self.disk_wait_ns: int | None = None
        self.begin: Edge | None = None
        self.part_marker: Callable[[str], contextlib.AbstractContextManager[None]] = lambda _name: (
            contextlib.nullcontext()
        )
        """Names a part in the trace too, where one is taken."""

    def finish(self) -> Edge:
        """The instant at which the phase is over, device and all: the same however often it is asked for."""
        if self._end is None:
            if self._session.device is not None:
                self._session.device.synchronize()
            self._end = self._session.counters.read()
        return self._end

    @contextlib.contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Mark a named part of the phase."""
        begin = self._session.counters.read()
        with self.part_marker(name):
            yield
        end = self._session.counters.read()
        self._session.spans.log(Place(name, self.number, treatment=self.treatment), begin, end)


class PhasePeaks:
    """Watches a request's sections and keeps the peaks of its phases: prefill is step 0, decode the rest."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.peaks: dict[str, Peaks] = {}

    def opening(self, name: str, index: int | None) -> bool:
        """Start a peak where a phase begins."""
        if name == STEP and index is not None and index > 1:
            return False
        if name == "detokenize":
            self._close_decode()
        self._session.start_peak()
        return True

    def closing(self, name: str, index: int | None) -> bool:
        """Read the peak where a phase ends; decode is read when the request has ended."""
        if name == STEP and index:
            return False
        self.peaks["prefill" if name == STEP else name] = self._session.peak()
        return True

    def _close_decode(self) -> None:
        self.peaks["decode"] = self._session.peak()

    def take(self) -> dict[str, Peaks]:
        """The peaks of the request that just ended."""
        if "decode" not in self.peaks:
            self._close_decode()
        peaks, self.peaks = self.peaks, {}
        return peaks


def shape_of(steps: list[Section], prefills: int) -> dict[str, Scalar]:
    """What a request was, as seen at the model's input: each step after prefill makes a further token."""
    if not steps:
        return {}
    return {
        "prompt_tokens": sum(step.query_tokens for step in steps[:prefills]),
        "new_tokens": len(steps) - prefills + 1,
        "batch_size": steps[0].batch_size,
    }


def log_request(
    session: Session,
    sections: list[Section],
    *,
    repetition: int,
    peaks: Mapping[str, Peaks],
    treatments: Mapping[tuple[str, int | None], Treatment],
    step_peaks: Mapping[int | None, Peaks] = MappingProxyType({}),
) -> None:
    """Write the spans of one request: the request, its phases, and every step below its phase."""
    spans = session.spans
    request = spans.reserve()
    steps = [section for section in sections if section.name == STEP]
    prefills = prefill_count(steps)
    groups: list[tuple[str, list[Section]]] = []
    for section in sections:
        name = section.name
        if name == STEP:
            name = "prefill" if (section.index or 0) < prefills else "decode"
        if groups and groups[-1][0] == name:
            groups[-1][1].append(section)
        else:
            groups.append((name, [section]))
    whole: Treatment = "clean" if not treatments else "traced"
    for name, members in groups:
        number = spans.reserve()
        peak = peaks.get(name, Peaks())
        first, last = members[0], members[-1]
        for member in members:
            if member.name == STEP:
                treatment = treatments.get((STEP, member.index), "clean")
                tokens = member.query_tokens * member.batch_size
                place = Place(STEP, number, repetition, member.index, treatment, tokens, member.kv_tokens)
                own = step_peaks.get(member.index, Peaks())
                spans.log(place, member.begin, member.end, peak_rss_bytes=own.rss_bytes, device=own.device)
        tokens_in = sum(m.query_tokens * m.batch_size for m in members) if first.name == STEP else None
        treatment = treatments.get((first.name, first.index), "clean") if len(members) == 1 else whole
        place = Place(name, request, repetition, None, treatment, tokens_in, first.kv_tokens)
        spans.log(
            place, first.begin, last.end, peak_rss_bytes=peak.rss_bytes, device=peak.device, number=number
        )
    session.seen_shape = shape_of(steps, prefills)
    if sections:
        place = Place("request", None, repetition, None, whole)
        spans.log(place, sections[0].begin, sections[-1].end, number=request)
