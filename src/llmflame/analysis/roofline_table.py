"""Prefill and decode against the ceilings, one row a phase, in milliseconds a step."""

from __future__ import annotations

from llmflame.analysis.ceiling import Ceilings, Rates
from llmflame.analysis.roofline import PARTS, Roofline
from llmflame.analysis.tables import Column, Row, Table
from llmflame.units import human_rate

COLUMNS = (
    Column("phase", "text", "Phase"),
    Column("steps", "count", "Steps"),
    Column("step_ns", "ns", "Step"),
    Column("floor_ns", "ns", "Floor"),
    Column("launch_gaps_ns", "ns", "Launch gaps"),
    Column("synchronisation_ns", "ns", "Sync"),
    Column("copies_ns", "ns", "Copies"),
    Column("elementwise_ns", "ns", "Element-wise"),
    Column("low_occupancy_ns", "ns", "Low occupancy"),
    Column("other_ns", "ns", "Other"),
    Column("mbu", "share", "MBU"),
    Column("mbu_published", "share", "of published", shown=False),
    Column("mfu", "share", "MFU"),
    Column("mfu_published", "share", "of published", shown=False),
    Column("flops", "flop", "FLOP", shown=False),
    Column("weight_bytes", "bytes", "Weights read", shown=False),
    Column("kv_bytes", "bytes", "KV read", shown=False),
    Column("known_share", "share", "Work known"),
)


def roofline_table(found: list[Roofline], limits: Ceilings) -> Table:
    """Times are of one step: the phase's divided by its steps. The parts and the floor add up to `step_ns`.

    `mbu` and `mfu` are of the measured ceilings, where there are any; `..._published` of the maker's.
    """
    return Table("roofline", COLUMNS, tuple(_row(one) for one in found), _notes(limits))


def _row(one: Roofline) -> Row:
    steps = max(one.steps, 1)

    def each(value: float) -> int:
        return round(value / steps)

    parts = {part: each(one.parts[part]) for part in PARTS}
    return (
        one.phase,
        one.steps,
        each(one.wall_ns),
        None if one.floor_ns is None else parts["floor"],
        parts["launch gaps"],
        parts["synchronisation"],
        parts["copies"],
        parts["element-wise"],
        parts["low occupancy"],
        parts["other"],
        one.mbu if one.mbu is not None else one.mbu_published,
        one.mbu_published,
        one.mfu if one.mfu is not None else one.mfu_published,
        one.mfu_published,
        each(one.flops) or None,
        each(one.weight_bytes) or None,
        None if one.kv_bytes is None else each(one.kv_bytes),
        one.known_share,
    )


def _notes(limits: Ceilings) -> tuple[str, ...]:
    notes = [_rates("Measured", limits.measured), _rates("Published", limits.published)]
    known = [note for note in notes if note]
    if not known:
        return (
            f"No ceiling of {limits.device} is known: `llmflame machine --measure` measures this machine's, "
            "and profiles recorded after that carry them.",
        )
    where = f"Ceilings of {limits.device}, {limits.dtype}. "
    return (where + " ".join(known),)


def _rates(label: str, rates: Rates) -> str:
    words = []
    if rates.bytes_per_s is not None:
        words.append(human_rate(rates.bytes_per_s, "bytes/s"))
    if rates.flop_per_s is not None:
        words.append(human_rate(rates.flop_per_s, "FLOP/s"))
    return f"{label}: {', '.join(words)}." if words else ""
