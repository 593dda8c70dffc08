"""Progress in a terminal: one line on standard error that changes, and is gone when the work has ended."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.text import Text

from llmflame.progress import Piece
from llmflame.views.cells import FLAME
from llmflame.views.course import Course, text_bar

PER_SECOND = 4.0
"""Redraws: a faster clock would take a core's time from what is measured on a small machine."""
LEAST_WHAT = 24
"""Cells that what is being done wants before the bar is left out."""


class TerminalProgress:
    """A `Progress` in one line. With `alone` nothing is drawn but inside a call of these methods: for work
    that is measured in this very process."""

    def __init__(self, console: Console, *, alone: bool = False) -> None:
        self._course = Course()
        self._alone = alone
        self._live = Live(
            _Line(self._course),
            console=console,
            refresh_per_second=PER_SECOND,
            transient=True,
            auto_refresh=not alone,
            redirect_stdout=not alone,
            redirect_stderr=not alone,
        )

    def __call__(self, message: str, /) -> None:
        """Show a line of detail."""
        self._course.message = message
        self.tick()

    def begin(self, pieces: Sequence[Piece]) -> None:
        """A work of these pieces begins."""
        self._course.begin(pieces)
        self.tick()

    def step(self, name: str) -> None:
        """Show the next piece."""
        self._course.step(name)
        self.tick()

    def tick(self) -> None:
        """Draw anew where no clock does."""
        if not self._live.is_started:
            self._live.start()
        if self._alone:
            self._live.refresh()

    def finish(self) -> None:
        """Take the line away."""
        self._live.stop()


class _Line:
    """A bar, what is being done, the time that is gone and left; never more than one line."""

    def __init__(self, course: Course) -> None:
        self._course = course

    def __rich_console__(self, _console: Console, options: ConsoleOptions) -> RenderResult:
        course, room = self._course, options.max_width
        when = f"  {course.when()}"
        text = Text(no_wrap=True)
        bar = text_bar(course.done_share()) + " " if course.pieces else ""
        if len(bar) + LEAST_WHAT + len(when) <= room:
            text.append(bar, style=FLAME)
        what = Text(course.what())
        what.truncate(max(room - text.cell_len - len(when), 1), overflow="ellipsis")
        text.append_text(what).append(when, style="dim")
        text.truncate(room)
        yield text
