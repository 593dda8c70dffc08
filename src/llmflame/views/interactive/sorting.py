"""The order of a table's rows."""

from __future__ import annotations

from llmflame.analysis.tables import Table


def order_of(table: Table, column: int, *, reverse: bool) -> list[int]:
    """The table's rows, by index: amounts from the largest, texts and indices from the first, or the other
    way round; what is unknown comes last in both."""
    known = [place for place, row in enumerate(table.rows) if row[column] is not None]
    unknown = [place for place, row in enumerate(table.rows) if row[column] is None]
    rising = table.columns[column].unit in ("text", "index")
    known.sort(
        key=lambda place: table.rows[place][column],  # type: ignore[arg-type, return-value]
        reverse=rising is reverse,
    )
    return [*known, *unknown]
