"""Progress on stderr: one live line in a terminal, plain lines for long steps elsewhere."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.status import Status

    from llmflame.subjects.progress import Progress

EVERY_S = 5.0
"""A log that nobody watches gets at most one line in this time."""


@contextlib.contextmanager
def shown_progress() -> Iterator[Progress]:
    """Takes messages while the block runs."""
    if not sys.stderr.isatty():
        yield _Lines()
        return
    from rich.console import Console
    from rich.text import Text

    with Console(stderr=True, highlight=False).status(Text("starting"), spinner="dots") as status:
        yield _Live(status)


class _Lines:
    """Plain lines, but no flood of them."""

    def __init__(self) -> None:
        self._due = time.monotonic() + EVERY_S

    def __call__(self, message: str, /) -> None:
        """Show a line if none was shown lately."""
        now = time.monotonic()
        if now >= self._due:
            from llmflame.views.safe import safe_text

            print(f"llmflame: {safe_text(message)}", file=sys.stderr, flush=True)  # noqa: T201
            self._due = now + EVERY_S


class _Live:
    """One line that changes."""

    def __init__(self, status: Status) -> None:
        self._status = status

    def __call__(self, message: str, /) -> None:
        """Show this line instead of the last one."""
        from rich.text import Text

        from llmflame.views.safe import safe_text

        self._status.update(Text(safe_text(message)))
