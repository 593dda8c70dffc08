"""Any table in a terminal."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from rich.console import Group, RenderableType
from rich.text import Text

from llmflame.analysis.tables import Row, Table
from llmflame.views.cells import UNKNOWN, cell
from llmflame.views.grid import Grid, GridColumn, Keep, Paragraph
from llmflame.views.roofline import roofline_grid
from llmflame.views.safe import safe_text

Format = Callable[[Row], Text]
LEFT_OUT = {
    # The higher, the earlier a column is left out in a narrow terminal.
    "phases": {
        "page_fault_ns": 9, "major_faults": 8, "mapped_bytes": 7, "minor_faults": 6, "read_bytes": 5,
        "coverage": 4, "other_ns": 3, "disk_ns": 3,
    },
    "ops": {
        "self_cpu_mem_bytes": 9, "cpu_mem_bytes": 8, "cpu_total_share": 7, "self_device_mem_bytes": 9,
        "device_mem_bytes": 8, "device_avg_ns": 6, "self_device_share": 5, "cpu_avg_ns": 4,
        "device_total_ns": 3,
    },
    "functions": {"cumtime_percall_ns": 2, "tottime_percall_ns": 1},
    "kernels": {
        "copied_bytes": 9, "low_occupancy_share": 8, "kind": 7, "operators": 6, "device_avg_ns": 5,
        "calls": 4,
    },
    "idle": {"share": 2, "phase": 1},
    "heap": {"count": 4, "allocated_bytes": 3, "left_bytes": 2, "phase": 1},
    "modules": {"allocated_bytes": 5, "calls": 4, "device_ns": 3, "instances": 2, "class": 1},
    "load": {"calls": 5, "memory": 4, "share": 3, "part": 2, "ceiling": 1},
    "stalls": {
        "arithmetic": 9, "instruction_fetch": 8, "shared_memory": 7, "barriers": 6, "issuing": 5,
        "device_memory": 4, "not_issued_share": 3, "phase": 2,
    },
    "instructions": {"not_issued": 5, "class": 4, "samples": 3},
    "steps": {"minor_faults": 5, "rss_delta_bytes": 6, "anatomy": 7, "run_queue_ns": 3},
}  # fmt: skip
SHORT = {"cause", "phase", "kind", "what", "memory", "class", "bound", "dominant", "reason"}
"""Columns of few words, which are never cut."""
KEEP: Mapping[str, Keep] = {"functions": "end", "heap": "end", "idle": "ends", "modules": "end"}
"""Views in which the end of a name says more than its start."""
LEAST = {"functions": 36, "idle": 34}


def table_view(table: Table) -> RenderableType:
    """A table with its notes below it."""
    if not table.rows:
        return nothing(table)
    if table.view == "roofline":
        return Group(roofline_grid(table), *notes(table))
    return Group(table_grid(table)[0], *notes(table))


def table_grid(table: Table) -> tuple[Grid, list[int]]:
    """A table's cells as they are shown, and by column of the grid the table's column."""
    # A column in which nothing is known says nothing.
    places = [
        number
        for number, column in enumerate(table.columns)
        if column.shown and any(row[number] is not None for row in table.rows)
    ]
    grid = Grid([_column(table, number) for number in places])
    formats = _formats(table)
    for row in table.rows:
        grid.add(
            *(
                formats[name](row) if (name := table.columns[number].name) in formats
                else cell(row[number], table.columns[number].unit)
                for number in places
            )
        )  # fmt: skip
    return grid, places


def notes(table: Table) -> list[RenderableType]:
    """An empty line and the table's notes, where there are any."""
    if not table.notes:
        return []
    return [Text(), *(Paragraph(Text(note, style="dim")) for note in table.notes)]


def nothing(table: Table) -> RenderableType:
    """What is shown instead of a table without rows."""
    return Group(Paragraph(Text("Nothing was recorded that this view could show.")), *notes(table))


def _column(table: Table, number: int) -> GridColumn:
    column = table.columns[number]
    text = column.unit == "text"
    return GridColumn(
        column.label,
        align="left" if text else "right",
        flexible=text and column.name not in SHORT,
        keep=KEEP.get(table.view, "start"),
        drop=LEFT_OUT.get(table.view, {}).get(column.name, 0),
        least=LEAST.get(table.view, 24),
    )


def _formats(table: Table) -> Mapping[str, Format]:
    if table.view == "functions":
        return {"ncalls": lambda row: _calls(table, row)}
    if table.view == "phases":
        return {"phase": lambda row: _phase(table, row)}
    if table.view == "idle":
        return {"frame": lambda row: _frame(table, row)}
    return {}


def _calls(table: Table, row: Row) -> Text:
    """As cProfile: all calls / those from outside; `≥` where the sampler saw the function too."""
    calls, primitive = row[table.place("ncalls")], row[table.place("primitive_calls")]
    if not isinstance(calls, int) or not isinstance(primitive, int):
        return Text(UNKNOWN, style="dim")
    counted = row[table.place("counted_share")]
    text = f"{calls:,}" if calls == primitive else f"{calls:,}/{primitive:,}"
    return Text(f"≥{text}" if isinstance(counted, float) and counted < 0.99 else text)


def _phase(table: Table, row: Row) -> Text:
    part = row[table.place("part")]
    if part is None:
        return cell(row[table.place("phase")], "text")
    return Text("  ").append_text(cell(part, "text"))


def _frame(table: Table, row: Row) -> Text:
    """A frame, its module and its place; the end of what doesn't fit is kept."""
    text = cell(row[table.place("frame")], "text")
    for name, style in (("module", "cyan"), ("place", "dim")):
        value = row[table.place(name)]
        if isinstance(value, str):
            text.append("  ").append_text(Text(safe_text(value) or "the root module", style=style))
    return text
