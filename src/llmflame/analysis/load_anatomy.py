"""What loading a model did with bytes: read, mapped, copied, converted, moved to the device, and twice."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from llmflame.analysis.ceiling import SECTION
from llmflame.analysis.paging import mapped_bytes, weights_cached_share
from llmflame.analysis.phases import parts_of, phase_spans
from llmflame.analysis.tables import ratio
from llmflame.store.profile import Profile
from llmflame.store.rows import SpanRow, TransferRow
from llmflame.units import human_bytes, human_time_ns, percent

LOAD = "load"
HOST = "cpu"
ACROSS = ("to device", "from device", "on device")
"""Kinds whose source and target lie in different places."""
NOTABLE_BYTES = 1 << 20
"""Single numbers and tables of positions are copied in every load; weights are larger."""
MOVED_AGAIN = 1.05
"""Bytes moved to the device over those of the weights there: buffers are moved too."""


@dataclass(frozen=True, slots=True)
class Move:
    """One kind of transfer, with what it took of the undisturbed load."""

    row: TransferRow
    time_ns: float
    """Of the host: as traced, times how much faster the undisturbed part of the load was; a device's own."""
    share: float | None
    """Of the undisturbed load."""
    bytes_per_s: float | None
    """As traced. In one place bytes are read and written, and both count; across places once."""
    ceiling_bytes_per_s: float | None
    """What the machine was measured to reach in such a copy."""

    @property
    def source(self) -> tuple[str, str]:
        """(dtype, place); an empty dtype where it isn't known."""
        return _split(self.row.source)

    @property
    def target(self) -> tuple[str, str]:
        """(dtype, place)."""
        return _split(self.row.target)

    @property
    def in_host_memory(self) -> bool:
        """Do source and target both lie there?"""
        return self.source[1] == self.target[1] == HOST


@dataclass(frozen=True, slots=True)
class LoadAnatomy:
    """None for what isn't known."""

    wall_ns: int
    """Of the undisturbed load."""
    checkpoint_bytes: float | None
    """Of the weights' files."""
    cached_share: float | None
    """Of those files, in the page cache before the load."""
    read_bytes: int | None
    """From storage."""
    disk_wait_ns: int | None
    mapped_bytes: int | None
    """Resident pages of files, as many more as before the load when it ended."""
    peak_rss_bytes: int | None
    weights_bytes: float | None
    """Of the parameters in memory."""
    moves: tuple[Move, ...]
    """The largest times first."""
    known: bool
    """Were transfers looked for? Where not, `moves` is empty for no reason."""

    @property
    def copied_bytes(self) -> int:
        """Written by copies in host memory that changed nothing."""
        return sum(
            one.row.target_bytes for one in self.moves if one.row.kind == "copy" and one.in_host_memory
        )

    @property
    def conversions(self) -> tuple[Move, ...]:
        """What changed the dtype of more than a few numbers."""
        return tuple(
            one for one in self.moves if one.row.kind == "convert" and one.row.source_bytes >= NOTABLE_BYTES
        )

    @property
    def to_device_bytes(self) -> int:
        """Moved from the host to a device."""
        return sum(one.row.target_bytes for one in self.moves if one.row.kind == "to device")

    @property
    def double_copies(self) -> tuple[str, ...]:
        """Sentences about bytes that were written more than once, or are held twice meanwhile."""
        return tuple(_double_copies(self))


def load_anatomy(profile: Profile) -> LoadAnatomy | None:
    """What the load did; None where none was recorded."""
    clean = next((span for span in phase_spans(profile) if span.name == LOAD), None)
    if clean is None:
        return None
    rows = [row for row in profile.transfers if row.span_name == LOAD]
    pace = _pace(profile, clean)
    moves = [_move(profile, row, clean, pace.get(row.part, pace[""])) for row in rows]
    looked = any(one.probe == "transfers" and one.name == f"kinds in {LOAD}" for one in profile.probe_reports)
    return LoadAnatomy(
        wall_ns=clean.wall_ns,
        checkpoint_bytes=_number(profile, "weight_bytes"),
        cached_share=weights_cached_share(profile),
        read_bytes=clean.read_bytes,
        disk_wait_ns=clean.disk_wait_ns,
        mapped_bytes=mapped_bytes(profile, clean),
        peak_rss_bytes=clean.peak_rss_bytes,
        weights_bytes=_number(profile, "weights_in_memory_bytes"),
        moves=tuple(sorted(moves, key=lambda one: -one.time_ns)),
        known=looked or bool(rows),
    )


def _pace(profile: Profile, clean: SpanRow) -> dict[str, float]:
    """Undisturbed time over traced, by part of the load; the whole load's by the empty name.

    At most 1: what an undisturbed load takes longer than the traced one that follows it is the storage's
    time, not that of copies.
    """
    spans = [span for span in profile.spans if span.pass_name == "anatomy" and span.name == LOAD]
    if not spans:
        return {"": 1.0}
    traced = spans[0]
    pace = {"": min(ratio(clean.wall_ns, traced.wall_ns) or 1.0, 1.0)}
    parts = {part.name: part.wall_ns for part in parts_of(profile, traced)}
    for part in parts_of(profile, clean):
        if parts.get(part.name):
            pace[part.name] = min(part.wall_ns / parts[part.name], 1.0)
    return pace


def _move(profile: Profile, row: TransferRow, clean: SpanRow, pace: float) -> Move:
    (_, source), (_, target) = _split(row.source), _split(row.target)
    on_host = source == target == HOST
    time_ns = min(row.wall_ns * (pace if on_host else 1.0), float(clean.wall_ns))
    moved = (
        row.target_bytes if row.kind in ACROSS and source != target else row.source_bytes + row.target_bytes
    )
    return Move(
        row=row,
        time_ns=time_ns,
        share=ratio(time_ns, clean.wall_ns),
        bytes_per_s=moved / row.wall_ns * 1e9 if row.wall_ns else None,
        ceiling_bytes_per_s=_ceiling(profile, row, on_host=on_host),
    )


def _ceiling(profile: Profile, row: TransferRow, *, on_host: bool) -> float | None:
    """The rate that was measured for such a copy, in the same count of bytes."""
    if row.kind in ("copy", "convert"):
        name = "host copy" if on_host else "device copy"
    elif row.pinned is None or row.kind == "on device":
        return None
    elif row.kind == "to device":
        name = f"host to device {'pinned' if row.pinned else 'pageable'}"
    elif row.pinned:
        name = "device to host pinned"
    else:
        return None
    known = {(fact.section, fact.name): fact.value for fact in profile.machine}
    value = known.get((SECTION if on_host else _device_section(profile), name))
    return float(value) if isinstance(value, int | float) and value > 0 else None


def _device_section(profile: Profile) -> str:
    """Several models of GPUs have a section of ceilings each."""
    device = profile.subject.get("device_name")
    for fact in profile.machine:
        own = fact.name == "measured device" and fact.value == device
        if own and device is not None and fact.section.startswith(SECTION):
            return fact.section
    return SECTION


def _double_copies(load: LoadAnatomy) -> Iterable[str]:
    for one in load.conversions:
        (narrow, place), (wide, _) = one.source, one.target
        where = "in host memory" if one.in_host_memory else f"on {place}"
        held = (
            "the checkpoint's pages and the copies" if one.in_host_memory else "what was moved and the copies"
        )
        yield (
            f"{human_bytes(one.row.source_bytes)} of {narrow} were converted into "
            f"{human_bytes(one.row.target_bytes)} of {wide} {where} ({_took(load, [one])}): "
            f"{held} are resident together"
        )
    copies = [one for one in load.moves if one.row.kind == "copy" and one.in_host_memory]
    if load.copied_bytes >= NOTABLE_BYTES:
        yield (
            f"{human_bytes(load.copied_bytes)} were copied in host memory without a change "
            f"({_took(load, copies)}): the checkpoint's pages and the copies are resident together"
        )
    written = sum(one.row.target_bytes for one in load.moves if one.in_host_memory)
    moved = load.to_device_bytes
    if min(written, moved) >= NOTABLE_BYTES:
        crossing = [one for one in load.moves if one.row.kind == "to device"]
        yield (
            f"{human_bytes(min(written, moved))} were written in host memory before they were moved to the "
            f"device ({human_bytes(moved)} in {_took(load, crossing)})"
        )
    if load.weights_bytes and moved > load.weights_bytes * MOVED_AGAIN + NOTABLE_BYTES:
        yield (
            f"{human_bytes(moved)} were moved to the device, the weights are "
            f"{human_bytes(load.weights_bytes)}: some were moved more than once, or in a wider dtype"
        )


def _took(load: LoadAnatomy, moves: list[Move]) -> str:
    time_ns = sum(one.time_ns for one in moves)
    return f"{human_time_ns(time_ns)}, {percent(min(time_ns / load.wall_ns, 1.0))} of the load"


def _split(words: str) -> tuple[str, str]:
    """`bfloat16 cpu` as its dtype and place; a place alone has no dtype."""
    dtype, _, place = words.rpartition(" ")
    return dtype, place


def _number(profile: Profile, name: str) -> float | None:
    value = profile.subject.get(name)
    return value if isinstance(value, int | float) else None
