"""Progress in a notebook: one output that changes, and is gone when the work has ended.

There is no thread: something is drawn only inside a call of these methods, which a recorder makes between
the requests that it measures. A front end keeps of a changing display its last state alone, so that the
notebook's file grows by nothing.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from html import escape
from typing import Any, Protocol

from llmflame.progress import Piece
from llmflame.views.course import Course, clock_time, text_bar

EVERY_S = 0.25
"""Between two updates: each is a message to the front end, and some keep all messages."""
SETTLE_S = 0.02
"""After each: the kernel's own thread sends it, and has ended when what is measured begins."""
_STYLE = "font-family:ui-monospace,monospace;font-size:13px;line-height:1.5"


class Display(Protocol):
    """One output of a cell, which can be changed."""

    def update(self, data: dict[str, str], *, raw: bool) -> None:
        """Show this instead."""


def in_notebook() -> bool:
    """Does this code run in a notebook's kernel? Asks IPython only where it is loaded already."""
    shell = _shell()
    return shell is not None and getattr(shell, "kernel", None) is not None


def _shell() -> Any:
    ipython = sys.modules.get("IPython")
    ask = getattr(ipython, "get_ipython", None)
    return ask() if ask is not None else None


def new_display(data: dict[str, str]) -> Display:
    """An output below the cell that runs. Needs IPython, which a notebook has."""
    from IPython.display import display

    show: Any = display  # not all of IPython says its types
    shown: Display = show(data, raw=True, display_id=True)
    return shown


class NotebookProgress:
    """A `Progress` in an output of the cell that runs."""

    def __init__(
        self,
        show: Callable[[dict[str, str]], Display] = new_display,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._show, self._clock, self._sleep = show, clock, sleep
        self._course: Course | None = None
        self._display: Display | None = None
        self._due = float("-inf")

    def __call__(self, message: str, /) -> None:
        """Show a line of detail."""
        self._at().message = message
        self.tick()

    def begin(self, pieces: Sequence[Piece]) -> None:
        """A work of these pieces begins."""
        self._at().begin(pieces)
        self.tick()

    def step(self, name: str) -> None:
        """Show the next piece."""
        self._at().step(name)
        self.tick()

    def tick(self) -> None:
        """Draw anew, unless that was just done."""
        if self._course is not None and self._clock() >= self._due:
            self._draw(_shown(self._course))

    def finish(self) -> None:
        """Leave one quiet line with the time that the work took."""
        if self._course is None:
            return
        words = f"llmflame: {clock_time(self._course.gone_s)}"
        html = f'<div style="{_STYLE};opacity:.6">{escape(words)}</div>'
        if self._display is not None:
            self._draw({"text/plain": words, "text/html": html})
        self._course = self._display = None
        self._due = float("-inf")

    def _at(self) -> Course:
        if self._course is None:
            self._course = Course(self._clock)
        return self._course

    def _draw(self, data: dict[str, str]) -> None:
        self._due = self._clock() + EVERY_S
        if self._display is None:
            self._display = self._show(data)
        else:
            self._display.update(data, raw=True)
        self._sleep(SETTLE_S)


def _shown(course: Course) -> dict[str, str]:
    what, when, share = course.what(), course.when(), course.done_share()
    bar = (
        f'<progress max="100" value="{share * 100:.0f}" aria-label="llmflame" '
        'style="width:16em;vertical-align:middle"></progress>'
    )
    html = f'<div style="{_STYLE}">{bar} {escape(what)} <span style="opacity:.6">{escape(when)}</span></div>'
    return {"text/plain": f"llmflame {text_bar(share)} {what} · {when}", "text/html": html}
