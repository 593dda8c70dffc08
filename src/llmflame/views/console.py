"""The console that views are printed to."""

from __future__ import annotations

import os
import sys
from typing import TextIO

from rich.console import Console

PIPE_WIDTH = 120
"""Of what is no terminal, where COLUMNS doesn't say otherwise."""


def console_for(stream: TextIO | None = None) -> Console:
    """Colour and width as the terminal has them; plain text elsewhere, unless FORCE_COLOR is set.

    NO_COLOR wins over everything. Both count where they are not empty: see no-color.org, force-color.org.
    """
    stream = stream if stream is not None else sys.stdout
    terminal = stream.isatty()
    plain = bool(os.environ.get("NO_COLOR"))
    forced = bool(os.environ.get("FORCE_COLOR")) and not plain
    columns = os.environ.get("COLUMNS", "")
    width = int(columns) if columns.isdecimal() and 20 <= int(columns) <= 1_000 else PIPE_WIDTH
    return Console(
        file=stream,
        width=None if terminal else width,
        force_terminal=terminal or forced,
        color_system="auto" if terminal else ("256" if forced else None),
        no_color=plain,
        highlight=False,
        markup=False,
        emoji=False,
        soft_wrap=False,
    )
