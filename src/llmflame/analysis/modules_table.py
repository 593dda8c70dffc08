"""The modules of the model: one row a kind of place, the numbered layers together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from llmflame.analysis.coverage import phases_of
from llmflame.analysis.tables import Column, Row, Table, check_phases, ratio
from llmflame.analysis.top_table import layers_together
from llmflame.analysis.tree import Tree
from llmflame.store import metrics
from llmflame.store.model import Metric

COLUMNS = (
    Column("module", "text", "Module"),
    Column("class", "text", "Class"),
    Column("instances", "count", "Instances"),
    Column("self_ns", "ns", "Self"),
    Column("self_share", "share", "Share"),
    Column("total_ns", "ns", "Total"),
    Column("calls", "count", "Calls"),
    Column("host_ns", "ns", "Host", shown=False),
    Column("device_ns", "ns", "Device", shown=False),
    Column("gpu_idle_ns", "ns", "GPU idle", shown=False),
    Column("allocated_bytes", "bytes", "Allocated"),
    Column("flops", "flop", "FLOP", shown=False),
)
PHASES = ("prefill", "decode")
ROOT = "(the model)"
_TOTALS = (
    metrics.WALL,
    metrics.HOST,
    metrics.DEVICE,
    metrics.IDLE,
    metrics.ALLOCATED,
    metrics.FLOPS,
)


@dataclass(slots=True)
class _Sums:
    paths: set[str] = field(default_factory=set)
    self_ns: float = 0.0
    calls: float = 0.0
    totals: dict[str, float] = field(default_factory=dict)


def modules_table(tree: Tree, phases: tuple[str, ...] = ()) -> Table:
    """One row a module over `phases` (prefill and decode if none are given), by its own wall time.

    `self_ns` is what runs in the module and in none of the modules that it calls; it adds up, with what runs
    outside of all modules, to the phases' wall time. All other times and bytes are totals, a module inside
    itself counted once. What the profile doesn't hold is None.
    """
    where = phases_of(tree)
    check_phases(phases, list(dict.fromkeys(name for name in where if name != "run")))
    wanted = phases or PHASES
    owners = module_nodes(tree)
    empty = [0.0] * len(tree)
    walls = tree.selfs.get(metrics.WALL.name, empty)
    calls = tree.selfs.get(metrics.CALLS.name, empty)
    totals = {metric.name: tree.totals(metric.name) for metric in _TOTALS if metric.name in tree.selfs}
    found: dict[tuple[str, str], _Sums] = {}
    wall = 0.0
    for node, phase in enumerate(where):
        if phase not in wanted:
            continue
        wall += walls[node]
        owner = owners[node]
        if owner < 0:
            continue
        sums = found.setdefault(_key(tree, owner), _Sums())
        sums.self_ns += walls[node]
        if node != owner:
            continue
        sums.paths.add(tree.frame(node).module or "")
        sums.calls += calls[node]
        if not _inside_itself(tree, owners, node):
            for name, column in totals.items():
                sums.totals[name] = sums.totals.get(name, 0.0) + column[node]
    ranked = sorted(found.items(), key=lambda item: -item[1].self_ns)
    return Table("modules", COLUMNS, tuple(_row(key, sums, wall) for key, sums in ranked))


def module_nodes(tree: Tree) -> list[int]:
    """By node: the nearest module at or above it, as a node; -1 outside of all."""
    found: list[int] = []
    for node, parent in enumerate(tree.parents):
        if tree.frame(node).kind == "module":
            found.append(node)
        else:
            found.append(found[parent] if parent >= 0 else -1)
    return found


def _key(tree: Tree, node: int) -> tuple[str, str]:
    frame = tree.frame(node)
    return layers_together(frame.module) if frame.module else ROOT, frame.name


def _inside_itself(tree: Tree, owners: Sequence[int], node: int) -> bool:
    key = _key(tree, node)
    above = tree.parents[node]
    while above >= 0 and (owner := owners[above]) >= 0:
        if _key(tree, owner) == key:
            return True
        above = tree.parents[owner]
    return False


def _row(key: tuple[str, str], sums: _Sums, wall: float) -> Row:
    def total(metric: Metric) -> int | None:
        value = sums.totals.get(metric.name)
        return None if value is None else round(value)

    return (
        *key,
        len(sums.paths),
        round(sums.self_ns),
        ratio(sums.self_ns, wall),
        total(metrics.WALL) or 0,
        round(sums.calls) or None,
        total(metrics.HOST),
        total(metrics.DEVICE),
        total(metrics.IDLE),
        total(metrics.ALLOCATED),
        total(metrics.FLOPS),
    )
