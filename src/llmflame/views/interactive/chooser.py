"""Screens above the browser: choosing one of a list, and the help."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from llmflame.views.interactive.keys import keys_view
from llmflame.views.interactive.rows import RowList

FRAME_LINES = 3
"""Of a chooser: its border and its title."""


class _Entries(RowList):
    """Texts to choose from."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter,space", "choose", show=False)]

    def __init__(self, texts: Sequence[str], at: int) -> None:
        super().__init__()
        self._texts, self.cursor = texts, at

    def count(self) -> int:
        """How many there are."""
        return len(self._texts)

    def line(self, place: int, room: int) -> Text:
        """One of them."""
        text = Text(" " + self._texts[place], no_wrap=True)
        text.truncate(room, overflow="ellipsis")
        return text

    def chosen(self) -> None:
        """Take what is clicked."""
        self.action_choose()

    def action_choose(self) -> None:
        """Take what the cursor stands on."""
        self.screen.dismiss(self.cursor)


class Chooser(ModalScreen[int | None]):
    """A list; ends with the index of what was chosen, or None."""

    DEFAULT_CSS = """
    Chooser { align: center middle; }
    Chooser > Vertical { width: 56; max-width: 90%; max-height: 90%; border: solid $primary; }
    Chooser Static { height: 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q", "leave", show=False)]

    def __init__(self, title: str, texts: Sequence[str], at: int) -> None:
        super().__init__()
        self._title, self._texts, self._at = title, texts, at

    def compose(self) -> ComposeResult:
        """A title and the list."""
        with Vertical() as box:
            box.styles.height = len(self._texts) + FRAME_LINES
            yield Static(Text(f" {self._title}", style="bold"), markup=False)
            yield _Entries(self._texts, self._at)

    def action_leave(self) -> None:
        """Choose nothing."""
        self.dismiss(None)


class Help(ModalScreen[None]):
    """The keys."""

    DEFAULT_CSS = """
    Help { align: center middle; }
    Help > VerticalScroll { width: 78; max-width: 100%; height: 20; max-height: 100%; }
    Help > VerticalScroll { border: solid $primary; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q,question_mark", "leave", show=False)]

    def compose(self) -> ComposeResult:
        """The table of keys."""
        with VerticalScroll():
            yield Static(keys_view(), markup=False)

    def action_leave(self) -> None:
        """Back to the browser."""
        self.dismiss(None)
