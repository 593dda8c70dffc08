"""A quiet table: no lines, numbers to the right, columns left out one by one where the terminal is narrow."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

from rich.cells import cell_len, set_cell_size
from rich.console import Console, ConsoleOptions
from rich.text import Text

GAP = 2
HEADER = "dim"


@dataclass(frozen=True, slots=True)
class GridColumn:
    """How one column is laid out. One column of a grid may be `flexible`: it gets what is left."""

    label: str
    align: Literal["left", "right"] = "right"
    flexible: bool = False
    keep: Literal["start", "end"] = "start"
    """Which end of a text survives where there is no room for all of it."""
    drop: int = 0
    """Columns with the highest number are left out first; 0 is never left out."""
    least: int = 24
    """Cells that a flexible column wants before others are left out."""


@dataclass(slots=True)
class Grid:
    """Rows of texts below a header. Every text is already safe to show."""

    columns: Sequence[GridColumn]
    rows: list[list[Text]] = field(default_factory=list)
    indent: int = 1
    header: bool = True

    def add(self, *cells: Text | str) -> None:
        """Add a row."""
        self.rows.append([cell if isinstance(cell, Text) else Text(cell) for cell in cells])

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Text]:
        """One line a row, never wider than the console."""
        places, widths = self._layout(options.max_width)
        if self.header:
            labels = [Text(column.label, style=HEADER) for column in self.columns]
            yield self._line(labels, places, widths, options.max_width)
        for row in self.rows:
            yield self._line(row, places, widths, options.max_width)

    def _layout(self, room: int) -> tuple[list[int], dict[int, int]]:
        """The columns that are shown and their widths."""
        natural = [
            max([cell_len(column.label) if self.header else 0, *(row[i].cell_len for row in self.rows)])
            for i, column in enumerate(self.columns)
        ]
        # A column without any value says nothing.
        places = [i for i, width in enumerate(natural) if width]

        def needed(shown: list[int]) -> int:
            widths = (
                min(natural[i], self.columns[i].least) if self.columns[i].flexible else natural[i] for i in shown
            )
            return self.indent + sum(widths) + GAP * (len(shown) - 1)

        while needed(places) > room:
            droppable = [i for i in places if self.columns[i].drop]
            if not droppable:
                break
            places.remove(max(droppable, key=lambda i: (self.columns[i].drop, i)))
        widths = {i: natural[i] for i in places}
        flexible = [i for i in places if self.columns[i].flexible]
        rest = room - self.indent - GAP * (len(places) - 1) - sum(widths[i] for i in places if i not in flexible)
        for i in flexible:
            widths[i] = max(min(widths[i], rest), 1)
        return places, widths

    def _line(self, row: list[Text], places: list[int], widths: dict[int, int], room: int) -> Text:
        line = Text(" " * self.indent, no_wrap=True, overflow="crop", end="\n")
        for number, i in enumerate(places):
            column, cell = self.columns[i], fitted(row[i], widths[i], self.columns[i].keep)
            padding = " " * (widths[i] - cell.cell_len)
            if number:
                line.append(" " * GAP)
            if column.align == "right":
                line.append(padding)
            line.append_text(cell)
            if column.align == "left" and number < len(places) - 1:
                line.append(padding)
        line.truncate(room)
        return line


def fitted(text: Text, width: int, keep: Literal["start", "end"]) -> Text:
    """A text in at most `width` cells; what is cut off is marked by an ellipsis."""
    if text.cell_len <= width:
        return text
    if keep == "start" or width < 2:
        cut = text.copy()
        cut.truncate(width, overflow="ellipsis")
        return cut
    plain = text.plain
    start = len(plain)
    used = 1
    while start > 0 and used + cell_len(plain[start - 1]) <= width:
        start -= 1
        used += cell_len(plain[start])
    return Text("…").append_text(text[start:])


def padded(text: str, width: int) -> str:
    """A text cut or filled up to exactly `width` cells."""
    return set_cell_size(text, width)
