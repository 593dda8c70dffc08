"""Edges in, rows out: phases, their parts, a request's spans and its peaks."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import pytest

from llmflame.probes.counters import Counters, Edge
from llmflame.probes.peak import HighWaterMark
from llmflame.probes.sections import STEP, Section
from llmflame.probes.spans import DeviceMemory, Place
from llmflame.recording.session import Peaks, PhasePeaks, Session, log_request, shape_of
from llmflame.store.model import Fact
from llmflame.store.observed import ObservedTree
from llmflame.store.rows import ProbeReportRow, Row, SpanRow, WindowRow
from llmflame.store.writer import Scalar

ORIGIN = 1000


class Kept:
    """A sink that remembers."""

    def __init__(self) -> None:
        self.batches: list[list[Row]] = []

    def rows(self, rows: Iterable[Row]) -> None:
        self.batches.append(list(rows))

    def tree(self, window: WindowRow, tree: ObservedTree) -> None:
        raise AssertionError

    def subject(self, properties: Mapping[str, Scalar]) -> None:
        raise AssertionError

    def facts(self, facts: Iterable[Fact]) -> None:
        raise AssertionError

    @property
    def spans(self) -> list[SpanRow]:
        return [row for batch in self.batches for row in batch if isinstance(row, SpanRow)]


class Clock:
    """Counters that stand still unless told; each kind of number runs at its own pace."""

    def __init__(self) -> None:
        self.now = ORIGIN + 5000

    def read(self) -> Edge:
        return edge(self.now)


def edge(now: int) -> Edge:
    return Edge(now, 2 * now, 3 * now, 4 * now, 5 * now, 6 * now, 7 * now, 8 * now, 9 * now)


class Peak:
    """A high-water mark that tells how often it was reset."""

    def __init__(self) -> None:
        self.resets = 0

    def reset(self) -> bool:
        self.resets += 1
        return True

    def read_bytes(self) -> int | None:
        return 1000 * self.resets


class FakeDevice:
    is_cuda = True

    def __init__(self) -> None:
        self.log: list[str] = []

    def synchronize(self) -> None:
        self.log.append("synchronize")

    def reset_peak(self) -> None:
        self.log.append("reset")

    def memory(self) -> DeviceMemory:
        return DeviceMemory(11, 22)


@pytest.fixture
def kept() -> Kept:
    return Kept()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def session(kept: Kept, clock: Clock) -> Iterator[Session]:
    made = Session("clean", kept, ORIGIN)
    made.counters.close()
    made.counters = cast("Counters", clock)
    made.high_water = cast("HighWaterMark", Peak())
    yield made


def test_a_phase_is_one_span_of_the_differences(session: Session, kept: Kept, clock: Clock) -> None:
    with session.phase("load") as phase:
        clock.now += 10
        phase.treatment, phase.disk_wait_ns = "sampled", 3
        assert kept.batches == [], "nothing is sent while the clock runs"
    (span,) = kept.spans
    assert span == SpanRow(
        pass_name="clean",
        id=1,
        parent=None,
        name="load",
        repetition=None,
        step=None,
        treatment="sampled",
        start_ns=5000,
        wall_ns=10,
        tokens=None,
        kv_tokens=None,
        thread_cpu_ns=20,
        process_cpu_ns=30,
        run_queue_ns=40,
        disk_wait_ns=3,
        minor_faults=50,
        major_faults=60,
        read_bytes=70,
        rss_bytes=8 * (ORIGIN + 5010),
        rss_file_bytes=9 * (ORIGIN + 5010),
        peak_rss_bytes=1000,
        device_bytes=None,
        device_peak_bytes=None,
    )
    assert session.highest_rss_bytes == 1000
    assert phase.begin == edge(ORIGIN + 5000)


def test_unknown_counters_stay_unknown(session: Session, kept: Kept) -> None:
    known = Edge(1000, 1, 2, None, 3, None, None, None, None)
    session.spans.log(Place("x"), known, known._replace(time_ns=1500, minor_faults=None))
    session.flush()
    (span,) = kept.spans
    unknown = (span.run_queue_ns, span.minor_faults, span.major_faults, span.read_bytes, span.rss_bytes)
    assert unknown == (None,) * 5
    assert (span.start_ns, span.wall_ns, span.thread_cpu_ns) == (0, 500, 0)


def test_parts_lie_below_their_phase(session: Session, kept: Kept, clock: Clock) -> None:
    with session.phase("import") as phase:
        for name in ("torch", "transformers"):
            with phase.part(name):
                clock.now += 7
        clock.now += 1
    spans = {span.name: span for span in kept.spans}
    assert {name: (s.parent, s.wall_ns) for name, s in spans.items()} == {
        "torch": (1, 7),
        "transformers": (1, 7),
        "import": (None, 15),
    }
    assert spans["import"].id == 1
    assert len({span.id for span in kept.spans}) == 3


def test_the_device_has_ended_before_the_phase_does(session: Session, kept: Kept) -> None:
    device = FakeDevice()
    session.device = cast("Any", device)
    with session.phase("load"):
        device.log.append("work")
    assert device.log == ["reset", "work", "synchronize"]
    (span,) = kept.spans
    assert (span.device_bytes, span.device_peak_bytes) == (11, 22)


def test_rows_are_sent_once_and_in_order(session: Session, kept: Kept) -> None:
    session.report("p", "n", 1.5, "ns")
    session.report("p", "m", None, "ns")
    session.flush()
    session.flush()
    assert kept.batches == [
        [ProbeReportRow("clean", "p", "n", 1.5, "ns"), ProbeReportRow("clean", "p", "m", None, "ns")]
    ]


def test_windows_of_the_passes_have_numbers_apart(session: Session, kept: Kept) -> None:
    fields: dict[str, Any] = {
        "kind": "traced",
        "span_name": "load",
        "step": None,
        "wall_ns": 1,
        "samples": None,
        "events": None,
        "dropped": None,
    }
    other = Session("anatomy", kept, ORIGIN)
    other.counters.close()
    assert [session.window(**fields).id for _ in range(3)] == [1, 2, 3]
    assert [other.window(**fields).id for _ in range(2)] == [1001, 1002]


# --- a request -------------------------------------------------------------------------------------------


def _sections(*parts: tuple[str, int | None, int], query: Mapping[int, int] | None = None) -> list[Section]:
    """Contiguous sections of so many ticks, batch 2."""
    made, at, kv = [], ORIGIN, 0
    for name, index, ticks in parts:
        tokens = (query or {}).get(index, 1) if index is not None else 0
        batch = 2 if index is not None else 0
        before = kv if index is not None else 0
        made.append(Section(name, index, edge(at), edge(at + ticks), tokens, before, batch))
        kv += tokens
        at += ticks
    return made


REQUEST = _sections(
    ("tokenize", None, 1),
    ("prepare", None, 2),
    (STEP, 0, 30),
    (STEP, 1, 4),
    (STEP, 2, 5),
    ("detokenize", None, 6),
    query={0: 7},
)


def _logged(session: Session, sections: list[Section], **options: Any) -> list[SpanRow]:
    given: dict[str, Any] = {"repetition": 3, "peaks": {}, "treatments": {}}
    log_request(session, sections, **(given | options))
    session.flush()
    return cast("Kept", session.sink).spans


def test_a_requests_spans(session: Session) -> None:
    spans = _logged(session, REQUEST, peaks={"decode": Peaks(99, DeviceMemory(1, 2))})
    names = {span.id: span.name for span in spans}
    assert len(names) == len(spans)
    table = [
        (s.name, names.get(s.parent or 0), s.step, s.start_ns, s.wall_ns, s.tokens, s.kv_tokens)
        for s in sorted(spans, key=lambda s: (s.start_ns, -s.wall_ns, s.name))
    ]
    assert table == [
        ("request", None, None, 0, 48, None, None),
        ("tokenize", "request", None, 0, 1, None, 0),
        ("prepare", "request", None, 1, 2, None, 0),
        ("prefill", "request", None, 3, 30, 14, 0),
        ("step", "prefill", 0, 3, 30, 14, 0),
        ("decode", "request", None, 33, 9, 4, 7),
        ("step", "decode", 1, 33, 4, 2, 7),
        ("step", "decode", 2, 37, 5, 2, 8),
        ("detokenize", "request", None, 42, 6, None, 0),
    ]
    assert {s.repetition for s in spans} == {3} and {s.treatment for s in spans} == {"clean"}
    (decode,) = (s for s in spans if s.name == "decode")
    assert (decode.peak_rss_bytes, decode.device_bytes, decode.device_peak_bytes) == (99, 1, 2)
    assert session.seen_shape == {"prompt_tokens": 7, "new_tokens": 3, "batch_size": 2}


def test_the_phases_of_a_request_add_up_to_it(session: Session) -> None:
    spans = _logged(session, REQUEST)
    (request,) = (s for s in spans if s.name == "request")
    assert sum(s.wall_ns for s in spans if s.parent == request.id) == request.wall_ns


def test_a_prompt_in_chunks_is_all_prefill(session: Session) -> None:
    sections = _sections((STEP, 0, 10), (STEP, 1, 10), (STEP, 2, 3), (STEP, 3, 3), query={0: 8, 1: 5})
    spans = {(s.name, s.step): s for s in _logged(session, sections)}
    prefill, decode = spans["prefill", None], spans["decode", None]
    assert (prefill.wall_ns, prefill.tokens, decode.wall_ns, decode.kv_tokens) == (20, 26, 6, 13)
    assert [spans["step", step].parent == prefill.id for step in range(4)] == [True, True, False, False]
    assert session.seen_shape == {"prompt_tokens": 13, "new_tokens": 3, "batch_size": 2}


def test_treatments_are_of_the_steps_and_their_phases(session: Session) -> None:
    treatments = {(STEP, 0): "traced", (STEP, 1): "anchored", ("tokenize", None): "traced"}
    spans = {(s.name, s.step): s.treatment for s in _logged(session, REQUEST, treatments=treatments)}
    assert spans["step", 0] == "traced" and spans["prefill", None] == "traced"
    assert spans["step", 1] == "anchored" and spans["step", 2] == "clean"
    assert spans["tokenize", None] == "traced" and spans["prepare", None] == "clean"
    assert spans["decode", None] == spans["request", None] == "traced"


def test_a_request_without_sections_has_no_spans(session: Session) -> None:
    assert _logged(session, []) == []
    assert session.seen_shape == {}


@pytest.mark.parametrize(
    ("sections", "prefills", "shape"),
    [
        ([], 0, {}),
        (_sections((STEP, 0, 1), query={0: 7}), 1, {"prompt_tokens": 7, "new_tokens": 1, "batch_size": 2}),
    ],
)
def test_the_shape_that_was_seen(sections: list[Section], prefills: int, shape: dict[str, Scalar]) -> None:
    assert shape_of(sections, prefills) == shape


# --- peaks -----------------------------------------------------------------------------------------------


def _watch(peaks: PhasePeaks, *sections: tuple[str, int | None]) -> list[bool]:
    """As the probe tells it: each section ends before the next begins."""
    busy, before = [], None
    for section in sections:
        ended = peaks.closing(*before) if before else False
        busy.append(peaks.opening(*section) or ended)
        before = section
    if before:
        peaks.closing(*before)
    return busy


def test_each_phase_has_a_peak_of_its_own(session: Session) -> None:
    peaks = PhasePeaks(session)
    busy = _watch(
        peaks,
        ("tokenize", None),
        ("prepare", None),
        (STEP, 0),
        (STEP, 1),
        (STEP, 2),
        (STEP, 3),
        ("detokenize", None),
    )
    taken = {name: peak.rss_bytes for name, peak in peaks.take().items()}
    # The mark is reset as each phase begins: the number tells in which.
    assert taken == {"tokenize": 1000, "prepare": 2000, "prefill": 3000, "decode": 4000, "detokenize": 5000}
    assert busy == [True, True, True, True, False, False, True], "between decode steps nothing is read"


def test_a_request_that_ends_in_decode(session: Session) -> None:
    peaks = PhasePeaks(session)
    _watch(peaks, ("prepare", None), (STEP, 0), (STEP, 1), (STEP, 2))
    assert {name: peak.rss_bytes for name, peak in peaks.take().items()} == {
        "prepare": 1000,
        "prefill": 2000,
        "decode": 3000,
    }
    _watch(peaks, ("tokenize", None))
    assert "prefill" not in peaks.take(), "the next request's peaks are its own"


def test_a_session_without_fakes_measures(kept: Kept) -> None:
    session = Session("clean", kept, time.perf_counter_ns())
    with session.phase("load"):
        sum(range(1000))
    session.close()
    (span,) = kept.spans
    assert span.wall_ns > 0 and span.start_ns >= 0
    assert span.peak_rss_bytes == session.highest_rss_bytes or span.peak_rss_bytes is None


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs /proc")
def test_a_closed_session_holds_no_descriptor(kept: Kept) -> None:
    before = set(Path("/proc/self/fd").iterdir())
    session = Session("clean", kept, ORIGIN)
    assert set(Path("/proc/self/fd").iterdir()) != before
    session.close()
    session.close()
    assert set(Path("/proc/self/fd").iterdir()) == before
