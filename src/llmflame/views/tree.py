"""The call tree in a terminal: guides, module paths, totals at the right."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.text import Text

from llmflame.analysis.tables import Table, Value
from llmflame.views.cells import FLAME, cell
from llmflame.views.grid import Grid, GridColumn
from llmflame.views.safe import safe_text

INDENT_LIMIT = 24
"""Beyond this depth the guides grow no further."""
NAME_STYLES = {"phase": "bold", "run": "bold", "module": "cyan", "op": FLAME, "kernel": FLAME, "folded": "dim"}
COLUMNS = (
    GridColumn("Total"),
    GridColumn("Self", drop=1),
    GridColumn("Share"),
    GridColumn("Calls", drop=2),
    GridColumn("Allocated", drop=3),
    GridColumn("Frame", align="left", flexible=True, least=40),
    GridColumn("Obtained", align="left", drop=4),
)


def tree_view(table: Table) -> RenderableType:
    """Rows of `analysis.tree_table.tree_table`."""
    if not table.rows:
        return Text(" Nothing was recorded that this view could show.")
    grid = Grid(COLUMNS)
    names = [column.name for column in table.columns]
    rows = [dict(zip(names, row, strict=True)) for row in table.rows]
    for number, row in enumerate(rows):
        grid.add(
            cell(row["total_ns"], "ns"),
            cell(row["self_ns"], "ns") if row["kind"] != "folded" else Text(),
            cell(row["share"], "share"),
            cell(row["calls"], "count") if row["calls"] is not None else Text(),
            cell(row["allocated_bytes"], "bytes") if row["allocated_bytes"] else Text(),
            _guides(rows, number).append_text(_name(row)),
            Text(str(row["origin"] or ""), style="dim"),
        )
    notes = [Text(), *(Text(f" {note}", style="dim") for note in table.notes)] if table.notes else []
    return Group(grid, *notes)


def _guides(rows: list[dict[str, Value]], number: int) -> Text:
    depth = _depth(rows[number])
    if depth > INDENT_LIMIT:
        return Text(f"{'  ' * (INDENT_LIMIT - 3)}+{depth - INDENT_LIMIT} ", style="dim")
    return Text("  " * depth, style="dim")


def _depth(row: dict[str, Value]) -> int:
    depth = row["depth"]
    return depth if isinstance(depth, int) else 0


def _name(row: dict[str, Value]) -> Text:
    kind = str(row["kind"])
    if kind == "folded":
        count = row["folded"]
        return Text(f"… {count:,} more frame{'' if count == 1 else 's'}", style="dim")
    text = Text(safe_text(str(row["name"])), style=NAME_STYLES.get(kind, ""))
    if kind == "module" and row["module"]:
        text.append(f"  {safe_text(str(row['module']))}", style="not bold dim")
    elif row["file"]:
        line = f":{row['line']}" if row["line"] is not None else ""
        text.append(f"  {safe_text(str(row['file']))}{line}", style="not bold dim")
    return text
