"""A view that is read from top to bottom."""

from __future__ import annotations

from collections.abc import Callable

from rich.console import RenderableType
from textual import events
from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.widgets import Static


class TextPane(VerticalScroll):
    """Made when it is first shown."""

    DEFAULT_CSS = "TextPane { scrollbar-size-vertical: 1; }"

    def __init__(self, name: str, make: Callable[[], RenderableType]) -> None:
        super().__init__(id=name, can_focus=True)
        self._make: Callable[[], RenderableType] | None = make

    def compose(self) -> ComposeResult:
        """One text."""
        yield Static("", markup=False)

    def on_show(self, _event: events.Show) -> None:
        """Make the text."""
        if self._make is not None:
            make, self._make = self._make, None
            self.query_one(Static).update(make())
