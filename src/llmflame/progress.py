"""How long work tells whoever watches where it is. What is shown, and whether, is for others to say.

A recorder calls these methods between the requests that it measures, never inside one: whatever they do then
is in no figure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of the work. `weight` compares what pieces of one `kind` take, in whatever unit."""

    name: str
    weight: float
    kind: str = "request"
    """`start` (a fresh process: import and load) or `request`: one says nothing of how long the other is."""


class Progress(Protocol):
    """Takes what is told of a long work."""

    def __call__(self, message: str, /) -> None:
        """One line of detail: what is being done now."""

    def begin(self, pieces: Sequence[Piece]) -> None:
        """A work of these pieces, in this order, begins."""

    def step(self, name: str) -> None:
        """The next piece of this name begins; those before it have ended."""

    def tick(self) -> None:
        """Time has gone by: a moment in which the time that is left may be shown anew."""

    def finish(self) -> None:
        """The work has ended, well or not."""


class Silent:
    """A `Progress` that shows nothing."""

    def __call__(self, message: str, /) -> None:
        """Take one line."""

    def begin(self, pieces: Sequence[Piece]) -> None:
        """Take the pieces."""

    def step(self, name: str) -> None:
        """Take a piece's name."""

    def tick(self) -> None:
        """Do nothing."""

    def finish(self) -> None:
        """Do nothing."""


SILENT = Silent()
