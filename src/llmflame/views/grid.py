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
        layout = self._layout(options.max_width)
        if self.header:
            yield self._line([Text(column.label, style=HEADER) for column in self.columns], layout)
        for row in self.rows:
            yield self._line(row, layout)

    def _layout(self, room: int) -> _Layout:
        """The columns that are shown, their widths and the space between them."""
        natural = [
            max([cell_len(column.label) if self.header else 0, *(row[i].cell_len for row in self.rows)])
            for i, column in enumerate(self.columns)
        ]
        # A column without any value says nothing.
        places = [i for i, width in enumerate(natural) if width]
        gap = GAP

        def needed() -> int:
            widths = (
                min(natural[i], self.columns[i].least) if self.columns[i].flexible else natural[i]
                for i in places
            )
            return self.indent + sum(widths) + gap * (len(places) - 1)

        if needed() > room and self.dense:
            gap = 1
        while needed() > room:
            droppable = [i for i in places if self.columns[i].drop]
            if not droppable:
                break
            places.remove(max(droppable, key=lambda i: (self.columns[i].drop, i)))
        widths = {i: natural[i] for i in places}
        flexible = [i for i in places if self.columns[i].flexible]
        fixed = sum(widths[i] for i in places if i not in flexible)
        rest = room - self.indent - gap * (len(places) - 1) - fixed
        # The narrowest first: what it doesn't need is the others'.
        for number, i in enumerate(sorted(flexible, key=lambda i: natural[i])):
            widths[i] = max(min(natural[i], rest // (len(flexible) - number)), 1)
            rest -= widths[i]
        return _Layout(places, widths, gap, room)

    def _line(self, row: list[Text], layout: _Layout) -> Text:
        line = Text(" " * self.indent, no_wrap=True, overflow="crop")
        for number, i in enumerate(layout.places):
            width, column = layout.widths[i], self.columns[i]
            content = fitted(row[i], width, column.keep)
            padding = " " * (width - content.cell_len)
            if number:
                line.append(" " * layout.gap)
            if column.align == "right":
                line.append(padding)
            line.append_text(content)
            if column.align == "left":
                line.append(padding)
        line.truncate(layout.room)
        line.rstrip()
        return line


@dataclass(frozen=True, slots=True)
class _Layout:
    places: list[int]
    widths: dict[int, int]
    gap: int
    room: int


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
