"""How a long step tells what it is doing: one short line at a time."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Takes one line of progress; the caller decides whether and where it is shown."""

    def __call__(self, message: str, /) -> None:
        """Take one line."""


def silent(message: str, /) -> None:
    """A `Progress` that shows nothing."""
