"""All phases and their marked parts: time, what it waited for, memory, bytes read, faults."""

from __future__ import annotations

from llmflame.analysis.coverage import wall_coverage
from llmflame.analysis.paging import mapped_bytes, page_fault_ns, warmth, weights_cached_share
from llmflame.analysis.phases import gap_ns, parts_of, phase_spans, run_wall_ns, waiting
from llmflame.analysis.tables import Column, Row, Table, check_phases, ratio
from llmflame.analysis.tree import Tree
from llmflame.store.profile import Profile
from llmflame.store.rows import SpanRow
from llmflame.units import percent

COLUMNS = (
    Column("phase", "text", "Phase"),
    Column("part", "text", "Part", shown=False),
    Column("wall_ns", "ns", "Wall"),
    Column("share", "share", "Share"),
    Column("on_cpu_ns", "ns", "On CPU"),
    Column("run_queue_ns", "ns", "Run queue"),
    Column("disk_ns", "ns", "Disk"),
    Column("other_ns", "ns", "Other"),
    Column("host_peak_bytes", "bytes", "Peak RSS"),
    Column("device_peak_bytes", "bytes", "Device peak"),
    Column("read_bytes", "bytes", "Read"),
    Column("mapped_bytes", "bytes", "Mapped"),
    Column("minor_faults", "count", "Minor flt"),
    Column("major_faults", "count", "Major flt"),
    Column("page_fault_ns", "ns", "Faulting"),
    Column("coverage", "share", "Named"),
)


def phases_table(profile: Profile, tree: Tree, phases: tuple[str, ...] = ()) -> Table:
    """One row a phase in the order of the run, its parts below it; `share` is of the run."""
    spans = phase_spans(profile)
    check_phases(phases, [span.name for span in spans])
    whole, coverage = run_wall_ns(profile), wall_coverage(tree)
    rows: list[Row] = []
    for span in spans:
        if phases and span.name not in phases:
            continue
        rows.append(_row(profile, span, (span.name, None), whole, coverage.get(span.name)))
        rows += [_row(profile, part, (span.name, part.name), whole, None) for part in parts_of(profile, span)]
    gap = gap_ns(profile)
    notes: tuple[str, ...] = ()
    if gap and not phases:
        rows.append(("between phases", None, gap, ratio(gap, whole), *[None] * 11, 0.0))
        notes = ("Between phases of a request the recorder reads memory peaks.",)
    cached = weights_cached_share(profile)
    if cached is not None:
        notes += (f"Before the load {percent(cached)} of the weights' file was cached: {warmth(cached)}.",)
    return Table("phases", COLUMNS, tuple(rows), notes)


def _row(
    profile: Profile, span: SpanRow, names: tuple[str, str | None], whole: int, coverage: float | None
) -> Row:
    parts, (phase, part) = waiting(span), names
    return (
        phase,
        part,
        span.wall_ns,
        ratio(span.wall_ns, whole),
        parts.on_cpu_ns,
        parts.run_queue_ns,
        parts.disk_ns,
        parts.other_ns,
        span.peak_rss_bytes,
        span.device_peak_bytes,
        span.read_bytes,
        mapped_bytes(profile, span) if part is None else None,
        span.minor_faults,
        span.major_faults,
        page_fault_ns(profile, span),
        coverage,
    )
