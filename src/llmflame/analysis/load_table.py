"""Loading as a table: what was read and mapped, and one row for each kind of transfer."""

from __future__ import annotations

from llmflame.analysis.load_anatomy import NOTABLE_BYTES, LoadAnatomy, Move, load_anatomy
from llmflame.analysis.paging import warmth
from llmflame.analysis.tables import Column, Row, Table, ratio
from llmflame.store.profile import Profile
from llmflame.units import human_bytes, human_rate, percent

COLUMNS = (
    Column("what", "text", "What"),
    Column("part", "text", "Part"),
    Column("source", "text", "From"),
    Column("target", "text", "To"),
    Column("memory", "text", "Host memory"),
    Column("calls", "count", "Calls"),
    Column("source_bytes", "bytes", "Read"),
    Column("target_bytes", "bytes", "Written"),
    Column("time_ns", "ns", "Time"),
    Column("share", "share", "Of load"),
    Column("rate", "text", "Rate"),
    Column("ceiling", "text", "Reachable"),
    Column("bytes_per_s", "any", "Bytes/s", shown=False),
    Column("ceiling_bytes_per_s", "any", "Reachable bytes/s", shown=False),
    Column("traced_ns", "ns", "As traced", shown=False),
)
HOST_MEMORY = "address space"
_REST = (None,) * 5
"""No rates: storage reads ahead, and mapping moves nothing."""


def load_table(profile: Profile) -> Table:
    """Rows for what was read and mapped first, then transfers by time; notes about what was held twice."""
    load = load_anatomy(profile)
    if load is None:
        return Table("load", COLUMNS, (), ("This profile has no load in it.",))
    rows: list[Row] = []
    if load.read_bytes is not None:
        waited = load.disk_wait_ns
        share = None if waited is None else ratio(waited, load.wall_ns)
        rows.append(
            ("read", None, "storage", "page cache", None, None, load.read_bytes, None, waited, share, *_REST)
        )
    if load.mapped_bytes is not None:
        mapped = max(load.mapped_bytes, 0)  # a load may unmap more than it maps
        rows.append(
            ("mapped at its end", None, "page cache", HOST_MEMORY, None, None, mapped, *[None] * 3, *_REST)
        )
    rows += [_row(move) for move in load.moves]
    return Table("load", COLUMNS, tuple(rows), tuple(_notes(profile, load)))


def _row(move: Move) -> Row:
    row = move.row
    large = row.target_bytes >= NOTABLE_BYTES  # what a single number's copy takes is the call
    memory = None if row.pinned is None else "pinned" if row.pinned else "pageable"
    return (
        row.kind,
        row.part or None,
        row.source,
        row.target,
        memory,
        row.calls,
        row.source_bytes,
        row.target_bytes,
        round(move.time_ns),
        move.share,
        _rate(move.bytes_per_s) if large else None,
        _rate(move.ceiling_bytes_per_s) if large else None,
        move.bytes_per_s,
        move.ceiling_bytes_per_s,
        row.wall_ns,
    )


def _rate(bytes_per_s: float | None) -> str | None:
    return None if bytes_per_s is None else human_rate(bytes_per_s, "bytes/s")


def _notes(profile: Profile, load: LoadAnatomy) -> list[str]:
    notes = []
    sizes = [
        f"{human_bytes(size)} {where}"
        for size, where in (
            (load.checkpoint_bytes, "in the checkpoint's files"),
            (load.weights_bytes, "in memory"),
        )
        if size is not None
    ]
    if sizes:
        notes.append(f"The weights: {', '.join(sizes)}.")
    if load.cached_share is not None:
        notes.append(
            f"Before the load {percent(load.cached_share)} of them was cached: {warmth(load.cached_share)}."
        )
    notes += [f"{sentence}." for sentence in load.double_copies]
    if not load.known:
        notes.append("What the load copied is not known: it was not traced, or by an older release.")
        return notes
    if load.moves:
        notes.append(
            "Times of the host are those of a traced load by one thread, scaled to the undisturbed one, "
            "whose threads may overlap; a device's are its own. A copy within one memory reads and writes: "
            "its rate counts both."
        )
    large = any(one.row.target_bytes >= NOTABLE_BYTES for one in load.moves)
    if not large and str(profile.subject.get("device")) == "cpu":
        notes.append(
            "No weights were copied: they lie in the checkpoint's mapped pages, and the first forward pass "
            "pays for bringing them into memory."
        )
    return notes
