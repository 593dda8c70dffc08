"""Which rows of a tree are open: expanding is lazy, so that a tree of a million nodes costs what is seen."""

from __future__ import annotations

from dataclasses import dataclass, field

from llmflame.views.interactive.graph import Look


@dataclass(frozen=True, slots=True)
class Line:
    """A visible node: how far it is indented, and whether it stands at its parent's level."""

    node: int
    level: int
    only: bool
    """Its parent's only child: long chains of single calls would run out of the screen."""


@dataclass(slots=True)
class Outline:
    """A tree's visible rows, and which of them are open."""

    look: Look
    opened: set[int] = field(default_factory=set)
    lines: list[Line] = field(init=False, default_factory=list)
    _places: dict[int, int] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self.relist()

    def relist(self) -> None:
        """List the visible rows anew."""
        self.lines = []
        stack = [Line(node, 0, False) for node in reversed(self.look.tops())]
        while stack:
            line = stack.pop()
            self.lines.append(line)
            if line.node not in self.opened:
                continue
            below = self.look.below(line.node)
            only = len(below) == 1 and line.level > 0
            level = line.level if only else line.level + 1
            stack.extend(Line(child, level, only) for child in reversed(below))
        self._places = {line.node: place for place, line in enumerate(self.lines)}

    def place(self, node: int) -> int | None:
        """The row of a node; None where it isn't visible."""
        return self._places.get(node)

    def open(self, node: int) -> None:
        """Show a node's children; of a chain of single calls all, down to where it branches."""
        below = self.look.below(node)
        while below:
            self.opened.add(node)
            if len(below) > 1:
                break
            node = below[0]
            below = self.look.below(node)
        self.relist()

    def close(self, node: int) -> None:
        """Hide what is below a node; what was open in there is open again when it is opened again."""
        self.opened.discard(node)
        self.relist()

    def open_heaviest(self, node: int) -> int:
        """Open the path of the heaviest children down to a leaf, which is returned."""
        while below := self.look.below(node):
            self.opened.add(node)
            node = max(below, key=lambda child: (self.look.total(child), -child))
        self.relist()
        return node

    def reveal(self, node: int) -> None:
        """Open all that is above a node."""
        self.opened.update(self.look.graph.tree.path(node)[:-1])
        self.relist()

    def visible_parent(self, place: int) -> int | None:
        """The row of the parent of a row's node."""
        return self._places.get(self.look.graph.tree.parents[self.lines[place].node])

    def moved_to(self, look: Look) -> Outline:
        """The same rows open in another look at the same tree."""
        return Outline(look, self.opened)
