"""Why kernels wait, in a terminal: the table, and below it what its main reasons mean and what helps."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.text import Text

from llmflame.analysis.stalls.reasons import REASONS
from llmflame.analysis.tables import Table
from llmflame.units import percent
from llmflame.views.cells import FLAME
from llmflame.views.grid import Paragraph
from llmflame.views.table import table_view

LEAST_SHARE = 0.05
"""Of the device time in the table: what has less is not explained below it."""
NOTHING_TO_EXPLAIN = frozenset({"selected"})
HANG = 2


def stalls_view(table: Table) -> RenderableType:
    """Rows of `analysis.stalls.stalls_table`, and the reasons that hold a part of their time."""
    weights = reason_weights(table)
    shown = [(reason, share) for reason, share in weights if share >= LEAST_SHARE]
    parts: list[RenderableType] = [table_view(table)]
    for reason, share in shown:
        if reason in NOTHING_TO_EXPLAIN:
            continue
        words = REASONS[reason]
        head = Text().append(reason, style=FLAME).append(f"  {percent(share)}  {words.group}", style="dim")
        parts += [Text(), Paragraph(head)]
        parts.append(Paragraph(Text(words.meaning), indent=HANG + 1))
        parts.append(Paragraph(Text("→ ").append(words.helps), indent=HANG + 1, hang=2))
    return Group(*parts)


def reason_weights(table: Table) -> list[tuple[str, float]]:
    """The share of the rows' device time that each known reason has, the largest first."""
    if not table.rows:
        return []
    device = table.place("device_ns")
    whole = sum(_number(row[device]) for row in table.rows)
    if not whole:
        return []
    sums = {
        reason: sum(_number(row[device]) * _number(row[place]) for row in table.rows)
        for reason, place in ((reason, table.place(reason)) for reason in REASONS)
    }
    return sorted(((reason, own / whole) for reason, own in sums.items()), key=lambda pair: -pair[1])


def _number(value: object) -> float:
    return value if isinstance(value, int | float) else 0.0
