"""Which progress is shown: where a person watches some is, and nowhere else."""

from __future__ import annotations

import sys

from llmflame.errors import UsageError
from llmflame.progress import SILENT, Progress
from llmflame.views.notebook_progress import NotebookProgress, in_notebook


def progress_for(wanted: Progress | bool | None, *, alone: bool) -> Progress:
    """None: in a notebook, and nothing elsewhere. True: in a terminal too. False: nothing. Or an own one.

    `alone`: what is measured runs in this process, so that nothing may be drawn by a clock.
    """
    if wanted is None or wanted is True:
        if in_notebook():
            return NotebookProgress()
        return _in_terminal(alone=alone) if wanted else SILENT
    if wanted is False:
        return SILENT
    if not callable(getattr(wanted, "step", None)):
        raise UsageError(f"progress is True, False, None or a llmflame.progress.Progress, not {wanted!r}")
    return wanted


def _in_terminal(*, alone: bool) -> Progress:
    if not sys.stderr.isatty():
        return SILENT
    from rich.console import Console

    from llmflame.views.terminal_progress import TerminalProgress

    return TerminalProgress(Console(stderr=True, highlight=False, markup=False), alone=alone)
