"""The model's modules, the numbered layers together: one row a class and place."""

from __future__ import annotations

from dataclasses import dataclass, field

from llmflame.analysis.coverage import phases_of
from llmflame.analysis.tables import Column, Row, Table, check_phases, ratio
from llmflame.analysis.top_table import layers_together
from llmflame.analysis.tree import Tree
from llmflame.store import metrics

COLUMNS = (
    Column("module", "text", "Module"),
    Column("class", "text", "Class"),
    Column("instances", "count", "Instances"),
    Column("total_ns", "ns", "Total"),
    Column("self_ns", "ns", "Self"),
    Column("share", "share", "Share"),
    Column("device_ns", "ns", "GPU time"),
    Column("calls", "count", "Calls"),
    Column("allocated_bytes", "bytes", "Allocated"),
)


@dataclass(slots=True)
class _Module:
    """Sums over the instances that one row stands for."""

    name: str
    paths: set[str] = field(default_factory=set)
    total_ns: float = 0.0
    self_ns: float = 0.0
    device_ns: float = 0.0
    calls: float = 0.0
    allocated: float = 0.0


def modules_table(tree: Tree, phases: tuple[str, ...] = ()) -> Table:
    """One row a module over `phases` (the whole run if none are given), the heaviest first.

    `model.layers.*.mlp` stands for the MLPs of all layers. Times are wall times; `self_ns` is what isn't in
    modules below, so that it adds up to the time in modules. `share` is of the wall time of `phases`.
    """
    where = phases_of(tree)
    check_phases(phases, list(dict.fromkeys(name for name in where if name != "run")))
    empty = [0.0] * len(tree)
    walls = tree.selfs.get(metrics.WALL.name, empty)
    folded = {
        metric.name: tree.totals(metric.name) if metric.name in tree.selfs else empty
        for metric in (metrics.WALL, metrics.DEVICE, metrics.ALLOCATED, metrics.DEVICE_ALLOCATED)
    }
    calls, owners = tree.selfs.get(metrics.CALLS.name, empty), _owners(tree)
    found: dict[str, _Module] = {}
    whole = 0.0
    for node, phase in enumerate(where):
        if phases and phase not in phases:
            continue
        whole += walls[node]
        owner = owners[node]
        if owner is None:
            continue
        frame = tree.frame(node)
        module = found.setdefault(layers_together(owner), _Module(""))
        module.self_ns += walls[node]
        if frame.kind != "module" or frame.module != owner:
            continue
        module.name = frame.name
        module.paths.add(owner)
        module.calls += calls[node]
        parent = tree.parents[node]
        if parent >= 0 and owners[parent] == owner:
            continue  # it calls itself: its time is in the outer call's
        module.total_ns += folded[metrics.WALL.name][node]
        module.device_ns += folded[metrics.DEVICE.name][node]
        module.allocated += folded[metrics.ALLOCATED.name][node] + folded[metrics.DEVICE_ALLOCATED.name][node]
    on_device = metrics.DEVICE.name in tree.selfs
    rows = [_row(path, module, whole, on_device=on_device) for path, module in found.items() if module.paths]
    rows.sort(key=lambda row: (-float(row[3] or 0), str(row[0])))
    return Table("modules", COLUMNS, tuple(rows))


def _owners(tree: Tree) -> list[str | None]:
    """The path of the module that each node runs in, the model's own is empty; None outside of any."""
    owners: list[str | None] = []
    for node, parent in enumerate(tree.parents):
        frame = tree.frame(node)
        inherited = owners[parent] if parent >= 0 else None
        owners.append(frame.module if frame.kind == "module" and frame.module is not None else inherited)
    return owners


def _row(path: str, module: _Module, whole: float, *, on_device: bool) -> Row:
    return (
        path or "(the model)",
        module.name,
        len(module.paths),
        round(module.total_ns),
        round(module.self_ns),
        ratio(module.total_ns, whole),
        round(module.device_ns) if on_device else None,
        round(module.calls) or None,
        round(module.allocated),
    )
