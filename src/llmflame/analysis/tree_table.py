"""The call tree as rows: the heaviest frames, each with what its hidden children hold."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

from llmflame.analysis.coverage import phases_of
from llmflame.analysis.tables import Column, Row, Table, check_phases, ratio
from llmflame.analysis.tree import Tree
from llmflame.errors import UsageError
from llmflame.store import metrics
from llmflame.store.model import Metric

COLUMNS = (
    Column("id", "index", "Id"),
    Column("parent", "index", "Parent"),
    Column("depth", "index", "Depth"),
    Column("kind", "text", "Kind"),
    Column("name", "text", "Frame"),
    Column("module", "text", "Module"),
    Column("file", "text", "File"),
    Column("line", "index", "Line"),
    Column("total_ns", "ns", "Total"),
    Column("self_ns", "ns", "Self"),
    Column("share", "share", "Share"),
    Column("calls", "count", "Calls"),
    Column("allocated_bytes", "bytes", "Allocated"),
    Column("origin", "text", "Origin"),
    Column("folded", "count", "Folded"),
    Column("floor_ns", "ns", "Operators' floor"),
)
AMOUNTS = ("total", "self")
"""What the columns of amounts are called, without their unit."""
TREES = {
    "wall": metrics.WALL,
    "host": metrics.HOST,
    "device": metrics.DEVICE,
    "idle": metrics.IDLE,
}
"""The trees of one recording: what was waited for, what the host did, what the device did, and the host's
frames in which the device had nothing to do."""
WIDTHS = {**TREES, "samples": metrics.SAMPLES}
"""What a tree of these may be shown by."""

MEANINGS = {
    metrics.HOST.name: "By the host's own time, whatever the GPU did meanwhile.",
    metrics.DEVICE.name: "By the GPU's time: kernels, copies and fills below the frames that launched them.",
    metrics.IDLE.name: "By the GPU's idle time, at the host's frames that ran meanwhile.",
    metrics.SAMPLES.name: "By samples: how often a sampler saw a frame.",
}
"""What stands below a tree that isn't of wall time."""


@dataclass(frozen=True, slots=True)
class TreeLimits:
    """What is shown; everything else is folded into one row below its parent."""

    depth: int | None = None
    min_share: float = 0.0
    """Of the rows' whole: the run, or the phases that were asked for."""
    rows: int | None = None
    """The heaviest ones."""
    alike: int | None = None
    """Of modules of one class under one parent (a model's layers), so many: the heaviest ones."""


def tree_table(
    tree: Tree, limits: TreeLimits, phases: tuple[str, ...] = (), metric: Metric = metrics.WALL
) -> Table:
    """Frames in the order of a walk, heavier siblings first. Totals are of all metrics' folds, calls are own.

    Children that aren't shown are rows of kind `folded`: one for the modules of each class of which some are
    shown, one for all others, with the sums. `folded` counts them (those without a name with all below
    them). So a frame's self time and its children's totals always add up to its total. `metric` is one of
    `WIDTHS`, without a GPU no other than wall and samples; or one of bytes, which a tree of its own holds.
    """
    if metric.name not in tree.selfs and metric.name == metrics.SAMPLES.name:
        raise UsageError("no sampler was at work in this profile")
    if metric.name not in tree.selfs and metric.name != metrics.WALL.name:
        raise UsageError("this profile has one tree, wall time: no GPU worked in what was traced")
    where = phases_of(tree)
    check_phases(phases, list(dict.fromkeys(name for name in where if name != "run")))
    view = _View(tree, frozenset(phases), metric.name)
    columns = columns_of(metric)
    if not len(tree):
        return Table("tree", columns, ())
    shown = view.choose(limits)
    meaning = MEANINGS.get(metric.name)
    return Table("tree", columns, tuple(view.rows(shown)), (meaning,) if meaning else ())


def columns_of(metric: Metric) -> tuple[Column, ...]:
    """The columns of a tree of times, of bytes or of counts."""
    if metric.unit == "ns":
        return COLUMNS
    suffix = "samples" if metric == metrics.SAMPLES else metric.unit
    renamed = {f"{amount}_ns": f"{amount}_{suffix}" for amount in AMOUNTS}
    return tuple(
        replace(column, name=renamed[column.name], unit=metric.unit) if column.name in renamed else column
        for column in COLUMNS
    )


def widest(tree: Tree) -> Metric:
    """What a tree is shown by where nobody says: wall time, or samples where none is known."""
    timed = any(tree.selfs.get(metrics.WALL.name, ()))
    return metrics.SAMPLES if not timed and metrics.SAMPLES.name in tree.selfs else metrics.WALL


class _View:
    """A tree with its totals, as far as some phases are concerned."""

    def __init__(self, tree: Tree, phases: frozenset[str], metric: str) -> None:
        self._tree = tree
        empty = [0.0] * len(tree)
        self._own = tree.selfs.get(metric, empty)
        self._calls = tree.selfs.get(metrics.CALLS.name, empty)
        self._total = tree.totals(metric) if metric in tree.selfs else empty
        timed = metric == metrics.WALL.name and metrics.FLOOR.name in tree.selfs
        self._floor = tree.totals(metrics.FLOOR.name) if timed else None
        self._bytes = tree.totals(metrics.ALLOCATED.name) if metrics.ALLOCATED.name in tree.selfs else empty
        self._sizes = [1] * len(tree)
        self._children: list[list[int]] = [[] for _ in range(len(tree))]
        for node in range(len(tree) - 1, 0, -1):
            self._sizes[tree.parents[node]] += self._sizes[node]
        for node in range(1, len(tree)):
            self._children[tree.parents[node]].append(node)
        tops = [n for n in self._children[0] if tree.frame(n).kind == "phase"] if len(tree) else []
        self.tops = [n for n in tops if tree.frame(n).name in phases] if phases else [0][: len(tree)]
        self.whole = sum(self._total[node] for node in self.tops)

    def choose(self, limits: TreeLimits) -> set[int]:
        """The nodes that are shown: with each, all above it."""
        least = limits.min_share * self.whole
        found: list[int] = []
        stack = [(node, 0) for node in self.tops]
        while stack:
            node, depth = stack.pop()
            # The phases are always shown: a view without one of them would look as if it hadn't run.
            if self._tree.frame(node).kind not in ("run", "phase") and self._total[node] < least:
                continue
            found.append(node)
            if limits.depth is None or depth < limits.depth:
                stack.extend((child, depth + 1) for child in self._first(self._children[node], limits.alike))
        if limits.rows is not None and len(found) > limits.rows:
            # A parent is never lighter than its child, and comes first where they are equal.
            found.sort(key=lambda node: (-self._total[node], node))
            found = found[: limits.rows]
        return set(found)

    def _first(self, children: list[int], alike: int | None) -> list[int]:
        """Children without the lighter modules of a class of which there are many."""
        if alike is None or len(children) <= alike:
            return children
        seen: Counter[str] = Counter()
        kept = []
        for child in sorted(children, key=lambda child: -self._total[child]):
            frame = self._tree.frame(child)
            if frame.kind == "module":
                seen[frame.name] += 1
            if seen[frame.name] <= alike or frame.kind != "module":
                kept.append(child)
        return kept

    def rows(self, shown: set[int]) -> list[Row]:
        """Rows in the order of a walk."""
        rows: list[Row] = []
        stack: list[tuple[int, int, list[int]]] = [(node, 0, []) for node in reversed(self.tops)]
        while stack:
            node, depth, folded = stack.pop()
            if folded:
                rows.append(self._folded(node, depth, folded))
                continue
            if node not in shown:
                continue
            rows.append(self._row(node, depth))
            children = self._children[node]
            # The phases stay in the order in which they ran.
            if self._tree.frame(node).kind != "run":
                children = sorted(children, key=lambda child: -self._total[child])
            visible = [child for child in children if child in shown]
            groups = self._groups(visible, [child for child in children if child not in shown])
            stack.extend((node, depth + 1, group) for group in reversed(groups))
            stack.extend((child, depth + 1, []) for child in reversed(visible))
        return rows

    def _groups(self, visible: list[int], hidden: list[int]) -> list[list[int]]:
        """Hidden children: modules of each class that is also shown, then the rest."""
        frame = self._tree.frame
        classes = {frame(child).name for child in visible if frame(child).kind == "module"}
        groups: dict[str | None, list[int]] = {name: [] for name in sorted(classes)}
        groups[None] = []
        for child in hidden:
            known = frame(child).kind == "module" and frame(child).name in classes
            groups[frame(child).name if known else None].append(child)
        return [group for group in groups.values() if group]

    def _row(self, node: int, depth: int) -> Row:
        frame = self._tree.frame(node)
        return (
            node,
            self._tree.parents[node] if depth else None,
            depth,
            frame.kind,
            frame.name,
            frame.module,
            frame.file,
            frame.line,
            round(self._total[node]),
            round(self._own[node]),
            ratio(self._total[node], self.whole),
            round(self._calls[node]) or None,
            round(self._bytes[node]),
            self._tree.origins[node],
            None,
            round(self._floor[node]) if self._floor is not None else None,
        )

    def _folded(self, parent: int, depth: int, nodes: list[int]) -> Row:
        frames = {self._tree.frame(node) for node in nodes}
        names = {frame.name for frame in frames}
        total = sum(self._total[node] for node in nodes)
        name = next(iter(names)) if len(names) == 1 and len(nodes) > 1 else None
        return (
            None,
            parent,
            depth,
            "folded",
            name,
            None,
            None,
            None,
            round(total),
            None,
            ratio(total, self.whole),
            None,
            round(sum(self._bytes[node] for node in nodes)),
            None,
            len(nodes) if name else sum(self._sizes[node] for node in nodes),
            round(sum(self._floor[node] for node in nodes)) if self._floor is not None else None,
        )
