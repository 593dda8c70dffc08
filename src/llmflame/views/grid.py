"""A quiet table: no lines, numbers to the right, columns left out one by one where the terminal is narrow."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from io import StringIO
from typing import Literal

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions
from rich.text import Text

Keep = Literal["start", "end", "ends"]
GAP = 2
LEAST_PLACE = 10
"""Fewer cells of a file and line than this say nothing."""
LEAST_NAME = 8
"""Cells that are left to a name before a column that should always be there is left out."""
HEADER = "dim"


@dataclass(frozen=True, slots=True)
class GridColumn:
    """How one column is laid out. Columns that are `flexible` share what the others leave."""

    label: str
    align: Literal["left", "right"] = "right"
    flexible: bool = False
    keep: Keep = "start"
    """What of a text survives where there is no room for all of it; `ends`: a name and, two blanks after it,
    the end of where it is."""
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
    dense: bool = False
    """Whether columns may move together before one of them is left out."""

    def add(self, *cells: Text | str) -> None:
        """Add a row."""
        self.rows.append([cell if isinstance(cell, Text) else Text(cell) for cell in cells])

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Text]:
        """One line a row, never wider than the console."""
        layout = self.layout(options.max_width)
        if self.header:
            yield layout.line([Text(column.label, style=HEADER) for column in self.columns])
        for row in self.rows:
            yield layout.line(row)

    def layout(self, room: int) -> Layout:
        """Where the columns stand in `room` cells: as wide as their widest cell, as far as there is room."""
        natural = [
            max([cell_len(column.label) if self.header else 0, *(row[i].cell_len for row in self.rows)])
            for i, column in enumerate(self.columns)
        ]
        return laid_out(self.columns, natural, room, indent=self.indent, dense=self.dense)


def laid_out(
    columns: Sequence[GridColumn], natural: Sequence[int], room: int, *, indent: int = 1, dense: bool = False
) -> Layout:
    """Where columns stand in `room` cells, each as wide as `natural` says if there is room.

    Where there is not, columns are left out one by one and flexible ones narrowed; in the end any but the
    first is left out, the last ones first, so that no figure is cut. `dense` lets columns move together
    first. A column of no width is never shown: it says nothing.
    """
    places = [i for i, width in enumerate(natural) if width]
    gap = GAP

    def needed(least: int = 0) -> int:
        widths = (
            min(natural[i], least or columns[i].least) if columns[i].flexible else natural[i] for i in places
        )
        return indent + sum(widths) + gap * (len(places) - 1)

    if needed() > room and dense:
        gap = 1
    while needed() > room:
        droppable = [i for i in places if columns[i].drop]
        if not droppable:
            break
        places.remove(max(droppable, key=lambda i: (columns[i].drop, i)))
    # Half a figure is a wrong one: rather none.
    while needed(LEAST_NAME) > room and (fixed := [i for i in places[1:] if not columns[i].flexible]):
        places.remove(fixed[-1])
    widths = {i: natural[i] for i in places}
    flexible = [i for i in places if columns[i].flexible]
    rest = room - indent - gap * (len(places) - 1)
    rest -= sum(widths[i] for i in places if i not in flexible)
    # The narrowest first: what it doesn't need is the others'.
    for number, i in enumerate(sorted(flexible, key=lambda i: natural[i])):
        widths[i] = max(min(natural[i], rest // (len(flexible) - number)), 1)
        rest -= widths[i]
    return Layout(columns, places, widths, gap, room, indent)


@dataclass(frozen=True, slots=True)
class Layout:
    """The columns that are shown (`places`, by index), their widths in cells and the space between them."""

    columns: Sequence[GridColumn]
    places: list[int]
    widths: dict[int, int]
    gap: int
    room: int
    indent: int

    def line(self, row: Sequence[Text]) -> Text:
        """One row's cells, one for each column, as a line of at most `room` cells."""
        line = Text(" " * self.indent, no_wrap=True, overflow="crop")
        for number, i in enumerate(self.places):
            width, column = self.widths[i], self.columns[i]
            content = fitted(row[i], width, column.keep)
            padding = " " * (width - content.cell_len)
            if number:
                line.append(" " * self.gap)
            if column.align == "right":
                line.append(padding)
            line.append_text(content)
            if column.align == "left":
                line.append(padding)
        line.truncate(self.room)
        line.rstrip()
        return line

    def column_at(self, cell: int) -> int | None:
        """The column, by index, that a cell of a line lies in or right before; None beyond the last."""
        end = self.indent
        for i in self.places:
            end += self.widths[i]
            if cell < end:
                return i
            end += self.gap
        return None


@dataclass(frozen=True, slots=True)
class Paragraph:
    """A text that wraps, with every line one cell from the edge, or `indent` more.

    All lines but the first are `hang` cells further to the right.
    """

    text: Text
    indent: int = 0
    hang: int = 0

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Text]:
        """Its lines, without blanks at their ends."""
        room = max(options.max_width - 1 - self.indent - self.hang, 1)
        # Only the first line has the room for its mark: what follows is wrapped in what is left.
        mark, rest = (self.text[: self.hang], self.text[self.hang :]) if self.hang else (Text(), self.text)
        for number, line in enumerate(rest.wrap(console, room)):
            begin = Text(" " * (1 + self.indent)).append_text(Text(" " * self.hang) if number else mark)
            whole = begin.append_text(line)
            whole.rstrip()
            yield whole


def fitted(text: Text, width: int, keep: Keep) -> Text:
    """A text in at most `width` cells; what is cut off is marked by an ellipsis."""
    if text.cell_len <= width:
        return text
    indented = len(text.plain) - len(text.plain.lstrip())
    place = text.plain.rfind("  ", indented) + 2 if keep == "ends" else 0
    room = width - cell_len(text.plain[:place])
    if keep == "start" or width < 2 or (keep == "ends" and (place < 2 or room < LEAST_PLACE)):
        cut = text.copy()
        cut.truncate(width, overflow="ellipsis")
        return cut
    plain = text.plain
    start, used = len(plain), 1
    while start > place and used + cell_len(plain[start - 1]) <= room:
        start -= 1
        used += cell_len(plain[start])
    style = text.get_style_at_offset(_console(), start) if start < len(plain) else ""
    return text[:place].append("…", style=style).append_text(text[start:])


@cache
def _console() -> Console:
    """Only to look up styles by name."""
    return Console(file=StringIO())
