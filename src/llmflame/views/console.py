"""The console that views are printed to."""

from __future__ import annotations

import os
import sys
from typing import TextIO

from rich.console import Console

PIPE_WIDTH = 120
"""Of what is no terminal, where COLUMNS doesn't say otherwise."""


def console_for(stream: TextIO | None = None) -> Console:
    """Colour and width as the terminal has them (NO_COLOR is honoured); plain text elsewhere."""
    stream = stream if stream is not None else sys.stdout
    terminal = stream.isatty()
    columns = os.environ.get("COLUMNS", "")
    width = int(columns) if columns.isdecimal() and 20 <= int(columns) <= 1_000 else PIPE_WIDTH
    return Console(
        file=stream,
        width=None if terminal else width,
        force_terminal=terminal,
        color_system="auto" if terminal else None,
        highlight=False,
        markup=False,
        emoji=False,
        soft_wrap=False,
    )
