"""A list of lines with a cursor, which draws only what is on the screen."""

from __future__ import annotations

from typing import ClassVar

from rich.console import RenderableType
from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

CURSOR = Style(reverse=True)
"""Seen without colour too."""


class RowList(ScrollView, can_focus=True, inherit_bindings=False):
    """Lines below a header that stays. What the lines are is a subclass's."""

    DEFAULT_CSS = """
    RowList { overflow-x: hidden; overflow-y: auto; scrollbar-size-vertical: 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", show=False),
        Binding("down,j", "move(1)", show=False),
        Binding("pageup", "page(-1)", show=False),
        Binding("pagedown", "page(1)", show=False),
        Binding("home,g", "first", show=False),
        Binding("end,G", "last", show=False),
    ]

    class Moved(Message):
        """The cursor stands on another row, or what stands there has changed."""

        def __init__(self, rows: RowList) -> None:
            super().__init__()
            self.rows = rows

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.cursor = 0

    @property
    def room(self) -> int:
        """The cells of a line: what the scroll bar leaves."""
        return self.scrollable_content_region.width

    def count(self) -> int:
        """How many lines there are."""
        raise NotImplementedError

    def line(self, place: int, room: int) -> Text:
        """One line, of at most `room` cells."""
        raise NotImplementedError

    def header(self, room: int) -> Text | None:
        """What stands above all lines, if anything."""
        return None

    def chosen(self) -> None:
        """What happens where a line is clicked."""

    def head(self, cell: int) -> None:
        """What happens where the header is clicked."""

    def details(self) -> RenderableType:
        """Everything about the line at the cursor."""
        return Text()

    def search(self, text: str) -> None:
        """Look for a text, from the cursor on; for nothing any longer where it is empty."""

    def go(self, step: int) -> None:
        """To the next (1) or the last (-1) line that was found."""

    def told(self) -> str:
        """What was found, in words; empty where nothing is looked for."""
        return ""

    def on_mount(self) -> None:
        """Size what is scrolled."""
        self.relisted()

    def relisted(self) -> None:
        """Draw anew: lines have come or gone."""
        self.virtual_size = Size(0, self.count() + self._header_lines())
        self.put(self.cursor)
        self.refresh()

    def put(self, place: int) -> None:
        """Set the cursor on a line, or the nearest one that there is, and show it."""
        self.cursor = min(max(place, 0), max(self.count() - 1, 0))
        height = self.size.height - self._header_lines()
        if height > 0:
            top = round(self.scroll_offset.y)
            wanted = min(max(top, self.cursor - height + 1), self.cursor)
            if wanted != top:
                self.scroll_to(y=wanted, animate=False, force=True)
        self.refresh()
        self.post_message(self.Moved(self))

    def on_resize(self, _event: events.Resize) -> None:
        """Keep the cursor on the screen."""
        self.put(self.cursor)

    def render_line(self, y: int) -> Strip:
        """A line of the screen."""
        room, style = self.room, self.rich_style
        header = self.header(room) if y == 0 else None
        if header is not None:
            return self._strip(header, room, style)
        place = y - self._header_lines() + round(self.scroll_offset.y)
        if place >= self.count():
            return Strip.blank(room, style)
        strip = self._strip(self.line(place, room), room, style)
        return strip.apply_style(CURSOR) if place == self.cursor else strip

    def _strip(self, text: Text, room: int, style: Style) -> Strip:
        pieces = [piece for piece in text.render(self.app.console) if piece.text != "\n"]
        return Strip(Segment.apply_style(pieces, style)).adjust_cell_length(room, style)

    def _header_lines(self) -> int:
        return 0 if self.header(1) is None else 1

    def on_click(self, event: events.Click) -> None:
        """Choose the line that is clicked."""
        if event.y < self._header_lines():
            self.head(event.x)
            return
        place = event.y - self._header_lines() + round(self.scroll_offset.y)
        if place < self.count():
            self.put(place)
            self.chosen()

    def action_move(self, by: int) -> None:
        """Move the cursor."""
        self.put(self.cursor + by)

    def action_page(self, by: int) -> None:
        """Move the cursor by a screen."""
        self.put(self.cursor + by * max(self.size.height - self._header_lines() - 1, 1))

    def action_first(self) -> None:
        """Move to the first line."""
        self.put(0)

    def action_last(self) -> None:
        """Move to the last line."""
        self.put(self.count() - 1)
