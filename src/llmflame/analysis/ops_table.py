"""The operators, with the columns of torch.profiler's table, in undisturbed time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from llmflame.analysis.coverage import phases_of
from llmflame.analysis.tables import Column, Row, Table, check_phases, ratio
from llmflame.analysis.tree import Tree, host_metric
from llmflame.store import metrics
from llmflame.units import human_time_ns, percent

PHASES = ("prefill", "decode")
KINDS = ("op", "runtime", "wait", "kernel", "copy")
HOST = (
    Column("name", "text", "Name"),
    Column("kind", "text", "Kind", shown=False),
    Column("self_cpu_share", "share", "Self CPU %"),
    Column("self_cpu_ns", "ns", "Self CPU"),
    Column("cpu_total_share", "share", "CPU total %"),
    Column("cpu_total_ns", "ns", "CPU total"),
    Column("cpu_avg_ns", "ns", "CPU time avg"),
    Column("calls", "count", "# of Calls"),
    Column("cpu_mem_bytes", "bytes", "CPU Mem"),
    Column("self_cpu_mem_bytes", "bytes", "Self CPU Mem"),
)
DEVICE = (
    Column("self_device_share", "share", "Self CUDA %"),
    Column("self_device_ns", "ns", "Self CUDA"),
    Column("device_total_ns", "ns", "CUDA total"),
    Column("device_avg_ns", "ns", "CUDA time avg"),
    Column("device_mem_bytes", "bytes", "CUDA Mem"),
    Column("self_device_mem_bytes", "bytes", "Self CUDA Mem"),
)
_PARTS = ("wall", "memory", "device", "device memory")


@dataclass(slots=True)
class _Sums:
    selfs: list[float]
    totals: list[float]
    calls: float = 0.0
    timed: bool = False
    """Whether the tracer saw it; under a sampler only its calls and bytes are known."""


def ops_table(tree: Tree, phases: tuple[str, ...] = ()) -> Table:
    """One row an operator over `phases` (prefill and decode if none are given), by self time.

    Shares are of those phases' wall time. A total counts an operator inside itself once. Memory is bytes
    allocated less bytes freed. Device columns are there where there is device time. In a phase that the
    sampler watched the time of operators is in the Python frames above: it is None.
    """
    where = phases_of(tree)
    known = list(dict.fromkeys(name for name in where if name != "run"))
    check_phases(phases, known)
    wanted = frozenset(phases or PHASES)
    inside = [name in wanted for name in where]
    columns = _columns(tree)
    ops = _collect(tree, inside, columns)
    wall = sum(value for value, here in zip(columns["wall"][0], inside, strict=True) if here)
    device = sum(value for value, here in zip(columns["device"][0], inside, strict=True) if here)
    rows = [_row(name, kind, sums, wall, device) for (name, kind), sums in ops.items()]
    rows.sort(key=lambda row: (-int(row[3] or 0), -abs(int(row[9] or 0))))
    timed = [sums.selfs[0] for sums in ops.values() if sums.timed]
    note = _note(sum(timed) if timed or not ops else None, wall, phases or [p for p in PHASES if p in known])
    shown = HOST + DEVICE if device else HOST
    return Table("ops", shown, tuple(row[: len(shown)] for row in rows), (note,))


def _note(held: float | None, wall: float, phases: Sequence[str]) -> str:
    if not wall:
        return "No time was recorded in these phases."
    where = f"{human_time_ns(wall)} in {' + '.join(phases)}"
    if held is None:
        return f"Of {where} only samples are known: operators were counted, but not timed."
    return f"Operators hold {percent(held / wall)} of {where}; the rest is Python around them."


def _columns(tree: Tree) -> dict[str, tuple[list[float], list[float]]]:
    """Self values and totals of each part."""
    empty = [0.0] * len(tree)

    def column(name: str) -> list[float]:
        return tree.selfs.get(name, empty)

    selfs = {
        "wall": column(host_metric(tree)),
        "memory": _difference(column(metrics.ALLOCATED.name), column(metrics.FREED.name)),
        "device": column(metrics.DEVICE.name),
        "device memory": _difference(
            column(metrics.DEVICE_ALLOCATED.name), column(metrics.DEVICE_FREED.name)
        ),
    }
    return {name: (values, tree.fold(values)) for name, values in selfs.items()}


def _difference(left: list[float], right: list[float]) -> list[float]:
    return [a - b for a, b in zip(left, right, strict=True)]


def _collect(
    tree: Tree, inside: list[bool], columns: dict[str, tuple[list[float], list[float]]]
) -> dict[tuple[str, str], _Sums]:
    calls = tree.selfs.get(metrics.CALLS.name, [0.0] * len(tree))
    found: dict[tuple[str, str], _Sums] = {}
    # By node: the operator that it is or that its own time counts for, and the operators around it.
    around: list[frozenset[tuple[str, str]]] = []
    owners: list[tuple[str, str] | None] = []
    for node, parent in enumerate(tree.parents):
        above = around[parent] if parent >= 0 else frozenset()
        frame = tree.frame(node)
        if frame.kind not in KINDS:
            around.append(above)
            owners.append(owners[parent] if parent >= 0 else None)
        else:
            key = (frame.name, frame.kind)
            around.append(above | {key})
            owners.append(key)
        owner = owners[node]
        if owner is None or not inside[node]:
            continue
        sums = found.setdefault(owner, _Sums([0.0] * len(_PARTS), [0.0] * len(_PARTS)))
        for number, part in enumerate(_PARTS):
            sums.selfs[number] += columns[part][0][node]
            if frame.kind in KINDS and owner not in above:
                sums.totals[number] += columns[part][1][node]
        sums.timed = sums.timed or tree.origins[node] != "sampled"
        if frame.kind in KINDS:
            sums.calls += calls[node]
    return found


def _row(name: str, kind: str, sums: _Sums, wall: float, device: float) -> Row:
    own, total = (sums.selfs[0], sums.totals[0]) if sums.timed else (None, None)
    return (
        name,
        kind,
        None if own is None else ratio(own, wall),
        None if own is None else round(own),
        None if total is None else ratio(total, wall),
        None if total is None else round(total),
        None if total is None else ratio(total, sums.calls),
        round(sums.calls),
        round(sums.totals[1]),
        round(sums.selfs[1]),
        ratio(sums.selfs[2], device),
        round(sums.selfs[2]),
        round(sums.totals[2]),
        ratio(sums.totals[2], sums.calls),
        round(sums.totals[3]),
        round(sums.selfs[3]),
    )
