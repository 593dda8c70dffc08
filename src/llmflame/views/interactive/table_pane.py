"""A table, sortable by each of its columns."""

from __future__ import annotations

from typing import ClassVar

from rich.cells import cell_len
from rich.console import RenderableType
from rich.text import Text
from textual.binding import Binding, BindingType

from llmflame.analysis.tables import Table
from llmflame.views.grid import HEADER, Grid, Layout
from llmflame.views.interactive.details import row_details
from llmflame.views.interactive.rows import RowList
from llmflame.views.interactive.sorting import order_of
from llmflame.views.safe import safe_text
from llmflame.views.table import table_grid

UP, DOWN = " ▲", " ▼"
MARKED = "bold underline"


class TablePane(RowList):
    """Rows below a header in which one column is marked: the one that `s` sorts by."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("right", "mark(1)", show=False),
        Binding("left", "mark(-1)", show=False),
        Binding("enter,space", "sort", show=False),
    ]

    def __init__(self, name: str) -> None:
        super().__init__(id=name)
        self.text = ""
        self._fill(Table(name, (), ()))

    def _fill(self, table: Table) -> None:
        self.table = table
        self.grid, self.places = table_grid(table) if table.rows else (Grid(()), [])
        self.order = list(range(len(table.rows)))
        self.sorted: tuple[int, bool] | None = None
        """The column of the table that rows are sorted by, and whether the other way round."""
        self.marked = 0
        self._layout: Layout | None = None

    def show(self, table: Table) -> None:
        """Another table with the same columns; it is sorted as the last one was."""
        kept = (self.sorted, self.marked)
        self._fill(table)
        self.marked = min(kept[1], max(len(self.places) - 1, 0))
        if kept[0] is not None and kept[0][0] in self.places:
            self._sort(*kept[0])
        self.cursor = 0
        self.relisted()

    def _laid_out(self, room: int) -> Layout:
        if self._layout is None or self._layout.room != room:
            # Room for the mark beside a label.
            labels = [Text("x" * (cell_len(column.label) + len(DOWN))) for column in self.grid.columns]
            rows = [*self.grid.rows, labels] if self.grid.columns else []
            self._layout = Grid(self.grid.columns, rows).layout(room)
        return self._layout

    def count(self) -> int:
        """How many rows there are."""
        return max(len(self.order), 1)

    def header(self, room: int) -> Text | None:
        """The columns' names, with the one that is sorted by and the marked one."""
        if not self.order:
            return None
        labels = []
        for number, column in enumerate(self.grid.columns):
            text = Text(safe_text(column.label), style=MARKED if number == self.marked else HEADER)
            if self.sorted is not None and self.sorted[0] == self.places[number]:
                rising = (self.table.columns[self.sorted[0]].unit in ("text", "index")) is not self.sorted[1]
                text.append(UP if rising else DOWN)
            labels.append(text)
        return self._laid_out(room).line(labels)

    def line(self, place: int, room: int) -> Text:
        """A row."""
        if not self.order:
            return Text(" Nothing was recorded that this view could show.", style="dim")
        return self._laid_out(room).line(self.grid.rows[self.order[place]])

    def details(self) -> RenderableType:
        """Of the selected row."""
        return row_details(self.table, self.order[self.cursor]) if self.order else Text()

    def head(self, cell: int) -> None:
        """Sort by the column that is clicked."""
        number = self._laid_out(self.room).column_at(cell)
        if number is not None:
            self.marked = number
            self.action_sort()

    def action_mark(self, by: int) -> None:
        """Mark another column; those that there is no room for are passed over."""
        shown = self._laid_out(self.room).places
        if not shown:
            return
        here = shown.index(self.marked) if self.marked in shown else 0
        self.marked = shown[min(max(here + by, 0), len(shown) - 1)]
        self.refresh()

    def action_sort(self) -> None:
        """Sort by the marked column, or turn the order round where it is sorted by it."""
        if not self.order:
            return
        column = self.places[self.marked]
        again = self.sorted is not None and self.sorted == (column, False)
        self._sort(column, again)
        self.cursor = 0
        self.relisted()

    def _sort(self, column: int, reverse: bool) -> None:
        self.sorted = (column, reverse)
        self.order = order_of(self.table, column, reverse=reverse)

    def search(self, text: str) -> None:
        """Go to the first row from the cursor on that holds a text."""
        self.text = text
        if text and self.order and not self._holds(self.cursor):
            self.go(1)
        self.refresh()

    def go(self, step: int) -> None:
        """To the next (1) or the last (-1) row that holds what is searched for."""
        if not self.text or not self.order:
            return
        for distance in range(1, len(self.order) + 1):
            place = (self.cursor + step * distance) % len(self.order)
            if self._holds(place):
                self.put(place)
                return

    def _holds(self, place: int) -> bool:
        wanted = self.text.casefold()
        row = self.table.rows[self.order[place]]
        return any(isinstance(value, str) and wanted in value.casefold() for value in row)

    def told(self) -> str:
        """How many rows hold what is searched for; empty where nothing is."""
        if not self.text:
            return ""
        count = sum(self._holds(place) for place in range(len(self.order)))
        return f"“{safe_text(self.text, 30)}”: {count:,} row{'' if count == 1 else 's'}"
