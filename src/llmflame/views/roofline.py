"""How far each phase is from the hardware's limit, and what the time above that went into."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from llmflame.analysis.tables import Column, Row, Table
from llmflame.units import human_time_ns, percent
from llmflame.views.cells import UNKNOWN, bar, cell
from llmflame.views.grid import Grid, GridColumn, Paragraph
from llmflame.views.safe import safe_text

BAR_CELLS = 6
SHOWN_SHARE = 0.01
"""Parts of a step below this are left to the view."""
WORDS = {
    "launch gaps": "launch gaps",
    "synchronisation": "waits",
    "copies": "copies",
    "element-wise": "element-wise operators",
    "low occupancy": "small grids",
    "other": "kernels above their floor",
}
WORDS_ON_CPU = {**WORDS, "launch gaps": "Python and dispatch", "other": "operators above their floor"}
PARTS = frozenset(
    {
        "floor_ns",
        "launch_gaps_ns",
        "synchronisation_ns",
        "copies_ns",
        "elementwise_ns",
        "low_occupancy_ns",
        "other_ns",
    }
)
"""What adds up to a step."""
SMALL_PRINT = PARTS | {"mbu_published", "mfu_published"}
"""Rows that are a part of the one above them, or the same by another measure."""


def roofline_grid(table: Table) -> RenderableType:
    """A row a quantity of one step, a column a phase: there are many of the one and two of the other."""
    names = [safe_text(str(row[table.place("phase")]), 30) for row in table.rows]
    grid = Grid([GridColumn("A step of", align="left"), *(GridColumn(name) for name in names)])
    for number, column in enumerate(table.columns):
        values = [row[number] for row in table.rows]
        if column.name == "phase" or all(value is None for value in values):
            continue
        if column.name.endswith("_published") and _repeats(table, number):
            continue
        label = Text(f"  {column.label}" if column.name in SMALL_PRINT else column.label)
        grid.add(label, *(_value(table, row, column, number) for row in table.rows))
    return grid


def _repeats(table: Table, number: int) -> bool:
    """Is what is of the published ceilings what stands above it, because none was measured?"""
    return all(row[number] == row[number - 1] for row in table.rows)


def _value(table: Table, row: Row, column: Column, number: int) -> Text:
    value = row[number]
    text = cell(value, column.unit)
    whole = row[table.place("step_ns")]
    if column.name in PARTS and isinstance(value, int) and isinstance(whole, int) and value and whole:
        text.append(f"  {percent(value / whole):>7}", style="dim")
    elif column.name != "phase":
        text.append(" " * 9)
    return text


def roofline_lines(document: Mapping[str, Any]) -> list[RenderableType]:
    """One line a phase: a step's time, its floor, its use of the hardware. Then the rest by cause."""
    rows = document["roofline"]
    if not rows or all(row["known_share"] is None for row in rows):
        return []
    on_device = document["device"] is not None
    grid = Grid(
        [
            GridColumn("A step of", align="left"),
            GridColumn("", align="left", drop=3),
            GridColumn("takes"),
            GridColumn("floor"),
            GridColumn("MBU", drop=1),
            GridColumn("MFU", drop=1),
        ]
    )
    for row in rows:
        steps = max(row["steps"], 1)
        floor, wall = row["floor_s"], row["wall_s"]
        grid.add(
            row["phase"],
            bar(floor / wall, BAR_CELLS) if floor and wall else Text(),
            Text(human_time_ns(wall / steps * 1e9), style="bold"),
            UNKNOWN if floor is None else human_time_ns(floor / steps * 1e9),
            cell(_first(row, "mbu"), "share"),
            cell(_first(row, "mfu"), "share"),
        )
    above = [words for row in rows if (words := _above(row, on_device=on_device)) is not None]
    return [grid, *above, *_below(document, rows)]


def _below(document: Mapping[str, Any], rows: list[Mapping[str, Any]]) -> list[RenderableType]:
    parts: list[RenderableType] = []
    idle = document["device"]
    if idle is not None and idle["idle_share"] is not None:
        parts.append(Paragraph(Text(_idle_words(idle), style="dim"), hang=2))
    if all(row["floor_s"] is None for row in rows):
        words = "No ceiling of this machine is known: llmflame machine --measure, before recording."
        parts.append(Paragraph(Text(words, style="dim"), hang=2))
    return parts


def _first(row: Mapping[str, Any], name: str) -> float | None:
    value = row[name] if row[name] is not None else row[f"{name}_published"]
    return None if value is None else float(value)


def _above(row: Mapping[str, Any], *, on_device: bool) -> Paragraph | None:
    """What the time above the floor went into, the longest first."""
    words, steps = WORDS if on_device else WORDS_ON_CPU, max(row["steps"], 1)
    shown = sorted(
        ((own, part) for part, own in row["parts_s"].items() if part != "floor"), key=lambda pair: -pair[0]
    )
    pieces = [
        f"{words[part]} {human_time_ns(own / steps * 1e9)}"
        for own, part in shown
        if row["wall_s"] and own > SHOWN_SHARE * row["wall_s"]
    ]
    if not pieces:
        return None
    label = f"{row['phase']} above its floor: " if row["floor_s"] is not None else f"{row['phase']}: "
    return Paragraph(Text(label, style="dim").append(Text(", ".join(pieces), style="none")), hang=2)


def _idle_words(idle: Mapping[str, Any]) -> str:
    causes = sorted(idle["idle_by_cause_s"].items(), key=lambda pair: -pair[1])
    named = ", ".join(f"{cause} {human_time_ns(own * 1e9)}" for cause, own in causes if own)
    share = percent(idle["idle_share"])
    return f"The GPU is idle for {share} of prefill and decode{f': {named}' if named else ''}."
