"""The decode steps, each over its clean repetitions, with what else was done to it in the anatomy pass."""

from __future__ import annotations

from collections import defaultdict
from statistics import median

from llmflame.analysis.memory.step_bytes import StepBytes, step_bytes
from llmflame.analysis.phases import decode_steps
from llmflame.analysis.tables import Column, Row, Table, ratio
from llmflame.store.profile import Profile
from llmflame.store.rows import SpanRow

COLUMNS = (
    Column("step", "index", "Step"),
    Column("kv_tokens", "index", "KV tokens"),
    Column("wall_ns", "ns", "Wall median"),
    Column("min_ns", "ns", "Min"),
    Column("max_ns", "ns", "Max"),
    Column("on_cpu_share", "share", "On CPU"),
    Column("run_queue_ns", "ns", "Run queue"),
    Column("minor_faults", "count", "Minor faults"),
    Column("rss_delta_bytes", "bytes", "RSS +/-"),
    Column("rss_bytes", "bytes", "RSS", shown=False),
    Column("heap_bytes", "bytes", "Heap", shown=False),
    Column("kv_cache_bytes", "bytes", "KV cache", shown=False),
    Column("device_bytes", "bytes", "Device", shown=False),
    Column("device_peak_bytes", "bytes", "Device peak", shown=False),
    Column("repetitions", "count", "Repetitions", shown=False),
    Column("anatomy", "text", "Anatomy"),
)
SLOWEST = 5


def steps_table(profile: Profile) -> Table:
    """One row a decode step of the clean pass; medians over its repetitions.

    `rss_delta_bytes` is the change of the resident set since the step before. `anatomy` tells whether the
    step was traced or anchored (timed under module hooks) in the anatomy pass. Heap, cache and the device's
    bytes are those of the request that the memory pass counted, when the step began; the peak is the step's.
    """
    by_step: dict[int, list[SpanRow]] = defaultdict(list)
    deltas: dict[int, list[int]] = defaultdict(list)
    before: SpanRow | None = None
    for span in decode_steps(profile):
        by_step[span.step or 0].append(span)
        if (
            before is not None
            and before.repetition == span.repetition
            and before.rss_bytes
            and span.rss_bytes
        ):
            deltas[span.step or 0].append(span.rss_bytes - before.rss_bytes)
        before = span
    treatments, held = _treatments(profile), step_bytes(profile)
    rows = [
        _row(step, spans, deltas.get(step, []), treatments.get(step, set()), held.get(step, StepBytes()))
        for step, spans in sorted(by_step.items())
    ]
    return Table("steps", COLUMNS, tuple(rows))


def compact(table: Table, limit: int) -> Table:
    """About `limit` rows of many: first and last, every k-th and the slowest, with a note that says so."""
    rows = table.rows
    if len(rows) <= limit:
        return table
    wall = table.place("wall_ns")
    by_time = sorted(range(len(rows)), key=lambda i: -int(rows[i][wall] or 0))
    slowest = by_time[:SLOWEST]
    room = max(limit - len(slowest) - 2, 1)
    stride = -(-len(rows) // room)
    kept = sorted({0, len(rows) - 1, *slowest, *range(0, len(rows), stride)})[: max(limit, 1)]
    note = (
        f"{len(kept)} of {len(rows):,} steps: every {stride}th, the {len(slowest)} slowest, first and last. "
        f"--limit {len(rows)} shows all."
    )
    return Table(table.view, table.columns, tuple(rows[number] for number in kept), (*table.notes, note))


def _treatments(profile: Profile) -> dict[int, set[str]]:
    found: dict[int, set[str]] = defaultdict(set)
    for span in profile.spans:
        if span.pass_name == "anatomy" and span.name == "step" and span.treatment in ("traced", "anchored"):
            found[span.step or 0].add(span.treatment)
    return found


def _row(step: int, spans: list[SpanRow], deltas: list[int], treatments: set[str], held: StepBytes) -> Row:
    walls = [span.wall_ns for span in spans]
    timed = [span for span in spans if span.thread_cpu_ns is not None]
    on_cpu = sum(min(span.thread_cpu_ns or 0, span.wall_ns) for span in timed)
    kv = [span.kv_tokens for span in spans if span.kv_tokens is not None]
    return (
        step,
        kv[0] if kv else None,
        round(median(walls)),
        min(walls),
        max(walls),
        ratio(on_cpu, sum(span.wall_ns for span in timed)),
        _median([span.run_queue_ns for span in spans]),
        _median([span.minor_faults for span in spans]),
        round(median(deltas)) if deltas else None,
        _median([span.rss_bytes for span in spans]),
        held.heap,
        held.kv_cache,
        _median([span.device_bytes for span in spans]) if held.device is None else held.device,
        _median([span.device_peak_bytes for span in spans]) if held.device_peak is None else held.device_peak,
        len(spans),
        ", ".join(sorted(treatments, reverse=True)) or None,
    )


def _median(values: list[int | None]) -> int | None:
    known = [value for value in values if value is not None]
    return round(median(known)) if known else None
