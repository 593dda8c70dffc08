"""The call tree."""

from __future__ import annotations

from typing import ClassVar

from rich.console import RenderableType
from rich.text import Text
from textual.binding import Binding, BindingType

from llmflame.units import percent
from llmflame.views.cells import amount
from llmflame.views.grid import HEADER
from llmflame.views.interactive.details import frame_details
from llmflame.views.interactive.found import Found, find
from llmflame.views.interactive.graph import Look
from llmflame.views.interactive.outline import Outline
from llmflame.views.interactive.rows import RowList
from llmflame.views.interactive.tree_lines import COLUMNS, cells_of, layout_of
from llmflame.views.safe import safe_text


class TreePane(RowList):
    """A tree whose rows open and close."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("right", "open", show=False),
        Binding("left", "close", show=False),
        Binding("enter,space", "flip", show=False),
        Binding("e", "heaviest", show=False),
        Binding("c", "collapse", show=False),
    ]

    def __init__(self, look: Look) -> None:
        super().__init__(id="tree")
        self.outline = Outline(look)
        self.found: Found | None = None
        self._hits: frozenset[int] = frozenset()
        self._open_tops()

    def _open_tops(self) -> None:
        for top in self.outline.look.tops():
            self.outline.open(top)

    def show(self, look: Look) -> None:
        """Look at something else. In the same tree what is open stays open, and the cursor on its frame."""
        before = self.outline
        kept = self.node() if before.look.graph is look.graph else None
        if kept is None:
            self.outline = Outline(look)
            self._open_tops()
            self.cursor = 0
        else:
            self.outline = before.moved_to(look)
            if before.look.phase != look.phase:
                self._open_tops()
            self.cursor = self._nearest(kept)
        if self.found is not None:
            self._set_found(find(look, self.found.text))
        self.relisted()

    def _nearest(self, node: int) -> int:
        """The row of a node, or of what is above it."""
        for above in reversed(self.outline.look.graph.tree.path(node)):
            place = self.outline.place(above)
            if place is not None:
                return place
        return 0

    def node(self) -> int | None:
        """The node at the cursor."""
        lines = self.outline.lines
        return lines[self.cursor].node if self.cursor < len(lines) else None

    def count(self) -> int:
        """How many rows are visible."""
        return len(self.outline.lines)

    def header(self, room: int) -> Text:
        """The columns' names."""
        layout = layout_of(self.outline.look, room)
        return layout.line([Text(column.label, style=HEADER) for column in COLUMNS])

    def line(self, place: int, room: int) -> Text:
        """A frame."""
        outline = self.outline
        line = outline.lines[place]
        opened, found = line.node in outline.opened, line.node in self._hits
        layout = layout_of(outline.look, room)
        frames = layout.widths[len(COLUMNS) - 1]
        return layout.line(cells_of(outline.look, line, frames, opened=opened, found=found))

    def details(self) -> RenderableType:
        """Of the selected frame."""
        node = self.node()
        return Text() if node is None else frame_details(self.outline.look, node)

    def chosen(self) -> None:
        """Open or close what is clicked."""
        self.action_flip()

    def action_open(self) -> None:
        """Open, or go to the first child of what is open."""
        node = self.node()
        if node is None or not self.outline.look.below(node):
            return
        if node in self.outline.opened:
            self.put(self.cursor + 1)
            return
        self.outline.open(node)
        self.relisted()

    def action_close(self) -> None:
        """Close, or go to the parent of what is closed."""
        node = self.node()
        if node is None:
            return
        if node in self.outline.opened and self.outline.look.below(node):
            self.outline.close(node)
            self.relisted()
            return
        parent = self.outline.visible_parent(self.cursor)
        if parent is not None:
            self.put(parent)

    def action_flip(self) -> None:
        """Open what is closed, close what is open."""
        node = self.node()
        if node is not None and node in self.outline.opened:
            self.outline.close(node)
            self.relisted()
        else:
            self.action_open()

    def action_heaviest(self) -> None:
        """Follow the heaviest children down to a leaf."""
        node = self.node()
        if node is None:
            return
        self.cursor = self.outline.place(self.outline.open_heaviest(node)) or 0
        self.relisted()

    def action_collapse(self) -> None:
        """Close everything but what stands at the left."""
        self.outline = Outline(self.outline.look)
        self._open_tops()
        self.cursor = 0
        self.relisted()

    def search(self, text: str) -> None:
        """Find frames and go to the first one from the cursor on; nothing is found any longer if empty."""
        self._set_found(find(self.outline.look, text) if text else None)
        node = self.node()
        if self.found is not None and node not in self._hits:
            self.go(1)
        self.refresh()

    def _set_found(self, found: Found | None) -> None:
        self.found = found
        self._hits = frozenset(found.nodes) if found is not None else frozenset()

    def go(self, step: int) -> None:
        """To the next (1) or the last (-1) one that was found."""
        if self.found is None:
            return
        node = self.found.next(self.node(), self.outline.look, step)
        if node is None:
            return
        self.outline.reveal(node)
        self.cursor = self.outline.place(node) or 0
        self.relisted()

    def told(self) -> str:
        """What was found, in words; empty where nothing is looked for."""
        if self.found is None:
            return ""
        found = self.found
        words = f"“{safe_text(found.text, 30)}”: "
        if not found.nodes:
            return words + "no frame here"
        count = len(found.nodes)
        share = "" if found.share is None else f", {percent(found.share)}"
        return (
            words + f"{count:,} frame{'' if count == 1 else 's'}, {amount(found.total, self._unit())}{share}"
        )

    def _unit(self) -> str:
        return self.outline.look.unit
