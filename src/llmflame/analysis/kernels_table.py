"""The work of the device: one row a kernel or copy, by its time."""

from __future__ import annotations

from dataclasses import dataclass, field

from llmflame.analysis.coverage import phases_of
from llmflame.analysis.idle_table import NO_GPU
from llmflame.analysis.kernel_name import fused_ops, short_kernel_name
from llmflame.analysis.tables import Column, Row, Table, check_phases, ratio
from llmflame.analysis.tree import Tree
from llmflame.store import metrics
from llmflame.store.rows import IMPORTED

COLUMNS = (
    Column("name", "text", "Kernel or copy"),
    Column("full_name", "text", "Full name", shown=False),
    Column("kind", "text", "Kind"),
    Column("operators", "text", "Launched by"),
    Column("fuses", "text", "Fuses", shown=False),
    Column("device_ns", "ns", "Device time"),
    Column("share", "share", "Share"),
    Column("calls", "count", "Calls"),
    Column("device_avg_ns", "ns", "Average"),
    Column("low_occupancy_share", "share", "Small grid"),
    Column("copied_bytes", "bytes", "Copied"),
)
PHASES = ("prefill", "decode", IMPORTED)
OPERATORS_SHOWN = 3


@dataclass(slots=True)
class _Sums:
    device_ns: float = 0.0
    calls: float = 0.0
    low_ns: float = 0.0
    copied: float = 0.0
    operators: dict[str, float] = field(default_factory=dict)


def kernels_table(tree: Tree, phases: tuple[str, ...] = ()) -> Table:
    """One row a kernel or copy over `phases` (`PHASES` if none are given), by device time."""
    where = phases_of(tree)
    check_phases(phases, list(dict.fromkeys(name for name in where if name != "run")))
    if metrics.DEVICE.name not in tree.selfs:
        return Table("kernels", COLUMNS, (), (NO_GPU,))
    wanted = phases or PHASES
    empty = [0.0] * len(tree)
    columns = [
        tree.selfs.get(metric.name, empty)
        for metric in (metrics.DEVICE, metrics.CALLS, metrics.LOW_OCCUPANCY, metrics.COPIED)
    ]
    found: dict[tuple[str, str], _Sums] = {}
    operators = _operators(tree)
    for node, phase in enumerate(where):
        frame = tree.frame(node)
        if phase not in wanted or frame.kind not in ("kernel", "copy"):
            continue
        sums = found.setdefault((frame.name, frame.kind), _Sums())
        took, calls, low, copied = (column[node] for column in columns)
        sums.device_ns += took
        sums.calls += calls
        sums.low_ns += low
        sums.copied += copied
        operator = operators[node]
        if operator is not None:
            sums.operators[operator] = sums.operators.get(operator, 0.0) + took
    whole = sum(sums.device_ns for sums in found.values())
    ranked = sorted(found.items(), key=lambda item: -item[1].device_ns)
    return Table("kernels", COLUMNS, tuple(_row(name, kind, sums, whole) for (name, kind), sums in ranked))


def _operators(tree: Tree) -> list[str | None]:
    """By node: the innermost operator at or above it."""
    found: list[str | None] = []
    for node, parent in enumerate(tree.parents):
        frame = tree.frame(node)
        found.append(frame.name if frame.kind == "op" else found[parent] if parent >= 0 else None)
    return found


def _row(name: str, kind: str, sums: _Sums, whole: float) -> Row:
    launched = sorted(sums.operators, key=lambda operator: -sums.operators[operator])
    return (
        short_kernel_name(name) if kind == "kernel" else name,
        name,
        kind,
        ", ".join(launched[:OPERATORS_SHOWN]) or None,
        ", ".join(fused_ops(name)) or None,
        round(sums.device_ns),
        ratio(sums.device_ns, whole),
        round(sums.calls),
        ratio(sums.device_ns, sums.calls),
        ratio(sums.low_ns, sums.device_ns) if kind == "kernel" else None,
        round(sums.copied) if kind == "copy" else None,
    )
