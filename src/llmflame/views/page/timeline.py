"""The page's timeline: windows of which it is known what happened when.

A traced window has the main thread's slices, where other threads were, each stream's work, the device's gaps
by cause, and memory as it was read meanwhile. Of the clean pass there are its phases and steps, and of its
cold start the threads as they were sampled. Times are differences in nanoseconds,
which compress; nodes are numbered as they first appear.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from llmflame.analysis.idle_gaps import idle_gaps
from llmflame.analysis.kept_slices import unkept
from llmflame.analysis.memory.series import series
from llmflame.analysis.phases import ORDER
from llmflame.analysis.thread_lanes import ThreadLane, sampled_lanes, traced_lanes
from llmflame.store.model import Frame
from llmflame.store.profile import Profile
from llmflame.store.rows import DeviceWorkRow, SliceRow, SpanRow, WindowRow
from llmflame.views.page.curves import HOST
from llmflame.views.page.document import StringTable
from llmflame.views.page.lanes import NodeTable, differences

MOST_EVENTS = 200_000
"""Slices, works and spans of a page, about 3 bytes each in it: windows that don't fit are left out whole, the
shortest first, and named."""
MOST_READINGS = 600
MOST_REQUESTS = 8
MOST_THREADS = 32
"""Lanes of threads below each other; those that did least are left out and counted."""
DEVICE = ("device_allocated_bytes", "device_used_bytes")


def timeline_data(profile: Profile) -> dict[str, object] | None:
    """None where no span was timed."""
    strings = StringTable()
    nodes = NodeTable(profile, strings)
    traced, left_out = _chosen(profile)
    windows = [*(_traced(profile, nodes, *one) for one in traced), *_clean(profile, nodes)]
    if not windows:
        return None
    without = unkept(profile)
    return {
        "windows": windows,
        "left_out": [row.label for row in left_out],
        "too_many": [row.label for row in without.too_many],
        "unknown": [row.label for row in without.unknown],
        "without_threads": [row.label for row in without.threads],
        "nodes": nodes.encoded(),
        "strings": strings.values,
    }


Parts = tuple[WindowRow, Sequence[SliceRow], Sequence[DeviceWorkRow], Sequence[ThreadLane]]


def _chosen(profile: Profile) -> tuple[list[Parts], list[WindowRow]]:
    """The traced windows that fit, in order of the run, and those that don't."""
    slices: dict[int, list[SliceRow]] = defaultdict(list)
    works: dict[int, list[DeviceWorkRow]] = defaultdict(list)
    for piece in profile.slices:
        slices[piece.window].append(piece)
    for work in profile.device_work:
        works[work.window].append(work)
    lanes = traced_lanes(profile)
    known = [row for row in profile.windows if row.kind == "traced" and slices[row.id]]
    kept, left_out, room = set(), [], MOST_EVENTS
    for row in sorted(known, key=lambda row: -row.wall_ns):
        size = len(slices[row.id]) + len(works[row.id])
        size += sum(len(lane.stays) for lane in lanes.get(row.id, ()))
        if size > room:
            left_out.append(row)
        else:
            kept.add(row.id)
            room -= size
    chosen: list[Parts] = [
        (row, slices[row.id], works[row.id], lanes.get(row.id, [])) for row in known if row.id in kept
    ]
    return chosen, left_out


def _traced(
    profile: Profile,
    nodes: NodeTable,
    row: WindowRow,
    slices: Sequence[SliceRow],
    works: Sequence[DeviceWorkRow],
    lanes: Sequence[ThreadLane],
) -> dict[str, object]:
    seen: list[tuple[int, int]] = []
    for piece in slices:
        node = nodes.shown(piece.node)
        if not seen or seen[-1][0] != node:
            seen.append((node, min(max(piece.start_ns, seen[-1][1] if seen else 0), row.wall_ns)))
    ordered = sorted(works, key=lambda work: (work.start_ns, work.end_ns))
    gaps = idle_gaps(profile, row, slices, works)
    span = _span_of(profile, row)
    return {
        "id": f"{row.span_name}.{row.step}" if row.step is not None else row.span_name,
        "label": row.label,
        "phase": row.span_name,
        "step": row.step,
        "traced": True,
        "wall_ns": row.wall_ns,
        "dropped": row.dropped or 0,
        "slices": {
            "node": differences(node for node, _ in seen),
            "start": differences(start for _, start in seen),
        },
        **_threads(nodes, lanes, 0, row.wall_ns),
        "works": {
            "node": differences(nodes.shown(work.node) for work in ordered),
            "stream": [work.stream for work in ordered],
            "start": differences(work.start_ns for work in ordered),
            "duration": [max(work.end_ns - work.start_ns, 0) for work in ordered],
            "ago": [-1 if work.launched_ns is None else work.start_ns - work.launched_ns for work in ordered],
            "bytes": [-1 if work.bytes is None else work.bytes for work in ordered],
        },
        "gaps": {
            "start": differences(gap.start_ns for gap in gaps),
            "duration": [gap.end_ns - gap.start_ns for gap in gaps],
            "cause": [gap.cause for gap in gaps],
        },
        "memory": [] if span is None else _memory(profile, row.pass_name, span.start_ns, row.wall_ns),
    }


def _threads(
    nodes: NodeTable, lanes: Sequence[ThreadLane], begin: int, wall: int, how: str = ""
) -> dict[str, object]:
    """Threads below each other, from an instant on; `how` they were seen is part of what they are called."""
    busiest = set(sorted(range(len(lanes)), key=lambda number: -lanes[number].busy_ns)[:MOST_THREADS])
    found = []
    for number, lane in enumerate(lanes):
        if number not in busiest:
            continue
        stays = [
            (nodes.shown(node), max(start - begin, 0), min(end - begin, wall))
            for node, start, end in lane.stays
        ]
        inside = [stay for stay in stays if stay[2] > stay[1]]
        found.append(
            {
                "label": lane.label + how,
                "node": differences(node for node, _, _ in inside),
                "start": differences(start for _, start, _ in inside),
                "duration": [end - start for _, start, end in inside],
            }
        )
    return {"threads": found, "more_threads": len(lanes) - len(found)}


def _span_of(profile: Profile, row: WindowRow) -> SpanRow | None:
    """The span in which a window was traced: it tells when."""
    name = "step" if row.step is not None else row.span_name
    for span in profile.spans:
        traced = span.pass_name == row.pass_name and span.treatment == "traced"
        if traced and span.name == name and span.step == row.step:
            return span
    return None


def _memory(profile: Profile, pass_name: str, begin: int, wall: int) -> list[dict[str, object]]:
    """What was read of memory in a stretch of a pass, as lines; none where less than two readings tell a
    line."""
    gauges = series(profile, pass_name)
    resident = [gauges[name] for name in HOST.values() if name in gauges] or [
        gauges[name] for name in ("rss_bytes",) if name in gauges
    ]
    found: list[dict[str, object]] = []
    device = next(([gauges[name]] for name in DEVICE if name in gauges), [])
    for label, parts in (("host, resident", resident), ("device", device)):
        times = sorted({time for part in parts for time, _ in part.within(begin, begin + wall)})
        if len(times) < 2:
            continue
        stride = -(-len(times) // MOST_READINGS)
        kept = times[::stride]
        values = [round(sum(part.at(time) or 0 for part in parts)) for time in kept]
        found.append(
            {
                "label": label,
                "time": differences(time - begin for time in kept),
                "bytes": differences(values),
            }
        )
    return found


def _clean(profile: Profile, nodes: NodeTable) -> Iterable[dict[str, object]]:
    """The cold start and the first requests, as they went with nothing attached but two hooks."""
    spans = [span for span in profile.spans if span.pass_name == "clean"]
    cold = [span for span in spans if span.repetition is None and span.name != "request"]
    if cold:
        # The main thread last: imports nest sixty deep, and what lay below them nobody would find.
        lanes = sorted(sampled_lanes(profile), key=lambda lane: lane.is_main)
        yield _stretch(profile, nodes, "start", "cold start", cold, lanes)
    requests = sorted({span.repetition for span in spans if span.repetition is not None})
    for number in requests[:MOST_REQUESTS]:
        own = [span for span in spans if span.repetition == number and span.name != "request"]
        if own:
            label = f"request {number + 1}" if len(requests) > 1 else "request"
            yield _stretch(profile, nodes, f"request.{number + 1}", label, own)


def _stretch(
    profile: Profile,
    nodes: NodeTable,
    key: str,
    label: str,
    spans: list[SpanRow],
    lanes: Sequence[ThreadLane] = (),
) -> dict[str, object]:
    """Spans as boxes: phases first, what lies in them below."""
    begin = min(span.start_ns for span in spans)
    wall = max(span.start_ns + span.wall_ns for span in spans) - begin
    ordered = sorted(spans, key=lambda span: (span.start_ns, -span.wall_ns, span.id))[:MOST_EVENTS]
    phases = {span.id: span.name for span in spans if span.name in ORDER}
    return {
        "id": key,
        "label": label,
        "phase": None,
        "step": None,
        "traced": False,
        "wall_ns": wall,
        "dropped": 0,
        "spans": {
            "node": differences(
                nodes.of_span(_frame(span), phases.get(span.parent or -1)) for span in ordered
            ),
            "start": differences(span.start_ns - begin for span in ordered),
            "duration": [span.wall_ns for span in ordered],
        },
        **_threads(nodes, lanes, begin, wall, ", sampled"),
        "memory": _memory(profile, "clean", begin, wall),
    }


def _frame(span: SpanRow) -> Frame:
    if span.name in ORDER:
        return Frame("phase", span.name)
    return Frame("other", span.name if span.step is None else f"{span.name} {span.step}")
