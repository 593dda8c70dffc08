"""The trace format of Chrome and Perfetto: what happened when, in the clean pass and in the traced windows.

https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

from llmflame.analysis.kept_slices import unkept
from llmflame.analysis.phases import ORDER
from llmflame.analysis.thread_lanes import sampled_lanes
from llmflame.exports.chrome_windows import thread_tracks, window_events
from llmflame.exports.names import one_line
from llmflame.exports.request import Request
from llmflame.exports.trace_events import complete, micros, naming
from llmflame.store.rows import SpanRow

PID = 1
"""Of the clean pass. The windows' own is beside their code."""
PHASES, STEPS = 1, 2
FIRST_THREAD = 3
COUNTED = ("tokens", "kv_tokens", "rss_bytes", "peak_rss_bytes", "device_bytes", "device_peak_bytes")


def chrome(request: Request) -> str:
    """Phases, steps, sampled threads and memory of the clean pass;
    frames, kernels and launches of windows of which is known what happened when."""
    version = one_line(request.profile.run.llmflame_version)
    about: dict[str, object] = {"tool": f"llmflame {version}", "subject": one_line(request.title)}
    without = unkept(request.profile)
    missing = [row for row in (*without.too_many, *without.unknown) if request.wants(row.span_name)]
    if missing:
        about["windows_without_frames"] = [one_line(row.label) for row in missing]
    if hidden := [row for row in without.threads if request.wants(row.span_name)]:
        about["windows_without_threads"] = [one_line(row.label) for row in hidden]
    tail = json.dumps(about)
    events = ",\n".join([*_clean(request), *window_events(request)])
    return f'{{"displayTimeUnit":"ms","otherData":{tail},"traceEvents":[\n{events}\n]}}\n'


def _clean(request: Request) -> Iterator[str]:
    spans = _spans(request)
    yield naming("process_name", PID, 0, "clean pass (undisturbed)")
    yield naming("thread_name", PID, PHASES, "phases")
    yield from _track(PHASES, (span for span in spans if span.name != "step"))
    yield naming("thread_name", PID, STEPS, "steps")
    yield from _track(STEPS, (span for span in spans if span.name == "step"))
    threads = thread_tracks(request, PID, FIRST_THREAD)
    yield from threads.lanes(sampled_lanes(request.profile, request.phases or None), how=" (sampled)")
    yield from _counters(request, spans)


def _spans(request: Request) -> list[SpanRow]:
    """The clean pass' spans, outer ones first: the phases that were asked for, and what lies in them."""
    clean = {span.id: span for span in request.profile.spans if span.pass_name == "clean"}

    def phase_of(span: SpanRow | None) -> str | None:
        while span is not None and span.name not in ORDER:
            span = clean.get(span.parent) if span.parent is not None else None
        return span.name if span is not None else None

    wanted = [span for span in clean.values() if not request.phases or phase_of(span) in request.phases]
    return sorted(wanted, key=lambda span: (span.start_ns, -span.wall_ns, span.id))


def _track(thread: int, spans: Iterable[SpanRow]) -> Iterator[str]:
    """Spans of one thread: each ends within the one around it, though their edges were read one by one."""
    ends: list[int] = []
    for span in spans:
        while ends and ends[-1] <= span.start_ns:
            ends.pop()
        end = span.start_ns + span.wall_ns
        end = min(end, ends[-1]) if ends else end
        ends.append(end)
        yield complete(PID, thread, span.start_ns, end - span.start_ns, _tail(span))


def _tail(span: SpanRow) -> str:
    number = span.step if span.name == "step" else span.repetition if span.name == "request" else None
    name = span.name if number is None else f"{span.name} {number}"
    counted = {field: getattr(span, field) for field in COUNTED}
    known = {field: value for field, value in counted.items() if value is not None}
    fields = {"name": one_line(name), "cat": "phase" if span.name in ORDER else "part", "args": known}
    return json.dumps(fields, separators=(",", ":"))[1:]


def _counters(request: Request, spans: list[SpanRow]) -> Iterator[str]:
    """Gauges of bytes; of chosen phases those within them."""
    edges = [(span.start_ns, span.start_ns + span.wall_ns) for span in spans if span.name in request.phases]
    for gauge in request.profile.gauges:
        if gauge.pass_name != "clean" or not gauge.name.endswith("_bytes"):
            continue
        if request.phases and not any(begin <= gauge.time_ns <= end for begin, end in edges):
            continue
        name = json.dumps(one_line(gauge.name))
        head = f'{{"ph":"C","pid":{PID},"tid":0,"cat":"gauge","ts":{micros(gauge.time_ns)}'
        yield f'{head},"name":{name},"args":{{"bytes":{round(gauge.value)}}}}}'
