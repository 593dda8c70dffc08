"""Which keys there are, for the help and the lowest line."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.text import Text

from llmflame.views.grid import Grid, GridColumn

KEYS = (
    ("↑ ↓  PgUp PgDn  Home End", "move; also k j g G"),
    ("→  ←", "tree: open, close or go to the parent; tables: mark a column"),
    ("Enter, Space", "tree: open or close; tables: sort by the marked column"),
    ("e", "tree: follow the heaviest frames down"),
    ("c", "tree: close everything"),
    ("s", "tree: heaviest first or call order; tables: sort, again: turn round"),
    ("m", "choose the metric"),
    ("p", "choose the phase"),
    ("l", "layers together or apart"),
    ("a", "all frames, or without those that only pass a call on"),
    ("/  n  N", "search, next, last; Esc ends it"),
    ("d  [  ]", "details on or off, back and on in them"),
    ("Tab, 1 … 9", "another view"),
    ("?", "this help"),
    ("q", "quit"),
)
HINT = "? help  q quit  ↑↓ move  → open  m metric  p phase  s sort  / search  d details"
"""In a narrow terminal its end is cut off: what leads to the rest comes first."""


def keys_view() -> RenderableType:
    """The keys as a table."""
    grid = Grid(
        (GridColumn("", align="left"), GridColumn("", align="left", flexible=True, least=20)), header=False
    )
    for key, meaning in KEYS:
        grid.add(Text(key, style="bold"), meaning)
    return Group(Text(" Keys", style="bold"), Text(), grid)
