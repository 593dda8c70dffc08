"""Text and tables that Markdown shows as they are meant. Names in them are data."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from llmflame.exports.names import one_line

UNKNOWN = "–"
_ESCAPES = str.maketrans(
    {
        **{mark: f"\\{mark}" for mark in "\\`*_[]|~#$"},
        "&": "&amp;",
        "<": "&lt;",
        ">": "&gt;",
        # A name after it would call a person of that name.
        "@": "@<!-- -->",
    }
)


def escaped(value: object) -> str:
    """Text that Markdown and HTML show as it is, in one line."""
    return one_line(str(value)).translate(_ESCAPES)


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """The first column is of words, the others are of numbers."""
    rules = ["---", *["---:"] * (len(heads) - 1)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (heads, rules, *rows))
