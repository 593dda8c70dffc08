"""The names of the views in one line."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text
from textual import events
from textual.message import Message
from textual.widgets import Static

SHORT = {"operators": "ops", "functions": "funcs"}
"""Where there is no room for all names."""


class Tabs(Static):
    """Numbered names; the one that is shown is reversed, which is seen without colour too."""

    DEFAULT_CSS = "Tabs { height: 1; }"

    class Chosen(Message):
        """A name was clicked."""

        def __init__(self, place: int) -> None:
            super().__init__()
            self.place = place

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__("", markup=False)
        self._names = names
        self._ends: list[int] = []
        self._at = 0

    def on_resize(self, _event: events.Resize) -> None:
        """Fit the names."""
        self.show(self._at)

    def show(self, place: int) -> None:
        """Mark a name."""
        self._at = place
        text, self._ends = Text(no_wrap=True), []
        for number, name in enumerate(self._fitting()):
            style = "reverse bold" if number == place else ""
            text.append(f" {name} ", style=style)
            self._ends.append(text.cell_len)
        self.update(text)

    def _fitting(self) -> list[str]:
        """The names as far as there is room for them; the one that is shown in any case."""
        full = [f"{number} {name}" for number, name in enumerate(self._names, 1)]
        short = [f"{number} {SHORT.get(name, name)}" for number, name in enumerate(self._names, 1)]
        for names in (full, short):
            if sum(len(name) + 2 for name in names) <= self.size.width:
                return names
        return [name if place == self._at else str(place + 1) for place, name in enumerate(short)]

    def on_click(self, event: events.Click) -> None:
        """Tell which name was clicked."""
        for place, end in enumerate(self._ends):
            if event.x < end:
                self.post_message(self.Chosen(place))
                return
