"""The call tree as rows: the heaviest frames, each with what its hidden children hold."""

from __future__ import annotations

from dataclasses import dataclass

from llmflame.analysis.coverage import phases_of
from llmflame.analysis.tables import Column, Row, Table, check_phases, ratio
from llmflame.analysis.tree import Tree
from llmflame.store import metrics

COLUMNS = (
    Column("id", "index", "Id", shown=False),
    Column("parent", "index", "Parent", shown=False),
    Column("depth", "index", "Depth", shown=False),
    Column("kind", "text", "Kind", shown=False),
    Column("name", "text", "Frame"),
    Column("module", "text", "Module", shown=False),
    Column("file", "text", "File", shown=False),
    Column("line", "index", "Line", shown=False),
    Column("total_ns", "ns", "Total"),
    Column("self_ns", "ns", "Self"),
    Column("share", "share", "Share"),
    Column("calls", "count", "Calls"),
    Column("allocated_bytes", "bytes", "Allocated"),
    Column("origin", "text", "Origin", shown=False),
    Column("folded", "count", "Folded", shown=False),
)


@dataclass(frozen=True, slots=True)
class TreeLimits:
    """What is shown; everything else is folded into one row below its parent."""

    depth: int | None = None
    min_share: float = 0.0
    """Of the rows' whole: the run, or the phases that were asked for."""
    rows: int | None = None
    """The heaviest ones."""


def tree_table(tree: Tree, limits: TreeLimits, phases: tuple[str, ...] = ()) -> Table:
    """Frames in the order of a walk, heavier siblings first. Totals are of all metrics' folds, calls are own.

    Children that aren't shown are one row of kind `folded`: their number (with all below them) and sums, so
    that a frame's self time and its children's totals always add up to its total.
    """
    where = phases_of(tree)
    check_phases(phases, list(dict.fromkeys(name for name in where if name != "run")))
    view = _View(tree, frozenset(phases))
    if not len(tree):
        return Table("tree", COLUMNS, ())
    shown = view.choose(limits)
    return Table("tree", COLUMNS, tuple(view.rows(shown)))


class _View:
    """A tree with its totals, as far as some phases are concerned."""

    def __init__(self, tree: Tree, phases: frozenset[str]) -> None:
        self._tree = tree
        empty = [0.0] * len(tree)
        self._own = tree.selfs.get(metrics.WALL.name, empty)
        self._calls = tree.selfs.get(metrics.CALLS.name, empty)
        self._total = tree.totals(metrics.WALL.name) if metrics.WALL.name in tree.selfs else empty
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
            if self._tree.frame(node).kind not in ("run", "phase") and (
                self._total[node] < least or (self._total[node] <= 0 and least > 0)
            ):
                continue
            found.append(node)
            if limits.depth is None or depth < limits.depth:
                stack.extend((child, depth + 1) for child in self._children[node])
        if limits.rows is not None and len(found) > limits.rows:
            # A parent is never lighter than its child, and comes first where they are equal.
            found.sort(key=lambda node: (-self._total[node], node))
            found = found[: limits.rows]
        return set(found)

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
            hidden = [child for child in children if child not in shown]
            if hidden:
                stack.append((node, depth + 1, hidden))
            stack.extend((child, depth + 1, []) for child in reversed(children) if child in shown)
        return rows

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
            0,
        )

    def _folded(self, parent: int, depth: int, nodes: list[int]) -> Row:
        total = sum(self._total[node] for node in nodes)
        size = sum(self._bytes[node] for node in nodes)
        count = sum(self._sizes[node] for node in nodes)
        share = ratio(total, self.whole)
        return (
            None, parent, depth, "folded", None, None, None, None,
            round(total), None, share, None, round(size), None, count,
        )  # fmt: skip
