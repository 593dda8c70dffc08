"""Progress of a command: one line on standard error where that is a terminal, nothing elsewhere."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator

from llmflame.progress import SILENT, Progress


@contextlib.contextmanager
def shown_progress(*, quiet: bool = False, alone: bool = False) -> Iterator[Progress]:
    """Takes what is told while the block runs. `quiet`: shows nothing, as in a pipe.

    `alone`: this process measures in the block, so that nothing is drawn but when something is told.
    """
    if quiet or not sys.stderr.isatty():
        yield SILENT
        return
    from rich.console import Console

    from llmflame.views.terminal_progress import TerminalProgress

    progress = TerminalProgress(Console(stderr=True, highlight=False, markup=False), alone=alone)
    try:
        yield progress
    finally:
        progress.finish()
