"""The call tree in a terminal: guides, module paths, totals at the right."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from llmflame.analysis.tables import Table, Value
from llmflame.views.cells import FLAME, cell, frame_name
from llmflame.views.grid import Grid, GridColumn
from llmflame.views.safe import safe_text
from llmflame.views.table import notes, nothing

INDENT_LIMIT = 16
"""Beyond this depth the indentation grows no further."""
NAME_STYLES = {
    "memory": FLAME,
    "phase": "bold",
    "run": "bold",
    "module": "cyan",
    "op": FLAME,
    "kernel": FLAME,
    "stall_group": "magenta",
    "stall": "magenta",
}
COLUMNS = (
    GridColumn("Total"),
    GridColumn("Self", drop=1),
    GridColumn("Share"),
    GridColumn("Floor", drop=5),
    GridColumn("Calls", drop=2),
    GridColumn("Allocated", drop=3),
    GridColumn("Frame", align="left", flexible=True, keep="ends", least=40),
    GridColumn("Obtained", align="left", drop=4),
)
PLAIN_COLUMNS = (
    GridColumn("Total"),
    GridColumn("Self", drop=1),
    GridColumn("Share"),
    GridColumn("Frame", align="left", flexible=True, keep="ends", least=40),
)

PLAIN_AMOUNTS = {"bytes": "bytes", "samples": "count"}
"""Their columns' suffixes, with the unit."""


def tree_view(table: Table) -> RenderableType:
    """Rows of `analysis.tree_table.tree_table`."""
    if not table.rows:
        return nothing(table)
    names = [column.name for column in table.columns]
    known = [dict(zip(names, row, strict=True)) for row in table.rows]
    for amount, unit in PLAIN_AMOUNTS.items():
        if f"total_{amount}" in names:
            return Group(_plain(known, amount, unit), *notes(table))
    grid = Grid(COLUMNS)
    # Where nothing was spent, frames that aren't shown say nothing.
    rows = [row for row in known if row["kind"] != "folded" or row["total_ns"] or row["allocated_bytes"]]
    levels = _levels(rows)
    for row, (level, only) in zip(rows, levels, strict=True):
        grid.add(
            cell(row["total_ns"], "ns"),
            cell(row["self_ns"], "ns") if row["kind"] != "folded" else Text(),
            cell(row["share"], "share"),
            cell(row["floor_ns"], "ns") if row["floor_ns"] else Text(),
            cell(row["calls"], "count") if row["calls"] is not None else Text(),
            cell(row["allocated_bytes"], "bytes") if row["allocated_bytes"] else Text(),
            _indentation(level, only).append_text(_name(row)),
            Text(str(row["origin"] or ""), style="dim"),
        )
    return Group(grid, *notes(table))


def _plain(rows: Sequence[Mapping[str, Value]], amount: str, unit: str) -> Grid:
    """What is held or counted is neither called nor timed: fewer columns say it."""
    grid = Grid(PLAIN_COLUMNS)
    total, own = f"total_{amount}", f"self_{amount}"
    there = [row for row in rows if row["kind"] != "folded" or row[total]]
    for row, (level, only) in zip(there, _levels(there), strict=True):
        grid.add(
            cell(row[total], unit),
            cell(row[own], unit) if row["kind"] != "folded" else Text(),
            cell(row["share"], "share"),
            _indentation(level, only).append_text(_name(row)),
        )
    return grid


def _levels(rows: Sequence[Mapping[str, Value]]) -> list[tuple[int, bool]]:
    """By row: how far it is indented, and whether it is its parent's only row.

    Long chains of single calls would run out of the screen: an only child stays at its parent's level.
    """
    children = Counter(row["parent"] for row in rows)
    indents: dict[Value, int] = {}
    levels = []
    for row in rows:
        parent = row["parent"]
        above = indents.get(parent, -1)
        only = above > 0 and children[parent] == 1
        level = above if only else above + 1
        if row["id"] is not None:
            indents[row["id"]] = level
        levels.append((level, only and row["kind"] != "folded"))
    return levels


def _indentation(level: int, only: bool) -> Text:
    spaces = "  " * min(level, INDENT_LIMIT)
    return Text().append(f"{spaces}› " if only else spaces, style="dim")


def _name(row: Mapping[str, Value]) -> Text:
    kind = str(row["kind"])
    if kind == "folded":
        count = row["folded"]
        if row["name"] is not None:
            return Text(f"… {count:,} more {safe_text(str(row['name']))}", style="dim")
        return Text(f"… {count:,} more frame{'' if count == 1 else 's'}", style="dim")
    text = Text().append(frame_name(str(row["name"]), kind), style=NAME_STYLES.get(kind, ""))
    if kind == "module" and row["module"]:
        text.append(f"  {safe_text(str(row['module']))}", style="dim")
    elif row["file"]:
        line = f":{row['line']}" if row["line"] is not None else ""
        text.append(f"  {safe_text(str(row['file']))}{line}", style="dim")
    return text
